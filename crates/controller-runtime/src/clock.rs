//! The two clocks: the machine's, and one that tests set.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, future};
use jiff::{Timestamp, TimestampArithmetic};
use orch_api::Clock;
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// The machine's clock; sleeps on tokio's timer.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }
}

/// A clock that stands still until it is told to advance. Clones show the same time.
#[derive(Clone)]
pub struct TestClock(Arc<Mutex<Dial>>);

struct Dial {
    now: Timestamp,
    sleepers: BTreeMap<(Timestamp, u64), oneshot::Sender<()>>,
    next_sleeper: u64,
}

impl TestClock {
    /// A clock that shows this time.
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(Mutex::new(Dial { now, sleepers: BTreeMap::new(), next_sleeper: 0 })))
    }

    /// Moves the clock forward and wakes whoever slept until then, earliest first.
    pub fn advance(&self, duration: Duration) {
        let mut dial = self.0.lock();
        dial.now = later(dial.now, duration);
        let now = dial.now;
        let asleep = dial.sleepers.split_off(&(now, u64::MAX));
        let woken = std::mem::replace(&mut dial.sleepers, asleep);
        drop(dial);
        for sleeper in woken.into_values() {
            // A sleeper that has been dropped needs no waking.
            let _ = sleeper.send(());
        }
    }

    /// How many sleeps are under way.
    pub fn sleepers(&self) -> usize {
        self.0.lock().sleepers.values().filter(|sleeper| !sleeper.is_closed()).count()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.0.lock().now
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        if duration.is_zero() {
            return future::ready(()).boxed();
        }
        let mut dial = self.0.lock();
        let (wake, woken) = oneshot::channel();
        let key = (later(dial.now, duration), dial.next_sleeper);
        dial.next_sleeper += 1;
        dial.sleepers.insert(key, wake);
        woken.map(drop).boxed()
    }
}

/// `time + duration`, or the end of time: many times, and durations, are whatever users and nodes say.
pub fn later(time: Timestamp, duration: impl Into<TimestampArithmetic>) -> Timestamp {
    time.saturating_add(duration).unwrap_or(Timestamp::MAX)
}

/// The time from `now` until `then`; zero if that has passed.
pub(crate) fn until(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleepers_wake_when_their_time_has_come_and_not_before() {
        let clock = TestClock::new(Timestamp::UNIX_EPOCH);
        let mut short = clock.sleep(Duration::from_secs(1));
        let mut long = clock.sleep(Duration::from_secs(10));
        clock.advance(Duration::from_secs(5));
        assert!((&mut short).now_or_never().is_some());
        assert!((&mut long).now_or_never().is_none());
        clock.advance(Duration::from_secs(5));
        long.await;
        assert_eq!(clock.now().as_second(), 10);
        assert_eq!(clock.sleepers(), 0);
    }
}
