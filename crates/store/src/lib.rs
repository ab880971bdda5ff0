//! The `Store` seam: a small, durable, versioned map from keys to bytes, with transactions and watches.
//!
//! Everything Orch remembers is behind [`Store`]. Two real backends implement it:
//! [`EmbeddedStore`](embedded::EmbeddedStore) (a change log and an index in one directory) and
//! [`EtcdStore`](etcd::EtcdStore) (etcd 3.4 and later). With the feature `testing`, `conformance` is the suite
//! that defines what every backend must do, and `testing::FaultyStore` injects faults for tests of what
//! stands above. [`Overlay`] is what would become of a store: changes to it that nobody else sees.
//!
//! It deliberately knows nothing of objects, kinds, JSON or who is asking; there are no leases, no locks and no
//! queries other than by key and prefix.
//!
//! # Invariants
//!
//! - Revisions are store-wide and strictly increasing; all changes of one commit share one revision, and no two commits
//!   do, also where a backend carries out several at once.
//! - There is no unconditional write: every [`Write`] states what it believes ([`Expect`]).
//! - A commit is all or nothing, and durable before it is acknowledged.
//! - A watch delivers every change after its start, in order, once, or fails with [`StoreError::Compacted`].
//! - After [`Store::revision`] has answered `r`, every open watch reaches `r`, whoever wrote it.
//!
//! Start reading at [`Store`], then `embedded/mod.rs` or `etcd/mod.rs`.

#![deny(missing_docs)]

use std::fmt;

use async_trait::async_trait;
use futures::stream::BoxStream;

#[cfg(feature = "testing")]
pub mod conformance;
mod data;
pub mod embedded;
mod error;
pub mod etcd;
mod key;
mod overlay;
#[cfg(feature = "testing")]
pub mod testing;

pub use data::{Batch, Change, ChangeKind, Entry, Expect, Limits, Op, Page, ReadAt, Revision, Write};
pub use error::StoreError;
pub use key::{InvalidKey, Key, Prefix};
pub use overlay::Overlay;

/// What [`Store::watch`] returns: batches in order of revision. After an error the stream ends.
pub type Watch = BoxStream<'static, Result<Batch, StoreError>>;

/// A durable, versioned map from [`Key`] to bytes.
///
/// All methods may be called concurrently and cancelled: dropping the future of a [`commit`](Self::commit)
/// leaves open whether it happens, dropping any other has no effect.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// The entry of `key`, or `None` if it does not exist at the revision asked for.
    ///
    /// Fails with [`Compacted`](StoreError::Compacted) or [`Future`](StoreError::Future) as [`ReadAt`] says, and
    /// with [`Unavailable`](StoreError::Unavailable).
    async fn get(&self, key: &Key, at: ReadAt) -> Result<Option<Entry>, StoreError>;

    /// Up to `limit` entries under `prefix` (0: all of them) in byte order of their keys, strictly after `from`.
    ///
    /// All entries of a page are of one revision, [`Page::revision`]. To go on at the same revision, pass
    /// [`Page::more`] as `from` and `ReadAt::Exactly(page.revision)`. Fails as [`get`](Self::get) does.
    async fn list(
        &self,
        prefix: &Prefix,
        at: ReadAt,
        from: Option<&Key>,
        limit: usize,
    ) -> Result<Page, StoreError>;

    /// Carries out all `writes`, or none, at one new revision, and returns it once it is durable.
    ///
    /// The `created` and `modified` of what was put are known from the answer: `modified` is the revision
    /// returned, and so is `created` of what was created. A commit that changes nothing (an empty one, or one
    /// that only states that keys are absent) makes no revision and returns the current one.
    ///
    /// Fails with [`Conflict`](StoreError::Conflict) for the first write whose [`Expect`] does not hold,
    /// [`TooLarge`](StoreError::TooLarge), [`Invalid`](StoreError::Invalid) if a key is written twice, or
    /// [`Unavailable`](StoreError::Unavailable), whose `ambiguous` says whether it may have happened.
    async fn commit(&self, writes: &[Write]) -> Result<Revision, StoreError>;

    /// Every change under `prefix` after the revision `after`, in order, once; then those to come.
    ///
    /// All changes of one commit arrive in one [`Batch`]. A batch without changes is a progress mark. The watch has
    /// reached `after` when it opens; once [`revision`](Self::revision) has answered a later `r`, it reaches `r`
    /// within milliseconds, by a batch or by a mark, even when nobody writes under `prefix`.
    ///
    /// Fails, at once or as the last item, with [`Compacted`](StoreError::Compacted) if changes after `after`
    /// are no longer kept, which also happens to a reader that falls too far behind: list again, and watch from
    /// the list's revision. Fails with [`Future`](StoreError::Future) if `after` has not been reached, or, as the last item, if
    /// the store has gone back in time, restored from a backup. A lost connection is not an error: the stream goes on where it was. The stream ends without an error only when
    /// the store is closed.
    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, StoreError>;

    /// Forgets the history before `before`: reads at, and watches after, `before` and later still work; earlier
    /// ones fail with [`Compacted`](StoreError::Compacted).
    ///
    /// Compacting what is already compacted does nothing. Fails with [`Future`](StoreError::Future) if `before`
    /// has not been reached.
    async fn compact(&self, before: Revision) -> Result<(), StoreError>;

    /// How much one commit may hold: more is refused with [`TooLarge`](StoreError::TooLarge).
    fn limits(&self) -> Limits;

    /// The revision of the last commit acknowledged before the call, or later (linearizable).
    ///
    /// On etcd it also counts the writes of others. On the embedded store it costs nothing; on etcd, a round trip.
    async fn revision(&self) -> Result<Revision, StoreError>;
}
