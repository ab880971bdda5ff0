//! [`Overlay`]: what would become of a store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    Batch, Change, ChangeKind, Entry, Expect, Key, Limits, Op, Page, Prefix, ReadAt, Revision, Store,
    StoreError, Watch, Write,
};

/// A store over another as it was at one revision. What is committed stays in memory and is seen by nobody else; what has been
/// read of the store below is noted, so that all of it can be committed there, in one go, if nothing of it has changed:
/// [`Overlay::writes`].
///
/// It goes on counting revisions where the other was. It cannot be watched nor compacted, but can [forget](Overlay::forget) what keys
/// were in between.
pub struct Overlay {
    below: Arc<dyn Store>,
    start: Revision,
    staged: tokio::sync::Mutex<Staged>,
    seen: Mutex<BTreeMap<Key, Option<Revision>>>,
}

struct Staged {
    revision: Revision,
    /// What was between the start and this revision has been forgotten.
    kept_from: Revision,
    keys: BTreeMap<Key, Versions>,
    /// The keys committed to since then.
    recent: BTreeSet<Key>,
    /// The size of all values in `keys`.
    bytes: usize,
}

fn size(entry: Option<&Entry>) -> usize {
    entry.map_or(0, |entry| entry.value.len())
}

/// What has been committed of a key.
struct Versions {
    /// The entry of the store below.
    below: Option<Entry>,
    /// The revision of each commit, and the entry since; at least one.
    since: Vec<(Revision, Option<Entry>)>,
}

impl Versions {
    fn at(&self, revision: Revision) -> Option<&Entry> {
        let last = self.since.iter().rev().find(|(since, _)| *since <= revision);
        last.map_or(self.below.as_ref(), |(_, entry)| entry.as_ref())
    }

    fn last(&self) -> Option<&Entry> {
        self.since.last().and_then(|(_, entry)| entry.as_ref())
    }

    /// What brings the store below to the last version.
    fn write(&self, key: &Key, is_same: impl Fn(&Bytes, &Bytes) -> bool) -> Write {
        let expect = self.below.as_ref().map_or(Expect::Absent, |entry| Expect::At(entry.modified));
        let op = match (&self.below, self.last()) {
            (None, None) => Op::Keep,
            (Some(below), Some(last)) if is_same(&below.value, &last.value) => Op::Keep,
            (_, Some(last)) => Op::Put(last.value.clone()),
            (Some(_), None) => Op::Delete,
        };
        Write { key: key.clone(), expect, op }
    }
}

impl Overlay {
    /// A store that is as `below` was at a revision, which it must have reached and must not have forgotten.
    pub fn new(below: Arc<dyn Store>, start: Revision) -> Self {
        let (keys, recent) = (BTreeMap::new(), BTreeSet::new());
        let staged = Staged { revision: start, kept_from: start, keys, recent, bytes: 0 };
        Self { below, start, staged: staged.into(), seen: Mutex::default() }
    }

    /// The revision at which the store below is looked at.
    pub fn start(&self) -> Revision {
        self.start
    }

    /// Notes that somebody has seen a key of the store below, put at a revision or absent. What was seen first counts.
    pub fn note(&self, key: &Key, modified: Option<Revision>) {
        self.seen.lock().entry(key.clone()).or_insert(modified);
    }

    /// What must be committed to the store below so that it becomes as this one: one write for each key that has been read or
    /// written, each with what was believed of it. Lists believe nothing. A key whose value `is_same`, below and here, is left as
    /// it is.
    pub async fn writes(&self, is_same: impl Fn(&Bytes, &Bytes) -> bool) -> Vec<Write> {
        let staged = self.staged.lock().await;
        let written = staged.keys.iter().map(|(key, versions)| versions.write(key, &is_same));
        let seen = self.seen.lock();
        let kept = seen.iter().filter(|(key, _)| !staged.keys.contains_key(*key));
        written.chain(kept.map(|(key, modified)| Write::keep(key.clone(), *modified))).collect()
    }

    /// Every key that has been written, as it is below and as it is here.
    pub async fn changes(&self) -> Vec<(Key, Option<Entry>, Option<Entry>)> {
        let staged = self.staged.lock().await;
        let each = staged.keys.iter();
        each.map(|(key, versions)| (key.clone(), versions.below.clone(), versions.last().cloned())).collect()
    }

