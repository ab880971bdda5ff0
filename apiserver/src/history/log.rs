//! [`Log`]: the segments in a directory, and the index of what is in them.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use orch_api::fields::FieldTerm;
use orch_store::Key;

use super::found::{Found, Recent};
use super::frame::{self, Compressor};
use super::index::{Entry, Index, Place};
use super::past::Told;
use super::record::{Head, Id, Record, Verb};
use super::segment::{Segment, numbers};

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

/// Segments are a part of what is kept, so that not too much goes at once.
const SEGMENTS: u64 = 16;
const LARGEST_SEGMENT_BYTES: u64 = 8 << 20;

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
    recent: Arc<Recent>,
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
            recent: Arc::default(),
        };
        let numbers = numbers(directory)?;
        for number in &numbers {
            let is_last = Some(number) == numbers.last();
            let segment = Segment::open(directory, *number, is_last, |offset, reached, heads| {
                let (until, at) = heads
                    .first()
                    .map_or((reached, 0), |head| (head.id.revision.saturating_sub(1), head.origin.at));
                log.mend(until, at)?;
                log.reached = reached;
                for (place, head) in (0..).zip(heads) {
                    log.index.push(head, Place { segment: *number, offset, number: place });
                    if is_last {
                        log.follow(head);
                    }
                }
                Ok(())
            })?;
            log.segments.push_back(segment);
        }
        // Nothing follows what is damaged: it is read again from the store.
        log.mend(log.reached, 0)?;
        if log.segments.is_empty() {
            log.segments.push_back(Segment::create(directory, 0)?);
        }
        Ok(log)
    }

    /// Cuts off what is damaged in the segments so far. That changes are missing up to a revision takes its place.
    fn mend(&mut self, until: u64, at: i64) -> io::Result<()> {
        if !self.segments.iter().any(|segment| segment.is_damaged) {
            return Ok(());
        }
        if let Some(mark) = Record::lost(self.reached, until, at).filter(|_| until > self.reached) {
            self.write(&[mark], until)?;
        }
        self.segments.iter_mut().filter(|segment| segment.is_damaged).try_for_each(Segment::cut)
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

    /// Changes for which all terms hold, newest first, from before one on; no more than so many. `wants` is asked about the place of
    /// each object; gaps have none.
    pub(super) fn select(
        &self,
        terms: &[FieldTerm],
        before: Option<Id>,
        most: usize,
        mut wants: impl FnMut(&str) -> bool,
    ) -> Vec<Found> {
        let all = self.index.select(terms, before).map(|(_, entry)| entry);
        let wanted = all.filter(|entry| entry.verb == Verb::Missed || wants(self.index.key(entry)));
        wanted.filter_map(|entry| self.found(entry)).take(most).collect()
    }

    /// The change of this name.
    pub(super) fn find(&self, id: Id) -> Option<Found> {
        let (_, entry) = self.index.find(id)?;
        self.found(&entry)
    }

    /// The change of the same object before one that has been found, if what it was before is not written with that.
    pub(super) fn before(&self, found: &Found) -> Option<Found> {
        let (at, entry) = self.index.find(found.id)?;
        // The log may have been set aside since.
        let is_same = entry.place == found.place && self.index.key(&entry) == found.key.as_str();
        self.index.before(at).filter(|_| is_same).and_then(|before| self.found(&before))
    }

    /// What the changes tell of what the object that `terms` select was at a revision. None if the file of the change that tells is gone.
    pub(super) fn told(&self, terms: &[FieldTerm], revision: u64) -> Option<Told<Found>> {
        let found = |(_, entry): (usize, Entry)| self.found(&entry);
        Some(match Told::of(&self.index, terms, revision) {
            Told::By(at, side) => Told::By(found(at)?, side),
            Told::Gap(at) => Told::Gap(found(at)?),
            Told::Nothing => Told::Nothing,
            Told::Later(oldest) => Told::Later(oldest),
        })
    }

    fn found(&self, entry: &Entry) -> Option<Found> {
        let segment = self.segments.iter().find(|segment| segment.number == entry.place.segment)?;
        Some(Found {
            id: entry.id,
            key: Key::new(self.index.key(entry)).ok()?,
            place: entry.place,
            at: segment.span.map_or(0, |(_, last)| last),
            frames: segment.frames.clone(),
            recent: self.recent.clone(),
        })
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
pub(super) mod tests;
