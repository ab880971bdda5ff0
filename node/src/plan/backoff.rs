//! Waiting before trying again, as kubelet waits.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orch_controller_runtime::{Backoff, later};
use orch_runtime::{ContainerStatus, Exit};

use crate::spec::label;

const FIRST: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(300);
/// A run that lasted longer than this makes up for all failures before.
const RESET: SignedDuration = SignedDuration::from_mins(10);

/// Waiting that becomes as slow as restarts do.
pub(crate) const fn slowing(first: Duration) -> Backoff {
    Backoff { first, limit: LIMIT }
}

/// Failures in a row of one step, and when to try again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) failures: u32,
    pub(crate) at: Timestamp,
    pub(crate) retry_at: Timestamp,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Failure {
    /// One more failure after `before`.
    pub(crate) fn after(
        before: Option<&Self>,
        backoff: Backoff,
        now: Timestamp,
        reason: &'static str,
        message: String,
    ) -> Self {
        let failures = before.map_or(0, |failure| failure.failures) + 1;
        let retry_at = later(now, backoff.longest(failures));
        Self { failures, at: now, retry_at, reason, message }
    }
}

/// When a run that ended may be followed by another, and what that one's end will cost.
///
/// The first end costs nothing, the second 10 s, then twice as much each time up to five minutes. What an end costs is written
/// on the run itself, so it survives the agent.
pub(crate) fn restart_at(run: &ContainerStatus, exit: &Exit) -> Restart {
    let delay = label::restart_delay(run);
    if exit.finished_at.duration_since(run.created_at) > RESET {
        return Restart { at: exit.finished_at, delay: Duration::ZERO, next_delay: FIRST };
    }
    let next_delay = if delay.is_zero() { FIRST } else { delay.saturating_mul(2).min(LIMIT) };
    Restart { at: later(exit.finished_at, delay), delay, next_delay }
}

/// See [`restart_at`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Restart {
    pub(crate) at: Timestamp,
    pub(crate) delay: Duration,
    pub(crate) next_delay: Duration,
}

/// What the end of a run costs whose predecessors are unknown.
pub(crate) fn first_delay(attempt: u32) -> Duration {
    if attempt == 0 { Duration::ZERO } else { FIRST }
}

/// Like `10s`, `1m20s`, `5m0s`: as Go prints durations.
pub(crate) fn go_duration(duration: Duration) -> String {
    match (duration.as_secs() / 60, duration.as_secs() % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}
