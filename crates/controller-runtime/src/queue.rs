//! [`WorkQueue`]: which keys to work on next.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use orch_api::Clock;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock::{later, until};
use crate::metrics::{Meter, Metrics};
use crate::{Backoff, Key};

/// Which keys to work on next.
///
/// - A key waits at most once, however often it is added.
/// - A key is never handed out while it is being worked on; added meanwhile, it comes again afterwards.
/// - Namespaces are served in turn, so that a thousand keys of one don't hold up the only key of another.
/// - Its size is bounded by the number of keys there are: objects of a kind.
pub struct WorkQueue<K> {
    clock: Arc<dyn Clock>,
    backoff: Backoff,
    state: Mutex<State<K>>,
    wake: Notify,
}

/// The queue in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueMetrics {
    /// Keys that wait for a worker.
    pub ready: usize,
    /// Keys that wait for a time.
    pub delayed: usize,
    /// Keys that are being worked on.
    pub running: usize,
    /// Keys handed out since the start.
    pub taken: u64,
    /// Retries after a failure since the start.
    pub retries: u64,
}

/// What to do with a key that has been worked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing until it is added again.
    Done,
    /// The same, and again after this time.
    After(Duration),
    /// It failed: again after a pause that grows with every failure in a row.
    Retry,
}

struct State<K> {
    entries: BTreeMap<K, Entry>,
    ready: BTreeMap<String, VecDeque<K>>,
    /// The namespaces that have keys ready, next one first.
    turns: VecDeque<String>,
    delayed: BTreeSet<(Timestamp, K)>,
    running: usize,
    taken: u64,
    retries: u64,
    meter: Option<Meter>,
}

#[derive(Default)]
struct Entry {
    ready: bool,
    running: bool,
    /// When it became what it is: ready or running.
    since: Timestamp,
    /// Added while running.
    again: bool,
    due: Option<Timestamp>,
    failures: u32,
}

impl<K: Key> WorkQueue<K> {
    /// An empty queue.
    pub fn new(clock: Arc<dyn Clock>, backoff: Backoff) -> Self {
        let state = State {
            entries: BTreeMap::new(),
            ready: BTreeMap::new(),
            turns: VecDeque::new(),
            delayed: BTreeSet::new(),
            running: 0,
            taken: 0,
            retries: 0,
            meter: None,
        };
        Self { clock, backoff, state: Mutex::new(state), wake: Notify::new() }
    }

    /// Counts from now on what happens, as the queue of this name.
    pub fn measure(&self, metrics: &Metrics, name: &'static str) {
        let mut state = self.state.lock();
        let meter = metrics.of_queue(name);
        meter.begin(state.waiting());
        state.meter = Some(meter);
    }

    /// Asks for the key to be worked on as soon as possible.
    pub fn add(&self, key: K) {
        let now = self.clock.now();
        self.state.lock().add(key, now);
        self.wake.notify_one();
    }

    /// Asks for the key to be worked on after a time, unless it is before anyway.
    pub fn add_after(&self, key: K, delay: Duration) {
        let due = later(self.clock.now(), delay);
        self.state.lock().delay(key, due);
        self.wake.notify_one();
    }

    /// The next key to work on, as soon as there is one. The caller works on it and then calls [`WorkQueue::finish`].
    pub async fn next(&self) -> K {
        loop {
            let notified = self.wake.notified();
            let next_due = {
                let now = self.clock.now();
                let mut state = self.state.lock();
                state.wake_due(now);
                if let Some(key) = state.take(now) {
                    if state.is_pending() {
                        self.wake.notify_one();
                    }
                    return key;
                }
                state.delayed.first().map(|(due, _)| until(self.clock.now(), *due))
            };
            match next_due {
                None => notified.await,
                Some(delay) => tokio::select! {
                    () = notified => {}
                    () = self.clock.sleep(delay) => {}
                },
            }
        }
    }

    /// Says what came of a key handed out by [`WorkQueue::next`].
    pub fn finish(&self, key: &K, outcome: Outcome) {
        let now = self.clock.now();
        self.state.lock().finish(key, outcome, now, self.backoff);
        self.wake.notify_one();
    }

    /// The queue in numbers.
    pub fn metrics(&self) -> QueueMetrics {
        let state = self.state.lock();
        QueueMetrics {
            ready: state.waiting(),
            delayed: state.delayed.len(),
            running: state.running,
            taken: state.taken,
            retries: state.retries,
        }
    }
}

