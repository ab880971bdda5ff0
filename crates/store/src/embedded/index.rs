//! The state of the store in memory: every key's versions, and the recent history in order.
//!
//! The history holds all changes after `compacted`; a key's versions are those that a read at `compacted` or later
//! can see.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::{Duration, Instant};

use super::frame::Commit;
use crate::{Batch, Change, ChangeKind, Entry, Key, Page, Prefix, ReadAt, Revision, StoreError};

/// How much history is kept. What is older or more is compacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The longest time that a change is kept.
    pub age: Duration,
    /// The most changes kept.
    pub changes: usize,
    /// The most bytes of keys and values kept.
    pub bytes: usize,
}

impl Default for Retention {
    /// Five minutes, as kube-apiserver has etcd keep; 100,000 changes; 64 MiB.
    fn default() -> Self {
        Self { age: Duration::from_secs(300), changes: 100_000, bytes: 64 << 20 }
    }
}

/// What a key was from `modified` on; without an entry, deleted.
#[derive(Debug)]
struct Version {
    modified: Revision,
    entry: Option<Entry>,
}

#[derive(Debug)]
struct Past {
    at: Instant,
    bytes: usize,
    batch: Batch,
}

#[derive(Debug)]
pub(super) struct Index {
    /// Versions are in order and never empty.
    keys: BTreeMap<Key, Vec<Version>>,
    history: VecDeque<Past>,
    history_changes: usize,
    history_bytes: usize,
    compacted: Revision,
    revision: Revision,
}

impl Index {
    /// An empty store at `revision`.
    pub(super) fn new(revision: Revision) -> Self {
        Self {
            keys: BTreeMap::new(),
            history: VecDeque::new(),
            history_changes: 0,
            history_bytes: 0,
            compacted: revision,
            revision,
        }
    }

    /// The revision of the last commit.
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    /// The oldest revision that can be read.
    pub(super) fn compacted(&self) -> Revision {
        self.compacted
    }

    /// When the oldest change kept happened.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.history.front().map(|past| past.at)
    }

    /// Adds an entry of a snapshot, which has no history.
    pub(super) fn restore(&mut self, entry: Entry) {
        let version = Version { modified: entry.modified, entry: Some(entry.clone()) };
        self.keys.insert(entry.key, vec![version]);
    }

    /// The entry of `key` now.
    pub(super) fn current(&self, key: &Key) -> Option<&Entry> {
        self.keys.get(key)?.last()?.entry.as_ref()
    }

    /// Carries out a commit, whose revision must be above the last one's.
    pub(super) fn apply(&mut self, commit: Commit, now: Instant) {
        self.revision = commit.revision;
        let changes: Vec<Change> =
            commit.changes.into_iter().map(|(key, entry)| self.put(commit.revision, key, entry)).collect();
        let bytes = changes.iter().map(change_bytes).sum();
        self.history_bytes += bytes;
        self.history_changes += changes.len();
        let batch = Batch { revision: commit.revision, changes };
        self.history.push_back(Past { at: now, bytes, batch });
    }

    fn put(&mut self, modified: Revision, key: Key, entry: Option<Entry>) -> Change {
        let versions = self.keys.entry(key.clone()).or_default();
        let previous = versions.last().and_then(|version| version.entry.clone());
        versions.push(Version { modified, entry: entry.clone() });
        Change { key, kind: entry.map_or(ChangeKind::Delete, ChangeKind::Put), previous }
    }

    /// The revision that a read at `at` sees.
    fn resolve(&self, at: ReadAt) -> Result<Revision, StoreError> {
        match at {
            ReadAt::Latest => Ok(self.revision),
            ReadAt::AtLeast(asked) | ReadAt::Exactly(asked) if asked > self.revision => {
                Err(StoreError::Future { asked, current: self.revision })
            }
            ReadAt::AtLeast(_) => Ok(self.revision),
            ReadAt::Exactly(asked) if asked < self.compacted => {
                Err(StoreError::Compacted { asked, oldest: self.compacted })
            }
            ReadAt::Exactly(asked) => Ok(asked),
        }
    }

    pub(super) fn get(&self, key: &Key, at: ReadAt) -> Result<Option<Entry>, StoreError> {
        let at = self.resolve(at)?;
        Ok(self.keys.get(key).and_then(|versions| visible(versions, at)).cloned())
    }

    pub(super) fn list(
        &self,
        prefix: &Prefix,
        at: ReadAt,
        from: Option<&Key>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let revision = self.resolve(at)?;
        let limit = if limit == 0 { usize::MAX } else { limit };
        let start = match from {
            Some(key) if key.as_str() >= prefix.as_str() => Bound::Excluded(key.as_str()),
            _ => Bound::Included(prefix.as_str()),
        };
        let end = prefix.end();
        let mut page = Page { entries: Vec::new(), revision, more: None, remaining: 0 };
        if from.is_some_and(|from| from.as_str() >= end.as_str()) {
            return Ok(page);
        }
        let range = self.keys.range::<str, _>((start, Bound::Excluded(end.as_str())));
        for entry in range.filter_map(|(_, versions)| visible(versions, revision)) {
            if page.entries.len() < limit {
                page.entries.push(entry.clone());
            } else {
                page.remaining += 1;
            }
        }
        if page.remaining > 0 {
            page.more = page.entries.last().map(|entry| entry.key.clone());
        }
        Ok(page)
    }

    /// Every entry as of `compacted`.
    pub(super) fn at_compacted(&self) -> Vec<Entry> {
        self.keys.values().filter_map(|versions| visible(versions, self.compacted)).cloned().collect()
    }

    /// Fails if changes after `after` are no longer kept.
    pub(super) fn check_kept(&self, after: Revision) -> Result<(), StoreError> {
        if after < self.compacted {
            return Err(StoreError::Compacted { asked: after, oldest: self.compacted });
        }
        Ok(())
    }

    /// The batches after `after`, oldest first.
    pub(super) fn changes_after(
        &self,
        after: Revision,
    ) -> Result<impl Iterator<Item = &Batch> + use<'_>, StoreError> {
        self.check_kept(after)?;
        let start = self.history.partition_point(|past| past.batch.revision <= after);
        Ok(self.history.range(start..).map(|past| &past.batch))
    }

    /// Forgets the history that is no longer to be kept.
    pub(super) fn retain(&mut self, retention: &Retention, now: Instant) {
        while let Some(oldest) = self.history.front() {
            let expired = now.saturating_duration_since(oldest.at) >= retention.age;
            if !expired && self.history_changes <= retention.changes && self.history_bytes <= retention.bytes
            {
                return;
            }
            self.forget_oldest();
        }
    }

    /// Forgets the history up to `before`, which must not be above the current revision.
    pub(super) fn compact(&mut self, before: Revision) {
        while self.history.front().is_some_and(|oldest| oldest.batch.revision <= before) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(past) = self.history.pop_front() else { return };
        self.history_bytes -= past.bytes;
        self.history_changes -= past.batch.changes.len();
        self.compacted = past.batch.revision;
        for change in past.batch.changes {
            self.forget_versions(&change.key);
        }
    }

    /// Drops the versions of `key` that no read at `compacted` or later can see.
    fn forget_versions(&mut self, key: &Key) {
        let Some(versions) = self.keys.get_mut(key) else { return };
        let old = versions.partition_point(|version| version.modified <= self.compacted);
        let visible_is_deletion = old > 0 && versions[old - 1].entry.is_none();
        versions.drain(..if visible_is_deletion { old } else { old.saturating_sub(1) });
        if versions.is_empty() {
            self.keys.remove(key);
        }
    }
}

