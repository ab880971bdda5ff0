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
use super::past::Told;
use super::record::{Id, Record, Verb};
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
            let Self { index, chain, reached, .. } = &mut log;
            let segment = Segment::open(directory, *number, is_last, |offset, frame_reached, heads| {
                *reached = frame_reached;
                for (place, head) in (0..).zip(&heads) {
                    index.push(head, Place { segment: *number, offset, number: place });
                    if is_last {
                        chain.insert(head.key.clone(), head.id.revision);
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
        if record.head.verb == Verb::Missed {
            self.chain.clear();
            return record;
        }
        let known = self.chain.insert(record.head.key.clone(), record.head.id.revision);
        if known.is_some() && known == previous {
            record.before = None;
        }
        record
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

    /// What the changes tell of what the object that `terms` select was at a revision.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(super) fn told(&self, terms: &[FieldTerm], revision: u64) -> io::Result<Told<Record>> {
        let read = |(at, entry): (usize, Entry)| self.read(at, &entry);
        Ok(match Told::of(&self.index, terms, revision) {
            Told::By(found, side) => Told::By(read(found)?, side),
            Told::Gap(found) => Told::Gap(read(found)?),
            Told::Nothing => Told::Nothing,
            Told::Later(oldest) => Told::Later(oldest),
        })
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
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::super::record::Head;
    use super::*;
    use crate::origin::Origin;

    const LIMITS: HistoryRetention =
        HistoryRetention { age: Duration::MAX, bytes: u64::MAX, changes: usize::MAX };

    /// What happens to objects, and what each was before.
    #[derive(Default)]
    struct World(BTreeMap<String, (u64, Bytes)>);

    impl World {
        /// The object `name` becomes `value`, or goes.
        fn change(&mut self, revision: u64, name: &str, value: Option<&str>) -> News {
            let before = self.0.remove(name);
            let after = value.map(|value| Bytes::copy_from_slice(value.as_bytes()));
            if let Some(after) = &after {
                self.0.insert(name.to_owned(), (revision, after.clone()));
            }
            let verb = match (&before, &after) {
                (None, _) => Verb::Created,
                (_, Some(_)) => Verb::Updated,
                (_, None) => Verb::Deleted,
            };
            let head = Head {
                id: Id { revision, number: 0 },
                verb,
                key: Key::new(format!("/registry/core/notes/{name}")).unwrap(),
                api_version: "v1".into(),
                kind: "Note".into(),
                origin: Origin { at: revision as i64, ..Origin::default() },
                is_sensitive: false,
            };
            let (previous, before) = before.unzip();
            News { record: Record { head, before, after }, previous }
        }
    }

    fn all(log: &Log) -> Vec<Record> {
        log.select(&[], None).map(|(at, entry)| log.read(at, entry).unwrap()).collect()
    }

    /// Changes of three objects, in order, in groups of commits.
    fn groups() -> impl Strategy<Value = Vec<Vec<News>>> {
        let change = ("[a-c]", prop::option::of("[a-z]{0,40}"));
        prop::collection::vec(prop::collection::vec(change, 1..4), 1..20).prop_map(|groups| {
            let (mut world, mut revision) = (World::default(), 1);
            let mut news = |(name, value): (String, Option<String>)| {
                revision += 1;
                // What is not there cannot go.
                let value = value.or_else(|| (!world.0.contains_key(&name)).then(String::new));
                world.change(revision, &name, value.as_deref())
            };
            groups.into_iter().map(|group| group.into_iter().map(&mut news).collect()).collect()
        })
    }

    fn last(group: &[News]) -> u64 {
        group.last().unwrap().record.head.id.revision
    }

    fn newest_first(groups: &[Vec<News>]) -> Vec<Record> {
        groups.iter().flatten().rev().map(|news| news.record.clone()).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_is_recorded_is_read_whole_also_after_a_restart(groups in groups(), small in any::<bool>()) {
            let directory = tempfile::tempdir().unwrap();
            // Small: each segment holds a frame.
            let limits = HistoryRetention { bytes: if small { 16 } else { u64::MAX }, ..LIMITS };
            let unbounded = HistoryRetention { bytes: u64::MAX, ..limits };
            let mut log = Log::open(directory.path(), limits).unwrap();
            for group in &groups {
                log.retention = limits;
                log.rotate(0).unwrap();
                log.retention = unbounded;
                log.append(group.clone(), last(group), 0).unwrap();
            }
            prop_assert_eq!(all(&log), newest_first(&groups));
            let log = Log::open(directory.path(), unbounded).unwrap();
            prop_assert_eq!(all(&log), newest_first(&groups));
            prop_assert_eq!(log.reached(), last(groups.last().unwrap()));
        }

        #[test]
        fn a_torn_end_is_cut_off_and_recording_goes_on_from_there(
            groups in groups(), cut in any::<prop::sample::Index>(), garbage in any::<bool>(),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let mut log = Log::open(directory.path(), LIMITS).unwrap();
            let mut ends = vec![log.segments[0].bytes];
            for group in &groups {
                log.append(group.clone(), last(group), 0).unwrap();
                ends.push(log.segments[0].bytes);
            }
            drop(log);
            let path = directory.path().join("changes-0000000000");
            let mut content = std::fs::read(&path).unwrap();
            let keep = cut.index(content.len());
            match garbage {
                true => content[keep..].iter_mut().for_each(|byte| *byte = !*byte),
                false => content.truncate(keep),
            }
            std::fs::write(&path, content).unwrap();
            let whole = ends.iter().skip(1).take_while(|end| **end <= keep as u64).count();
            let mut log = Log::open(directory.path(), LIMITS).unwrap();
            prop_assert_eq!(all(&log), newest_first(&groups[..whole]));
            prop_assert_eq!(log.reached(), groups[..whole].last().map_or(0, |group| last(group)));
            for group in &groups[whole..] {
                log.append(group.clone(), last(group), 0).unwrap();
            }
            prop_assert_eq!(all(&log), newest_first(&groups));
        }
    }

    #[test]
    fn retention_bounds_age_bytes_and_changes_and_keeps_what_is_left_whole() {
        let day = Duration::from_secs(24 * 3600);
        for (limits, kept) in [
            (HistoryRetention { age: day, ..LIMITS }, 1..=10),
            (HistoryRetention { bytes: 16 << 10, ..LIMITS }, 20..=95),
            (HistoryRetention { changes: 30, bytes: 16 << 10, ..LIMITS }, 2..=30),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let mut log = Log::open(directory.path(), limits).unwrap();
            let mut world = World::default();
            let mut expected = Vec::new();
            for n in 0..100_u64 {
                let mut news = world.change(n + 2, "a", Some(&format!("{n} {}", rand::random::<u128>())));
                let now = i64::try_from(n).unwrap() * 3 * 3_600_000;
                news.record.head.origin.at = now;
                expected.insert(0, news.record.clone());
                log.append(vec![news], n + 2, now).unwrap();
            }
            let found = all(&log);
            assert!(kept.contains(&found.len()), "{limits:?} keeps {}", found.len());
            assert_eq!(found, expected[..found.len()], "{limits:?}");
            let bytes: u64 = std::fs::read_dir(directory.path())
                .unwrap()
                .map(|file| file.unwrap().metadata().unwrap().len())
                .sum();
            assert!(bytes <= limits.bytes, "{bytes}");
        }
    }

    #[test]
    fn a_change_after_a_gap_is_not_taken_to_follow_the_one_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::open(directory.path(), LIMITS).unwrap();
        let mut world = World::default();
        log.append(vec![world.change(2, "a", Some("1"))], 2, 0).unwrap();
        let gap = Record::missed(2, 9, 0).unwrap();
        log.append(vec![News { record: gap, previous: None }], 9, 0).unwrap();
        let mut news = world.change(10, "a", Some("3"));
        news.record.before = None;
        log.append(vec![news], 10, 0).unwrap();
        let found = all(&log);
        assert_eq!(found[0].before, None, "what it was before is not known");
        assert_eq!(found.iter().map(|record| record.head.verb).nth(1), Some(Verb::Missed));
    }

    #[test]
    fn how_far_it_is_is_known_without_changes() {
        let directory = tempfile::tempdir().unwrap();
        Log::open(directory.path(), LIMITS).unwrap().close(77).unwrap();
        assert_eq!(Log::open(directory.path(), LIMITS).unwrap().reached(), 77);
    }

    #[test]
    fn the_history_of_another_store_is_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let mut log = Log::open(directory.path(), LIMITS).unwrap();
        log.append(vec![World::default().change(2, "a", Some("1"))], 2, 0).unwrap();
        log.set_aside().unwrap();
        assert_eq!((all(&log).len(), log.reached()), (0, 0));
        assert!(directory.path().join("aside/changes-0000000000").exists());
    }
}
