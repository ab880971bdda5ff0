//! What all requests share.

use std::sync::Arc;

use orch_api::Request;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::audit::{Audit, Origin, Record};
use crate::authn::{Identity, Oidc, Tokens};
use crate::fairness::{Fairness, FlowLimits};
use crate::metrics::Metrics;
use crate::mount::Mount;
use crate::registry::Registry;

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
    /// Requests that may still begin: see [`FlowLimits::requests`].
    pub(crate) slots: Semaphore,
    /// Ends watches when the server stops.
    pub(crate) stopping: CancellationToken,
    /// How streams reach the servers behind objects.
    pub(crate) backend: Option<Arc<rustls::ClientConfig>>,
    /// What else is served.
    pub(crate) mounts: Vec<Mount>,
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
        let slots = Semaphore::new(flows.requests);
        let fairness = Fairness::new(flows);
        let metrics = Metrics::new(metrics, audit.as_ref(), &fairness);
        Self {
            registry,
            tokens,
            oidc,
            audit,
            metrics,
            fairness,
            slots,
            stopping: CancellationToken::new(),
            backend,
            mounts: Vec::new(),
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
