//! [`Future`]: a copy of the world, in which what follows happens.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use orch_api::plan::{ChangeAction, Eviction, ObjectChange, Placement, PlanTarget};
use orch_api::{Kind, Metadata, OwnerReference, Resource, Time, View};
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
    /// How many pods workloads have made.
    pub(super) made: usize,
    /// Workloads that may have something to do.
    pub(super) unsettled: BTreeSet<ObjectKey>,
    /// Pods that were on a node before anything happened, by uid.
    pub(super) ran: BTreeMap<String, Arc<Pod>>,
    /// The pods that have gone, and where new ones have come.
    pub(super) gone: Vec<Arc<Pod>>,
    pub(super) came: Vec<Arc<Pod>>,
    pub(super) changes: Vec<ObjectChange>,
    pub(super) placements: Vec<Placement>,
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
            unsettled: BTreeSet::new(),
            ran: BTreeMap::new(),
            gone: Vec::new(),
            came: Vec::new(),
            changes: Vec::new(),
            placements: Vec::new(),
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

/// The objects that differ between two views, as they were and as they have become. What has not been written is the very same
/// bytes, which costs a comparison of addresses.
pub(super) fn touched(before: &dyn View, after: &dyn View) -> Vec<Touched> {
    let mut all = Vec::new();
    for kind in after.kinds() {
        let (old, new) = (before.objects(&kind), after.objects(&kind));
        let (old, new) = (differing(&kind, &old, &new), differing(&kind, &new, &old));
        let mut new: BTreeMap<ObjectKey, Item> =
            new.into_iter().map(|item| (ObjectKey::of(&item.metadata), item)).collect();
        for item in old {
            let now = new.remove(&ObjectKey::of(&item.metadata));
            all.push((Some(item), now));
        }
        all.extend(new.into_values().map(|item| (None, Some(item))));
    }
    all
}

fn differing(kind: &Kind, these: &[Bytes], those: &[Bytes]) -> Vec<Item> {
    let place = |bytes: &Bytes| (bytes.as_ptr() as usize, bytes.len());
    let known: HashSet<(usize, usize)> = those.iter().map(place).collect();
    let other = these.iter().filter(|bytes| !known.contains(&place(bytes)));
    other.filter_map(|object| item(kind, object)).collect()
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