impl<K: Key> State<K> {
    fn waiting(&self) -> usize {
        self.ready.values().map(VecDeque::len).sum()
    }

    fn add(&mut self, key: K, now: Timestamp) {
        let entry = self.entries.entry(key.clone()).or_default();
        if let Some(due) = entry.due.take() {
            self.delayed.remove(&(due, key.clone()));
        }
        if entry.running {
            entry.again = true;
        } else if !entry.ready {
            (entry.ready, entry.since) = (true, now);
            self.line_up(key);
            self.meter.iter().for_each(Meter::added);
        }
    }

    fn line_up(&mut self, key: K) {
        let namespace = key.namespace();
        match self.ready.get_mut(namespace) {
            Some(line) => line.push_back(key),
            None => {
                self.turns.push_back(namespace.to_owned());
                self.ready.insert(namespace.to_owned(), VecDeque::from([key]));
            }
        }
    }

    fn delay(&mut self, key: K, due: Timestamp) {
        let entry = self.entries.entry(key.clone()).or_default();
        let sooner = entry.ready || entry.again || entry.due.is_some_and(|already| already <= due);
        if sooner {
            return;
        }
        if let Some(later) = entry.due.replace(due) {
            self.delayed.remove(&(later, key.clone()));
        }
        self.delayed.insert((due, key));
    }

