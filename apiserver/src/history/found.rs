//! [`Found`]: a change that the index has found. It is read from disk while the log goes on.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use orch_store::Key;
use parking_lot::Mutex;

use super::index::Place;
use super::record::{Id, Record, Verb};
use super::segment::{Frame, Frames};

/// As many frames are kept at hand: the object before a change is mostly in the frame that is read next.
const RECENT_FRAMES: usize = 8;

/// A frame that has been read: segment, offset, and what is there.
type Read = ((u32, u64), Arc<Frame>);

/// Frames that have just been read.
#[derive(Default)]
pub(super) struct Recent(Mutex<VecDeque<Read>>);

/// Where a change is, and the file, which stays readable if the log forgets it meanwhile.
pub(super) struct Found {
    pub(super) id: Id,
    /// Where the object is kept.
    pub(super) key: Key,
    pub(super) place: Place,
    /// When the last change in the file was made, in milliseconds.
    pub(super) at: i64,
    pub(super) frames: Arc<Frames>,
    pub(super) recent: Arc<Recent>,
}

impl Found {
    /// The whole change. `before` finds the change of an object before this one, where the log has it. A change that cannot be
    /// read is a gap; what an object was before it that cannot be read is not known. Cost: two frames are read at most.
    pub(super) fn read(&self, before: impl FnOnce(&Self) -> Option<Self>) -> Record {
        let mut record = match self.record() {
            Ok(record) => record,
            Err(error) => {
                tracing::warn!(id = %self.id, %error, "a change in the history cannot be read");
                return Record::unreadable(self.id, self.key.clone(), self.at);
            }
        };
        if record.before.is_none() && matches!(record.head.verb, Verb::Updated | Verb::Deleted) {
            record.before = before(self).and_then(|before| before.after());
        }
        record
    }

    /// What the object was after the change, if it can be read.
    fn after(&self) -> Option<Bytes> {
        let read = self.record().inspect_err(|error| {
            tracing::warn!(id = %self.id, %error, "what an object was cannot be read in the history");
        });
        read.ok()?.after
    }

    fn record(&self) -> io::Result<Record> {
        let gone = || io::Error::other("a change is not where the index of the history says");
        self.frame()?.record(self.place.number as usize).ok_or_else(gone)
    }

    fn frame(&self) -> io::Result<Arc<Frame>> {
        let place = (self.place.segment, self.place.offset);
        if let Some((_, frame)) = self.recent.0.lock().iter().find(|(known, _)| *known == place) {
            return Ok(frame.clone());
        }
        let frame = Arc::new(self.frames.at(self.place.offset)?);
        let mut recent = self.recent.0.lock();
        recent.push_back((place, frame.clone()));
        if recent.len() > RECENT_FRAMES {
            recent.pop_front();
        }
        Ok(frame)
    }
}
