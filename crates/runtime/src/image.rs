//! Images.

use std::fmt;

/// An image that is present on the node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageStatus {
    /// The full reference, as in `docker.io/library/busybox:latest` or `host:5000/a@sha256:…`.
    pub reference: String,
    /// `sha256:…` of what the reference resolved to in the registry: the index if there is one, else the manifest.
    pub digest: String,
    /// `sha256:…` of this platform's image configuration: the same content always has the same id.
    pub id: String,
    /// Bytes of its compressed blobs.
    pub size_bytes: u64,
    /// What the image says its processes run as, as in `1000:1000` or `www-data`; `None` is root.
    pub user: Option<String>,
}

/// How to pull.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullOptions {
    /// Credentials for the registry; `None` is anonymous.
    pub auth: Option<RegistryAuth>,
}

/// Credentials for a registry. `Debug` hides the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryAuth {
    /// User name.
    pub username: String,
    /// Password or token.
    pub password: String,
}

impl fmt::Debug for RegistryAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryAuth").field("username", &self.username).finish_non_exhaustive()
    }
}