    fn wake_due(&mut self, now: Timestamp) {
        while self.delayed.first().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, key)) = self.delayed.pop_first() {
                self.add(key, now);
            }
        }
    }

    fn take(&mut self, now: Timestamp) -> Option<K> {
        let namespace = self.turns.pop_front()?;
        let line = self.ready.get_mut(&namespace)?;
        let key = line.pop_front()?;
        if line.is_empty() {
            self.ready.remove(&namespace);
        } else {
            self.turns.push_back(namespace);
        }
        let entry = self.entries.entry(key.clone()).or_default();
        let waited = until(entry.since, now);
        (entry.ready, entry.running, entry.since) = (false, true, now);
        self.meter.iter().for_each(|meter| meter.taken(waited));
        self.running += 1;
        self.taken += 1;
        Some(key)
    }

    fn is_pending(&self) -> bool {
        !self.turns.is_empty() || !self.delayed.is_empty()
    }

    fn finish(&mut self, key: &K, outcome: Outcome, now: Timestamp, backoff: Backoff) {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.running) else { return };
        entry.running = false;
        self.running -= 1;
        entry.failures = if outcome == Outcome::Retry { entry.failures.saturating_add(1) } else { 0 };
        let (again, failures) = (std::mem::take(&mut entry.again), entry.failures);
        let worked = until(entry.since, now);
        self.meter.iter().for_each(|meter| meter.finished(worked, outcome == Outcome::Retry));
        match outcome {
            Outcome::Retry => {
                self.retries += 1;
                // Also when it was added meanwhile: news about a failing key must not defeat its backoff.
                self.delay(key.clone(), later(now, backoff.after(failures)));
            }
            _ if again => self.add(key.clone(), now),
            Outcome::After(delay) => self.delay(key.clone(), later(now, delay)),
            Outcome::Done => self.forget_idle(key),
        }
    }

    fn forget_idle(&mut self, key: &K) {
        if self.entries.get(key).is_some_and(|entry| !entry.ready && entry.due.is_none()) {
            self.entries.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::{ObjectKey, TestClock};

    const BACKOFF: Backoff = Backoff { first: Duration::from_secs(1), limit: Duration::from_secs(8) };

    fn queue() -> (TestClock, WorkQueue<ObjectKey>) {
        let clock = TestClock::new(Timestamp::UNIX_EPOCH);
        (clock.clone(), WorkQueue::new(Arc::new(clock), BACKOFF))
    }

    fn key(text: &str) -> ObjectKey {
        let (namespace, name) = text.split_once('/').unwrap();
        ObjectKey::new(namespace, name)
    }

    /// The next key, if one is ready now.
    fn next(queue: &WorkQueue<ObjectKey>) -> Option<String> {
        queue.next().now_or_never().map(|key| key.to_string())
    }

    #[test]
    fn a_key_waits_once_however_often_it_is_added() {
        let (_, queue) = queue();
        queue.add(key("a/1"));
        queue.add(key("a/1"));
        assert_eq!(next(&queue).as_deref(), Some("a/1"));
        assert_eq!(next(&queue), None);
    }

    #[test]
    fn a_key_is_never_handed_out_twice_at_once_and_news_meanwhile_are_not_lost() {
        let (_, queue) = queue();
        queue.add(key("a/1"));
        assert!(next(&queue).is_some());
        queue.add(key("a/1"));
        assert_eq!(next(&queue), None);
        queue.finish(&key("a/1"), Outcome::Done);
        assert_eq!(next(&queue).as_deref(), Some("a/1"));
        queue.finish(&key("a/1"), Outcome::Done);
        assert_eq!(next(&queue), None);
        assert_eq!(queue.metrics(), QueueMetrics { taken: 2, ..QueueMetrics::default() });
    }

    #[test]
    fn namespaces_take_turns() {
        let (_, queue) = queue();
        ["a/1", "a/2", "a/3", "b/1"].into_iter().for_each(|text| queue.add(key(text)));
        let order: Vec<_> = std::iter::from_fn(|| next(&queue)).collect();
        assert_eq!(order, ["a/1", "b/1", "a/2", "a/3"]);
    }

    #[test]
    fn a_delayed_key_comes_when_its_time_has_come_or_when_there_is_news() {
        let (clock, queue) = queue();
        queue.add_after(key("a/1"), Duration::from_secs(10));
        queue.add_after(key("a/1"), Duration::from_secs(20));
        queue.add_after(key("a/2"), Duration::from_secs(20));
        clock.advance(Duration::from_secs(9));
        assert_eq!(next(&queue), None);
        clock.advance(Duration::from_secs(1));
        assert_eq!(next(&queue).as_deref(), Some("a/1"));
        queue.add(key("a/2"));
        assert_eq!(next(&queue).as_deref(), Some("a/2"));
        assert_eq!(queue.metrics().delayed, 0);
    }

    #[test]
    fn failures_are_retried_slower_and_slower_until_success() {
        let (clock, queue) = queue();
        queue.add(key("a/1"));
        for full_seconds in [1, 2, 4, 8, 8] {
            assert!(next(&queue).is_some());
            queue.finish(&key("a/1"), Outcome::Retry);
            clock.advance(Duration::from_millis(full_seconds * 750 - 1));
            assert_eq!(next(&queue), None, "at most a quarter sooner than {full_seconds} s");
            clock.advance(Duration::from_millis(full_seconds * 250 + 1));
        }
        assert!(next(&queue).is_some());
        queue.finish(&key("a/1"), Outcome::Done);
        queue.add(key("a/1"));
        assert!(next(&queue).is_some());
        queue.finish(&key("a/1"), Outcome::Retry);
        clock.advance(Duration::from_secs(1));
        assert!(next(&queue).is_some(), "success begins the count anew");
        assert_eq!(queue.metrics().retries, 6);
    }

    #[test]
    fn what_happens_is_counted_under_kubernetes_names() {
        let (clock, queue) = queue();
        let (metrics, mut registry) = (Metrics::default(), prometheus_client::registry::Registry::default());
        metrics.register(&mut registry);
        queue.add(key("a/1"));
        queue.measure(&metrics, "pods");
        queue.add(key("a/2"));
        clock.advance(Duration::from_secs(3));
        assert!(next(&queue).is_some());
        clock.advance(Duration::from_secs(20));
        queue.finish(&key("a/1"), Outcome::Retry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "workqueue_depth{name=\"pods\"} 1",
            "workqueue_adds_total{name=\"pods\"} 2",
            "workqueue_retries_total{name=\"pods\"} 1",
            "workqueue_queue_duration_seconds_sum{name=\"pods\"} 3.0",
            "workqueue_work_duration_seconds_sum{name=\"pods\"} 20.0",
        ] {
            assert!(text.contains(line), "{line} is not in {text}");
        }
    }

    #[tokio::test]
    async fn a_waiting_worker_wakes_for_a_new_key_and_for_a_due_one() {
        let (clock, queue) = queue();
        let queue = Arc::new(queue);
        for delay in [0, 5] {
            let waiting = tokio::spawn({
                let queue = queue.clone();
                async move { queue.next().await }
            });
            tokio::task::yield_now().await;
            queue.add_after(key("a/1"), Duration::from_secs(delay));
            tokio::task::yield_now().await;
            clock.advance(Duration::from_secs(delay));
            assert_eq!(waiting.await.unwrap(), key("a/1"));
            queue.finish(&key("a/1"), Outcome::Done);
        }
    }
}
