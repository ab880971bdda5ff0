//! Counters about the server itself, as Prometheus reads them.

use std::time::Duration;

use http::{Method, StatusCode};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry as Prometheus;

use crate::audit::Audit;
use crate::fairness::Fairness;
use crate::registry::Registry;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: String,
    code: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    resource: String,
}

/// Counters about the server itself.
pub(crate) struct Metrics {
    prometheus: Prometheus,
    requests: Family<Answered, Counter>,
    seconds: Histogram,
    objects: Family<OfKind, Gauge>,
    revision: Gauge,
}

impl Metrics {
    /// Adds what the server tells about itself to a registry.
    pub(crate) fn new(prometheus: Prometheus, audit: Option<&Audit>, fairness: &Fairness) -> Self {
        let mut metrics = Self {
            prometheus,
            requests: Family::default(),
            seconds: Histogram::new(exponential_buckets(0.000_1, 2.0, 18)),
            objects: Family::default(),
            revision: Gauge::default(),
        };
        if let Some(audit) = audit {
            let (registry, counters) = (&mut metrics.prometheus, audit.log.counters());
            let (written, dropped) = (counters.written.clone(), counters.dropped.clone());
            registry.register("apiserver_audit_events", "Audit records written", written);
            let help = "Audit records lost: too many waited, or the disk was full";
            registry.register("apiserver_audit_dropped", help, dropped);
        }
        fairness.register(&mut metrics.prometheus);
        metrics.registered()
    }

    fn registered(mut self) -> Self {
        let registry = &mut self.prometheus;
        registry.register(
            "apiserver_request",
            "Requests answered, by method and code",
            self.requests.clone(),
        );
        registry.register(
            "apiserver_request_duration_seconds",
            "Time until the answer began",
            self.seconds.clone(),
        );
        registry.register("apiserver_storage_objects", "Objects in the watch cache", self.objects.clone());
        registry.register(
            "apiserver_cache_revision",
            "The revision that the watch cache has reached",
            self.revision.clone(),
        );
        self
    }

    /// Counts an answer.
    pub(crate) fn observe(&self, method: &Method, code: StatusCode, took: Duration) {
        // Clients choose the method: only those of HTTP are counted by name.
        let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD]
            .contains(method);
        let method = if known { method.to_string() } else { "other".into() };
        self.requests.get_or_create(&Answered { method, code: code.as_u16() }).inc();
        self.seconds.observe(took.as_secs_f64());
    }

    /// Everything, as text.
    pub(crate) fn text(&self, registry: &Registry, fairness: &Fairness) -> String {
        fairness.observe();
        for kind in registry.kinds.now().all() {
            let resource = kind.kind().resource();
            let count = i64::try_from(kind.window.len()).unwrap_or(i64::MAX);
            self.objects.get_or_create(&OfKind { resource }).set(count);
        }
        self.revision.set(i64::try_from(registry.cache.reached().0).unwrap_or(i64::MAX));
        let mut out = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut out, &self.prometheus);
        out
    }
}
