//! What can go wrong, by what the caller can do about it.

use std::error::Error;

/// What a [`RuntimeError::NotFound`] did not find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Object {
    /// A sandbox.
    Sandbox,
    /// A container.
    Container,
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sandbox => "sandbox",
            Self::Container => "container",
        })
    }
}

/// Why a verb of [`Runtime`](crate::Runtime) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The object is gone: observe again and decide anew.
    #[error("{object} {id} not found")]
    NotFound {
        /// What kind of object.
        object: Object,
        /// Its id.
        id: String,
    },
    /// The container exists but does not run, so nothing can be executed in it.
    #[error("container {id} is not running")]
    NotRunning {
        /// The container.
        id: String,
    },
    /// Nothing in the sandbox takes connections to the port.
    #[error("failed to connect to localhost:{port} inside namespace {id}, {message}")]
    Refused {
        /// The sandbox.
        id: String,
        /// The port.
        port: u16,
        /// What each address answered, for people.
        message: String,
    },
    /// Neither here (`create_container`) nor in the registry (`pull_image`): pull it, or fix the reference.
    #[error("image {image:?} not found")]
    ImageNotFound {
        /// The reference as asked for.
        image: String,
    },
    /// The registry or its content stood in the way.
    #[error("failed to pull image {image:?}: {message}")]
    PullFailed {
        /// The reference as asked for.
        image: String,
        /// Whether the same request can succeed later: true for network trouble, false for denied access or a wrong digest.
        retryable: bool,
        /// What happened.
        message: String,
    },
    /// The spec can never work: change it.
    #[error("invalid {field}: {message}")]
    InvalidSpec {
        /// The field, as a path like `container.mounts[0].host_path`.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// The process could not be started; what runs the container said why. Report it and back off.
    #[error("failed to start {id}: {message}")]
    StartFailed {
        /// The container.
        id: String,
        /// The reason, for people.
        message: String,
    },
    /// The sandbox's network could not be set up. Back off and ask again.
    #[error("failed to set up the network of sandbox {id}: {message}")]
    Network {
        /// The sandbox.
        id: String,
        /// The reason, for people.
        message: String,
    },
    /// The runtime cannot be reached; nothing is known about the containers, which may well be running. Wait and ask again.
    #[error("container runtime unavailable: {message}")]
    Unavailable {
        /// What was tried.
        message: String,
        /// Why it failed.
        #[source]
        source: Option<Box<dyn Error + Send + Sync>>,
    },
    /// Anything else: the step that failed and why. Back off and ask again.
    #[error("{action} failed: {message}")]
    Failed {
        /// The step, like `prepare snapshot`.
        action: String,
        /// The reason, for people.
        message: String,
    },
}

impl RuntimeError {
    /// An [`InvalidSpec`](Self::InvalidSpec).
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidSpec { field: field.into(), message: message.into() }
    }

    /// A [`Failed`](Self::Failed).
    pub fn failed(action: impl Into<String>, error: impl std::fmt::Display) -> Self {
        Self::Failed { action: action.into(), message: error.to_string() }
    }

    /// The same request can succeed later without anybody changing it.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. }
            | Self::Failed { .. }
            | Self::Network { .. }
            | Self::Refused { .. }
            | Self::StartFailed { .. } => true,
            Self::PullFailed { retryable, .. } => *retryable,
            Self::NotFound { .. }
            | Self::NotRunning { .. }
            | Self::ImageNotFound { .. }
            | Self::InvalidSpec { .. } => false,
        }
    }
}
