//! [`Future`]: a copy of the world, in which what follows happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orch_api::plan::{ChangeAction, Eviction, ObjectChange, Placement, PlanTarget};
use orch_api::{Kind, Metadata, OwnerReference, Resource, Scene, Time, View};
use orch_controller_runtime::ObjectKey;
use orch_ontology::{Node, Pod, Service, Workload};
use serde::Deserialize;

/// All objects of a kind, as a type. One that cannot be read is nothing that a controller would see.
pub(super) fn objects<K: Resource>(view: &dyn View, kind: &Kind) -> Vec<K> {
    view.objects(kind).iter().filter_map(|object| serde_json::from_slice(object).ok()).collect()
}

/// An object of any kind.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) kind: Kind,
    pub(super) metadata: Metadata,
}

/// An object that the changes have touched, as it was and as it has become.
pub(super) type Touched = (Option<Item>, Option<Item>);

/// A copy of the world, and what has happened in it.
pub(super) struct Future {
    pub(super) nodes: BTreeMap<String, Node>,
    /// Those that neither have ended nor are about to go.
    pub(super) pods: BTreeMap<ObjectKey, Arc<Pod>>,
    pub(super) workloads: BTreeMap<ObjectKey, Workload>,
    /// The services there were and those there are.
    pub(super) services: Vec<Service>,
    /// What the changes have touched, as it was and as it has become; not all of it differs for us.
    pub(super) touched: Vec<Touched>,
    /// A simulation supposes more than what the changes have touched.
    pub(super) supposes: bool,
    /// How many pods workloads have made, and each of them.
    pub(super) made: usize,
    pub(super) made_by: BTreeMap<ObjectKey, usize>,
    /// How many pods have been looked at while workloads were settled.
    pub(super) looked: usize,
    /// How many pods would still come and go that have not been looked for.
    pub(super) omitted: usize,
    /// Workloads that may have something to do.
    pub(super) unsettled: BTreeSet<ObjectKey>,
    /// Pods that were on a node before anything happened, by uid.
    pub(super) ran: BTreeMap<String, Arc<Pod>>,
    /// The pods that have gone, and where new ones have come.
    pub(super) gone: Vec<Arc<Pod>>,
    pub(super) came: Vec<Arc<Pod>>,
    pub(super) changes: Vec<ObjectChange>,
    pub(super) placements: Vec<Placement>,
    pub(super) unplaced: Unplaced,
    pub(super) evictions: Vec<Eviction>,
}

impl Future {
    /// The world as it has become. Pods that the changes take away have gone.
    pub(super) fn new(before: &dyn View, after: &dyn View, touched: Vec<Touched>) -> Self {
        let pods: Vec<Pod> = objects(after, &Pod::KIND);
        let stays = |pod: &Pod| !pod.is_terminal() && !pod.is_terminating();
        let pods = pods.into_iter().filter(stays).map(|pod| (ObjectKey::of(&pod.metadata), Arc::new(pod)));
        let nodes: Vec<Node> = objects(after, &Node::KIND);
        let workloads: Vec<Workload> = objects(after, &Workload::KIND);
        let mut future = Self {
            nodes: nodes.into_iter().map(|node| (node.metadata.name.clone(), node)).collect(),
            pods: pods.collect(),
            workloads: workloads.into_iter().map(|w| (ObjectKey::of(&w.metadata), w)).collect(),
            services: objects(before, &Service::KIND)
                .into_iter()
                .chain(objects(after, &Service::KIND))
                .collect(),
            touched,
            supposes: false,
            made: 0,
            made_by: BTreeMap::new(),
            looked: 0,
            omitted: 0,
            unsettled: BTreeSet::new(),
            ran: BTreeMap::new(),
            gone: Vec::new(),
            came: Vec::new(),
            changes: Vec::new(),
            placements: Vec::new(),
            unplaced: Unplaced::default(),
            evictions: Vec::new(),
        };
        future.look_back(before);
        future
    }

    /// What was running, and which of it the changes themselves take away.
    fn look_back(&mut self, before: &dyn View) {
        let pods: Vec<Pod> = objects(before, &Pod::KIND);
        let ran = pods.into_iter().filter(|pod| !pod.is_terminal() && !pod.is_terminating());
        for pod in ran.map(Arc::new) {
            let now = self.pods.get(&ObjectKey::of(&pod.metadata));
            if now.is_none_or(|now| now.metadata.uid != pod.metadata.uid) {
                self.lose(&pod, "the plan deletes it");
            }
            if pod.is_scheduled() {
                self.ran.insert(pod.metadata.uid.clone(), pod);
            }
        }
        let touched = self.touched.iter().flat_map(|(before, after)| [before, after]).flatten();
        let workloads = touched.filter(|item| item.kind == Workload::KIND);
        self.unsettled.extend(workloads.map(|item| ObjectKey::of(&item.metadata)));
    }