    /// Forgets what keys were before the last commit, and after [`start`](Self::start): that can no longer be read.
    pub async fn forget(&self) {
        self.staged.lock().await.forget();
    }

    /// The size of all values that are kept of what has been committed, and of those below in whose place they are.
    pub async fn bytes(&self) -> usize {
        self.staged.lock().await.bytes
    }

    /// The commits after a revision that is not before [`start`](Self::start), in order. None of them may have been forgotten.
    pub async fn commits_after(&self, after: Revision) -> Vec<Batch> {
        let staged = self.staged.lock().await;
        let mut batches: BTreeMap<Revision, Vec<Change>> = BTreeMap::new();
        for key in &staged.recent {
            let Some(versions) = staged.keys.get(key) else { continue };
            let mut previous = versions.below.as_ref();
            for (revision, entry) in &versions.since {
                if *revision > after {
                    let kind = entry.clone().map_or(ChangeKind::Delete, ChangeKind::Put);
                    let change = Change { key: key.clone(), kind, previous: previous.cloned() };
                    batches.entry(*revision).or_default().push(change);
                }
                previous = entry.as_ref();
            }
        }
        batches.into_iter().map(|(revision, changes)| Batch { revision, changes }).collect()
    }

    /// The entry of the store below.
    async fn below(&self, key: &Key) -> Result<Option<Entry>, StoreError> {
        let entry = self.below.get(key, ReadAt::Exactly(self.start)).await?;
        self.note(key, entry.as_ref().map(|entry| entry.modified));
        Ok(entry)
    }

    async fn current(&self, staged: &Staged, key: &Key) -> Result<Option<Entry>, StoreError> {
        match staged.keys.get(key) {
            Some(versions) => Ok(versions.last().cloned()),
            None => self.below(key).await,
        }
    }
}

impl Staged {
    fn reach(&self, at: ReadAt, start: Revision) -> Result<Revision, StoreError> {
        match at {
            ReadAt::AtLeast(asked) | ReadAt::Exactly(asked) if asked > self.revision => {
                Err(StoreError::Future { asked, current: self.revision })
            }
            ReadAt::Exactly(asked) if asked > start && asked < self.kept_from => {
                Err(StoreError::Compacted { asked, oldest: self.kept_from })
            }
            ReadAt::Latest | ReadAt::AtLeast(_) => Ok(self.revision),
            ReadAt::Exactly(asked) => Ok(asked),
        }
    }

    fn forget(&mut self) {
        for key in std::mem::take(&mut self.recent) {
            let Some(versions) = self.keys.get_mut(&key) else { continue };
            let last = versions.since.len().saturating_sub(1);
            let forgotten = versions.since.drain(..last).map(|(_, entry)| size(entry.as_ref()));
            self.bytes -= forgotten.sum::<usize>();
        }
        self.kept_from = self.revision;
    }

    fn put(&mut self, key: &Key, before: Option<Entry>, entry: Option<Entry>) {
        let revision = self.revision;
        self.bytes += size(entry.as_ref());
        if !self.keys.contains_key(key) {
            self.bytes += size(before.as_ref());
        }
        let versions = self.keys.entry(key.clone()).or_insert(Versions { below: before, since: Vec::new() });
        versions.since.push((revision, entry));
        self.recent.insert(key.clone());
    }

    fn commit(&mut self, writes: &[Write], befores: Vec<Option<Entry>>) -> Revision {
        let now = self.revision.next();
        let is_change = |(write, before): &(&Write, Option<Entry>)| match write.op {
            Op::Put(_) => true,
            Op::Delete => before.is_some(),
            Op::Keep => false,
        };
        let changes: Vec<_> = writes.iter().zip(befores).filter(is_change).collect();
        if changes.is_empty() {
            return self.revision;
        }
        self.revision = now;
        for (Write { key, op, .. }, before) in changes {
            let created = before.as_ref().map_or(now, |entry| entry.created);
            let entry = match op {
                Op::Put(value) => {
                    Some(Entry { key: key.clone(), value: value.clone(), created, modified: now })
                }
                Op::Delete | Op::Keep => None,
            };
            self.put(key, before, entry);
        }
        now
    }

