//! Fairness: one caller's requests do not keep another's waiting.
//!
//! Every caller is a flow. A request needs a seat while it is carried out; while there is none, it waits in its flow's own
//! queue, and seats that become free go to the flows in turn. Nodes, controllers and administrators have seats of their own
//! ([`Share::System`]), so that what keeps the cluster going is not behind anybody else's load.
//!
//! Watches, and streams to the servers behind objects, need a seat only until they begin; how many a caller may have is
//! counted apart. So is how many requests of a caller mounts work on, which need seats for what they ask of the API, and how
//! many bodies are on their way, which may come slowly.
//!
//! - `level.rs`: the seats of one share, and who is next.
//!
//! # Invariants
//!
//! - As long as somebody waits who may have a seat, none is free.
//! - No lock is held while anybody waits. Entering and leaving cost the same however many wait.

mod level;

use std::sync::Arc;
use std::time::Duration;

use orch_api::{Reason, Status, StatusDetails};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry as Prometheus;

pub(crate) use level::{Leave, Seat};
use level::{Level, Refusal, Stay};

use crate::authn::Identity;

/// The groups whose members keep the cluster going, besides users whose name begins with `system:`.
const SYSTEM_GROUPS: [&str; 3] = ["system:masters", "system:nodes", "system:serviceaccounts:kube-system"];
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// How much callers may ask at the same time.
#[derive(Debug, Clone)]
pub struct FlowLimits {
    /// Requests of all callers together that may have begun and not been answered, those that wait for a seat included, and
    /// watches that have begun and what mounts work on not: a bound of memory. More are answered with 429, whoever asks.
    pub requests: usize,
    /// Requests carried out at a time: of the system, and as many again of everybody else.
    pub seats: usize,
    /// Requests of one caller carried out at a time; fewer than `seats`, so that one caller never has all.
    pub seats_per_caller: usize,
    /// Requests of one caller that wait; more are answered with 429.
    pub queue_per_caller: usize,
    /// How long a request waits before it is answered with 429.
    pub patience: Duration,
    /// Watches and streams that one caller may have open; more are answered with 429.
    pub long_running_per_caller: usize,
    /// Requests of one caller that mounts work on at a time; more are answered with 429.
    pub visits_per_caller: usize,
    /// Bodies of requests of one caller that are on their way; more are answered with 429.
    pub bodies_per_caller: usize,
}

impl Default for FlowLimits {
    fn default() -> Self {
        Self {
            requests: 4_000,
            seats: 256,
            seats_per_caller: 128,
            queue_per_caller: 1_024,
            // A quarter of a request's time, as in Kubernetes.
            patience: Duration::from_secs(15),
            long_running_per_caller: 20_000,
            visits_per_caller: 128,
            bodies_per_caller: 1_024,
        }
    }
}

/// Whose seats a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Nodes, controllers and administrators.
    System,
    /// Everybody else.
    Default,
}

impl Share {
    fn of(identity: &Identity) -> Self {
        let by_name = identity.user.starts_with("system:")
            && !identity.user.starts_with(SERVICE_ACCOUNT)
            && !identity.is_anonymous();
        let by_group = || identity.groups.iter().any(|group| SYSTEM_GROUPS.contains(&group.as_str()));
        if by_name || by_group() { Self::System } else { Self::Default }
    }

    /// Kubernetes' name of its like in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Default => "global-default",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfShare {
    priority_level: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    priority_level: &'static str,
    reason: &'static str,
}

/// Seats for the requests of every caller.
pub(crate) struct Fairness {
    system: Arc<Level>,
    default: Arc<Level>,
    executing: Family<OfShare, Gauge>,
    waiting: Family<OfShare, Gauge>,
    long_running: Family<OfShare, Gauge>,
    refused: Family<Refused, Counter>,
    waited: Histogram,
}

impl Fairness {
    pub(crate) fn new(limits: FlowLimits) -> Self {
        Self {
            system: Arc::new(Level::new(limits.clone())),
            default: Arc::new(Level::new(limits)),
            executing: Family::default(),
            waiting: Family::default(),
            long_running: Family::default(),
            refused: Family::default(),
            waited: Histogram::new(exponential_buckets(0.000_1, 4.0, 9)),
        }
    }

