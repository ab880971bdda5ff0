//! What goes in and out of a store.

use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;

use crate::{Key, StoreError};

/// A point in the history of the whole store. Revisions only grow, not always by one. A store, even an empty one, is at 1
/// or later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl Revision {
    /// Before everything.
    pub const ZERO: Self = Self(0);

    /// The revision after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A key and its value at some revision. Cheap to clone: key and value are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub key: Key,
    /// What was put.
    pub value: Bytes,
    /// The revision that created it; deleting and creating again gives a new one. On etcd, in later versions than the
    /// first, it may be some revisions after the one that created it, and before any that changed it.
    pub created: Revision,
    /// The revision that put this value.
    pub modified: Revision,
}

/// One page of a [`list`](crate::Store::list).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The entries, in byte order of their keys.
    pub entries: Vec<Entry>,
    /// The revision of the store that they were read at: a watch after it misses nothing and repeats nothing.
    pub revision: Revision,
    /// Where to go on: what to pass as `from`. `None` on the last page.
    pub more: Option<Key>,
    /// How many entries follow this page.
    pub remaining: u64,
}

/// The moment to read at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadAt {
    /// Linearizable: sees every commit acknowledged before the read began.
    Latest,
    /// At this revision or any later one; may be cheaper than `Latest`. Fails with
    /// [`Future`](crate::StoreError::Future) if the store has not reached it.
    AtLeast(Revision),
    /// Exactly as the store was at this revision. Fails with [`Compacted`](crate::StoreError::Compacted) or
    /// [`Future`](crate::StoreError::Future).
    Exactly(Revision),
}

/// What a write believes of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The key does not exist.
    Absent,
    /// The key exists and was last modified at this revision.
    At(Revision),
}

/// What a write does to its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Sets the value.
    Put(Bytes),
    /// Removes the key. With [`Expect::Absent`] it states that the key is absent, and changes nothing.
    Delete,
    /// Leaves the key as it is, and so states nothing but what is believed of it.
    Keep,
}

/// One write of a [`commit`](crate::Store::commit).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// What it writes.
    pub key: Key,
    /// What must be true of the key for the whole commit to happen.
    pub expect: Expect,
    /// What it does.
    pub op: Op,
}

impl Write {
    /// Puts a key that must not exist.
    pub fn create(key: Key, value: impl Into<Bytes>) -> Self {
        Self { key, expect: Expect::Absent, op: Op::Put(value.into()) }
    }

    /// Replaces the value that was put at `at`.
    pub fn update(key: Key, at: Revision, value: impl Into<Bytes>) -> Self {
        Self { key, expect: Expect::At(at), op: Op::Put(value.into()) }
    }

    /// Removes the key whose value was put at `at`.
    pub fn delete(key: Key, at: Revision) -> Self {
        Self { key, expect: Expect::At(at), op: Op::Delete }
    }

    /// Changes nothing, but stops the whole commit if the key is not as believed: absent, or put at a revision.
    pub fn keep(key: Key, at: Option<Revision>) -> Self {
        Self { key, expect: at.map_or(Expect::Absent, Expect::At), op: Op::Keep }
    }

    /// Whether it changes its key if what it believes is true.
    pub fn changes(&self) -> bool {
        match self.op {
            Op::Put(_) => true,
            Op::Delete => self.expect != Expect::Absent,
            Op::Keep => false,
        }
    }
}

/// How much one commit may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most writes of one commit.
    pub writes: usize,
    /// The most bytes of one commit: values, keys and their overhead as etcd counts it.
    pub bytes: usize,
}

/// The changes of one revision under a watched prefix; none: a progress mark, which says that everything up to
/// `revision` has been delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The revision that the watch has reached with this batch.
    pub revision: Revision,
    /// The changes, each of another key.
    pub changes: Vec<Change>,
}

/// One key's change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The key that changed.
    pub key: Key,
    /// What became of it.
    pub kind: ChangeKind,
    /// What it was before; `None` if it was created. On etcd, a previous value that was compacted before the
    /// change was read is `None` too.
    pub previous: Option<Entry>,
}

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was created (`created == modified`) or replaced.
    Put(Entry),
    /// It was removed.
    Delete,
}

impl Limits {
    /// What an etcd accepts that was started without `--max-txn-ops` and `--max-request-bytes`.
    pub const OF_ETCD: Self = Self { writes: 128, bytes: 1536 * 1024 };

    /// What etcd adds to a write's key and value, which it carries with a comparison and, for a conflict, a read.
    const OVERHEAD_BYTES: usize = 64;

    /// Refuses a commit that is too large, or writes a key twice.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`], [`StoreError::Invalid`].
    pub fn check(&self, writes: &[Write]) -> Result<(), StoreError> {
        if writes.len() > self.writes {
            return Err(StoreError::TooLarge { unit: "writes", size: writes.len(), limit: self.writes });
        }
        let size = Self::size(writes);
        if size > self.bytes {
            return Err(StoreError::TooLarge { unit: "bytes", size, limit: self.bytes });
        }
        if let Some(Write { key, .. }) =
            writes.iter().find(|write| write.expect == Expect::At(Revision::ZERO))
        {
            return Err(StoreError::Invalid {
                reason: format!("nothing is at revision 0, but {key} is expected to"),
            });
        }
        let mut seen = HashSet::with_capacity(writes.len());
        match writes.iter().find(|write| !seen.insert(&write.key)) {
            Some(Write { key, .. }) => {
                Err(StoreError::Invalid { reason: format!("the commit writes {key} twice") })
            }
            None => Ok(()),
        }
    }

    /// How many bytes a commit counts as.
    pub fn size(writes: &[Write]) -> usize {
        writes.iter().map(Self::bytes).sum()
    }

    fn bytes(write: &Write) -> usize {
        let value = match &write.op {
            Op::Put(value) => value.len(),
            Op::Delete | Op::Keep => 0,
        };
        value + 3 * write.key.as_bytes().len() + Self::OVERHEAD_BYTES
    }
}
