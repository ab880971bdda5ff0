//! Reads: linearizable where they must be, served by any member where they need not.

use std::collections::BTreeMap;

use etcd_client::{GetOptions, GetResponse};

use super::call::{Failure, Repeat};
use super::members::Members;
use super::revision::{contained, etcd_revision, is_whole, whole};
use super::{EtcdStore, entry, header_revision};
use crate::{Entry, Key, Page, Prefix, ReadAt, Revision, StoreError};

/// The most entries of one request.
const CHUNK_ENTRIES: usize = 1000;

impl EtcdStore {
    pub(super) async fn get_at(&self, key: &Key, at: ReadAt) -> Result<Option<Entry>, StoreError> {
        match at {
            ReadAt::Exactly(revision) if !is_whole(revision) => self.get_within(key, revision).await,
            at => self.get_whole(key, at).await,
        }
    }

    pub(super) async fn list_at(
        &self,
        prefix: &Prefix,
        at: ReadAt,
        from: Option<&Key>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let limit = if limit == 0 { usize::MAX } else { limit };
        match at {
            ReadAt::Exactly(revision) if !is_whole(revision) => {
                self.list_within(prefix, revision, from, limit).await
            }
            at => self.list_whole(prefix, at, from, limit).await,
        }
    }

    async fn get_whole(&self, key: &Key, at: ReadAt) -> Result<Option<Entry>, StoreError> {
        let mut response = self.range(self.etcd_key(key), GetOptions::new(), at).await?;
        Ok(response.take_kvs().into_iter().find_map(|kv| entry(&self.config.prefix, kv)))
    }

    /// Reads between two commits of one transaction: what the transaction has made of the key, if that is of `revision` or
    /// before, or else what there was before the transaction.
    async fn get_within(&self, key: &Key, revision: Revision) -> Result<Option<Entry>, StoreError> {
        let after = ReadAt::Exactly(whole(etcd_revision(revision)));
        let after = self.get_whole(key, after).await.map_err(|error| asked_at(error, revision))?;
        if after.as_ref().is_some_and(|entry| entry.modified <= revision) {
            return Ok(after);
        }
        let before = ReadAt::Exactly(whole(contained(revision)));
        self.get_whole(key, before).await.map_err(|error| asked_at(error, revision))
    }

    /// Lists between two commits of one transaction: what there was before the transaction, and over it what commits up to
    /// `revision` have put. They have deleted nothing: a commit that does is the last of its transaction.
    async fn list_within(
        &self,
        prefix: &Prefix,
        revision: Revision,
        from: Option<&Key>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let put = self.put_by(prefix, revision, from).await.map_err(|error| asked_at(error, revision))?;
        let before = ReadAt::Exactly(whole(contained(revision)));
        let before = self.list_whole(prefix, before, from, limit).await;
        let before = before.map_err(|error| asked_at(error, revision))?;
        let created = put.iter().filter(|entry| entry.created == entry.modified).count();
        let total = before.entries.len() as u64 + before.remaining + created as u64;
        let beyond = before.more;
        let mut entries: BTreeMap<Key, Entry> =
            before.entries.into_iter().map(|entry| (entry.key.clone(), entry)).collect();
        let put = put.into_iter().filter(|entry| beyond.as_ref().is_none_or(|last| entry.key <= *last));
        entries.extend(put.map(|entry| (entry.key.clone(), entry)));
        let entries: Vec<_> = entries.into_values().take(limit).collect();
        let remaining = total.saturating_sub(entries.len() as u64);
        let more = entries.last().filter(|_| remaining > 0).map(|entry| entry.key.clone());
        Ok(Page { entries, revision, more, remaining })
    }

    /// What the transaction that `revision` is of has put up to `revision`, below `prefix` and after `from`.
    async fn put_by(
        &self,
        prefix: &Prefix,
        revision: Revision,
        from: Option<&Key>,
    ) -> Result<Vec<Entry>, StoreError> {
        let etcd = etcd_revision(revision);
        let options = GetOptions::new().with_range(self.etcd_key(prefix.end()));
        let options = options.with_min_mod_revision(etcd).with_max_mod_revision(etcd);
        let mut response = self.range_exactly(self.etcd_key(prefix.as_str()), options, whole(etcd)).await?;
        let entries = response.take_kvs().into_iter().filter_map(|kv| entry(&self.config.prefix, kv));
        let wanted = |entry: &Entry| entry.modified <= revision && from.is_none_or(|from| entry.key > *from);
        Ok(entries.filter(wanted).collect())
    }

