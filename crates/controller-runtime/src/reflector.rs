//! [`Reflector`]: keeps a [`Cache`] in step with the server.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use orch_api::{
    Client, Clock, EventType, Kind, List, Object, Params, Request, Resource, Status, Target, Verb, WatchEvent,
};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{Backoff, Cache, Cached, ObjectKey, PartialObject, WholeObject};

const PAGE: u64 = 500;
const RETRY: Backoff = Backoff { first: Duration::from_millis(100), limit: Duration::from_secs(10) };

/// Keeps a [`Cache`] in step with the server: lists once, then watches from the list's revision; takes up a broken watch
/// where it broke off; lists again only when the server no longer knows the revision.
pub struct Reflector<K> {
    client: Arc<dyn Client>,
    clock: Arc<dyn Clock>,
    kind: Kind,
    target: Target,
    selection: Params,
    cache: Arc<Cache<K>>,
}

impl<K: Resource> Reflector<K> {
    /// Reflects the objects of a type, in all namespaces.
    pub fn new(client: Arc<dyn Client>, clock: Arc<dyn Clock>) -> Self {
        Self::of_kind(client, clock, K::KIND)
    }
}

impl Reflector<PartialObject> {
    /// Reflects the metadata of the objects of any kind.
    pub fn partial(client: Arc<dyn Client>, clock: Arc<dyn Clock>, kind: Kind) -> Self {
        Self::of_kind(client, clock, kind)
    }
}

impl Reflector<WholeObject> {
    /// Reflects the objects of any kind.
    pub fn whole(client: Arc<dyn Client>, clock: Arc<dyn Clock>, kind: Kind) -> Self {
        Self::of_kind(client, clock, kind)
    }
}

impl<K: Cached> Reflector<K> {
    fn of_kind(client: Arc<dyn Client>, clock: Arc<dyn Clock>, kind: Kind) -> Self {
        let (target, selection, cache) = (Target::all(&kind), Params::default(), Arc::default());
        Self { client, clock, kind, target, selection, cache }
    }

    /// Only objects in this namespace.
    pub fn in_namespace(self, namespace: impl Into<String>) -> Self {
        Self { target: Target::in_namespace(&self.kind, namespace), ..self }
    }

    /// Only objects with these labels, as in `labelSelector`.
    pub fn labels(self, selector: impl Into<String>) -> Self {
        Self { selection: Params { label_selector: Some(selector.into()), ..self.selection }, ..self }
    }

    /// Only objects with these field values, as in `fieldSelector`.
    pub fn fields(self, selector: impl Into<String>) -> Self {
        Self { selection: Params { field_selector: Some(selector.into()), ..self.selection }, ..self }
    }

    /// The cache that is kept in step.
    pub fn cache(&self) -> Arc<Cache<K>> {
        self.cache.clone()
    }

    /// Keeps the cache in step until cancelled. Failures are logged and retried, slower and slower up to 10 s.
    pub async fn run(self, cancel: CancellationToken) {
        let stopped = cancel.run_until_cancelled(self.follow()).await;
        debug_assert!(stopped.is_none(), "following never ends by itself");
    }

    /// [`Reflector::run`] as a task of its own. Answers with the cache.
    pub fn spawn(self, cancel: CancellationToken) -> Arc<Cache<K>> {
        let cache = self.cache();
        tokio::spawn(self.run(cancel));
        cache
    }

    async fn follow(&self) {
        let mut failures = 0;
        let mut revision = None;
        loop {
            let before = self.cache.revision();
            let outcome = match revision.take() {
                None => self.list().await,
                Some(from) => self.watch(from).await,
            };
            let progressed = self.cache.revision() > before;
            match outcome {
                Ok(next) => revision = Some(next),
                Err(status) if status.code == 410 => debug!(kind = self.kind.name, %status, "listing again"),
                Err(status) => {
                    warn!(kind = self.kind.name, %status, "cannot list or watch, trying again");
                    // Nothing is missed: the cache's revision is where the next watch begins.
                    revision = self.cache.has_synced().then(|| self.cache.revision().to_string());
                }
            }
            failures = if progressed { 0 } else { failures + 1 };
            // The first list and the first watch after it follow at once; so does a watch that brought something.
            if failures > 1 {
                self.clock.sleep(RETRY.after(failures - 1)).await;
            }
        }
    }

    /// Lists by pages into the cache and answers with the revision of the list.
    async fn list(&self) -> Result<String, Status> {
        let list_number = self.cache.begin_list();
        let mut objects = Vec::new();
        let mut params = Params { limit: Some(PAGE), ..self.selection.clone() };
        loop {
            let answer = self.client.send(self.request(Verb::List, params.clone())).await?;
            let page: List<&RawValue> = serde_json::from_slice(&answer).map_err(Status::internal)?;
            objects.extend(page.items.iter().filter_map(|item| self.read(item.get().as_bytes())));
            if page.metadata.cont.is_empty() {
                let revision = page.metadata.resource_version;
                self.cache.replace(objects, list_number, revision.parse().unwrap_or_default());
                return Ok(revision);
            }
            params.cont = Some(page.metadata.cont);
        }
    }

    /// Applies changes after `from` until the watch ends. Answers with the revision to go on from.
    async fn watch(&self, from: String) -> Result<String, Status> {
        let resume =
            Params { resource_version: Some(from), allow_watch_bookmarks: true, ..self.selection.clone() };
        let mut events = self.client.watch(self.request(Verb::Watch, resume)).await?;
        while let Some(event) = events.next().await {
            self.apply(event?)?;
        }
        Ok(self.cache.revision().to_string())
    }

    fn apply(&self, event: WatchEvent<Bytes>) -> Result<(), Status> {
        match event.event_type {
            EventType::Error => return Err(serde_json::from_slice(&event.object).map_err(Status::internal)?),
            EventType::Added | EventType::Modified => match self.read(&event.object) {
                Some(object) => self.cache.apply(object),
                None => self.skip(&event.object)?,
            },
            EventType::Deleted => {
                let object: PartialObject =
                    serde_json::from_slice(&event.object).map_err(Status::internal)?;
                self.cache.delete(&ObjectKey::of(&object.metadata), crate::cache::revision_of(&object));
            }
            EventType::Bookmark => self.skip(&event.object)?,
        }
        Ok(())
    }

    /// Takes only the revision from an event.
    fn skip(&self, object: &[u8]) -> Result<(), Status> {
        let object: Value = serde_json::from_slice(object).map_err(Status::internal)?;
        self.cache.advance(object.resource_version().parse().unwrap_or_default());
        Ok(())
    }

    /// Reads an object. One that cannot be read is logged and left out: it must not hold up all others.
    fn read(&self, object: &[u8]) -> Option<K> {
        serde_json::from_slice(object)
            .inspect_err(
                |error| warn!(kind = self.kind.name, %error, "leaving out an object that cannot be read"),
            )
            .ok()
    }

    fn request(&self, verb: Verb, params: Params) -> Request {
        Request { verb, target: self.target.clone(), params, body: None }
    }
}