    /// A seat for a request, once it is the caller's turn. Given back when dropped.
    ///
    /// # Errors
    /// 429 if too many of the caller's requests wait, or this one has waited too long.
    pub(crate) async fn seat(&self, identity: &Identity) -> Result<Seat, Status> {
        let share = Share::of(identity);
        let level = self.level(share);
        match level.try_enter(&identity.user) {
            Ok(Ok(seat)) => Ok(seat),
            Ok(Err(place)) => {
                let began = tokio::time::Instant::now();
                let seat = level.wait(place).await;
                self.waited.observe(began.elapsed().as_secs_f64());
                seat.map_err(|refusal| self.refuse(share, refusal))
            }
            Err(refusal) => Err(self.refuse(share, refusal)),
        }
    }

    /// Leave to keep a watch or a stream open. Given back when dropped.
    ///
    /// # Errors
    /// 429 if the caller has too many.
    pub(crate) fn long_running(&self, identity: &Identity) -> Result<Leave, Status> {
        self.stay(identity, Stay::LongRunning)
    }

    /// Leave to have a mount work on a request. Given back when dropped.
    ///
    /// # Errors
    /// 429 if mounts work on too many of the caller's.
    pub(crate) fn visit(&self, identity: &Identity) -> Result<Leave, Status> {
        self.stay(identity, Stay::Visit)
    }

    /// Leave to send a body. Given back when dropped.
    ///
    /// # Errors
    /// 429 if too many of the caller's are on their way.
    pub(crate) fn body(&self, identity: &Identity) -> Result<Leave, Status> {
        self.stay(identity, Stay::Body)
    }

    fn stay(&self, identity: &Identity, stay: Stay) -> Result<Leave, Status> {
        let share = Share::of(identity);
        self.level(share).stay(&identity.user, stay).map_err(|refusal| self.refuse(share, refusal))
    }

    fn level(&self, share: Share) -> &Arc<Level> {
        match share {
            Share::System => &self.system,
            Share::Default => &self.default,
        }
    }

    fn refuse(&self, share: Share, reason: Refusal) -> Status {
        self.refused.get_or_create(&Refused { priority_level: share.name(), reason: reason.name() }).inc();
        too_many_requests()
    }

    /// Makes the counters part of what the server tells about itself, under Kubernetes' names.
    pub(crate) fn register(&self, registry: &mut Prometheus) {
        let name = "apiserver_flowcontrol_current_executing_requests";
        registry.register(name, "Requests that have a seat", self.executing.clone());
        let name = "apiserver_flowcontrol_current_inqueue_requests";
        registry.register(name, "Requests that wait for a seat", self.waiting.clone());
        let name = "apiserver_longrunning_requests";
        registry.register(name, "Watches and streams that are open", self.long_running.clone());
        let name = "apiserver_flowcontrol_rejected_requests";
        registry.register(name, "Requests answered with 429, by reason", self.refused.clone());
        let name = "apiserver_flowcontrol_request_wait_duration_seconds";
        registry.register(name, "How long requests waited that found no seat", self.waited.clone());
    }

    /// Brings the gauges up to date: they are looked at far less often than they would change.
    pub(crate) fn observe(&self) {
        for (share, level) in [(Share::System, &self.system), (Share::Default, &self.default)] {
            let (label, usage) = (OfShare { priority_level: share.name() }, level.usage());
            let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            self.executing.get_or_create(&label).set(gauge(usage.executing));
            self.waiting.get_or_create(&label).set(gauge(usage.waiting));
            self.long_running.get_or_create(&label).set(gauge(usage.long_running));
        }
    }
}

/// 429, and when to try again.
pub(crate) fn too_many_requests() -> Status {
    Status::failure(Reason::TooManyRequests, "too many requests, please try again later")
        .about(StatusDetails { retry_after_seconds: Some(1), ..StatusDetails::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_the_cluster_going_has_seats_of_its_own() {
        let nobody = &[] as &[&str];
        for (user, groups, expected) in [
            ("system:node:a", &["system:nodes"] as &[&str], Share::System),
            ("system:controller:workload", nobody, Share::System),
            ("admin", &["system:masters"], Share::System),
            ("system:serviceaccount:kube-system:dns", &["system:serviceaccounts:kube-system"], Share::System),
            ("system:serviceaccount:default:web", &["system:serviceaccounts:default"], Share::Default),
            ("alice", nobody, Share::Default),
        ] {
            assert_eq!(Share::of(&Identity::new(user, groups.iter().copied())), expected, "{user}");
        }
        assert_eq!(Share::of(&Identity::anonymous()), Share::Default);
    }
}
