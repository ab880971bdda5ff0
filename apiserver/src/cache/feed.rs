//! A ring of recent changes that any number of readers follow, each with a cursor.

use std::collections::VecDeque;
use std::sync::{Arc, OnceLock};

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
    departed: OnceLock<Bytes>,
    lines: [OnceLock<Bytes>; 3],
}

impl Change {
    pub(super) fn new(
        revision: Revision,
        object: Option<Arc<Cached>>,
        previous: Option<Arc<Cached>>,
    ) -> Self {
        Self { revision, object, previous, departed: OnceLock::new(), lines: Default::default() }
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

    /// The object that an event of this type carries: for `DELETED` the last state seen, as of this revision.
    pub(crate) fn object(&self, event: EventType) -> Bytes {
        let gone = || {
            self.departed.get_or_init(|| {
                self.previous.as_ref().map(|previous| previous.bytes_as_of(self.revision)).unwrap_or_default()
            })
        };
        match (event, &self.object) {
            (EventType::Deleted, _) | (_, None) => gone().clone(),
            (_, Some(object)) => object.bytes.clone(),
        }
    }

    /// The event as a line of a watch.
    pub(crate) fn line(&self, event: EventType) -> Bytes {
        let slot = match event {
            EventType::Added => 0,
            EventType::Modified => 1,
            EventType::Deleted | EventType::Bookmark | EventType::Error => 2,
        };
        self.lines[slot].get_or_init(|| line(event, &self.object(event))).clone()
    }

    fn bytes(&self) -> usize {
        self.object.as_ref().map_or(0, |object| object.bytes.len())
    }
}

/// An event as a line of a watch: `{"type":"ADDED","object":{…}}`.
pub(crate) fn line(event: EventType, object: &[u8]) -> Bytes {
    let name = match event {
        EventType::Added => "ADDED",
        EventType::Modified => "MODIFIED",
        EventType::Deleted => "DELETED",
        EventType::Bookmark => "BOOKMARK",
        EventType::Error => "ERROR",
    };
    let mut line = BytesMut::with_capacity(object.len() + 40);
    line.put_slice(b"{\"type\":\"");
    line.put_slice(name.as_bytes());
    line.put_slice(b"\",\"object\":");
    line.put_slice(object);
    line.put_slice(b"}\n");
    line.freeze()
}

/// The reader has fallen out of the ring, or the ring was replaced: it must list again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lagged;

/// A ring of changes, numbered without gaps.
#[derive(Debug)]
pub(super) struct Feed {
    ring: VecDeque<Arc<Change>>,
    /// The number of the change to come.
    next: u64,
    bytes: usize,
    head: watch::Sender<u64>,
}

/// How much a ring keeps: changes, and the bytes of their objects.
const MAX_CHANGES: usize = 8192;
const MAX_BYTES: usize = 16 * 1024 * 1024;

impl Feed {
    pub(super) fn new() -> Self {
        Self { ring: VecDeque::new(), next: 0, bytes: 0, head: watch::Sender::new(0) }
    }

    /// Adds a change and wakes the readers. Returns the revision of the newest change that was forgotten for it.
    pub(super) fn push(&mut self, change: Arc<Change>) -> Option<Revision> {
        self.bytes += change.bytes();
        self.ring.push_back(change);
        self.next += 1;
        let mut forgotten = None;
        while self.ring.len() > MAX_CHANGES || (self.bytes > MAX_BYTES && self.ring.len() > 1) {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.bytes -= oldest.bytes();
            forgotten = Some(oldest.revision);
        }
        self.head.send_replace(self.next);
        forgotten
    }

    /// The number of the change to come, and what tells of it.
    pub(super) fn subscribe(&self) -> (u64, watch::Receiver<u64>) {
        (self.next, self.head.subscribe())
    }

    pub(super) fn has_readers(&self) -> bool {
        self.head.receiver_count() > 0
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
