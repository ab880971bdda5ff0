//! [`Log`]: the segments in a directory, and the index of what is in them.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use orch_api::fields::FieldTerm;
use orch_store::Key;
use parking_lot::Mutex;

use super::frame::{self, Compressor};
use super::index::{Entry, Index, Place};
use super::past::{Side, decisive};
use super::record::{Head, Id, Record, Verb};
use super::segment::{Frame, Segment, numbers};

/// How much history is kept. The oldest segments go when there is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryRetention {
    /// The longest time that a change is kept; it may be an eighth more.
    pub age: Duration,
    /// The most bytes on disk.
    pub bytes: u64,
    /// The most changes, which bounds the memory: some 100 bytes each.
    pub changes: usize,
}

impl Default for HistoryRetention {
    /// Seven days, 256 MiB, 500,000 changes.
    fn default() -> Self {
        Self { age: Duration::from_secs(7 * 24 * 3600), bytes: 256 << 20, changes: 500_000 }
    }
}

/// What is to be recorded.
#[derive(Debug, Clone)]
pub(super) struct News {
    pub(super) record: Record,
    /// The revision that wrote what the object was before.
    pub(super) previous: Option<u64>,
}

/// Frames that have just been read: the object before a change is mostly in the frame that is read next.
const RECENT_FRAMES: usize = 8;
/// Segments are a part of what is kept, so that not too much goes at once.
const SEGMENTS: u64 = 16;
const LARGEST_SEGMENT_BYTES: u64 = 8 << 20;

/// A frame that has been read: segment, offset, and what is there.
type Recent = ((u32, u64), Arc<Frame>);

/// The log in a directory.
pub(super) struct Log {
    directory: PathBuf,
    retention: HistoryRetention,
    /// Oldest first; the last one is written to.
    segments: VecDeque<Segment>,
    index: Index,
    /// By object, the revision of its last change in the last segment: what the object was before is not written again.
    chain: HashMap<Key, u64>,
    reached: u64,
    compressor: Compressor,
    recent: Mutex<VecDeque<Recent>>,
}

impl Log {
    /// Opens the log in a directory, or makes an empty one. Cost: a look at each change.
    pub(super) fn open(directory: &Path, retention: HistoryRetention) -> io::Result<Self> {
        let mut log = Self {
            directory: directory.to_owned(),
            retention,
            segments: VecDeque::new(),
            index: Index::default(),
            chain: HashMap::new(),
            reached: 0,
            compressor: Compressor::default(),
            recent: Mutex::default(),
        };
        let numbers = numbers(directory)?;
        for number in &numbers {
            let is_last = Some(number) == numbers.last();
            let segment = Segment::open(directory, *number, is_last, |offset, reached, heads| {
                log.reached = reached;
                for (place, head) in (0..).zip(&heads) {
                    log.index.push(head, Place { segment: *number, offset, number: place });
                    if is_last {
                        log.follow(head);
                    }
                }
            })?;
            log.segments.push_back(segment);
        }
        if log.segments.is_empty() {
            log.segments.push_back(Segment::create(directory, 0)?);
        }
        Ok(log)
    }

    /// Everything up to this revision is in the log; 0 if there is nothing.
    pub(super) fn reached(&self) -> u64 {
        self.reached
    }

    /// Records changes, all in one frame, and that nothing else happened up to a revision. Then forgets what is too much.
    ///
    /// # Errors
    /// If it cannot be written: then nothing has changed.
    pub(super) fn append(&mut self, news: Vec<News>, reached: u64, now: i64) -> io::Result<()> {
        self.rotate(now)?;
        let records: Vec<Record> = news.into_iter().map(|news| self.link(news)).collect();
        let written = self.write(&records, reached);
        if written.is_err() {
            // What has been linked to is not there.
            self.chain.clear();
        }
        written?;
        self.retain(now)
    }

    fn write(&mut self, records: &[Record], reached: u64) -> io::Result<()> {
        let frame = frame::encode(&mut self.compressor, reached, records)?;
        let segment = self.segments.back_mut().ok_or_else(|| io::Error::other("the history has no file"))?;
        let (number, offset) = (segment.number, segment.append(&frame, records)?);
        for (place, record) in (0..).zip(records) {
            self.index.push(&record.head, Place { segment: number, offset, number: place });
        }
        self.reached = reached;
        Ok(())
    }

    /// Leaves out what the object was before, if the segment has it already.
    fn link(&mut self, News { mut record, previous }: News) -> Record {
        let known = self.follow(&record.head);
        if known.is_some() && known == previous {
            record.before = None;
        }
        record
    }

    /// Notes the last change of an object in the last segment. Answers the one before, if nothing may be missing since.
    fn follow(&mut self, head: &Head) -> Option<u64> {
        if head.verb == Verb::Missed {
            self.chain.clear();
            return None;
        }
        self.chain.insert(head.key.clone(), head.id.revision)
    }

