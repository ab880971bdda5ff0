//! Which syncs an object belongs to, so that they look at it when it changes.

use std::collections::{BTreeMap, BTreeSet};

use orch_api::split_api_version;
use orch_controller_runtime::ObjectKey;
use orch_ontology::InventoryItem;
use parking_lot::RwLock;

/// An object, whatever the version it is spoken of in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Thing {
    group: String,
    kind: String,
    key: ObjectKey,
}

#[derive(Default)]
struct Entries {
    syncs: BTreeMap<Thing, BTreeSet<ObjectKey>>,
    things: BTreeMap<ObjectKey, BTreeSet<Thing>>,
}

/// Which syncs an object belongs to.
#[derive(Default)]
pub(super) struct Inventories(RwLock<Entries>);

impl Inventories {
    /// The objects of a sync, in the place of those that it had.
    pub(super) fn set<'a>(&self, sync: &ObjectKey, items: impl IntoIterator<Item = &'a InventoryItem>) {
        let things: BTreeSet<Thing> = items.into_iter().map(thing).collect();
        let mut entries = self.0.write();
        let before = entries.things.remove(sync).unwrap_or_default();
        for gone in before.difference(&things) {
            if let Some(syncs) = entries.syncs.get_mut(gone) {
                syncs.remove(sync);
                if syncs.is_empty() {
                    entries.syncs.remove(gone);
                }
            }
        }
        for thing in &things {
            entries.syncs.entry(thing.clone()).or_default().insert(sync.clone());
        }
        if !things.is_empty() {
            entries.things.insert(sync.clone(), things);
        }
    }

    /// The syncs that an object belongs to.
    pub(super) fn of(&self, group: &str, kind: &str, key: &ObjectKey) -> Vec<ObjectKey> {
        let entries = self.0.read();
        if entries.syncs.is_empty() {
            return Vec::new();
        }
        let thing = Thing { group: group.to_owned(), kind: kind.to_owned(), key: key.clone() };
        entries.syncs.get(&thing).into_iter().flatten().cloned().collect()
    }
}

pub(super) fn thing(item: &InventoryItem) -> Thing {
    let (group, _) = split_api_version(&item.api_version);
    let key = ObjectKey::new(item.namespace.clone(), item.name.clone());
    Thing { group: group.to_owned(), kind: item.kind.clone(), key }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str) -> InventoryItem {
        InventoryItem {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            namespace: "n".into(),
            name: name.into(),
        }
    }

    #[test]
    fn an_object_belongs_to_those_that_have_it_now() {
        let inventories = Inventories::default();
        let (one, two) = (ObjectKey::new("n", "one"), ObjectKey::new("n", "two"));
        inventories.set(&one, &[item("a"), item("b")]);
        inventories.set(&two, &[item("b")]);
        let of = |name: &str| inventories.of("apps", "Deployment", &ObjectKey::new("n", name));
        assert_eq!((of("a"), of("b")), (vec![one.clone()], vec![one.clone(), two.clone()]));
        inventories.set(&one, &[item("a")]);
        assert_eq!((of("a"), of("b")), (vec![one.clone()], vec![two]));
        inventories.set(&one, &[]);
        assert_eq!(of("a"), []);
    }
}
