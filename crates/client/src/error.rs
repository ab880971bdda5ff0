//! [`ConfigError`]: why there is no connection to be made from a kubeconfig.

use std::io;
use std::path::PathBuf;

/// Why a kubeconfig does not lead to a server. Each variant names the file and the field to look at.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// None of the places holds a kubeconfig.
    #[error("no kubeconfig found (tried {})", list(tried))]
    NotFound {
        /// Where it was looked for, in order.
        tried: Vec<PathBuf>,
    },
    /// A file that the kubeconfig names, or itself, cannot be read.
    #[error("cannot read {}{}", file.display(), of_field(field))]
    Read {
        /// The file that cannot be read.
        file: PathBuf,
        /// The kubeconfig field that names the file; none for the kubeconfig itself.
        field: Option<String>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is not a kubeconfig.
    #[error("{} is not a valid kubeconfig: {problem}", file.display())]
    Parse {
        /// The file.
        file: PathBuf,
        /// What is wrong, with line and column.
        problem: String,
    },
    /// No context has been chosen.
    #[error("no context is chosen: `current-context` is not set in {}", list(files))]
    NoContext {
        /// The files that were read.
        files: Vec<PathBuf>,
        /// The contexts that could be chosen.
        known: Vec<String>,
    },
    /// A name leads nowhere.
    #[error("{what} {name:?} is not defined in {}", list(files))]
    Undefined {
        /// `context`, `cluster` or `user`.
        what: &'static str,
        /// The name.
        name: String,
        /// The files that were read.
        files: Vec<PathBuf>,
        /// The names that are defined.
        known: Vec<String>,
    },
    /// A field has a value that cannot be used.
    #[error("{}: {field}: {problem}", file.display())]
    Field {
        /// The file that sets the field.
        file: PathBuf,
        /// The field's path, such as `users[admin].user.exec`.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Certificates and key are readable, but do not make a TLS client.
    #[error("cannot set up TLS for {server}: {problem}")]
    Tls {
        /// The server's address.
        server: String,
        /// What is wrong.
        problem: String,
    },
}

impl ConfigError {
    /// What to do about it, as a sentence to be shown after the error.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { .. } => {
                "start a server with `orchd up`, or name a kubeconfig with --kubeconfig or $KUBECONFIG".into()
            }
            Self::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run as the user that may read the file (`sudo`), or copy it to ~/.kube/config".into()
            }
            Self::NoContext { known, .. } if known.is_empty() => "the kubeconfig defines no context".into(),
            Self::NoContext { known, .. } => {
                format!("choose one with `--context` or `orchctl config use-context`: {}", known.join(", "))
            }
            Self::Undefined { known, what, .. } if !known.is_empty() => {
                format!("known {what}s: {}", known.join(", "))
            }
            _ => return None,
        })
    }
}

fn list(files: &[PathBuf]) -> String {
    files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn of_field(field: &Option<String>) -> String {
    field.as_ref().map(|field| format!(" (named by {field})")).unwrap_or_default()
}
