//! What can go wrong while keys, certificates and configurations are made.

use std::path::PathBuf;

/// Why an authority, a certificate or a TLS configuration could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// A file of the authority cannot be read or written: correct the directory.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried: `read`, `write`, `make`.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A certificate or key cannot be made or read.
    #[error("{what} is not usable")]
    Certificate {
        /// Which one.
        what: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// One of the authority's two files is there and the other is not: restore it, or remove both.
    #[error("{} is missing while its counterpart exists", .0.display())]
    Incomplete(PathBuf),
}

impl TransportError {
    pub(crate) fn certificate(
        what: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Certificate { what: what.into(), source: Box::new(source) }
    }
}
