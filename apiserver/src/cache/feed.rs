//! A ring of recent changes that any number of readers follow, each with a cursor.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use bytes::{BufMut as _, Bytes, BytesMut};
use orch_api::EventType;
use orch_store::{Key, Revision};
use tokio::sync::watch;

use super::Cached;

/// What has happened to one object. Its events are made when the first watcher needs them, and shared.
#[derive(Debug)]
pub(crate) struct Change {
    /// When.
    pub(crate) revision: Revision,
    /// What the object is now; `None` if it is gone.
    pub(crate) object: Option<Arc<Cached>>,
    /// What it was.
    pub(crate) previous: Option<Arc<Cached>>,
    /// The revision that the event of its end carries.
    ended_at: Revision,
    lines: [OnceLock<Bytes>; 3],
}

impl Change {
    pub(super) fn new(
        revision: Revision,
        object: Option<Arc<Cached>>,
        previous: Option<Arc<Cached>>,
    ) -> Self {
        Self { revision, object, previous, ended_at: revision, lines: Default::default() }
    }

    /// What one commit has made of an object, as its watchers are told: one that comes in the place of another is not that one changed.
    /// The other goes as of the revision before, so that whoever has seen no more than that and goes on from there misses nothing.
    pub(super) fn of(
        revision: Revision,
        object: Option<Arc<Cached>>,
        previous: Option<Arc<Cached>>,
    ) -> Vec<Self> {
        match (&object, &previous) {
            (None, None) => Vec::new(),
            (Some(now), Some(before)) if now.uid != before.uid => {
                let ended_at = Revision(revision.0.saturating_sub(1));
                let end = Self { ended_at, ..Self::new(revision, None, previous) };
                vec![end, Self::new(revision, object, None)]
            }
            _ => vec![Self::new(revision, object, previous)],
        }
    }

    /// Where the object is kept.
    pub(crate) fn key(&self) -> Option<&Key> {
        self.object.as_ref().or(self.previous.as_ref()).map(|object| &object.key)
    }

    /// What the change is to someone who sees only what `selects` says; `None`: nothing.
    pub(crate) fn event(&self, selects: impl Fn(&Cached) -> bool) -> Option<EventType> {
        let before = self.previous.as_deref().is_some_and(&selects);
        let after = self.object.as_deref().is_some_and(&selects);
        match (before, after) {
            (false, true) => Some(EventType::Added),
            (true, true) => Some(EventType::Modified),
            (true, false) => Some(EventType::Deleted),
            (false, false) => None,
        }
    }

    /// The object that an event of this type carries: for `DELETED` the last state seen, as of this revision. The bytes are
    /// those of the event's line.
    pub(crate) fn object(&self, event: EventType) -> Bytes {
        let line = self.line(event);
        line.slice(prefix(event).len()..line.len() - SUFFIX.len())
    }

    /// The event as a line of a watch.
    pub(crate) fn line(&self, event: EventType) -> Bytes {
        let slot = match event {
            EventType::Added => 0,
            EventType::Modified => 1,
            EventType::Deleted | EventType::Bookmark | EventType::Error => 2,
        };
        self.lines[slot].get_or_init(|| line(event, &self.wire(event))).clone()
    }

    fn wire(&self, event: EventType) -> Bytes {
        match (event, &self.object) {
            (EventType::Deleted, _) | (_, None) => {
                self.previous.as_ref().map(|previous| previous.wire_as_of(self.ended_at)).unwrap_or_default()
            }
            (_, Some(object)) => object.wire(),
        }
    }

    /// The size of what the object is now, or was.
    pub(crate) fn bytes(&self) -> usize {
        self.object.as_ref().or(self.previous.as_ref()).map_or(0, |object| object.size())
    }
}

/// An event as a line of a watch: `{"type":"ADDED","object":{…}}`.
pub(crate) fn line(event: EventType, object: &[u8]) -> Bytes {
    let prefix = prefix(event);
    let mut line = BytesMut::with_capacity(prefix.len() + object.len() + SUFFIX.len());
    line.put_slice(prefix.as_bytes());
    line.put_slice(object);
    line.put_slice(SUFFIX);
    line.freeze()
}

const SUFFIX: &[u8] = b"}\n";

/// What comes before the object in an event's line.
fn prefix(event: EventType) -> &'static str {
    match event {
        EventType::Added => r#"{"type":"ADDED","object":"#,
        EventType::Modified => r#"{"type":"MODIFIED","object":"#,
        EventType::Deleted => r#"{"type":"DELETED","object":"#,
        EventType::Bookmark => r#"{"type":"BOOKMARK","object":"#,
        EventType::Error => r#"{"type":"ERROR","object":"#,
    }
}

/// The reader has fallen out of the ring, or the ring was replaced: it must list again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lagged;

