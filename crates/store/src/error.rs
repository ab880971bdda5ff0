//! The one error of the seam. A variant is what the caller can do about it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::{Entry, Expect, Key, Revision};

/// Why a store did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// A write's belief is wrong: look at `current`, decide again, commit again. Nothing was written.
    #[error("conflict on {key}: expected {expect:?}, found {}", found(current.as_deref()))]
    Conflict {
        /// Which write of the commit; the first, if several are wrong.
        index: usize,
        /// Its key.
        key: Key,
        /// What it believed.
        expect: Expect,
        /// What the key is; `None`: it does not exist.
        current: Option<Box<Entry>>,
    },
    /// The history asked for is gone: list again, and watch from there.
    #[error("revision {asked} is compacted; the oldest kept is {oldest}")]
    Compacted {
        /// The revision asked for.
        asked: Revision,
        /// The oldest revision that can still be read, and watched from.
        oldest: Revision,
    },
    /// The store has not reached this revision (it may be of another store, or of a backup restored): read the
    /// latest instead, or ask later.
    #[error("revision {asked} is in the future; the store is at {current}")]
    Future {
        /// The revision asked for.
        asked: Revision,
        /// The revision of the store.
        current: Revision,
    },
    /// The commit is more than one transaction can hold: make it smaller.
    #[error("the commit has {size} {unit}, more than the {limit} allowed")]
    TooLarge {
        /// What there is too much of: `bytes` or `writes`.
        unit: &'static str,
        /// How much there is.
        size: usize,
        /// How much there may be.
        limit: usize,
    },
    /// The request makes no sense, now or later: correct the caller.
    #[error("invalid request: {reason}")]
    Invalid {
        /// What is wrong with it.
        reason: String,
    },
    /// The store cannot be reached, or cannot write now: try later. Unless `ambiguous`, nothing was written.
    #[error("store unavailable: {reason}{}", ambiguity(*ambiguous))]
    Unavailable {
        /// What happened.
        reason: String,
        /// True for a commit that may or may not have happened, now or within moments: read its keys before
        /// trying again.
        ambiguous: bool,
        /// The cause below, if there is one.
        #[source]
        source: Option<Arc<dyn std::error::Error + Send + Sync>>,
    },
    /// A value cannot be read as what was written: find the key that it was encrypted with.
    #[error("{key} cannot be read: {reason}")]
    Unreadable {
        /// The key of the value.
        key: Key,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process has the directory open.
    #[error("{} is in use by {}", directory.display(), holder(*pid))]
    InUse {
        /// The directory.
        directory: PathBuf,
        /// The process that holds it, if it left its id.
        pid: Option<u32>,
    },
    /// Stored data is not what was written: restore it from a backup.
    #[error("{} is corrupt at offset {offset}: {reason}", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What is wrong there.
        reason: String,
    },
}

impl StoreError {
    /// An [`Unavailable`](Self::Unavailable) that wrote nothing.
    pub(crate) fn unavailable(
        reason: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Unavailable { reason: reason.into(), ambiguous: false, source: Some(Arc::new(source)) }
    }
}

fn found(current: Option<&Entry>) -> String {
    current.map_or_else(|| "nothing".to_owned(), |entry| format!("revision {}", entry.modified))
}

fn ambiguity(ambiguous: bool) -> &'static str {
    if ambiguous { " (the commit may or may not have happened)" } else { "" }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
