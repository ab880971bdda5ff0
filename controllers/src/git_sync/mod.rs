//! Keeps the manifests of Git repositories applied.
//!
//! - `fetch.rs`: what a repository says, read by a process of its own (`orch_gitops::source`); `look.rs`: when, and which commit.
//! - Pure: `desired.rs` (what there should be), `guard.rs` (what is not done unasked), `health.rs` (whether it works),
//!   `depends.rs` (what must be ready first), `told.rs` (conditions).
//! - `plans.rs`: every sync is a plan, made and applied on behalf of the sync's service account.
//! - `sync.rs` does one after the other; `made.rs` makes it so as a commit says, `removals.rs` finds what goes; `works.rs` looks at
//!   what has been applied; `finish.rs` takes it away again.
//!
//! # Invariants
//!
//! - A repository that cannot be read, or whose manifests are wrong, changes nothing.
//! - A repository can do what its service account may do, and no more: nothing that it says is done with other rights.
//! - When nothing differs, nothing is written.
//! - While the newest commit cannot be applied, the one that is stays in step.

mod depends;
mod desired;
mod drift;
mod fetch;
mod finish;
mod guard;
mod health;
mod index;
mod look;
mod made;
mod plans;
mod removals;
mod sync;
mod told;
mod works;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use orch_api::{
    Api, Client, Clock, ConditionStatus, Params, Patch, Request, Status, Target, Time, Verb,
    split_api_version,
};
use orch_controller_runtime::{
    ActAs, Cache, Change, Context, Controller, Note, ObjectKey, ObjectReference, Outcome, PartialObject,
    Reconciler, Recorder, Severity,
};
use orch_ontology::{CustomResourceDefinition, GitSync, GitSyncStatus, InventoryItem};
use parking_lot::Mutex;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::kinds::{AllKinds, lasting};
use fetch::{Fetcher, Fetching, Loaded};
use index::Inventories;
use plans::Plans;
use told::Telling;

const NAME: &str = "gitsync-controller";

/// What the controller needs beside the API.
#[derive(Clone, Default)]
pub struct Settings {
    /// The program that reads repositories.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where it keeps what it has fetched: a directory for each sync. Nothing is lost with it.
    pub cache: PathBuf,
    /// The directories below which repositories of this machine may be read.
    pub local_roots: Vec<PathBuf>,
}

/// Runs the controller until cancelled.
pub async fn run(context: Context, settings: Settings, cancel: CancellationToken) {
    let syncs: Arc<Cache<GitSync>> = context.caches.of();
    let dependents = syncs.clone();
    let controller = Controller::<GitSync>::new(&context).watches::<GitSync>(move |changed| {
        let (namespace, name) = (changed.metadata.namespace(), &changed.metadata.name);
        let waits =
            |sync: &Arc<GitSync>| sync.spec.depends_on.iter().any(|other| other.name.as_str() == name);
        let all = dependents.in_namespace(namespace);
        all.iter().filter(|sync| waits(sync)).map(|sync| ObjectKey::of(&sync.metadata)).collect()
    });
    let inventories = Arc::new(Inventories::default());
    let known = inventories.clone();
    syncs.subscribe(move |change| match change.new {
        Some(sync) => known.set(change.key, &works::looked_at(sync, &[])),
        None => known.set(change.key, &[]),
    });
    let (queue, belonging) = (controller.queue(), inventories.clone());
    let fetcher = Fetcher::new(context.client.clone(), settings.clone(), queue.clone());
    let touched = move |kinds: &AllKinds, place: usize, change: &Change<'_, PartialObject>| {
        if let Some((kind, _)) = kinds.at(place) {
            belonging.of(kind.group, kind.name, change.key).into_iter().for_each(|key| queue.add(key));
        }
    };
    let kinds = AllKinds::follow(&context, lasting(), touched, &cancel);
    let syncer = Syncer {
        client: context.client.clone(),
        definitions: context.caches.of(),
        clock: context.clock.clone(),
        recorder: context.recorder.component(NAME),
        memories: Mutex::default(),
        syncs,
        kinds,
        inventories,
        fetcher,
        cache: settings.cache,
        act_as: context.act_as.clone(),
    };
    if cancel.run_until_cancelled(context.caches.synced()).await.is_some() {
        syncer.forget_unknown().await;
    }
    controller.reconcile(Arc::new(syncer), cancel).await;
}

struct Syncer {
    client: Arc<dyn Client>,
    syncs: Arc<Cache<GitSync>>,
    definitions: Arc<Cache<CustomResourceDefinition>>,
    kinds: Arc<AllKinds>,
    inventories: Arc<Inventories>,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
    fetcher: Fetcher,
    cache: PathBuf,
    act_as: ActAs,
    memories: Mutex<BTreeMap<ObjectKey, Memory>>,
}

