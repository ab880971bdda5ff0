//! What goes along: what belonged to what is gone, what is in a namespace that goes, what ran on a node that is gone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use orch_api::plan::ChangeAction;
use orch_api::{Metadata, Resource as _, View, split_api_version};
use orch_controller_runtime::{Action, ObjectKey, Write};
use orch_ontology::{Event, Namespace, Node, Pod};

use super::future::{Future, Item, Touched, item};
use crate::garbage::{Dependent, FOREGROUND, ORPHAN, Owner, OwnerState, World, plan};
use crate::pod_gc;

/// Lets everything go that goes along.
pub(super) fn collect(future: &mut Future, after: &dyn View) {
    let leaving: Vec<Item> = future.touched.iter().filter_map(leaving).collect();
    if !leaving.is_empty() {
        let mut heap = Heap::new(after);
        // What is asked to go has gone in the end.
        leaving.iter().filter(|item| item.kind == Pod::KIND).for_each(|item| heap.forget(&item.metadata.uid));
        empty_namespaces(future, &mut heap, &leaving);
        heap.collect(future, leaving);
    }
    leave_nodes(future);
}

/// Lets everything go that goes along with pods that others have deleted.
pub(super) fn follow(future: &mut Future, after: &dyn View, pods: &[Arc<Pod>]) {
    if pods.is_empty() {
        return;
    }
    let mut heap = Heap::new(after);
    pods.iter().for_each(|pod| heap.forget(&pod.metadata.uid));
    let leaving = pods.iter().map(|pod| Item { kind: Pod::KIND, metadata: pod.metadata.clone() });
    heap.collect(future, leaving.collect());
}

/// The object of a change, if it has gone or is about to.
pub(super) fn leaving((before, after): &Touched) -> Option<Item> {
    let before = before.as_ref()?;
    match after {
        Some(after) if after.metadata.uid == before.metadata.uid => {
            let news = after.metadata.is_terminating() && !before.metadata.is_terminating();
            news.then(|| after.clone())
        }
        _ => Some(before.clone()),
    }
}

/// Pods whose node is gone go with it, as the pod collector decides.
fn leave_nodes(future: &mut Future) {
    let is_node = |item: &Option<Item>| item.as_ref().is_some_and(|item| item.kind == Node::KIND);
    let nodes_touched = future.touched.iter().any(|(before, after)| is_node(before) || is_node(after));
    if !nodes_touched && !future.supposes {
        return;
    }
    let gone = |node: &str| !node.is_empty() && !future.nodes.contains_key(node);
    let mut stray: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for pod in future.pods.values().filter(|pod| gone(pod.spec.node_name.as_str())) {
        stray.entry(pod.spec.node_name.as_str().to_owned()).or_default().push(pod.clone());
    }
    for (node, pods) in stray {
        for write in pod_gc::plan(&node, &pods).writes {
            future.remove_pod(&write.key(), &format!("its node {node} is gone"));
        }
    }
}

/// What is in a namespace goes before it does.
fn empty_namespaces(future: &mut Future, heap: &mut Heap, leaving: &[Item]) {
    let gone: BTreeSet<&str> = leaving
        .iter()
        .filter(|item| item.kind == Namespace::KIND)
        .map(|item| item.metadata.name.as_str())
        .collect();
    let inside = |item: &Item| item.kind != Event::KIND && gone.contains(item.metadata.namespace());
    let uids: Vec<String> =
        heap.items.values().filter(|item| inside(item)).map(|item| item.metadata.uid.clone()).collect();
    for uid in uids {
        let because = format!("its namespace {} is deleted", heap.items[&uid].metadata.namespace());
        heap.remove(future, &uid, &because);
    }
}

/// The metadata of all objects, by uid, and who belongs to whom.
struct Heap {
    items: BTreeMap<String, Item>,
    owned: BTreeMap<String, BTreeSet<String>>,
    kinds: BTreeSet<(&'static str, &'static str)>,
}

impl Heap {
    fn new(after: &dyn View) -> Self {
        let kinds = after.kinds();
        let mut heap = Self {
            items: BTreeMap::new(),
            owned: BTreeMap::new(),
            kinds: kinds.iter().map(|kind| (kind.group, kind.name)).collect(),
        };
        for kind in kinds {
            let items = after.objects(&kind).into_iter().filter_map(|object| item(&kind, &object));
            items.for_each(|item| heap.put(item));
        }
        heap
    }

    /// An object is no longer there.
    fn forget(&mut self, uid: &str) {
        self.items.remove(uid);
    }

    fn put(&mut self, item: Item) {
        let uid = item.metadata.uid.clone();
        for owner in &item.metadata.owner_references {
            self.owned.entry(owner.uid.clone()).or_default().insert(uid.clone());
        }
        self.items.insert(uid, item);
    }

    /// Lets the garbage collector decide about whoever belongs to what leaves, and so on, until nothing is left to decide.
    fn collect(&mut self, future: &mut Future, leaving: Vec<Item>) {
        let mut queue: VecDeque<String> = VecDeque::new();
        for item in leaving {
            queue.extend(self.dependents(&item.metadata.uid));
            queue.push_back(item.metadata.uid);
        }
        // Every decision takes something away: an object, an owner, a finalizer.
        while let Some(uid) = queue.pop_front() {
            let Some(world) = self.world(&uid) else { continue };
            let owners: Vec<String> =
                world.metadata.owner_references.iter().map(|owner| owner.uid.clone()).collect();
            let because = because(&world);
            for write in plan(&world).writes {
                let Some(touched) = self.carry_out(future, &write, &because) else { continue };
                queue.extend(self.dependents(&touched));
                queue.push_back(touched);
                queue.extend(owners.iter().cloned());
            }
        }
    }