    /// A pod goes, for a reason.
    pub(super) fn lose(&mut self, pod: &Arc<Pod>, because: &str) {
        self.evictions.push(Eviction {
            namespace: pod.metadata.namespace().to_owned(),
            pod: pod.metadata.name.clone(),
            node: pod.node_name().unwrap_or_default().to_owned(),
            because: because.to_owned(),
        });
        self.unsettled.extend(orch_controller_runtime::managing::<Workload>(&pod.metadata));
        self.unplaced.forget(&ObjectKey::of(&pod.metadata));
        self.gone.push(pod.clone());
    }

    /// A pod goes that the changes did not name: it is taken out of the world.
    pub(super) fn remove_pod(&mut self, key: &ObjectKey, because: &str) {
        if let Some(pod) = self.pods.remove(key) {
            self.tell(&Pod::KIND, &pod.metadata, ChangeAction::Deleted, because);
            self.lose(&pod, because);
        }
    }

    /// Tells what becomes of an object that the changes did not name.
    pub(super) fn tell(&mut self, kind: &Kind, metadata: &Metadata, action: ChangeAction, because: &str) {
        let target = PlanTarget {
            api_version: kind.api_version(),
            kind: kind.name.to_owned(),
            namespace: metadata.namespace().to_owned(),
            name: metadata.name.clone(),
            subresource: String::new(),
        };
        let because = because.to_owned();
        self.changes.push(ObjectChange { target, action, because, ..ObjectChange::default() });
    }
}

/// Pods that fit nowhere, and what speaks against the nodes.
#[derive(Default)]
pub(super) struct Unplaced {
    /// Why, in one sentence.
    pods: BTreeMap<ObjectKey, String>,
    /// What speaks against each node, by that sentence: it is the same for many pods, and as long as there are nodes.
    reasons: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

impl Unplaced {
    /// Of how many nodes at most it is told what speaks against them; of all of them for the first pod.
    const EXPLAINED: usize = 1_000;

    pub(super) fn put(&mut self, key: ObjectKey, why: &orch_scheduler::Placement) {
        let message = why.message();
        let explained: usize = self.reasons.values().map(BTreeMap::len).sum();
        if explained < Self::EXPLAINED && !self.reasons.contains_key(&message) {
            let reasons = why.reasons().map(|(node, reasons)| (node.to_owned(), reasons)).collect();
            self.reasons.insert(message.clone(), reasons);
        }
        self.pods.insert(key, message);
    }

    pub(super) fn forget(&mut self, key: &ObjectKey) {
        self.pods.remove(key);
    }

    pub(super) fn contains(&self, key: &ObjectKey) -> bool {
        self.pods.contains_key(key)
    }

    pub(super) fn told(mut self) -> impl Iterator<Item = Placement> {
        self.pods.into_iter().map(move |(key, message)| Placement {
            namespace: key.namespace,
            pod: key.name,
            reasons: self.reasons.remove(&message).unwrap_or_default(),
            message,
            ..Placement::default()
        })
    }
}

/// What the changes have touched, as far as it can be read.
pub(super) fn touched(scene: &dyn Scene) -> Vec<Touched> {
    let sides = scene.touched().into_iter().map(|object| {
        [object.before, object.after].map(|side| side.and_then(|side| item(&object.kind, &side)))
    });
    sides
        .map(|[before, after]| (before, after))
        .filter(|(before, after)| before.is_some() || after.is_some())
        .collect()
}

/// As much as an [`Item`] says of an object. Everything else, which is most of it, is not read.
#[derive(Deserialize)]
struct Sparse {
    metadata: SparseMetadata,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SparseMetadata {
    name: String,
    namespace: Option<String>,
    uid: String,
    deletion_timestamp: Option<Time>,
    finalizers: Vec<String>,
    owner_references: Vec<OwnerReference>,
}

/// An object of any kind, as it is stored.
pub(super) fn item(kind: &Kind, object: &[u8]) -> Option<Item> {
    let Sparse { metadata } = serde_json::from_slice(object).ok()?;
    let SparseMetadata { name, namespace, uid, deletion_timestamp, finalizers, owner_references } = metadata;
    let metadata = Metadata {
        name,
        namespace,
        uid,
        deletion_timestamp,
        finalizers,
        owner_references,
        ..Metadata::default()
    };
    Some(Item { kind: *kind, metadata })
}
