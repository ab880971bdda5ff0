//! Garbage collection: what is owned goes when its owners are gone.
//!
//! Works on metadata alone, for all kinds alike. The three ways in which an owner can go:
//!
//! - *background* (the default): the owner goes at once; then each dependent, all of whose owners are gone, is deleted;
//! - *foreground*: the owner stays, held by the finalizer `foregroundDeletion`, until the dependents that block it are gone;
//! - *orphan*: the owner stays, held by the finalizer `orphan`, until no dependent names it any longer.
//!
//! Nothing is deleted on the word of a cache: that an owner is absent is asked of the server, by uid. And an owner that waits is not
//! let go before all kinds, and their objects, are known. Kinds that objects define are collected like all others. What is owned by an object of a kind that nobody serves stays, and is looked at again
//! when the kind comes; what was seen going together with its kind is gone.

mod decide;
mod owners;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use orch_api::{Kind, Metadata, OwnerReference, Status, split_api_version};
use orch_controller_runtime::{
    Backoff, Change, Context, Executor, Index, Key, ObjectKey, Outcome, PartialObject, Reconciler, WorkQueue,
    work,
};
use parking_lot::Mutex;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::kinds::{AllKinds, Served, lasting};

use owners::Absent;

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

struct Collector {
    kinds: Arc<AllKinds>,
    executor: Executor,
    absent: Arc<Absent>,
    waiting: Arc<Waiting>,
}

/// Objects whose owners are of kinds that nobody serves, by the group and name of the kind.
#[derive(Default)]
struct Waiting(Mutex<BTreeMap<(String, String), BTreeSet<AnyKey>>>);

/// Runs the controller until cancelled.
pub async fn run(context: Context, cancel: CancellationToken) {
    let queue = Arc::new(WorkQueue::new(context.clock.clone(), RETRY));
    let (absent, waiting) = (Arc::<Absent>::default(), Arc::<Waiting>::default());
    let (adding, gone, waited) = (queue.clone(), absent.clone(), waiting.clone());
    let add = move |kinds: &AllKinds, kind: usize, change: &Change<'_, PartialObject>| {
        remember_gone(kinds, &gone, change);
        waited.changed(kind, change);
        touched(kinds, kind, change).into_iter().for_each(|key| adding.add(key));
    };
    let kinds = AllKinds::follow(&context, lasting(), add, &cancel);
    let (adding, awaiting) = (queue.clone(), waiting.clone());
    kinds.when_kinds_come(move |kind| awaiting.take(kind).into_iter().for_each(|key| adding.add(key)));
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
    let collector = Arc::new(Collector { kinds, executor, absent, waiting });
    queue.measure(&context.metrics, NAME);
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
        let Some((kind, cache)) = self.kinds.at(key.kind) else { return Ok(None) };
        let Some(object) = cache.get(&key.object) else { return Ok(None) };
        let metadata = object.metadata.clone();
        self.waiting.put(&self.kinds, key, &metadata.owner_references);
        if cache.get(&key.object).is_none_or(|now| now.metadata.owner_references != metadata.owner_references)
        {
            // It is no longer what waits, and that may have been told before.
            self.waiting.forget(key, &metadata.owner_references);
        }
        let owners = self.owners(&kind, &metadata).await?;
        let mut world = World { kind, dependents: self.dependents(&metadata), owners, metadata };
        if decide::lets_go(&world) {
            // For good: what is not known yet is not to be found out too late.
            self.kinds.are_all_known(&*self.executor.client).await?;
            world.dependents = self.dependents(&world.metadata);
        }
        Ok(Some(world))
    }

    fn dependents(&self, owner: &Metadata) -> Vec<Dependent> {
        let of_kind = |(_, kind, cache): Served| {
            let objects = cache.select(&BY_OWNER, &owner.uid);
            objects.into_iter().map(move |object| Dependent { kind, metadata: object.metadata.clone() })
        };
        self.kinds.served().into_iter().flat_map(of_kind).collect()
    }
}

