//! [`Cache`]: the objects of one kind, kept up to date by a [`Reflector`](crate::Reflector).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orch_api::Metadata;
use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;

use crate::progress::{Expected, Mark, Progress};
use crate::{Cached, ObjectKey};

/// The objects of one kind as of some recent revision, by name and by [`Index`].
///
/// Reads never wait for the network and hold a lock only while they collect `Arc`s. One writer, the reflector, applies
/// changes in the server's order.
pub struct Cache<K> {
    state: RwLock<State<K>>,
    /// Held while a change is applied and told, so that a new subscriber misses nothing and sees nothing twice.
    subscribers: Mutex<Vec<Subscriber<K>>>,
    position: watch::Sender<Position>,
}

type Subscriber<K> = Box<dyn Fn(&Change<'_, K>) + Send + Sync>;

/// What has happened to one object. At least one side is there.
pub struct Change<'a, K> {
    /// The object's name.
    pub key: &'a ObjectKey,
    /// The object before; none if it is new.
    pub old: Option<&'a Arc<K>>,
    /// The object now; none if it is gone.
    pub new: Option<&'a Arc<K>>,
}

/// How objects are looked up by something other than their name. A constant: indexes of one name are the same index.
pub struct Index<K> {
    /// Names the index within the cache.
    pub name: &'static str,
    /// The values under which an object is found.
    pub values: fn(&K) -> Vec<String>,
}

/// Tells when a cache may have changed; see [`Cache::changes`].
pub struct Changes(watch::Receiver<Position>);

impl Changes {
    /// Completes when something may have changed since the last call. Answers false once the cache is gone for good.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

/// How far a cache has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// Every change up to this revision is in the cache.
    pub(crate) revision: u64,
    /// Lists begun so far.
    pub(crate) lists_begun: u64,
    /// The list that the content rests on, counted by `lists_begun`; 0 before the first is complete.
    pub(crate) list: u64,
}

struct State<K> {
    objects: BTreeMap<ObjectKey, Arc<K>>,
    indexes: BTreeMap<&'static str, Indexed<K>>,
}

struct Indexed<K> {
    values: fn(&K) -> Vec<String>,
    keys: BTreeMap<String, BTreeSet<ObjectKey>>,
}

impl<K: Cached> Default for Cache<K> {
    fn default() -> Self {
        let state = State { objects: BTreeMap::new(), indexes: BTreeMap::new() };
        Self {
            state: RwLock::new(state),
            subscribers: Mutex::default(),
            position: watch::Sender::new(Position::default()),
        }
    }
}