    /// The keys below a prefix, after a key, that have been written by a revision; each with whether the store below has it.
    fn written<'a>(
        &'a self,
        prefix: &'a Prefix,
        from: Option<&'a Key>,
        at: Revision,
    ) -> impl Iterator<Item = (&'a Key, bool, Option<&'a Entry>)> {
        let after: Bound<&str> = match from.filter(|from| from.as_str() >= prefix.as_str()) {
            Some(from) => Bound::Excluded(from.as_str()),
            None => Bound::Excluded(prefix.as_str()),
        };
        let range = self.keys.range::<str, _>((after, Bound::Unbounded));
        let inside = range.take_while(move |(key, _)| key.as_str().starts_with(prefix.as_str()));
        let by_then = inside.filter(move |(_, versions)| versions.since[0].0 <= at);
        by_then.map(move |(key, versions)| (key, versions.below.is_some(), versions.at(at)))
    }
}

#[async_trait]
impl Store for Overlay {
    async fn get(&self, key: &Key, at: ReadAt) -> Result<Option<Entry>, StoreError> {
        let staged = self.staged.lock().await;
        let revision = staged.reach(at, self.start)?;
        if revision < self.start {
            return self.below.get(key, ReadAt::Exactly(revision)).await;
        }
        match staged.keys.get(key) {
            Some(versions) => Ok(versions.at(revision).cloned()),
            None => self.below(key).await,
        }
    }

    async fn list(
        &self,
        prefix: &Prefix,
        at: ReadAt,
        from: Option<&Key>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let staged = self.staged.lock().await;
        let revision = staged.reach(at, self.start)?;
        if revision <= self.start {
            return self.below.list(prefix, ReadAt::Exactly(revision), from, limit).await;
        }
        let written: Vec<_> = staged.written(prefix, from, revision).collect();
        // As many more are read as may turn out to be gone.
        let ask = if limit == 0 { 0 } else { limit + written.len() };
        let page = self.below.list(prefix, ReadAt::Exactly(self.start), from, ask).await?;
        let end = page.more.clone();
        let came = written.iter().filter(|(_, below, entry)| !below && entry.is_some()).count() as u64;
        let went = written.iter().filter(|(_, below, entry)| *below && entry.is_none()).count() as u64;
        let total = page.entries.len() as u64 + page.remaining + came - went;
        let mut entries: BTreeMap<Key, Entry> =
            page.entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        for (key, _, entry) in written {
            match entry.filter(|_| end.as_ref().is_none_or(|end| key <= end)) {
                Some(entry) => drop(entries.insert(key.clone(), entry.clone())),
                None => drop(entries.remove(key)),
            }
        }
        let take = if limit == 0 { entries.len() } else { limit };
        let entries: Vec<Entry> = entries.into_values().take(take).collect();
        let remaining = total - entries.len() as u64;
        let more = entries.last().filter(|_| remaining > 0).map(|last| last.key.clone());
        Ok(Page { entries, revision, more, remaining })
    }

    async fn commit(&self, writes: &[Write]) -> Result<Revision, StoreError> {
        self.limits().check(writes)?;
        let mut staged = self.staged.lock().await;
        let mut befores = Vec::with_capacity(writes.len());
        for (index, Write { key, expect, .. }) in writes.iter().enumerate() {
            let current = self.current(&staged, key).await?;
            let holds = match expect {
                Expect::Absent => current.is_none(),
                Expect::At(revision) => current.as_ref().is_some_and(|entry| entry.modified == *revision),
            };
            if !holds {
                let current = current.map(Box::new);
                return Err(StoreError::Conflict { index, key: key.clone(), expect: *expect, current });
            }
            befores.push(current);
        }
        Ok(staged.commit(writes, befores))
    }

    async fn watch(&self, _: &Prefix, _: Revision) -> Result<Watch, StoreError> {
        Err(StoreError::Invalid { reason: "an overlay cannot be watched".into() })
    }

    async fn compact(&self, _: Revision) -> Result<(), StoreError> {
        Err(StoreError::Invalid { reason: "an overlay has nothing to forget".into() })
    }

    fn limits(&self) -> Limits {
        self.below.limits()
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        Ok(self.staged.lock().await.revision)
    }
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overlay").field("below", &self.below).field("start", &self.start).finish()
    }
}