/// A ring of changes, numbered without gaps.
#[derive(Debug)]
pub(super) struct Feed {
    ring: VecDeque<Arc<Change>>,
    /// None if it makes no difference who reads: what all have read is kept for others.
    readers: Option<Readers>,
    /// The number of the change to come.
    next: u64,
    bytes: usize,
    head: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Readers {
    /// Up to where they have read; of some who have left, too.
    read: Vec<Weak<AtomicU64>>,
    /// How many there are.
    present: usize,
}

/// How much a ring keeps: changes, and the bytes of their objects.
const MAX_CHANGES: usize = 8192;
const MAX_BYTES: usize = 16 * 1024 * 1024;

impl Feed {
    /// A ring that watches can resume from.
    pub(super) fn history() -> Self {
        let head = watch::Sender::new(0);
        Self { ring: VecDeque::new(), readers: None, next: 0, bytes: 0, head }
    }

    /// A ring that forgets what all its readers have read: there may be thousands.
    pub(super) fn passing() -> Self {
        Self { readers: Some(Readers::default()), ..Self::history() }
    }

    /// Adds a change and wakes the readers. Returns the revision of the newest change that was forgotten for it.
    pub(super) fn push(&mut self, change: Arc<Change>) -> Option<Revision> {
        self.forget_read();
        self.bytes += change.bytes();
        self.ring.push_back(change);
        self.next += 1;
        let mut forgotten = None;
        while self.ring.len() > MAX_CHANGES || (self.bytes > MAX_BYTES && self.ring.len() > 1) {
            forgotten = self.pop().or(forgotten);
        }
        self.head.send_replace(self.next);
        forgotten
    }

    fn forget_read(&mut self) {
        let Some(readers) = &self.readers else { return };
        let positions =
            readers.read.iter().filter_map(Weak::upgrade).map(|read| read.load(Ordering::Relaxed));
        let slowest = positions.min().unwrap_or(self.next);
        while !self.ring.is_empty() && self.next - (self.ring.len() as u64) < slowest {
            self.pop();
        }
    }

    fn pop(&mut self) -> Option<Revision> {
        let oldest = self.ring.pop_front()?;
        self.bytes -= oldest.bytes();
        Some(oldest.revision)
    }

    /// A new reader: the number of the change to come, and what tells of it. The reader keeps the number up to date.
    pub(super) fn subscribe(&mut self) -> (Arc<AtomicU64>, watch::Receiver<u64>) {
        let read = Arc::new(AtomicU64::new(self.next));
        if let Some(readers) = &mut self.readers {
            readers.read.push(Arc::downgrade(&read));
            readers.present += 1;
        }
        (read, self.head.subscribe())
    }

    /// A reader leaves. Answers whether it was the last of those for whom changes are kept.
    pub(super) fn unsubscribe(&mut self) -> bool {
        let Some(readers) = &mut self.readers else { return false };
        readers.present -= 1;
        if readers.read.len() > 2 * readers.present {
            readers.read.retain(|reader| reader.strong_count() > 0);
        }
        readers.present == 0
    }

    /// The changes after a revision, which must still be in the ring.
    pub(super) fn after(&self, revision: Revision) -> impl Iterator<Item = &Arc<Change>> {
        let start = self.ring.partition_point(|change| change.revision <= revision);
        self.ring.range(start..)
    }

    /// Up to `max` changes from number `from` on.
    pub(super) fn from(&self, from: u64, max: usize) -> Result<Vec<Arc<Change>>, Lagged> {
        let behind = usize::try_from(self.next - from).map_err(|_| Lagged)?;
        let start = self.ring.len().checked_sub(behind).ok_or(Lagged)?;
        Ok(self.ring.range(start..).take(max).cloned().collect())
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(number: u64) -> Arc<Change> {
        Arc::new(Change::new(Revision(number), None, None))
    }

    #[test]
    fn a_passing_feed_keeps_only_what_somebody_has_yet_to_read() {
        let mut feed = Feed::passing();
        let ((fast, _f), (slow, _s)) = (feed.subscribe(), feed.subscribe());
        for number in 1..=3 {
            feed.push(change(number));
        }
        assert_eq!(feed.from(0, 10).unwrap().len(), 3);
        fast.store(3, Ordering::Relaxed);
        slow.store(1, Ordering::Relaxed);
        feed.push(change(4));
        assert_eq!(feed.from(0, 10).unwrap_err(), Lagged);
        assert_eq!(feed.from(1, 10).unwrap().len(), 3);
        drop(slow);
        feed.push(change(5));
        assert_eq!(feed.from(3, 10).unwrap().len(), 2);
        assert_eq!(feed.ring.len(), 2);
    }

    #[test]
    fn a_history_keeps_what_has_been_read() {
        let mut feed = Feed::history();
        let (read, _head) = feed.subscribe();
        for number in 1..=3 {
            feed.push(change(number));
        }
        read.store(3, Ordering::Relaxed);
        feed.push(change(4));
        assert_eq!(feed.from(0, 10).unwrap().len(), 4);
    }
}
