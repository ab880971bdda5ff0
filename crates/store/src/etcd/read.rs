//! Reads: linearizable where they must be, served by any member where they need not.

use etcd_client::{GetOptions, GetResponse};

use super::call::{Failure, Repeat};
use super::{EtcdStore, entry, etcd_revision, header_revision};
use crate::{Entry, Key, Page, Prefix, ReadAt, Revision, StoreError};

/// The most entries of one request.
const CHUNK_ENTRIES: usize = 1000;

impl EtcdStore {
    pub(super) async fn get_at(&self, key: &Key, at: ReadAt) -> Result<Option<Entry>, StoreError> {
        let mut response = self.range(self.etcd_key(key), GetOptions::new(), at).await?;
        Ok(response.take_kvs().into_iter().find_map(|kv| entry(&self.config.prefix, kv)))
    }

    pub(super) async fn list_at(
        &self,
        prefix: &Prefix,
        at: ReadAt,
        from: Option<&Key>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let end = self.etcd_key(prefix.end());
        let first = self.etcd_key(prefix.as_str());
        let mut start = from.map_or_else(Vec::new, |from| after(self.etcd_key(from))).max(first);
        let limit = if limit == 0 { usize::MAX } else { limit };
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
        let key = self.etcd_key("/");
        let response = self.get_once(&key, &GetOptions::new().with_count_only()).await;
        let response = response.map_err(|failure| failure.unavailable("cannot read etcd's revision"))?;
        header_revision(response.header())
    }

    async fn range(&self, key: Vec<u8>, options: GetOptions, at: ReadAt) -> Result<GetResponse, StoreError> {
        match at {
            ReadAt::Latest => {
                self.get_once(&key, &options).await.map_err(|failure| failure.unavailable("cannot read etcd"))
            }
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
            let response = self.get_once(&key, &options).await;
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
        if asked == Revision::ZERO {
            // To etcd, 0 is the latest.
            return Err(StoreError::Compacted { asked, oldest: asked.next() });
        }
        let options = options.with_revision(etcd_revision(asked));
        // The past never changes: any member may tell it, if it has it.
        let mut response = self.get_once(&key, &options.clone().with_serializable()).await;
        if response.as_ref().is_err_and(is_future) {
            response = self.get_once(&key, &options).await;
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

    async fn get_once(&self, key: &[u8], options: &GetOptions) -> Result<GetResponse, Failure> {
        let request = self.members.call(Repeat::Harmless, |mut etcd| {
            let (key, options) = (key.to_vec(), options.clone());
            async move { etcd.get(key, Some(options)).await }
        });
        request.await
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