/// What is known of a sync beside its object. Nothing is lost with it but time.
#[derive(Default)]
struct Memory {
    /// Of which object.
    uid: String,
    /// What its spec was when the commits were read.
    generation: Option<i64>,
    /// The newest commit.
    newest: Option<Arc<Loaded>>,
    /// An older one that is applied or was healthy, once it has been needed.
    older: Option<Arc<Loaded>>,
    /// The look at the repository that is under way, and what had been asked for when it began.
    looking: Option<(Asked, Fetching)>,
    /// The older commit that is being fetched.
    fetching_older: Option<(String, Fetching)>,
    /// What was asked for when the repository was last looked at.
    asked: Option<Asked>,
    /// When it is looked at next.
    next_look: Option<Timestamp>,
    /// Whether the commit that failed is to be tried again, once the repository can be read.
    tries_again: bool,
    /// Before when an older commit is not asked for again.
    older_not_before: Option<Timestamp>,
    /// What has been found about commits, since the repository was last looked at.
    found: BTreeMap<String, Found>,
    /// When what others had changed was changed back lately.
    corrections: Vec<Timestamp>,
    /// The objects when their health was last looked at.
    health_seen: Option<Vec<Seen>>,
}

/// What makes a repository be looked at before its time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    generation: Option<i64>,
    annotation: String,
    pushed: String,
    approved: String,
}

impl Asked {
    fn of(sync: &GitSync) -> Self {
        Self {
            generation: sync.metadata.generation,
            annotation: annotation(sync, GitSync::RECONCILE).to_owned(),
            pushed: annotation(sync, GitSync::PUSHED).to_owned(),
            approved: annotation(sync, GitSync::APPROVE).to_owned(),
        }
    }
}

/// That nothing differs from a commit, or that it is not applied; and what the objects were then.
struct Found {
    generation: Option<i64>,
    objects: Vec<Seen>,
    /// Until when it is not tried to apply it.
    waits: Option<Timestamp>,
}

/// An object as it is known without reading it: its uid, and what tells that it has changed.
type Seen = Option<(String, String)>;

#[async_trait]
impl Reconciler for Syncer {
    type Key = ObjectKey;

    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Status> {
        let Some(sync) = self.syncs.get(key) else {
            if let Some(memory) = self.memories.lock().remove(key) {
                self.forget(&memory.uid);
            }
            return Ok(Outcome::Done);
        };
        if sync.metadata.is_terminating() {
            return self.finish(&sync).await;
        }
        if self.mend_finalizer(&sync).await? || sync.spec.suspend {
            return Ok(Outcome::Done);
        }
        let mut memory = self.memories.lock().remove(key).unwrap_or_default();
        if memory.uid != sync.metadata.uid {
            memory = Memory { uid: sync.metadata.uid.clone(), ..Memory::default() };
        }
        let mut telling = Telling::of(&sync, Time::new(self.clock.now()));
        let wait = self.sync(&sync, &mut memory, &mut telling).await;
        // Nothing is known of a new spec before the repository has been looked at for it.
        let is_looking = memory.newest.is_none() && memory.looking.is_some();
        self.memories.lock().insert(key.clone(), memory);
        match &wait {
            Ok(_) if is_looking => {}
            Ok(_) => telling.observed(),
            // What has been done before it failed is told all the same.
            Err(status) => telling.unready("Unavailable", &status.message),
        }
        self.write(&sync, &telling.status).await?;
        wait.map(Outcome::After)
    }
}

impl Syncer {
    /// The way to make plans on behalf of the sync's account.
    fn plans(&self, sync: &GitSync, reason: String) -> Plans {
        Plans { client: (self.act_as)(sync.metadata.namespace(), account(sync)), reason }
    }

    async fn write(&self, sync: &GitSync, status: &GitSyncStatus) -> Result<(), Status> {
        if *status == sync.status {
            return Ok(());
        }
        let mut written = sync.clone();
        written.status = status.clone();
        // Nobody else writes the status: whatever else has changed meanwhile stays as it is.
        written.metadata.resource_version.clear();
        self.seen_again(self.api(sync).update_status(&written).await).await
    }

    /// Waits until the cache shows what has been written: the next look begins with it. What is gone, or was changed by somebody
    /// who was faster, is seen anyway.
    async fn seen_again(&self, written: Result<GitSync, Status>) -> Result<(), Status> {
        match written {
            Ok(written) => {
                if let Ok(revision) = written.metadata.resource_version.parse() {
                    self.syncs.reached(revision).await;
                }
                Ok(())
            }
            Err(status) if status.code == 404 || status.code == 409 => Ok(()),
            Err(status) => Err(status),
        }
    }

    fn api(&self, sync: &GitSync) -> Api<GitSync> {
        Api::namespaced(self.client.clone(), sync.metadata.namespace()).manager(NAME)
    }

    fn note(&self, sync: &GitSync, severity: Severity, reason: &str, message: &str) {
        let (reason, message) = (reason.to_owned(), message.to_owned());
        self.recorder.record(Note { about: ObjectReference::to(sync), severity, reason, message });
    }

