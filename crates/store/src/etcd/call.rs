//! Calling etcd: what may be tried again, and what an error means.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Error, KvClient};
use tokio::time::Instant;
use tonic::{Code, ConnectError};

use super::members::Members;
use crate::StoreError;

/// Between two attempts of one request; doubled each time, up to the second. The first goes to another member.
const RETRY_AFTER: Duration = Duration::from_millis(1);
const RETRY_AFTER_MOST: Duration = Duration::from_millis(100);

/// Whether a request can do harm when it is carried out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    Harmless,
    Harmful,
}

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    TimedOut,
    Etcd(Error),
}

impl Members {
    /// Makes a request, again after failures after which that is safe, until the time is up.
    pub(super) async fn call<T, F>(
        &self,
        repeat: Repeat,
        request: impl Fn(KvClient) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let deadline = Instant::now() + self.request_timeout;
        let mut wait = RETRY_AFTER;
        loop {
            let member = self.pick();
            match tokio::time::timeout_at(deadline, request(member.kv())).await {
                Err(_) => {
                    member.set_down();
                    return Err(Failure::TimedOut);
                }
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => {
                    let not_sent = not_sent(&error);
                    let transient = not_sent || is_transient(&error);
                    if transient {
                        member.set_down();
                    }
                    let again = not_sent || (transient && repeat == Repeat::Harmless);
                    if !again || Instant::now() + wait >= deadline {
                        return Err(Failure::Etcd(error));
                    }
                }
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RETRY_AFTER_MOST);
        }
    }
}

impl Failure {
    /// The failure as `Unavailable`, of a request that changes nothing or was not carried out.
    pub(super) fn unavailable(self, what: &str) -> StoreError {
        self.into_unavailable(what, false)
    }

    /// The failure of a commit as `Unavailable`, ambiguous unless it is known that nothing happened.
    pub(super) fn of_commit(self) -> StoreError {
        let ambiguous = match &self {
            Self::TimedOut => true,
            Self::Etcd(error) => !(not_sent(error) || is_refusal(error)),
        };
        self.into_unavailable("cannot commit to etcd", ambiguous)
    }

    fn into_unavailable(self, what: &str, ambiguous: bool) -> StoreError {
        match self {
            Self::TimedOut => StoreError::Unavailable {
                reason: format!("{what}: no answer in time"),
                ambiguous,
                source: None,
            },
            Self::Etcd(error) => {
                StoreError::Unavailable { reason: what.to_owned(), ambiguous, source: Some(Arc::new(error)) }
            }
        }
    }

    /// Whether etcd answered so. It tells its own errors apart only by their text.
    pub(super) fn says(&self, text: &str) -> bool {
        matches!(self, Self::Etcd(Error::GRpcStatus(status)) if status.message().contains(text))
    }
}

/// Whether no connection could be made, so that etcd cannot have seen the request.
fn not_sent(error: &Error) -> bool {
    let mut cause: Option<&dyn std::error::Error> = match error {
        Error::GRpcStatus(status) => status.source(),
        Error::TransportError(error) => Some(error),
        _ => None,
    };
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Whether etcd refused the request before it proposed it.
fn is_refusal(error: &Error) -> bool {
    let Error::GRpcStatus(status) = error else { return false };
    let from_etcd = status.message().starts_with("etcdserver:");
    let refused = matches!(
        status.code(),
        Code::InvalidArgument
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::OutOfRange
    );
    from_etcd && (refused || status.message() == "etcdserver: no leader")
}

/// Whether the same request may succeed soon.
fn is_transient(error: &Error) -> bool {
    match error {
        Error::GRpcStatus(status) => {
            matches!(status.code(), Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled)
        }
        Error::TransportError(_) | Error::IoError(_) => true,
        _ => false,
    }
}