impl Waiting {
    /// Remembers an object for each of its owners whose kind nobody serves.
    fn put(&self, kinds: &AllKinds, key: &AnyKey, owners: &[OwnerReference]) {
        for owner in owners.iter().filter(|owner| kind_of(kinds, owner).is_none()) {
            self.0.lock().entry(named_kind(owner)).or_default().insert(key.clone());
            // It may have come meanwhile, before there was anybody to tell: it is found when the owner is looked for.
            if kind_of(kinds, owner).is_some() {
                self.forget(key, std::slice::from_ref(owner));
            }
        }
    }

    /// Takes in a change of an object of a kind: one that has other owners now, or is gone, waits no more. If it does again, that is
    /// found out when it is looked at.
    fn changed(&self, kind: usize, change: &Change<'_, PartialObject>) {
        let Some(old) = change.old.map(|old| &old.metadata.owner_references) else { return };
        if change.new.is_none_or(|new| new.metadata.owner_references != *old) {
            self.forget(&AnyKey { object: change.key.clone(), kind }, old);
        }
    }

    fn forget(&self, key: &AnyKey, owners: &[OwnerReference]) {
        let mut waiting = self.0.lock();
        if waiting.is_empty() {
            return;
        }
        for kind in owners.iter().map(named_kind) {
            if let Some(keys) = waiting.get_mut(&kind) {
                keys.remove(key);
                if keys.is_empty() {
                    waiting.remove(&kind);
                }
            }
        }
    }

    fn take(&self, kind: &Kind) -> BTreeSet<AnyKey> {
        self.0.lock().remove(&(kind.group.to_owned(), kind.name.to_owned())).unwrap_or_default()
    }
}

/// An object that has gone is gone for good, and if its kind goes with it, nobody can be asked any more.
fn remember_gone(kinds: &AllKinds, absent: &Absent, change: &Change<'_, PartialObject>) {
    let Some(old) = change.old.filter(|_| change.new.is_none()) else { return };
    if !dependent_keys(kinds, &old.metadata.uid).is_empty() {
        absent.remember_gone(&old.metadata.uid);
    }
}

/// The group and name of the kind that a reference names.
fn named_kind(owner: &OwnerReference) -> (String, String) {
    let (group, _) = split_api_version(&owner.api_version);
    (group.to_owned(), owner.kind.clone())
}

/// The kind that a reference names, whatever the version.
fn kind_of(kinds: &AllKinds, owner: &OwnerReference) -> Option<Served> {
    let (group, _) = split_api_version(&owner.api_version);
    kinds.named(group, &owner.kind)
}

fn dependent_keys(kinds: &AllKinds, uid: &str) -> Vec<AnyKey> {
    let of_kind = |(kind, _, cache): Served| {
        let objects = cache.select(&BY_OWNER, uid);
        objects.into_iter().map(move |object| AnyKey { object: ObjectKey::of(&object.metadata), kind })
    };
    kinds.served().into_iter().flat_map(of_kind).collect()
}

/// Whom a change of an object of a kind concerns: the object itself if its owners or finalizers are news; its owners if it no
/// longer holds them; its dependents if it is on its way out.
fn touched(kinds: &AllKinds, kind: usize, change: &Change<'_, PartialObject>) -> Vec<AnyKey> {
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
        keys.extend(key_of(kinds, owner, &old));
    }
    if old.uid != new.uid {
        keys.extend(dependent_keys(kinds, &old.uid));
    }
    if new.is_terminating() && new.finalizers.iter().any(|name| name == FOREGROUND) {
        keys.extend(dependent_keys(kinds, &new.uid));
    }
    keys
}

fn key_of(kinds: &AllKinds, owner: &OwnerReference, dependent: &Metadata) -> Option<AnyKey> {
    let (place, kind, _) = kind_of(kinds, owner)?;
    Some(AnyKey { object: ObjectKey::of_owner(dependent, owner, kind.is_namespaced()), kind: place })
}

/// Whether there is anything to decide about an object.
fn concerns(metadata: &Metadata) -> bool {
    let held = metadata.finalizers.iter().any(|name| name == FOREGROUND || name == ORPHAN);
    !metadata.owner_references.is_empty() || (metadata.is_terminating() && held)
}

#[cfg(test)]
mod tests;
