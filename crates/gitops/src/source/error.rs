//! [`SourceError`]: why there are no files.

use git2::{ErrorClass, ErrorCode};
use serde::{Deserialize, Serialize};

/// Why there are no files, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// Which kind of trouble.
    pub reason: Reason,
    /// The same as a sentence, with what to do. It holds no secrets.
    pub message: String,
}

/// Which kind of trouble it is: by whom it can be solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// The server cannot be reached or does not speak Git: it may be later.
    Unreachable,
    /// The server does not accept the credentials, or asks for some.
    Unauthorized,
    /// The server does not prove to be the one that is meant.
    HostUntrusted,
    /// There is no such repository, reference or directory.
    NotFound,
    /// The commit is not signed, or not by anybody who counts.
    NotSigned,
    /// There is more of it than is accepted.
    TooLarge,
    /// It took too long.
    TimedOut,
    /// The request or what the repository holds makes no sense.
    Invalid,
    /// What a Secret holds is no key, or nothing that can be sent.
    InvalidSecret,
    /// It is not fetched from there, or not done at all.
    NotAllowed,
    /// A program that is needed is missing.
    MissingTool,
    /// What has been received, now or before, cannot be read.
    Corrupt,
    /// Something broke that has no reason to.
    Failed,
}

impl SourceError {
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Reason::NotFound, message)
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Reason::Invalid, message)
    }

    pub(super) fn invalid_secret(message: impl Into<String>) -> Self {
        Self::new(Reason::InvalidSecret, message)
    }

    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(Reason::TooLarge, message)
    }

    /// What libgit2 says of a server.
    pub(super) fn of_remote(url: &str, error: &git2::Error) -> Self {
        let said = error.message().trim();
        let (reason, hint) = remote_reason(error, said);
        Self::new(reason, format!("cannot fetch {}: {said}{hint}", without_password(url)))
    }

    /// What libgit2 says of objects that it has.
    pub(super) fn of_objects(error: &git2::Error) -> Self {
        Self::new(Reason::Corrupt, format!("the repository's objects cannot be read: {}", error.message()))
    }

    /// What the machine says.
    pub(super) fn io(doing: &str, error: &std::io::Error) -> Self {
        Self::new(Reason::Failed, format!("cannot {doing}: {error}"))
    }
}

const ASKS: &str = ". Put credentials that may read it into the Secret that spec.secretRef names";
const BAD_KEY: &str = ". Look at identity in the Secret that spec.secretRef names: is it a private key, and is password its own?";
const NO_REPOSITORY: &str = ". Is there a repository at spec.url, and do the credentials let it be seen?";
const NOT_TRUSTED: &str = ". Put the authority of its certificate into the Secret as ca.crt";
const UNKNOWN_HOST: &str = ". Put its key into the Secret as known_hosts (ssh-keyscan shows it; compare it with what its owner says)";

/// The kind of trouble, and what to do about it. libgit2's codes come first; where it has none, its words must do.
fn remote_reason(error: &git2::Error, said: &str) -> (Reason, &'static str) {
    let status = said.strip_prefix("unexpected http status code: ");
    match (error.class(), error.code(), status) {
        // Of our cache, or of a pack that is none.
        (
            ErrorClass::Odb | ErrorClass::Object | ErrorClass::Zlib | ErrorClass::Indexer | ErrorClass::Tree,
            ..,
        ) => (Reason::Corrupt, ""),
        (ErrorClass::Ssh, ErrorCode::Certificate, _) => (Reason::HostUntrusted, UNKNOWN_HOST),
        (_, ErrorCode::Certificate, _) => (Reason::HostUntrusted, NOT_TRUSTED),
        (_, ErrorCode::Auth, _) | (_, _, Some("401" | "403")) => (Reason::Unauthorized, ASKS),
        (ErrorClass::Ssh, ..) if said.contains("private key") || said.contains("authenticate") => {
            (Reason::Unauthorized, BAD_KEY)
        }
        (_, _, Some("404")) => (Reason::NotFound, NO_REPOSITORY),
        (_, ErrorCode::Owner, _) => (Reason::NotAllowed, ". It belongs to another user of this machine"),
        (ErrorClass::Net, ..) if said.starts_with("remote error:") => (Reason::NotFound, NO_REPOSITORY),
        (_, ErrorCode::Eof, _) => (Reason::Unreachable, NO_REPOSITORY),
        (_, ErrorCode::NotFound, _) => (Reason::NotFound, NO_REPOSITORY),
        _ => (Reason::Unreachable, ""),
    }
}

/// A URL as it may be shown.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = match host.rsplit_once('@') {
        Some((user, host)) => format!("{}@{host}", user.split(':').next().unwrap_or_default()),
        None => host.to_owned(),
    };
    format!("{scheme}://{host}/{path}")
}