impl<K: Cached> Cache<K> {
    /// The object of this name.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<K>> {
        self.state.read().objects.get(key).cloned()
    }

    /// All objects, ordered by namespace and name.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.state.read().objects.values().cloned().collect()
    }

    /// The objects in a namespace, ordered by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let state = self.state.read();
        let from = state.objects.range(ObjectKey::new(namespace, "")..);
        from.take_while(|(key, _)| key.namespace == namespace).map(|(_, object)| object.clone()).collect()
    }

    /// The objects that the index files under `value`, ordered by name. The first use of an index walks all objects;
    /// from then on it is kept up to date and costs what it answers.
    pub fn select(&self, index: &Index<K>, value: &str) -> Vec<Arc<K>> {
        let state = self.state.read();
        if state.indexes.contains_key(index.name) {
            return state.select(index.name, value);
        }
        drop(state);
        let mut state = self.state.write();
        state.add_index(index);
        state.select(index.name, value)
    }

    /// The objects that name this one as the owner that manages them, ordered by name. One in a namespace manages only what is there
    /// too: whoever may write elsewhere cannot foist objects on it.
    pub fn managed_by(&self, owner: &Metadata) -> Vec<Arc<K>> {
        let index = Index::<K> {
            name: "manager",
            values: |object| {
                let owner = object.metadata().controller();
                owner.map(|owner| in_place(object.metadata(), &owner.uid)).into_iter().collect()
            },
        };
        self.select(&index, &in_place(owner, &owner.uid))
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.state.read().objects.len()
    }

    /// Whether there are no objects.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the first list is complete: before, absence means nothing.
    pub fn has_synced(&self) -> bool {
        self.position.borrow().list > 0
    }

    /// Completes once [`Cache::has_synced`].
    pub async fn synced(&self) {
        self.reach(|position| position.list > 0).await;
    }

    /// The revision up to which every change is in the cache.
    pub fn revision(&self) -> u64 {
        self.position.borrow().revision
    }

    /// Completes once every change up to `revision` is in the cache.
    pub async fn reached(&self, revision: u64) {
        self.reach(|position| position.revision >= revision).await;
    }

    /// Tells when something may have changed: for tasks that read the whole cache. Changes that come while nobody waits
    /// are told once.
    pub fn changes(&self) -> Changes {
        Changes(self.position.subscribe())
    }

    /// Calls `subscriber` for every object present, then for every change, in order. It runs on the reflector's task: it
    /// must be quick (mark a key, no more), may read this cache, and must not subscribe to it.
    pub fn subscribe(&self, subscriber: impl Fn(&Change<'_, K>) + Send + Sync + 'static) {
        let mut subscribers = self.subscribers.lock();
        let present: Vec<_> = {
            let state = self.state.read();
            state.objects.iter().map(|(key, object)| (key.clone(), object.clone())).collect()
        };
        for (key, object) in &present {
            subscriber(&Change { key, old: None, new: Some(object) });
        }
        subscribers.push(Box::new(subscriber));
    }

    async fn reach(&self, there: impl FnMut(&Position) -> bool) {
        // Fails only when the sender is gone, which `self` owns.
        let _ = self.position.subscribe().wait_for(there).await;
    }
}

/// The reflector's side.
impl<K: Cached> Cache<K> {
    pub(crate) fn begin_list(&self) -> u64 {
        let mut list = 0;
        self.position.send_modify(|position| {
            position.lists_begun += 1;
            list = position.lists_begun;
        });
        list
    }

    /// Replaces everything by the outcome of the list `list`; tells only what is different.
    pub(crate) fn replace(&self, objects: Vec<K>, list: u64, revision: u64) {
        let subscribers = self.subscribers.lock();
        let mut gone: BTreeSet<ObjectKey> = self.state.read().objects.keys().cloned().collect();
        for object in objects {
            gone.remove(&ObjectKey::of(object.metadata()));
            self.store(&subscribers, object);
        }
        for key in gone {
            self.remove(&subscribers, &key);
        }
        self.position.send_modify(|position| (position.list, position.revision) = (list, revision));
    }

    pub(crate) fn apply(&self, object: K) {
        let revision = revision_of(&object);
        self.store(&self.subscribers.lock(), object);
        self.advance(revision);
    }

    pub(crate) fn delete(&self, key: &ObjectKey, revision: u64) {
        self.remove(&self.subscribers.lock(), key);
        self.advance(revision);
    }

    pub(crate) fn advance(&self, revision: u64) {
        self.position.send_modify(|position| position.revision = position.revision.max(revision));
    }

    fn store(&self, subscribers: &[Subscriber<K>], mut object: K) {
        object.trim();
        let (key, new) = (ObjectKey::of(object.metadata()), Arc::new(object));
        let old = self.state.write().insert(key.clone(), new.clone());
        let unchanged = |old: &Arc<K>| old.metadata().resource_version == new.metadata().resource_version;
        if !old.as_ref().is_some_and(unchanged) {
            tell(subscribers, &Change { key: &key, old: old.as_ref(), new: Some(&new) });
        }
    }

    fn remove(&self, subscribers: &[Subscriber<K>], key: &ObjectKey) {
        let old = self.state.write().remove(key);
        if let Some(old) = &old {
            tell(subscribers, &Change { key, old: Some(old), new: None });
        }
    }
}

fn tell<K>(subscribers: &[Subscriber<K>], change: &Change<'_, K>) {
    subscribers.iter().for_each(|subscriber| subscriber(change));
}

