//! Reading one's own writes: whether a cache shows what has just been written.
//!
//! A planner that plans on a cache which doesn't yet show its last writes makes them again. So the runtime takes up a key
//! again only when the caches have caught up with what was written for it.

use async_trait::async_trait;

use crate::ObjectKey;

/// What a write leaves behind for caches to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Expected {
    /// All changes up to the revision that the server answered with.
    Revision(u64),
    /// The object is gone, terminating, or another one of the name.
    Deletion { key: ObjectKey, uid: String },
}

/// Something expected of a cache, and when it was: a list begun afterwards shows it in any case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) expected: Expected,
    pub(crate) lists_begun: u64,
}

/// A cache of any kind, as far as its progress goes.
#[async_trait]
pub(crate) trait Progress: Send + Sync {
    /// Notes what is expected, right after the write was acknowledged.
    fn mark(&self, expected: Expected) -> Mark;
    /// Completes once the cache shows what is expected.
    async fn seen(&self, mark: &Mark);
    /// Completes once the first list is complete.
    async fn synced(&self);
}
