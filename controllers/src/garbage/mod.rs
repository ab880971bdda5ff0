//! Garbage collection: what is owned goes when its owners are gone.
//!
//! Works on metadata alone, for all kinds alike. The three ways in which an owner can go:
//!
//! - *background* (the default): the owner goes at once; then each dependent, all of whose owners are gone, is deleted;
//! - *foreground*: the owner stays, held by the finalizer `foregroundDeletion`, until the dependents that block it are gone;
//! - *orphan*: the owner stays, held by the finalizer `orphan`, until no dependent names it any longer.
//!
//! Nothing is deleted on the word of a cache: that an owner is absent is asked of the server, by uid.

mod decide;
mod owners;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use orch_api::{Kind, Metadata, OwnerReference, Status, split_api_version};
use orch_controller_runtime::{
    Backoff, Cache, Change, Context, Executor, Index, Key, ObjectKey, Outcome, PartialObject, Reconciler,
    WorkQueue, work,
};
use orch_ontology::{Event, KINDS};
use parking_lot::Mutex;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use decide::{Dependent, Owner, OwnerState, World, plan};

/// Finalizer of an owner whose dependents go first.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// Finalizer of an owner that loses its dependents first.
pub(crate) const ORPHAN: &str = "orphan";

const NAME: &str = "garbage-collector";
const WORKERS: usize = 64;
const RETRY: Backoff = Backoff { first: Duration::from_millis(20), limit: Duration::from_secs(60) };

/// The objects that name an owner.
const BY_OWNER: Index<PartialObject> = Index {
    name: "owner-uid",
    values: |object| object.metadata.owner_references.iter().map(|owner| owner.uid.clone()).collect(),
};

/// An object of any kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct AnyKey {
    /// The object's name.
    pub object: ObjectKey,
    /// Its kind, by its place among those that are collected.
    pub kind: usize,
}

impl Key for AnyKey {
    fn namespace(&self) -> &str {
        &self.object.namespace
    }
}

/// The metadata of all objects that can own or be owned.
pub(crate) struct Graph {
    pub(crate) kinds: Vec<(Kind, Arc<Cache<PartialObject>>)>,
}

struct Collector {
    graph: Arc<Graph>,
    executor: Executor,
    /// Owners known to be gone for good: a uid never comes back.
    absent: Mutex<BTreeSet<String>>,
}

/// Runs the controller until cancelled.
pub async fn run(context: Context, cancel: CancellationToken) {
    let graph = Arc::new(Graph::of(&context));
    let queue = Arc::new(WorkQueue::new(context.clock.clone(), RETRY));
    for (kind, (_, cache)) in graph.kinds.iter().enumerate() {
        let (graph, queue) = (graph.clone(), queue.clone());
        cache.subscribe(move |change| graph.touched(kind, change).into_iter().for_each(|key| queue.add(key)));
    }
    if cancel.run_until_cancelled(context.caches.synced()).await.is_none() {
        return;
    }
    info!(controller = NAME, workers = WORKERS, "controller runs");
    let executor = Executor {
        client: context.client.clone(),
        caches: context.caches.clone(),
        recorder: context.recorder.component(NAME),
        field_manager: NAME,
    };
    let collector = Arc::new(Collector { graph, executor, absent: Mutex::default() });
    work(collector, queue, WORKERS, cancel).await;
}

#[async_trait]
impl Reconciler for Collector {
    type Key = AnyKey;

    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &AnyKey) -> Result<Outcome, Status> {
        let Some(world) = self.observe(key).await? else { return Ok(Outcome::Done) };
        self.executor.execute(plan(&world)).await?;
        Ok(Outcome::Done)
    }
}

impl Collector {
    async fn observe(&self, key: &AnyKey) -> Result<Option<World>, Status> {
        let (kind, cache) = &self.graph.kinds[key.kind];
        let Some(object) = cache.get(&key.object) else { return Ok(None) };
        let metadata = object.metadata.clone();
        let owners = self.owners(kind, &metadata).await?;
        Ok(Some(World { kind: *kind, dependents: self.graph.dependents(&metadata.uid), owners, metadata }))
    }
}

impl Graph {
    /// Events are left out: they own nothing, belong to nothing, and there are many.
    fn of(context: &Context) -> Self {
        let kinds = KINDS
            .iter()
            .map(|entry| entry.kind)
            .filter(|kind| kind.name != <Event as orch_api::Resource>::KIND.name);
        Self { kinds: kinds.map(|kind| (kind, context.caches.partial(kind))).collect() }
    }

    /// The place of the kind that a reference names, whatever the version.
    pub(crate) fn kind_of(&self, owner: &OwnerReference) -> Option<usize> {
        let (group, _) = split_api_version(&owner.api_version);
        self.kinds.iter().position(|(kind, _)| kind.group == group && kind.name == owner.kind)
    }

    fn dependents(&self, uid: &str) -> Vec<Dependent> {
        let of_kind = |(kind, cache): &(Kind, Arc<Cache<PartialObject>>)| {
            let objects = cache.select(&BY_OWNER, uid);
            let kind = *kind;
            objects.into_iter().map(move |object| Dependent { kind, metadata: object.metadata.clone() })
        };
        self.kinds.iter().flat_map(of_kind).collect()
    }

    fn dependent_keys(&self, uid: &str) -> Vec<AnyKey> {
        let of_kind = |(kind, (_, cache)): (usize, &(Kind, Arc<Cache<PartialObject>>))| {
            let objects = cache.select(&BY_OWNER, uid);
            objects.into_iter().map(move |object| AnyKey { object: ObjectKey::of(&object.metadata), kind })
        };
        self.kinds.iter().enumerate().flat_map(of_kind).collect()
    }

    /// Whom a change of an object of a kind concerns: the object itself if its owners or finalizers are news; its owners if
    /// it no longer holds them; its dependents if it is on its way out.
    fn touched(&self, kind: usize, change: &Change<'_, PartialObject>) -> Vec<AnyKey> {
        let of = |object: Option<&Arc<PartialObject>>| {
            object.map(|object| object.metadata.clone()).unwrap_or_default()
        };
        let (old, new) = (of(change.old), of(change.new));
        let same_life = old.uid == new.uid
            && old.owner_references == new.owner_references
            && old.finalizers == new.finalizers
            && old.is_terminating() == new.is_terminating();
        if same_life {
            return Vec::new();
        }
        let mut keys = Vec::new();
        if concerns(&new) {
            keys.push(AnyKey { object: change.key.clone(), kind });
        }
        for owner in old.owner_references.iter().filter(|owner| !new.owner_references.contains(owner)) {
            keys.extend(self.key_of(owner, &old));
        }
        if old.uid != new.uid {
            keys.extend(self.dependent_keys(&old.uid));
        }
        if new.is_terminating() && new.finalizers.iter().any(|name| name == FOREGROUND) {
            keys.extend(self.dependent_keys(&new.uid));
        }
        keys
    }

    fn key_of(&self, owner: &OwnerReference, dependent: &Metadata) -> Option<AnyKey> {
        let kind = self.kind_of(owner)?;
        let object = ObjectKey::of_owner(dependent, owner, self.kinds[kind].0.is_namespaced());
        Some(AnyKey { object, kind })
    }
}

/// Whether there is anything to decide about an object.
fn concerns(metadata: &Metadata) -> bool {
    let held = metadata.finalizers.iter().any(|name| name == FOREGROUND || name == ORPHAN);
    !metadata.owner_references.is_empty() || (metadata.is_terminating() && held)
}

#[cfg(test)]
mod tests;