/// A uid, where the object with this metadata lives.
fn in_place(metadata: &Metadata, uid: &str) -> String {
    format!("{}/{uid}", metadata.namespace())
}

pub(crate) fn revision_of(object: &impl Cached) -> u64 {
    object.metadata().resource_version.parse().unwrap_or_default()
}

#[async_trait::async_trait]
impl<K: Cached> Progress for Cache<K> {
    fn mark(&self, expected: Expected) -> Mark {
        Mark { expected, lists_begun: self.position.borrow().lists_begun }
    }

    async fn seen(&self, mark: &Mark) {
        self.reach(|position| position.list > mark.lists_begun || self.shows(&mark.expected, position)).await;
    }

    async fn synced(&self) {
        Cache::synced(self).await;
    }
}

impl<K: Cached> Cache<K> {
    fn shows(&self, expected: &Expected, position: &Position) -> bool {
        match expected {
            Expected::Revision(revision) => position.revision >= *revision,
            Expected::Deletion { key, uid } => self
                .get(key)
                .is_none_or(|object| object.metadata().uid != *uid || object.metadata().is_terminating()),
        }
    }
}

impl<K> State<K> {
    fn insert(&mut self, key: ObjectKey, object: Arc<K>) -> Option<Arc<K>> {
        let old = self.objects.insert(key.clone(), object.clone());
        for index in self.indexes.values_mut() {
            index.change(&key, old.as_deref(), Some(&object));
        }
        old
    }

    fn remove(&mut self, key: &ObjectKey) -> Option<Arc<K>> {
        let old = self.objects.remove(key)?;
        for index in self.indexes.values_mut() {
            index.change(key, Some(&old), None);
        }
        Some(old)
    }

    fn add_index(&mut self, index: &Index<K>) {
        let mut indexed = Indexed { values: index.values, keys: BTreeMap::new() };
        for (key, object) in &self.objects {
            indexed.change(key, None, Some(object));
        }
        self.indexes.entry(index.name).or_insert(indexed);
    }

    fn select(&self, index: &str, value: &str) -> Vec<Arc<K>> {
        let keys = self.indexes.get(index).and_then(|index| index.keys.get(value));
        keys.into_iter().flatten().filter_map(|key| self.objects.get(key).cloned()).collect()
    }
}

impl<K> Indexed<K> {
    fn change(&mut self, key: &ObjectKey, old: Option<&K>, new: Option<&K>) {
        let old_values = old.map(self.values).unwrap_or_default();
        let new_values = new.map(self.values).unwrap_or_default();
        if old_values == new_values {
            return;
        }
        for value in old_values {
            if let Some(keys) = self.keys.get_mut(&value) {
                keys.remove(key);
                if keys.is_empty() {
                    self.keys.remove(&value);
                }
            }
        }
        for value in new_values {
            self.keys.entry(value).or_default().insert(key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::PartialObject;

    fn object(namespace: &str, name: &str, owner: Option<&str>) -> PartialObject {
        let owners = owner.map(
            |uid| json!({"apiVersion": "v1", "kind": "Owner", "name": "o", "uid": uid, "controller": true}),
        );
        let metadata =
            json!({"namespace": namespace, "name": name, "ownerReferences": Vec::from_iter(owners)});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    #[test]
    fn an_owner_manages_what_names_it_in_its_own_namespace() {
        let cache = Cache::default();
        for (namespace, name, owner) in [
            ("a", "own", Some("u")),
            ("a", "other", Some("v")),
            ("a", "free", None),
            ("b", "forged", Some("u")),
        ] {
            cache.apply(object(namespace, name, owner));
        }
        let owner = Metadata { uid: "u".into(), ..Metadata::named("a".to_owned(), "o") };
        let managed = cache.managed_by(&owner);
        let names: Vec<_> = managed.iter().map(|object| object.metadata.name.as_str()).collect();
        assert_eq!(names, ["own"]);
    }
}
