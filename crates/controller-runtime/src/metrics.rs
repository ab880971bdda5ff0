//! [`Metrics`]: work queues in numbers, under Kubernetes' names.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// The queues of a process in numbers. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    depth: Family<OfQueue, Gauge>,
    adds: Family<OfQueue, Counter>,
    retries: Family<OfQueue, Counter>,
    waited: Family<OfQueue, Histogram, fn() -> Histogram>,
    worked: Family<OfQueue, Histogram, fn() -> Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfQueue {
    name: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(1e-8, 10.0, 12));
        Self {
            depth: Family::default(),
            adds: Family::default(),
            retries: Family::default(),
            waited: Family::new_with_constructor(seconds),
            worked: Family::new_with_constructor(seconds),
        }
    }
}

impl Metrics {
    /// Makes them part of what is told about the process.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("workqueue_depth", "Keys that wait for a worker", self.depth.clone());
        registry.register("workqueue_adds", "Keys that began to wait", self.adds.clone());
        registry.register("workqueue_retries", "Keys that failed and come again", self.retries.clone());
        let name = "workqueue_queue_duration_seconds";
        registry.register(name, "How long keys waited for a worker", self.waited.clone());
        let name = "workqueue_work_duration_seconds";
        registry.register(name, "How long keys were worked on", self.worked.clone());
    }

    pub(crate) fn of_queue(&self, name: &'static str) -> Meter {
        let label = OfQueue { name };
        Meter {
            depth: self.depth.get_or_create(&label).clone(),
            adds: self.adds.get_or_create(&label).clone(),
            retries: self.retries.get_or_create(&label).clone(),
            waited: self.waited.get_or_create(&label).clone(),
            worked: self.worked.get_or_create(&label).clone(),
        }
    }
}

/// One queue in numbers.
pub(crate) struct Meter {
    depth: Gauge,
    adds: Counter,
    retries: Counter,
    waited: Histogram,
    worked: Histogram,
}

impl Meter {
    /// So many keys waited before anybody counted.
    pub(crate) fn begin(&self, waiting: usize) {
        self.depth.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.adds.inc_by(waiting as u64);
    }

    pub(crate) fn added(&self) {
        self.depth.inc();
        self.adds.inc();
    }

    pub(crate) fn taken(&self, waited: Duration) {
        self.depth.dec();
        self.waited.observe(waited.as_secs_f64());
    }

    pub(crate) fn finished(&self, worked: Duration, again: bool) {
        self.worked.observe(worked.as_secs_f64());
        if again {
            self.retries.inc();
        }
    }
}
