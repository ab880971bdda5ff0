//! What goes along: what belonged to what is gone, what is in a namespace or of a kind that goes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use orch_api::plan::ChangeAction;
use orch_api::{Metadata, Resource as _, View, split_api_version};
use orch_controller_runtime::{Action, ObjectKey, Write};
use orch_ontology::{CustomResourceDefinition, Event, KINDS, Namespace, Pod, Workload};

use super::future::{Future, Item, Touched, item};
use crate::garbage::{Dependent, FOREGROUND, ORPHAN, Owner, OwnerState, World, plan};

/// Lets everything go that goes along with what leaves. The heap is made of `after` when it is needed.
pub(super) fn collect(future: &mut Future, heap: &mut Option<Heap>, after: &dyn View, leaving: Vec<Item>) {
    if leaving.is_empty() {
        return;
    }
    let heap = heap.get_or_insert_with(|| Heap::new(after));
    heap.told.extend(leaving.iter().map(|item| item.metadata.uid.clone()));
    // What is asked to go has gone in the end.
    let pods = leaving.iter().filter(|item| item.kind == Pod::KIND);
    pods.for_each(|item| drop(heap.forget(&item.metadata.uid)));
    let contents = heap.empty(future, &leaving);
    heap.collect(future, leaving.into_iter().chain(contents));
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

/// Where an object is: group and plural of its kind, and its key.
type Place = (&'static str, &'static str, ObjectKey);

/// The metadata of all objects, by uid, and who belongs to whom.
pub(super) struct Heap {
    items: BTreeMap<String, Item>,
    /// The uid of the object that is at a place.
    places: HashMap<Place, String>,
    owned: BTreeMap<String, BTreeSet<String>>,
    kinds: BTreeSet<(&'static str, &'static str)>,
    /// Of whom the changes themselves say that they go.
    told: HashSet<String>,
}

impl Heap {
    fn new(after: &dyn View) -> Self {
        let kinds = after.kinds();
        let mut heap = Self {
            items: BTreeMap::new(),
            places: HashMap::new(),
            owned: BTreeMap::new(),
            kinds: kinds.iter().map(|kind| (kind.group, kind.name)).collect(),
            told: HashSet::new(),
        };
        for kind in kinds {
            let items = after.objects(&kind).into_iter().filter_map(|object| item(&kind, &object));
            items.for_each(|item| heap.put(item));
        }
        heap
    }

    /// An object is no longer there.
    fn forget(&mut self, uid: &str) -> Option<Item> {
        let item = self.items.remove(uid)?;
        self.places.remove(&place(&item));
        Some(item)
    }

    fn put(&mut self, item: Item) {
        let uid = item.metadata.uid.clone();
        for owner in &item.metadata.owner_references {
            self.owned.entry(owner.uid.clone()).or_default().insert(uid.clone());
        }
        self.places.insert(place(&item), uid.clone());
        self.items.insert(uid, item);
    }

    /// What is in a namespace that goes, or of a kind whose definition goes, goes before it does. Answers what that is.
    fn empty(&mut self, future: &mut Future, leaving: &[Item]) -> Vec<Item> {
        let all = leaving.iter().map(|item| (item.kind, item.metadata.name.as_str()));
        let (definitions, namespaces): (Vec<_>, Vec<_>) = all
            .filter(|(kind, _)| [Namespace::KIND, CustomResourceDefinition::KIND].contains(kind))
            .partition(|(kind, _)| *kind == CustomResourceDefinition::KIND);
        let namespaces: BTreeSet<&str> = namespaces.into_iter().map(|(_, name)| name).collect();
        // A definition never had the names of what is compiled in.
        let defined: BTreeSet<(&str, &str)> = definitions
            .into_iter()
            .filter_map(|(_, name)| name.split_once('.'))
            .filter(|place| !KINDS.iter().any(|entry| (entry.kind.plural, entry.kind.group) == *place))
            .collect();
        if namespaces.is_empty() && defined.is_empty() {
            return Vec::new();
        }
        let because = |Item { kind, metadata }: &Item| {
            if *kind != Event::KIND && namespaces.contains(metadata.namespace()) {
                return Some(format!("its namespace {} is deleted", metadata.namespace()));
            }
            let is_defined = defined.contains(&(kind.plural, kind.group));
            is_defined.then(|| format!("its definition {}.{} is deleted", kind.plural, kind.group))
        };
        let going: Vec<(Item, String)> =
            self.items.values().filter_map(|item| Some((item.clone(), because(item)?))).collect();
        going.iter().for_each(|(item, because)| self.remove(future, &item.metadata.uid, because));
        going.into_iter().map(|(item, _)| item).collect()
    }

    /// Lets the garbage collector decide about whoever belongs to what leaves, and so on, until nothing is left to decide.
    fn collect(&mut self, future: &mut Future, leaving: impl Iterator<Item = Item>) {
        let mut queue = Queue::default();
        for item in leaving {
            queue.extend(self.dependents(&item.metadata.uid));
            queue.extend([item.metadata.uid]);
        }
        // Every decision takes something away: an object, an owner, a finalizer.
        while let Some(uid) = queue.pop() {
            let Some(world) = self.world(&uid) else { continue };
            let because = because(&world);
            for write in plan(&world).writes {
                let Some(touched) = self.carry_out(future, &write, &because) else { continue };
                queue.extend(self.dependents(&touched));
                queue.extend([touched]);
                queue.extend(world.metadata.owner_references.iter().map(|owner| owner.uid.clone()));
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
        let place = (&*target.group, &*target.plural, write.key());
        let meant = self.places.get(&place)?.clone();
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
            let owners = serde_json::from_value(owners.clone()).unwrap_or_default();
            let before = std::mem::replace(&mut item.metadata.owner_references, owners);
            let owners = item.metadata.owner_references.iter().map(|owner| owner.uid.as_str());
            let owners: BTreeSet<&str> = owners.collect();
            for lost in before.iter().filter(|owner| !owners.contains(owner.uid.as_str())) {
                if let Some(owned) = self.owned.get_mut(&lost.uid) {
                    owned.remove(uid);
                }
            }
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
        let Some(Item { kind, metadata }) = self.forget(uid) else { return };
        let key = ObjectKey::of(&metadata);
        match kind {
            Pod::KIND if future.pods.contains_key(&key) => future.remove_pod(&key, because),
            _ if !self.told.contains(uid) => future.tell(&kind, &metadata, ChangeAction::Deleted, because),
            _ => {}
        }
        if kind == Workload::KIND {
            future.workloads.remove(&key);
        }
    }
}

/// Objects about which something is to be decided, each once, by uid.
#[derive(Default)]
struct Queue {
    order: VecDeque<String>,
    waiting: HashSet<String>,
}

impl Queue {
    fn extend(&mut self, uids: impl IntoIterator<Item = String>) {
        let waiting = &mut self.waiting;
        self.order.extend(uids.into_iter().filter(|uid| waiting.insert(uid.clone())));
    }

    fn pop(&mut self) -> Option<String> {
        let uid = self.order.pop_front()?;
        self.waiting.remove(&uid);
        Some(uid)
    }
}

fn place(item: &Item) -> Place {
    (item.kind.group, item.kind.plural, ObjectKey::of(&item.metadata))
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
