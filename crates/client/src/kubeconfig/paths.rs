//! [`KubeconfigPaths`]: where kubeconfigs are looked for.

use std::path::{Path, PathBuf};

use crate::ConfigError;

/// Where a kubeconfig may be. The first of these that names anything decides:
/// an explicit file, `$KUBECONFIG` (several files), `~/.kube/config`, a fallback.
#[derive(Debug, Clone, Default)]
pub struct KubeconfigPaths {
    /// `--kubeconfig`: this file and no other; it must be there.
    pub explicit: Option<PathBuf>,
    /// `$KUBECONFIG`: files to merge, and no others. Those that are missing are skipped.
    pub environment: Vec<PathBuf>,
    /// `~/.kube/config`
    pub home: Option<PathBuf>,
    /// Used if none of the others is there.
    pub fallback: Option<PathBuf>,
}

impl KubeconfigPaths {
    /// The places that this process's environment names.
    pub fn from_environment(explicit: Option<PathBuf>, fallback: Option<PathBuf>) -> Self {
        let environment = std::env::var_os("KUBECONFIG").unwrap_or_default();
        Self {
            explicit,
            environment: std::env::split_paths(&environment)
                .filter(|path| !path.as_os_str().is_empty())
                .collect(),
            home: std::env::home_dir().map(|home| home.join(".kube/config")),
            fallback,
        }
    }

    /// The files to read.
    ///
    /// # Errors
    /// None of them exists.
    pub fn existing(&self) -> Result<Vec<PathBuf>, ConfigError> {
        if let Some(explicit) = &self.explicit {
            return Ok(vec![explicit.clone()]);
        }
        let (tried, at_most) = match self.environment.as_slice() {
            [] => ([&self.home, &self.fallback].into_iter().flatten().cloned().collect(), 1),
            named => (named.to_vec(), named.len()),
        };
        let found: Vec<PathBuf> =
            tried.iter().filter(|file| may_be_there(file)).take(at_most).cloned().collect();
        if found.is_empty() { Err(ConfigError::NotFound { tried }) } else { Ok(found) }
    }
}

/// Of what cannot be looked at, reading says why.
fn may_be_there(file: &Path) -> bool {
    !matches!(file.try_exists(), Ok(false))
}