    async fn list_whole(
        &self,
        prefix: &Prefix,
        at: ReadAt,
        from: Option<&Key>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let end = self.etcd_key(prefix.end());
        let first = self.etcd_key(prefix.as_str());
        let mut start = from.map_or_else(Vec::new, |from| after(self.etcd_key(from))).max(first);
        let mut page = Page { entries: Vec::new(), revision: Revision::ZERO, more: None, remaining: 0 };
        let mut at = at;
        loop {
            let count = CHUNK_ENTRIES.min(limit - page.entries.len());
            // An empty range would mean something else to etcd; one key that cannot exist still tells the revision.
            let range_end = if start < end { end.clone() } else { after(start.clone()) };
            let options =
                GetOptions::new().with_range(range_end).with_limit(i64::try_from(count).unwrap_or(0));
            let mut response = self.range(start.clone(), options, at).await?;
            page.revision = match at {
                ReadAt::Exactly(revision) => revision,
                _ => header_revision(response.header())?,
            };
            at = ReadAt::Exactly(page.revision);
            let kvs = response.take_kvs();
            page.remaining = u64::try_from(response.count()).unwrap_or(0).saturating_sub(kvs.len() as u64);
            if let Some(last) = kvs.last() {
                start = after(last.key().to_vec());
            }
            page.entries.extend(kvs.into_iter().filter_map(|kv| entry(&self.config.prefix, kv)));
            if page.remaining == 0 || page.entries.len() >= limit {
                break;
            }
        }
        if page.remaining > 0 {
            page.more = page.entries.last().map(|entry| entry.key.clone());
        }
        Ok(page)
    }

    /// The revision of the store, agreed on by a majority.
    pub(super) async fn current_revision(&self) -> Result<Revision, StoreError> {
        self.members.current_revision(self.etcd_key("/")).await
    }

    async fn range(&self, key: Vec<u8>, options: GetOptions, at: ReadAt) -> Result<GetResponse, StoreError> {
        match at {
            ReadAt::Latest => self
                .members
                .get_once(&key, &options)
                .await
                .map_err(|failure| failure.unavailable("cannot read etcd")),
            ReadAt::AtLeast(asked) => self.range_at_least(key, options, asked).await,
            ReadAt::Exactly(asked) => self.range_exactly(key, options, asked).await,
        }
    }

    /// Asks any member first, and a majority only if that one lags behind.
    async fn range_at_least(
        &self,
        key: Vec<u8>,
        options: GetOptions,
        asked: Revision,
    ) -> Result<GetResponse, StoreError> {
        for options in [options.clone().with_serializable(), options] {
            let response = self.members.get_once(&key, &options).await;
            let response = response.map_err(|failure| failure.unavailable("cannot read etcd"))?;
            if header_revision(response.header())? >= asked {
                return Ok(response);
            }
        }
        Err(StoreError::Future { asked, current: self.current_revision().await? })
    }

    async fn range_exactly(
        &self,
        key: Vec<u8>,
        options: GetOptions,
        asked: Revision,
    ) -> Result<GetResponse, StoreError> {
        if etcd_revision(asked) == 0 {
            // To etcd, 0 is the latest.
            return Err(StoreError::Compacted { asked, oldest: whole(1) });
        }
        let options = options.with_revision(etcd_revision(asked));
        // The past never changes: any member may tell it, if it has it.
        let mut response = self.members.get_once(&key, &options.clone().with_serializable()).await;
        if response.as_ref().is_err_and(is_future) {
            response = self.members.get_once(&key, &options).await;
        }
        match response {
            Err(failure) if is_future(&failure) => {
                Err(StoreError::Future { asked, current: self.current_revision().await? })
            }
            Err(failure) if is_compacted(&failure) => {
                let oldest = self.members.oldest_revision(asked, key).await?;
                Err(StoreError::Compacted { asked, oldest })
            }
            Err(failure) => Err(failure.unavailable("cannot read etcd")),
            Ok(response) => Ok(response),
        }
    }
}

impl Members {
    /// The revision of the store, agreed on by a majority.
    pub(super) async fn current_revision(&self, key: Vec<u8>) -> Result<Revision, StoreError> {
        let read = self.get_once(&key, &GetOptions::new().with_count_only()).await;
        let response = read.map_err(|failure| failure.unavailable("cannot read etcd's revision"))?;
        header_revision(response.header())
    }

    /// What etcd has of a key, or of a range that begins there.
    pub(super) async fn get_once(&self, key: &[u8], options: &GetOptions) -> Result<GetResponse, Failure> {
        let request = self.call(Repeat::Harmless, |mut etcd| {
            let (key, options) = (key.to_vec(), options.clone());
            async move { etcd.get(key, Some(options)).await }
        });
        request.await
    }
}

/// The error of a read that was made for the sake of another revision.
fn asked_at(error: StoreError, asked: Revision) -> StoreError {
    match error {
        StoreError::Compacted { oldest, .. } => StoreError::Compacted { asked, oldest },
        StoreError::Future { current, .. } => StoreError::Future { asked, current },
        error => error,
    }
}

/// The first key after `key`.
fn after(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

pub(super) fn is_future(failure: &Failure) -> bool {
    failure.says("required revision is a future revision")
}

pub(super) fn is_compacted(failure: &Failure) -> bool {
    failure.says("required revision has been compacted")
}
