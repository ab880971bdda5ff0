//! What all requests share.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::authn::Tokens;
use crate::metrics::Metrics;
use crate::registry::Registry;

/// Requests in flight; more are answered with 429.
const MAX_REQUESTS: usize = 4_000;

/// What all requests share.
pub(crate) struct Server {
    pub(crate) registry: Registry,
    pub(crate) tokens: Tokens,
    pub(crate) metrics: Metrics,
    /// Requests that may still begin.
    pub(crate) slots: Semaphore,
    /// Ends watches when the server stops.
    pub(crate) stopping: CancellationToken,
    /// How streams reach the servers behind objects.
    pub(crate) backend: Option<Arc<rustls::ClientConfig>>,
}

impl Server {
    pub(crate) fn new(
        registry: Registry,
        tokens: Tokens,
        backend: Option<Arc<rustls::ClientConfig>>,
    ) -> Self {
        Self {
            registry,
            tokens,
            metrics: Metrics::default(),
            slots: Semaphore::new(MAX_REQUESTS),
            stopping: CancellationToken::new(),
            backend,
        }
    }
}
