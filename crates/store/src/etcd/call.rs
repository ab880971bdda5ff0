//! Calling etcd: connections, timeouts, what may be tried again, and what an error means.

use std::error::Error as _;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{Client, Error, KvClient, WatchClient};
use tokio::time::Instant;
use tonic::{Code, ConnectError};

use super::config::{EtcdConfig, Progress};
use crate::StoreError;

/// Between two attempts of one request.
const RETRY_AFTER: Duration = Duration::from_millis(50);
/// etcd cuts responses to a watch above 2 MiB into fragments, but not the answer to a read.
const MAX_RESPONSE_BYTES: usize = 1 << 30;

/// The connections to etcd.
pub(super) struct Connections {
    kv: Vec<KvClient>,
    next: AtomicUsize,
    pub(super) watch: WatchClient,
    pub(super) progress: Progress,
    pub(super) request_timeout: Duration,
}

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

impl Connections {
    /// Connects, and asks every member for its version.
    pub(super) async fn open(config: &EtcdConfig) -> Result<Self, StoreError> {
        let open = || Client::connect(&config.endpoints, Some(config.connect_options()));
        let fail = |error| StoreError::unavailable(format!("cannot connect to etcd: {error}"), error);
        let mut kv = Vec::new();
        for _ in 0..config.connections.max(1) {
            let client = open().await.map_err(fail)?.kv_client();
            let client = client.max_decoding_message_size(MAX_RESPONSE_BYTES);
            kv.push(client.max_encoding_message_size(MAX_RESPONSE_BYTES));
        }
        let watch = open().await.map_err(fail)?.watch_client().max_decoding_message_size(MAX_RESPONSE_BYTES);
        let progress = match config.progress {
            Some(progress) => progress,
            None => progress(config).await?,
        };
        let request_timeout = config.request_timeout;
        Ok(Self { kv, next: AtomicUsize::new(0), watch, progress, request_timeout })
    }

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
        loop {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            let client = self.kv[turn % self.kv.len()].clone();
            match tokio::time::timeout_at(deadline, request(client)).await {
                Err(_) => return Err(Failure::TimedOut),
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(error)) => {
                    let again = not_sent(&error) || (repeat == Repeat::Harmless && is_transient(&error));
                    if !again || Instant::now() + RETRY_AFTER >= deadline {
                        return Err(Failure::Etcd(error));
                    }
                }
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }
}

/// The way of progress that is right for every member; one that does not answer may be old.
async fn progress(config: &EtcdConfig) -> Result<Progress, StoreError> {
    let mut progress = Progress::Requested;
    let mut last_error = None;
    let mut answered = false;
    for endpoint in &config.endpoints {
        match tokio::time::timeout(config.request_timeout, version(config, endpoint)).await {
            Ok(Ok(version)) => {
                answered = true;
                tracing::debug!(%endpoint, %version, "etcd answers");
                if Progress::of_version(&version) == Progress::SeenInAllKeys {
                    progress = Progress::SeenInAllKeys;
                }
            }
            Ok(Err(error)) => last_error = Some(Failure::Etcd(error)),
            Err(_) => last_error = Some(Failure::TimedOut),
        }
    }
    match last_error {
        Some(error) if !answered => Err(error.unavailable("cannot reach etcd")),
        Some(_) => Ok(Progress::SeenInAllKeys),
        None => Ok(progress),
    }
}

async fn version(config: &EtcdConfig, endpoint: &str) -> Result<String, Error> {
    let mut client = Client::connect([endpoint], Some(config.connect_options())).await?;
    Ok(client.status().await?.version().to_owned())
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
                let reason = format!("{what}: {}", message(&error));
                StoreError::Unavailable { reason, ambiguous, source: Some(Arc::new(error)) }
            }
        }
    }

    /// Whether etcd answered so. It tells its own errors apart only by their text.
    pub(super) fn says(&self, text: &str) -> bool {
        matches!(self, Self::Etcd(Error::GRpcStatus(status)) if status.message().contains(text))
    }
}

fn message(error: &Error) -> String {
    match error {
        Error::GRpcStatus(status) if !status.message().is_empty() => status.message().to_owned(),
        error => error.to_string(),
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