    fn dependents(&self, uid: &str) -> Vec<String> {
        self.owned
            .get(uid)
            .into_iter()
            .flatten()
            .filter(|uid| self.items.contains_key(*uid))
            .cloned()
            .collect()
    }

    fn world(&self, uid: &str) -> Option<World> {
        let Item { kind, metadata } = self.items.get(uid)?.clone();
        let owners = metadata.owner_references.iter().map(|reference| {
            let (group, _) = split_api_version(&reference.api_version);
            let is_known = self.kinds.iter().any(|known| *known == (group, reference.kind.as_str()));
            let state = match self.items.get(&reference.uid) {
                Some(owner) if is_waiting(&owner.metadata) => OwnerState::Waiting,
                Some(_) => OwnerState::Present,
                None if is_known => OwnerState::Absent,
                None => OwnerState::Unknown,
            };
            Owner { reference: reference.clone(), state }
        });
        let owners = owners.collect();
        let dependents = self.dependents(uid).into_iter().filter_map(|uid| {
            let Item { kind, metadata } = self.items.get(&uid)?.clone();
            Some(Dependent { kind, metadata })
        });
        Some(World { kind, owners, dependents: dependents.collect(), metadata })
    }

    /// Does what the garbage collector writes. Answers whom it was about.
    fn carry_out(&mut self, future: &mut Future, write: &Write, because: &str) -> Option<String> {
        let target = &write.target;
        let is_meant = |item: &&Item| {
            (item.kind.group, item.kind.plural) == (&*target.group, &*target.plural)
                && ObjectKey::of(&item.metadata) == write.key()
        };
        let meant = self.items.values().find(is_meant)?.metadata.uid.clone();
        match &write.action {
            Action::Delete { propagation, .. } => {
                let held = propagation.and_then(|propagation| match propagation {
                    orch_api::Propagation::Foreground => Some(FOREGROUND),
                    orch_api::Propagation::Orphan => Some(ORPHAN),
                    orch_api::Propagation::Background => None,
                });
                match held {
                    Some(finalizer) => self.hold(&meant, finalizer),
                    None => self.remove(future, &meant, because),
                }
            }
            Action::Merge(patch) => self.merge(future, &meant, &patch["metadata"], because),
            _ => {}
        }
        Some(meant)
    }

    /// The object waits for others to go first.
    fn hold(&mut self, uid: &str, finalizer: &str) {
        let Some(item) = self.items.get_mut(uid) else { return };
        item.metadata.deletion_timestamp.get_or_insert(orch_api::Time::new(jiff::Timestamp::UNIX_EPOCH));
        if !item.metadata.finalizers.iter().any(|name| name == finalizer) {
            item.metadata.finalizers.push(finalizer.to_owned());
        }
    }

    fn merge(&mut self, future: &mut Future, uid: &str, patch: &serde_json::Value, because: &str) {
        let Some(item) = self.items.get_mut(uid) else { return };
        if let Some(finalizers) = patch.get("finalizers") {
            item.metadata.finalizers = serde_json::from_value(finalizers.clone()).unwrap_or_default();
        }
        if let Some(owners) = patch.get("ownerReferences") {
            item.metadata.owner_references = serde_json::from_value(owners.clone()).unwrap_or_default();
            let owners: BTreeSet<String> =
                item.metadata.owner_references.iter().map(|owner| owner.uid.clone()).collect();
            let lost = self.owned.iter_mut().filter(|(owner, _)| !owners.contains(*owner));
            lost.for_each(|(_, owned)| {
                owned.remove(uid);
            });
        }
        let Item { kind, metadata } = item.clone();
        match metadata.is_terminating() && metadata.finalizers.is_empty() {
            true => self.remove(future, uid, because),
            false if !metadata.is_terminating() => {
                future.tell(&kind, &metadata, ChangeAction::Changed, because);
            }
            false => {}
        }
    }

    /// The object goes. That the changes themselves say so is told already.
    fn remove(&mut self, future: &mut Future, uid: &str, because: &str) {
        let Some(Item { kind, metadata }) = self.items.remove(uid) else { return };
        let key = ObjectKey::of(&metadata);
        let is_told = future.touched.iter().filter_map(leaving).any(|item| item.metadata.uid == uid);
        future.workloads.retain(|_, workload| workload.metadata.uid != uid);
        match kind == Pod::KIND {
            true => future.remove_pod(&key, because),
            false if !is_told => future.tell(&kind, &metadata, ChangeAction::Deleted, because),
            false => {}
        }
    }
}

/// Whether an object waits for its dependents to go.
fn is_waiting(owner: &Metadata) -> bool {
    owner.is_terminating() && owner.finalizers.iter().any(|name| name == FOREGROUND)
}

fn because(world: &World) -> String {
    let leaves = |owner: &&Owner| matches!(owner.state, OwnerState::Absent | OwnerState::Waiting);
    match world.owners.iter().find(leaves) {
        Some(owner) => format!("its owner {} {} is deleted", owner.reference.kind, owner.reference.name),
        None => "what it owns no longer holds it".to_owned(),
    }
}