    /// One that prunes has a finalizer, and no other. Tells whether it has been changed.
    async fn mend_finalizer(&self, sync: &GitSync) -> Result<bool, Status> {
        let has = sync.metadata.finalizers.iter().any(|finalizer| finalizer == GitSync::FINALIZER);
        if has == sync.spec.prune {
            return Ok(false);
        }
        let mut finalizers = other_finalizers(sync);
        if sync.spec.prune {
            finalizers.push(GitSync::FINALIZER.to_owned());
        }
        self.set_finalizers(sync, finalizers).await.map(|()| true)
    }

    async fn set_finalizers(&self, sync: &GitSync, finalizers: Vec<String>) -> Result<(), Status> {
        let metadata = &sync.metadata;
        let patch =
            json!({"metadata": {"finalizers": finalizers, "resourceVersion": metadata.resource_version}});
        let patched = self.api(sync).patch(&metadata.name, &Patch::Merge(patch), Params::default()).await;
        self.seen_again(patched).await
    }

    /// Throws away what has been fetched for a sync that is gone.
    fn forget(&self, uid: &str) {
        if uid.is_empty() || uid.contains(['/', '.']) {
            return;
        }
        let cache = self.cache.join(uid);
        // Whether it was there or not: it is only a cache.
        drop(tokio::task::spawn_blocking(move || std::fs::remove_dir_all(cache)));
    }

    /// Throws away what was fetched for syncs that have gone while this process did not look.
    async fn forget_unknown(&self) {
        let cache = self.cache.clone();
        let named = move || {
            std::fs::read_dir(cache).map(|entries| entries.flatten().map(|entry| entry.file_name()).collect())
        };
        let found: std::io::Result<Vec<OsString>> =
            tokio::task::spawn_blocking(named).await.unwrap_or_else(|_| Ok(Vec::new()));
        let syncs = self.syncs.list();
        let known: BTreeSet<&str> = syncs.iter().map(|sync| sync.metadata.uid.as_str()).collect();
        // Without a directory there is nothing to throw away.
        for name in found.unwrap_or_default().iter().filter_map(|name| name.to_str()) {
            if !known.contains(name) {
                self.forget(name);
            }
        }
    }

    /// What objects are, as the caches know them; `all` changes of them, or only those of what people write.
    fn seen(&self, items: &[InventoryItem], all: bool) -> Vec<Seen> {
        let one = |item: &InventoryItem| {
            let (group, _) = split_api_version(&item.api_version);
            let (_, _, cache) = self.kinds.named(group, &item.kind)?;
            let object = cache.get(&ObjectKey::new(item.namespace.clone(), item.name.clone()))?;
            let metadata = &object.metadata;
            let generation = metadata.generation.filter(|generation| *generation > 0 && !all);
            let version = match generation {
                Some(generation) => format!("g{generation}.{:x}", object.marks),
                None => metadata.resource_version.clone(),
            };
            Some((metadata.uid.clone(), version))
        };
        items.iter().map(one).collect()
    }

    /// An object as it is, read in the name of whoever the client is of.
    async fn find(
        &self,
        client: &Arc<dyn Client>,
        item: &InventoryItem,
    ) -> Result<Option<serde_json::Value>, Status> {
        let (group, _) = split_api_version(&item.api_version);
        let Some((_, kind, _)) = self.kinds.named(group, &item.kind) else {
            let defines = |definition: &Arc<CustomResourceDefinition>| {
                let is_refused = definition.status.conditions.iter().any(|condition| {
                    condition.condition_type == "NamesAccepted" && condition.status == ConditionStatus::False
                });
                definition.spec.group == group
                    && definition.spec.names.kind == item.kind
                    && (definition.is_established() || !is_refused)
            };
            // The caches may have the definition before it is accepted, and before they have what it defines.
            return match self.definitions.list().iter().any(defines) {
                true => Err(Status::unavailable(format!("{} is not followed yet", item.kind))),
                false => Ok(None),
            };
        };
        let target = Target::in_namespace(&kind, item.namespace.clone()).named(item.name.clone());
        let request = Request { verb: Verb::Get, target, params: Params::default(), body: None };
        match client.send(request).await {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(Status::internal),
            Err(status) if status.code == 404 => Ok(None),
            Err(status) => Err(status),
        }
    }
}

fn annotation<'a>(sync: &'a GitSync, name: &str) -> &'a str {
    sync.metadata.annotations.get(name).map(String::as_str).unwrap_or_default()
}

/// The name of the account on whose behalf objects are changed.
fn account(sync: &GitSync) -> &str {
    sync.spec.service_account_name.as_ref().map_or("default", |account| account.as_str())
}

/// The finalizers that others have put there.
fn other_finalizers(sync: &GitSync) -> Vec<String> {
    let finalizers = sync.metadata.finalizers.iter();
    finalizers.filter(|finalizer| *finalizer != GitSync::FINALIZER).cloned().collect()
}
