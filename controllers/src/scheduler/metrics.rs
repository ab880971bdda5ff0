//! [`Metrics`]: the scheduler in numbers, under Kubernetes' names.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Duration;

use orch_controller_runtime::{ObjectKey, WorkQueue};
use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::NAME;
use super::state::State;

/// The scheduler in numbers. Clones share them.
#[derive(Debug, Clone)]
pub struct Metrics {
    attempts: Family<Attempt, Counter>,
    seconds: Family<Attempt, Histogram, fn() -> Histogram>,
    pending: Arc<Mutex<Pending>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Attempt {
    result: &'static str,
    profile: &'static str,
}

/// Where pods wait, as long as a scheduler runs.
#[derive(Default)]
struct Pending {
    queue: Weak<WorkQueue<ObjectKey>>,
    state: Weak<Mutex<State>>,
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.counts()).finish()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds: fn() -> Histogram = || Histogram::new(exponential_buckets(0.001, 2.0, 15));
        Self {
            attempts: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            pending: Arc::default(),
        }
    }
}

impl Metrics {
    /// Makes them part of what is told about the process.
    pub fn register(&self, registry: &mut Registry) {
        let name = "scheduler_schedule_attempts";
        registry.register(name, "Attempts to place pods, by result", self.attempts.clone());
        let name = "scheduler_scheduling_attempt_duration_seconds";
        registry.register(name, "How long attempts took, bindings included", self.seconds.clone());
        registry.register_collector(Box::new(self.clone()));
    }

    /// Pods wait here from now on.
    pub(super) fn watch(&self, queue: &Arc<WorkQueue<ObjectKey>>, state: &Arc<Mutex<State>>) {
        *self.pending.lock() = Pending { queue: Arc::downgrade(queue), state: Arc::downgrade(state) };
    }

    /// Counts an attempt: `scheduled`, `unschedulable` or `error`.
    pub(super) fn attempt(&self, result: &'static str, took: Duration) {
        let label = Attempt { result, profile: NAME };
        self.attempts.get_or_create(&label).inc();
        self.seconds.get_or_create(&label).observe(took.as_secs_f64());
    }
}

impl Pending {
    /// How many pods wait for the scheduler, for another try, and for room. No pod is gated.
    fn counts(&self) -> [(&'static str, usize); 4] {
        let queue = self.queue.upgrade().map(|queue| queue.metrics()).unwrap_or_default();
        let unschedulable = self.state.upgrade().map_or(0, |state| state.lock().unplaceable());
        [("active", queue.ready), ("backoff", queue.delayed), ("unschedulable", unschedulable), ("gated", 0)]
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Pods that wait, by what they wait for";
        let mut pending =
            encoder.encode_descriptor("scheduler_pending_pods", help, None, MetricType::Gauge)?;
        for (queue, count) in self.pending.lock().counts() {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            ConstGauge::new(count).encode(pending.encode_family(&[("queue", queue)])?)?;
        }
        Ok(())
    }
}
