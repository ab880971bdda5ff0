//! What all requests share.

use std::sync::Arc;

use orch_api::Request;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::audit::{Audit, Origin, Record};
use crate::authn::{Identity, Oidc, Tokens};
use crate::fairness::{Fairness, FlowLimits};
use crate::metrics::Metrics;
use crate::registry::Registry;

/// Requests of all callers together that may have begun and not been answered, those that wait for a seat included: a
/// bound of memory. More are answered with 429, whoever asks.
const MAX_REQUESTS: usize = 4_000;

/// What all requests share.
pub(crate) struct Server {
    pub(crate) registry: Registry,
    pub(crate) tokens: Tokens,
    /// Who else issues tokens for people.
    pub(crate) oidc: Option<Oidc>,
    /// What is recorded of requests.
    pub(crate) audit: Option<Audit>,
    pub(crate) metrics: Metrics,
    /// Whose turn it is.
    pub(crate) fairness: Fairness,
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
        oidc: Option<Oidc>,
        audit: Option<Audit>,
        backend: Option<Arc<rustls::ClientConfig>>,
        flows: FlowLimits,
        metrics: prometheus_client::registry::Registry,
    ) -> Self {
        let fairness = Fairness::new(flows);
        let metrics = Metrics::new(metrics, audit.as_ref(), &fairness);
        Self {
            registry,
            tokens,
            oidc,
            audit,
            metrics,
            fairness,
            slots: Semaphore::new(MAX_REQUESTS),
            stopping: CancellationToken::new(),
            backend,
        }
    }

    /// Begins the record of a request, if it is to be recorded.
    pub(crate) fn record(
        &self,
        identity: &Identity,
        request: &Request,
        origin: impl FnOnce() -> Origin,
    ) -> Option<Record> {
        let (audit, registry) = (self.audit.as_ref()?, &self.registry);
        audit.begin(&registry.kinds.now(), identity, request, origin, registry.clock.now())
    }
}
