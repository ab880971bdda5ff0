//! [`Kubeconfig`]: which servers there are, who we are to them, and which one is meant.

mod connection;
mod file;
mod paths;

use std::path::{Path, PathBuf};

pub use connection::{Connection, Credentials, Overrides};
pub use paths::KubeconfigPaths;

use crate::ConfigError;
use file::{Cluster, Context, File, User};

/// One or several kubeconfig files, merged the way kubectl merges them: of entries with the same name the first one
/// counts, and so does the first `current-context`. Paths inside a file are relative to that file.
#[derive(Debug, Clone, Default)]
pub struct Kubeconfig {
    /// The files that were read.
    pub files: Vec<PathBuf>,
    /// The context that is used unless another one is asked for.
    pub current_context: Option<String>,
    clusters: Vec<Entry<Cluster>>,
    contexts: Vec<Entry<Context>>,
    users: Vec<Entry<User>>,
}

/// A named entry and the file that it comes from.
#[derive(Debug, Clone)]
struct Entry<T> {
    name: String,
    value: T,
    file: PathBuf,
}

impl Kubeconfig {
    /// Reads the kubeconfig from where the conventions say that it is; see [`KubeconfigPaths`].
    ///
    /// # Errors
    /// No file found, or one of them cannot be read or understood.
    pub fn load(paths: &KubeconfigPaths) -> Result<Self, ConfigError> {
        let files = paths.existing()?;
        let mut merged = Self::default();
        for file in files {
            let text = std::fs::read_to_string(&file).map_err(|source| ConfigError::Read {
                file: file.clone(),
                field: None,
                source,
            })?;
            merged.merge(&text, &file)?;
        }
        Ok(merged)
    }

    /// Reads one kubeconfig. `file` is where the text is from: relative paths start at its directory.
    ///
    /// # Errors
    /// The text is not a kubeconfig.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        config.merge(text, file)?;
        Ok(config)
    }

    fn merge(&mut self, text: &str, file: &Path) -> Result<(), ConfigError> {
        let read =
            File::parse(text).map_err(|problem| ConfigError::Parse { file: file.to_owned(), problem })?;
        self.files.push(file.to_owned());
        if self.current_context.is_none() {
            self.current_context = Some(read.current_context).filter(|name| !name.is_empty());
        }
        add(&mut self.clusters, read.clusters.into_iter().map(|entry| (entry.name, entry.cluster)), file);
        add(&mut self.contexts, read.contexts.into_iter().map(|entry| (entry.name, entry.context)), file);
        add(&mut self.users, read.users.into_iter().map(|entry| (entry.name, entry.user)), file);
        Ok(())
    }

    /// The contexts in the order in which they are defined: name, cluster, user, namespace.
    pub fn contexts(&self) -> impl Iterator<Item = [&str; 4]> {
        self.contexts.iter().map(|Entry { name, value, .. }| {
            [name.as_str(), &value.cluster, &value.user, value.namespace.as_str()]
        })
    }

    /// The file that `orchctl config use-context` writes to: the one that sets `current-context`, else the first.
    pub fn file_of_current_context(&self) -> Option<&Path> {
        let sets = |file: &&PathBuf| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            File::parse(&text).is_ok_and(|read| !read.current_context.is_empty())
        };
        self.files.iter().find(sets).or(self.files.first()).map(PathBuf::as_path)
    }

    /// What is needed to talk to the server of the chosen context. Reads the files that the entries name.
    ///
    /// # Errors
    /// A name leads nowhere, a file cannot be read, or a field asks for something that Orch does not do.
    pub fn connection(&self, overrides: &Overrides) -> Result<Connection, ConfigError> {
        connection::resolve(self, overrides)
    }

    fn find<'a, T>(
        &self,
        what: &'static str,
        name: &str,
        entries: &'a [Entry<T>],
    ) -> Result<&'a Entry<T>, ConfigError> {
        entries.iter().find(|entry| entry.name == name).ok_or_else(|| ConfigError::Undefined {
            what,
            name: name.to_owned(),
            files: self.files.clone(),
            known: entries.iter().map(|entry| entry.name.clone()).collect(),
        })
    }
}

fn add<T>(entries: &mut Vec<Entry<T>>, new: impl Iterator<Item = (String, T)>, file: &Path) {
    for (name, value) in new {
        if !entries.iter().any(|entry| entry.name == name) {
            entries.push(Entry { name, value, file: file.to_owned() });
        }
    }
}

#[cfg(test)]
mod tests;
