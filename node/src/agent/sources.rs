//! Following the ConfigMaps and Secrets that the node's pods refer to, each by name (a node may read no others), and their tokens.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use orch_api::Resource;
use orch_controller_runtime::{Cache, ObjectKey, Reflector};
use orch_ontology::{ConfigMap, Pod, Secret};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Shared,
    tokens::{Slot, keep_fresh},
    wakes::{Wake, Wakes},
};
use crate::spec::{Lookup, Reference, Sources, TokenLookup, WantedToken, references};

/// The objects followed. One watch for each object, however many pods refer to it, for as long as one does.
pub(crate) struct SourceWatches {
    shared: Arc<Shared>,
    wakes: Arc<Wakes>,
    followed: BTreeMap<(String, Reference), Followed>,
}

struct Followed {
    users: BTreeSet<String>,
    content: Content,
    _until_dropped: DropGuard,
}

enum Content {
    ConfigMap(Arc<Cache<ConfigMap>>),
    Secret(Arc<Cache<Secret>>),
    Token(Slot),
}

impl SourceWatches {
    pub(crate) fn new(shared: Arc<Shared>, wakes: Arc<Wakes>) -> Self {
        Self { shared, wakes, followed: BTreeMap::new() }
    }

    /// Follows what the pod refers to.
    pub(crate) fn follow(&mut self, pod: &Pod) {
        for reference in references(pod, self.shared.facts.layout.is_some()) {
            let key = (pod.metadata.namespace().to_owned(), reference);
            if !self.followed.contains_key(&key) {
                let followed = self.start(&key);
                self.followed.insert(key.clone(), followed);
            }
            if let Some(followed) = self.followed.get_mut(&key) {
                followed.users.insert(pod.metadata.uid.clone());
            }
        }
    }

    /// The pod needs nothing any longer.
    pub(crate) fn forget(&mut self, uid: &str) {
        self.followed.retain(|_, followed| {
            followed.users.remove(uid);
            !followed.users.is_empty()
        });
    }

    /// The pods that refer to an object.
    pub(crate) fn users(&self, namespace: String, reference: Reference) -> Vec<String> {
        let followed = self.followed.get(&(namespace, reference));
        followed.into_iter().flat_map(|followed| followed.users.iter().cloned()).collect()
    }

    /// What is known of the objects that the pod refers to.
    pub(crate) fn of(&self, pod: &Pod) -> Sources {
        let mut sources = Sources::default();
        let namespace = pod.metadata.namespace();
        for reference in references(pod, self.shared.facts.layout.is_some()) {
            let name = reference.name().to_owned();
            let key = (namespace.to_owned(), reference);
            let Some(followed) = self.followed.get(&key) else { continue };
            match &followed.content {
                Content::ConfigMap(cache) => {
                    drop(sources.config_maps.insert(name.clone(), lookup(cache, namespace, &name)))
                }
                Content::Secret(cache) => {
                    drop(sources.secrets.insert(name.clone(), lookup(cache, namespace, &name)))
                }
                Content::Token(slot) => {
                    if let Reference::Token(wanted) = key.1 {
                        sources.tokens.insert(wanted, slot.lock().clone());
                    }
                }
            }
        }
        sources
    }

    fn start(&self, key: &(String, Reference)) -> Followed {
        let cancel = CancellationToken::new();
        let content = match &key.1 {
            Reference::ConfigMap(name) => Content::ConfigMap(self.reflect(key, name, &cancel)),
            Reference::Secret(name) => Content::Secret(self.reflect(key, name, &cancel)),
            Reference::Token(wanted) => Content::Token(self.request(key, wanted, &cancel)),
        };
        Followed { users: BTreeSet::new(), content, _until_dropped: cancel.drop_guard() }
    }

    /// A token is asked for, and again before it expires, for as long as the pod is there.
    fn request(&self, key: &(String, Reference), wanted: &WantedToken, cancel: &CancellationToken) -> Slot {
        let slot = Slot::new(TokenLookup::Loading.into());
        let wake = Wake::Source(key.0.clone(), key.1.clone());
        let wakes = self.wakes.clone();
        let tell = move || wakes.add(wake.clone());
        let fresh = keep_fresh(self.shared.clone(), key.0.clone(), wanted.clone(), slot.clone(), tell);
        tokio::spawn(cancel.clone().run_until_cancelled_owned(fresh));
        slot
    }

    fn reflect<K: Resource>(
        &self,
        key: &(String, Reference),
        name: &str,
        cancel: &CancellationToken,
    ) -> Arc<Cache<K>> {
        let reflector = Reflector::<K>::new(self.shared.client.clone(), self.shared.clock.clone())
            .in_namespace(&key.0)
            .fields(format!("metadata.name={name}"));
        let cache = reflector.spawn(cancel.clone());
        let wake = Wake::Source(key.0.clone(), key.1.clone());
        let (wakes, again) = (self.wakes.clone(), wake.clone());
        cache.subscribe(move |_| wakes.add(again.clone()));
        let (wakes, synced, cancel) = (self.wakes.clone(), cache.clone(), cancel.clone());
        tokio::spawn(async move {
            // That there is no such object is news too.
            if cancel.run_until_cancelled(synced.synced()).await.is_some() {
                wakes.add(wake);
            }
        });
        cache
    }
}

fn lookup<K: Resource>(cache: &Cache<K>, namespace: &str, name: &str) -> Lookup<K> {
    if !cache.has_synced() {
        return Lookup::Loading;
    }
    cache.get(&ObjectKey::new(namespace, name)).map_or(Lookup::Missing, Lookup::Found)
}
