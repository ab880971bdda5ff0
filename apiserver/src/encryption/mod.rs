//! Encryption at rest: a [`Store`] before the store that holds only what is sealed of sensitive kinds.
//!
//! Everything above (the watch cache too) sees plain objects, everything below (files, etcd, backups, history) sealed
//! ones. What a value is sealed for is its key: a value that is copied to another key does not open.
//!
//! Start reading at [`EncryptedStore`], then `keyring.rs`.

mod keyring;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;
use orch_api::KindEntry;
use orch_store::{
    Batch, Change, ChangeKind, Entry, Key, Limits, Op, Page, Prefix, ReadAt, Revision, Store, StoreError,
    Watch, Write,
};

pub use keyring::{Keyring, KeyringError};

use crate::kinds::directory;

/// Entries read at a time while values are sealed anew.
const PAGE: usize = 200;

/// A store whose values of sensitive kinds are sealed.
#[derive(Debug, Clone)]
pub struct EncryptedStore {
    inner: Arc<dyn Store>,
    keys: Keyring,
    /// What the keys of sensitive kinds begin with.
    sensitive: Arc<[Prefix]>,
}

impl EncryptedStore {
    /// Seals the objects of the sensitive ones among `kinds` with the first of the keys. Without keys nothing is sealed, and
    /// what has been sealed before is an error that names its key.
    ///
    /// # Errors
    /// If a kind's name cannot be part of a key, which no valid name is.
    pub fn new(inner: Arc<dyn Store>, keys: Keyring, kinds: &[KindEntry]) -> Result<Self, StoreError> {
        let prefix = |entry: &KindEntry| {
            Prefix::new(directory(entry.kept_as())).map_err(|e| StoreError::Invalid { reason: e.to_string() })
        };
        let sensitive = kinds.iter().filter(|entry| entry.kind.is_sensitive).map(prefix);
        Ok(Self { inner, keys, sensitive: sensitive.collect::<Result<_, _>>()? })
    }

    /// Opens every sensitive value, and seals those anew that are not sealed with the first key: what was written before there
    /// was a key, or with one that is to be retired. Answers how many that were. History before this call still holds the old
    /// values until it is compacted.
    ///
    /// # Errors
    /// [`StoreError::Unreadable`] for the first value that none of the keys opens; what the store says.
    pub async fn rewrite(&self) -> Result<u64, StoreError> {
        let mut rewritten = 0;
        for prefix in &*self.sensitive {
            let (mut at, mut more) = (ReadAt::Latest, None);
            loop {
                let page = self.inner.list(prefix, at, more.as_ref(), PAGE).await?;
                for entry in &page.entries {
                    rewritten += u64::from(self.rewrite_one(entry).await?);
                }
                let Some(next) = page.more else { break };
                (at, more) = (ReadAt::Exactly(page.revision), Some(next));
            }
        }
        Ok(rewritten)
    }

    async fn rewrite_one(&self, entry: &Entry) -> Result<bool, StoreError> {
        let plain = self.keys.open(&entry.key, &entry.value)?;
        if self.keys.is_current(&entry.value) {
            return Ok(false);
        }
        let sealed = self.keys.seal(&entry.key, &plain)?;
        match self.inner.commit(&[Write::update(entry.key.clone(), entry.modified, sealed)]).await {
            Ok(_) => Ok(true),
            // Somebody has just written it, and sealed it with the first key.
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    fn is_sensitive(&self, key: &Key) -> bool {
        self.sensitive.iter().any(|prefix| prefix.contains(key))
    }

    fn open(&self, mut entry: Entry) -> Result<Entry, StoreError> {
        if self.is_sensitive(&entry.key) {
            entry.value = self.keys.open(&entry.key, &entry.value)?;
        }
        Ok(entry)
    }

    fn open_change(&self, change: Change) -> Result<Change, StoreError> {
        let kind = match change.kind {
            ChangeKind::Put(entry) => ChangeKind::Put(self.open(entry)?),
            ChangeKind::Delete => ChangeKind::Delete,
        };
        let previous = change.previous.map(|entry| self.open(entry)).transpose()?;
        Ok(Change { kind, previous, ..change })
    }

    fn open_batch(&self, batch: Batch) -> Result<Batch, StoreError> {
        let changes = batch.changes.into_iter().map(|change| self.open_change(change));
        Ok(Batch { changes: changes.collect::<Result<_, _>>()?, ..batch })
    }

    /// The writes with sealed values; none if there is nothing to seal.
    fn seal(&self, writes: &[Write]) -> Result<Option<Vec<Write>>, StoreError> {
        if self.keys.is_empty() || !writes.iter().any(|write| self.is_sensitive(&write.key)) {
            return Ok(None);
        }
        let seal = |write: &Write| match &write.op {
            Op::Put(value) if self.is_sensitive(&write.key) => {
                let sealed: Bytes = self.keys.seal(&write.key, value)?;
                Ok(Write { op: Op::Put(sealed), ..write.clone() })
            }
            _ => Ok(write.clone()),
        };
        writes.iter().map(seal).collect::<Result<_, _>>().map(Some)
    }
}

#[async_trait]
impl Store for EncryptedStore {
    async fn get(&self, key: &Key, at: ReadAt) -> Result<Option<Entry>, StoreError> {
        self.inner.get(key, at).await?.map(|entry| self.open(entry)).transpose()
    }

    async fn list(
        &self,
        prefix: &Prefix,
        at: ReadAt,
        from: Option<&Key>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let page = self.inner.list(prefix, at, from, limit).await?;
        let entries = page.entries.into_iter().map(|entry| self.open(entry));
        Ok(Page { entries: entries.collect::<Result<_, _>>()?, ..page })
    }

    async fn commit(&self, writes: &[Write]) -> Result<Revision, StoreError> {
        let sealed = self.seal(writes)?;
        let committed = self.inner.commit(sealed.as_deref().unwrap_or(writes)).await;
        committed.map_err(|error| match error {
            StoreError::Conflict { index, key, expect, current: Some(current) } => {
                match self.open(*current) {
                    Ok(current) => {
                        StoreError::Conflict { index, key, expect, current: Some(Box::new(current)) }
                    }
                    Err(unreadable) => unreadable,
                }
            }
            other => other,
        })
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, StoreError> {
        let (store, watch) = (self.clone(), self.inner.watch(prefix, after).await?);
        Ok(watch.map(move |batch| batch.and_then(|batch| store.open_batch(batch))).boxed())
    }

    async fn compact(&self, before: Revision) -> Result<(), StoreError> {
        self.inner.compact(before).await
    }

    fn limits(&self) -> Limits {
        self.inner.limits()
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.inner.revision().await
    }
}