    /// Begins a new segment if the last one is large enough, or old.
    fn rotate(&mut self, now: i64) -> io::Result<()> {
        let Some(active) = self.segments.back() else { return Ok(()) };
        let full = (self.retention.bytes / SEGMENTS).min(LARGEST_SEGMENT_BYTES);
        let part = i64::try_from(self.retention.age.as_millis() / 8).unwrap_or(i64::MAX);
        let is_old = active.span.is_some_and(|(first, _)| now.saturating_sub(first) > part);
        if active.bytes < full && !is_old {
            return Ok(());
        }
        active.sync()?;
        let next = Segment::create(&self.directory, active.number + 1)?;
        self.segments.push_back(next);
        self.chain.clear();
        Ok(())
    }

    /// Forgets whole segments, oldest first, until there is no more than is to be kept.
    fn retain(&mut self, now: i64) -> io::Result<()> {
        let age = i64::try_from(self.retention.age.as_millis()).unwrap_or(i64::MAX);
        while self.segments.len() > 1 {
            let bytes: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
            let last = self.segments.front().and_then(|oldest| oldest.span).map_or(0, |(_, last)| last);
            let is_over = now.saturating_sub(last) > age;
            if !is_over && bytes <= self.retention.bytes && self.index.len() <= self.retention.changes {
                break;
            }
            let Some(oldest) = self.segments.pop_front() else { break };
            self.index.forget(oldest.number);
            oldest.remove()?;
        }
        Ok(())
    }

    /// The changes for which all terms hold, newest first, from before one on.
    pub(super) fn select<'a>(
        &'a self,
        terms: &'a [FieldTerm],
        before: Option<Id>,
    ) -> impl Iterator<Item = (usize, &'a Entry)> + use<'a> {
        self.index.select(terms, before)
    }

    /// Where the object of a change is kept.
    pub(super) fn key(&self, entry: &Entry) -> &str {
        self.index.key(entry)
    }

    /// The change of this name.
    pub(super) fn find(&self, id: Id) -> Option<(usize, Entry)> {
        self.index.find(id)
    }

    /// The whole of a change that the index has found. Cost: two frames are read at most.
    ///
    /// # Errors
    /// If it cannot be read, or is damaged.
    pub(super) fn read(&self, at: usize, entry: &Entry) -> io::Result<Record> {
        let mut record = self.record(entry.place)?;
        if record.before.is_none() && matches!(record.head.verb, Verb::Updated | Verb::Deleted) {
            let before = self.index.before(at).map(|before| self.record(before.place)).transpose()?;
            record.before = before.and_then(|before| before.after);
        }
        Ok(record)
    }

    /// The change that tells what the object that `terms` select was at a revision, and on which side of it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(super) fn at(&self, terms: &[FieldTerm], revision: u64) -> io::Result<Option<(Record, Side)>> {
        let found = decisive(&self.index, terms, revision);
        found.map(|(at, entry, side)| Ok((self.read(at, &entry)?, side))).transpose()
    }

    fn record(&self, place: Place) -> io::Result<Record> {
        let gone = || io::Error::other("a change is not where the index of the history says");
        let frame = self.frame(place.segment, place.offset)?;
        frame.record(place.number as usize).ok_or_else(gone)
    }

    fn frame(&self, number: u32, offset: u64) -> io::Result<Arc<Frame>> {
        let place = (number, offset);
        if let Some((_, frame)) = self.recent.lock().iter().find(|(known, _)| *known == place) {
            return Ok(frame.clone());
        }
        let segment = self.segments.iter().find(|segment| segment.number == number);
        let segment = segment.ok_or_else(|| io::Error::other("a file of the history is gone"))?;
        let frame = Arc::new(segment.frame(offset)?);
        let mut recent = self.recent.lock();
        recent.push_back((place, frame.clone()));
        if recent.len() > RECENT_FRAMES {
            recent.pop_front();
        }
        Ok(frame)
    }

    /// Says how far the log is, and makes it durable: when the server stops.
    pub(super) fn close(&mut self, reached: u64) -> io::Result<()> {
        if reached > self.reached {
            self.write(&[], reached)?;
        }
        self.segments.back().map_or(Ok(()), Segment::sync)
    }

    /// Puts everything aside, where nobody reads it, and begins anew: it is the history of another store, or of one that has
    /// been restored from a backup since.
    pub(super) fn set_aside(&mut self) -> io::Result<()> {
        let aside = self.directory.join("aside");
        std::fs::remove_dir_all(&aside).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
        std::fs::create_dir(&aside)?;
        for number in numbers(&self.directory)? {
            let name = format!("changes-{number:010}");
            std::fs::rename(self.directory.join(&name), aside.join(&name))?;
        }
        *self = Self::open(&self.directory, self.retention)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
