//! [`Caches`]: one reflector per kind, shared by all controllers of a process.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use orch_api::{Client, Clock, Kind, Resource, Target};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::progress::{Expected, Mark, Progress};
use crate::{Cache, Cached, PartialObject, Reflector};

/// One reflector per kind, shared by all controllers of a process. A kind is watched from the first time it is asked for
/// until it is forgotten, or the token given to [`Caches::new`] is cancelled.
pub struct Caches {
    client: Arc<dyn Client>,
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
    kinds: Mutex<BTreeMap<Slot, Entry>>,
}

/// A kind by group, version and plural, and whether only its metadata is held.
type Slot = (Cow<'static, str>, Cow<'static, str>, Cow<'static, str>, bool);

struct Entry {
    cache: Arc<dyn Any + Send + Sync>,
    progress: Arc<dyn Progress>,
    cancel: CancellationToken,
}

impl Caches {
    /// No caches yet. Must be used within a tokio runtime.
    pub fn new(client: Arc<dyn Client>, clock: Arc<dyn Clock>, cancel: CancellationToken) -> Self {
        Self { client, clock, cancel, kinds: Mutex::default() }
    }

    /// The cache of a type's objects in all namespaces.
    pub fn of<K: Resource>(&self) -> Arc<Cache<K>> {
        self.reflect(&K::KIND, false, || Reflector::new(self.client.clone(), self.clock.clone()))
    }

    /// The cache of the metadata of a kind's objects in all namespaces.
    pub fn partial(&self, kind: Kind) -> Arc<Cache<PartialObject>> {
        self.reflect(&kind, true, || Reflector::partial(self.client.clone(), self.clock.clone(), kind))
    }

    /// Watches a kind's metadata no longer, by the cache that there was of it: nobody serves it any more. That cache stays as it is; who
    /// asks again gets another, which is left alone by whoever learns of the same only then.
    pub fn forget_partial(&self, kind: &Kind, cache: &Arc<Cache<PartialObject>>) {
        let slot = (kind.group.into(), kind.version.into(), kind.plural.into(), true);
        let mut kinds = self.kinds.lock();
        let is_it = |entry: &Entry| {
            entry.cache.clone().downcast().is_ok_and(|known: Arc<Cache<_>>| Arc::ptr_eq(&known, cache))
        };
        if kinds.get(&slot).is_some_and(is_it)
            && let Some(entry) = kinds.remove(&slot)
        {
            entry.cancel.cancel();
        }
    }

    /// Completes once the first list of every kind asked for so far is complete.
    pub async fn synced(&self) {
        let all: Vec<_> = self.kinds.lock().values().map(|entry| entry.progress.clone()).collect();
        for progress in all {
            progress.synced().await;
        }
    }

    fn reflect<K: Cached>(
        &self,
        kind: &Kind,
        partial: bool,
        reflector: impl Fn() -> Reflector<K>,
    ) -> Arc<Cache<K>> {
        let slot = (kind.group.into(), kind.version.into(), kind.plural.into(), partial);
        let mut kinds = self.kinds.lock();
        let present = kinds.get(&slot).and_then(|entry| entry.cache.clone().downcast().ok());
        present.unwrap_or_else(|| {
            let cancel = self.cancel.child_token();
            let cache = reflector().spawn(cancel.clone());
            kinds.insert(slot, Entry { cache: cache.clone(), progress: cache.clone(), cancel });
            cache
        })
    }

    /// Completes once the caches show all these writes, or will never show anything again.
    pub(crate) async fn seen(&self, writes: Vec<Pending>) {
        for pending in writes {
            // A kind that is forgotten shows nothing any more.
            pending.cancel.run_until_cancelled(pending.progress.seen(&pending.mark)).await;
        }
    }

    /// Notes that the caches of the target's kind are to show what has just been written.
    pub(crate) fn expect(&self, target: &Target, expected: &Expected) -> Vec<Pending> {
        let kinds = self.kinds.lock();
        let slots = [false, true]
            .map(|partial| (target.group.clone(), target.version.clone(), target.plural.clone(), partial));
        let present = slots.iter().filter_map(|slot| kinds.get(slot));
        present
            .map(|entry| Pending {
                mark: entry.progress.mark(expected.clone()),
                progress: entry.progress.clone(),
                cancel: entry.cancel.clone(),
            })
            .collect()
    }
}

/// A cache that has yet to show a write.
pub(crate) struct Pending {
    progress: Arc<dyn Progress>,
    mark: Mark,
    cancel: CancellationToken,
}