fn visible(versions: &[Version], at: Revision) -> Option<&Entry> {
    let count = versions.partition_point(|version| version.modified <= at);
    versions[..count].last()?.entry.as_ref()
}

fn change_bytes(change: &Change) -> usize {
    let value = match &change.kind {
        ChangeKind::Put(entry) => entry.value.len(),
        ChangeKind::Delete => 0,
    };
    change.key.as_bytes().len() + value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(index: &mut Index, name: &str, value: Option<&'static str>) {
        let key = Key::new(name).unwrap();
        let revision = index.revision().next();
        let created = index.current(&key).map_or(revision, |entry| entry.created);
        let entry =
            value.map(|value| Entry { key: key.clone(), value: value.into(), created, modified: revision });
        index.apply(Commit { revision, changes: vec![(key, entry)] }, Instant::now());
    }

    fn value(index: &Index, at: u64) -> Option<String> {
        let entry = index.get(&Key::new("/a").unwrap(), ReadAt::Exactly(Revision(at))).unwrap();
        entry.map(|entry| String::from_utf8(entry.value.to_vec()).unwrap())
    }

    fn history() -> Index {
        let mut index = Index::new(Revision(1));
        put(&mut index, "/a", Some("x")); // 2
        put(&mut index, "/a", None); // 3
        put(&mut index, "/a", Some("y")); // 4
        put(&mut index, "/b", Some("z")); // 5
        index
    }

    #[test]
    fn every_kept_revision_can_be_read() {
        let index = history();
        let seen: Vec<_> = (1..=5).map(|at| value(&index, at)).collect();
        assert_eq!(seen, [None, Some("x".into()), None, Some("y".into()), Some("y".into())]);
    }

    #[test]
    fn compaction_keeps_what_can_still_be_seen_and_nothing_else() {
        let mut index = history();
        index.compact(Revision(3));
        assert_eq!(value(&index, 3), None);
        assert_eq!(value(&index, 4), Some("y".into()));
        assert_eq!(index.keys.get("/a").unwrap().len(), 1);
        let error = index.get(&Key::new("/a").unwrap(), ReadAt::Exactly(Revision(2))).unwrap_err();
        assert!(matches!(error, StoreError::Compacted { oldest: Revision(3), .. }));
        assert_eq!(index.changes_after(Revision(3)).unwrap().count(), 2);
        assert!(index.changes_after(Revision(2)).is_err());
    }

    #[test]
    fn a_deleted_key_leaves_nothing_once_compacted() {
        let mut index = history();
        put(&mut index, "/a", None);
        put(&mut index, "/b", None);
        index.compact(index.revision());
        assert!(index.keys.is_empty() && index.history.is_empty());
        assert_eq!((index.history_bytes, index.history_changes), (0, 0));
    }

    #[test]
    fn retention_bounds_changes_bytes_and_age() {
        let unbounded = Retention { age: Duration::MAX, changes: usize::MAX, bytes: usize::MAX };
        for (retention, compacted) in [
            (unbounded, 1),
            (Retention { changes: 2, ..unbounded }, 3),
            (Retention { bytes: 3, ..unbounded }, 4),
            (Retention { age: Duration::ZERO, ..unbounded }, 5),
        ] {
            let mut index = history();
            index.retain(&retention, Instant::now());
            assert_eq!(index.compacted(), Revision(compacted), "{retention:?}");
        }
    }
}
