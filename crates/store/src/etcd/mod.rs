//! The etcd backend: etcd 3.4 and later.
//!
//! A commit is a transaction (`commit`), or part of one when many wait (`group`), and has a revision of its own in any
//! case (`revision`). A read is a range request (`read`), a watch a stream that is made anew whenever it breaks
//! (`watch`). `members` chooses whom to ask; `call` says what may be tried again and what an error means.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use etcd_client::{KeyValue, ResponseHeader};
use tokio::sync::watch;

use crate::{Entry, Key, Limits, Page, Prefix, ReadAt, Revision, Store, StoreError, Watch, Write};

mod call;
mod commit;
mod config;
mod group;
mod members;
mod read;
mod revision;
#[path = "watch.rs"]
mod watching;

use call::Repeat;
use commit::Committer;
pub use config::{EtcdConfig, EtcdTls, EtcdUser, Progress};
use group::CommitQueue;
use members::Members;
use revision::{contained, etcd_revision, unseal, whole};

/// A store in an etcd cluster, which others may use too.
///
/// Keys that others wrote below the prefix and that are no [`Key`]s are passed over. Nothing is compacted on its
/// own: call [`compact`](Store::compact), or start etcd with `--auto-compaction-retention`. Dropping it ends every
/// watch.
///
/// A [`Revision`] is 128 times etcd's revision and up to 127 more: commits that wait while others are on their way are
/// sent in one transaction, and still have a revision each. [`Entry::created`] is exact in the version that created
/// the key; in later ones it is the end of the transaction that did.
pub struct EtcdStore {
    config: EtcdConfig,
    members: Arc<Members>,
    commits: Arc<CommitQueue>,
    /// The last revision that anybody was told, so that watches must reach it.
    asked: watch::Sender<Revision>,
}

impl EtcdStore {
    /// Connects. Fails with [`Unavailable`](StoreError::Unavailable) if no member answers.
    pub async fn connect(config: EtcdConfig) -> Result<Self, StoreError> {
        let members = Arc::new(Members::open(&config).await?);
        let committer =
            Committer { members: members.clone(), prefix: config.prefix.clone(), limits: config.limits };
        let commits = CommitQueue::new(committer, config.transactions);
        let store = Self { config, members, commits, asked: watch::Sender::new(Revision::ZERO) };
        store.current_revision().await?;
        Ok(store)
    }

    fn etcd_key(&self, key: impl AsRef<str>) -> Vec<u8> {
        [self.config.prefix.as_bytes(), key.as_ref().as_bytes()].concat()
    }
}

/// etcd's form of an entry; `None` if its key is not one of ours.
fn entry(prefix: &str, kv: KeyValue) -> Option<Entry> {
    let (created, modified) = (kv.create_revision(), kv.mod_revision());
    let (key, value) = kv.into_key_value();
    Some(entry_of(store_key(prefix, &key)?, value, created, modified))
}

/// The entry of a key, from its value and revisions in etcd.
fn entry_of(key: Key, value: Vec<u8>, created: i64, modified: i64) -> Entry {
    let is_new = created == modified;
    let (value, place) = unseal(value);
    let modified = revision::at(modified, place);
    let created = if is_new { modified } else { whole(created) };
    Entry { key, value: Bytes::from(value), created, modified }
}

fn store_key(prefix: &str, key: &[u8]) -> Option<Key> {
    let key = key.strip_prefix(prefix.as_bytes())?;
    Key::new(std::str::from_utf8(key).ok()?).ok()
}

/// How far the member that answered is.
fn header_revision(header: Option<&ResponseHeader>) -> Result<Revision, StoreError> {
    header.map(|header| whole(header.revision())).ok_or_else(|| StoreError::Unavailable {
        reason: "etcd answered without a header".into(),
        ambiguous: false,
        source: None,
    })
}

impl fmt::Debug for EtcdStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdStore").field("config", &self.config).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for EtcdStore {
    async fn get(&self, key: &Key, at: ReadAt) -> Result<Option<Entry>, StoreError> {
        self.get_at(key, at).await
    }

    async fn list(
        &self,
        prefix: &Prefix,
        at: ReadAt,
        from: Option<&Key>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.list_at(prefix, at, from, limit).await
    }

    async fn commit(&self, writes: &[Write]) -> Result<Revision, StoreError> {
        self.config.limits.check(writes)?;
        self.commits.commit(writes).await
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, StoreError> {
        self.open_watch(prefix, after).await
    }

    async fn compact(&self, before: Revision) -> Result<(), StoreError> {
        // Of a revision of etcd that is only partly before, all must be kept, and what it changed.
        let compacted = contained(before);
        if compacted < etcd_revision(before) {
            let current = self.current_revision().await?;
            if before > current {
                return Err(StoreError::Future { asked: before, current });
            }
        }
        let request = self
            .members
            .call(Repeat::Harmless, |mut etcd| async move { etcd.compact(compacted, None).await });
        match request.await {
            Ok(_) => Ok(()),
            Err(failure) if read::is_compacted(&failure) => Ok(()),
            Err(failure) if read::is_future(&failure) => {
                Err(StoreError::Future { asked: before, current: self.current_revision().await? })
            }
            Err(failure) => Err(failure.unavailable("cannot compact etcd")),
        }
    }

    fn limits(&self) -> Limits {
        self.config.limits
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        let revision = self.current_revision().await?;
        self.asked.send_if_modified(|asked| {
            let news = *asked < revision;
            *asked = revision.max(*asked);
            news
        });
        Ok(revision)
    }
}
