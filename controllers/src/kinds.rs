//! All kinds and the metadata of their objects, those included that objects define while the system runs.

use std::collections::HashMap;
use std::sync::Arc;

use orch_api::{
    Client, Defines, Kind, KindEntry, List, Params, Reason, Request, Resource as _, Status, Target, Verb,
};
use orch_controller_runtime::{
    Cache, Caches, Change, Context, ObjectKey, PartialObject, Reflector, WholeObject,
};
use orch_ontology::{Event, KINDS};
use parking_lot::{Mutex, RwLock};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

/// The built-in kinds whose objects stay. Events are left out: they own nothing, belong to nothing, and there are many. Of changes the
/// same is true, and they cannot be watched.
pub(crate) fn lasting() -> impl Iterator<Item = &'static KindEntry> {
    KINDS.iter().filter(|entry| entry.kind != Event::KIND && entry.form.is_none() && !entry.is_history)
}

/// Told of every change of an object of any kind, with the kind's place.
type Subscriber = Arc<dyn Fn(&AllKinds, usize, &Change<'_, PartialObject>) + Send + Sync>;

/// Told of every kind that comes.
type Newcomers = Box<dyn Fn(&Kind) + Send + Sync>;

/// All kinds, each with the metadata of its objects. A kind has a place for as long as the process lives, so that a place
/// names a kind even when it is gone.
///
/// Of the kinds that objects define, those are followed that have been accepted. Others may want the names of a kind that is there, and
/// are served, if at all, for the moment until that is decided.
pub(crate) struct AllKinds {
    caches: Arc<Caches>,
    subscriber: Subscriber,
    places: RwLock<Vec<Place>>,
    newcomers: Mutex<Option<Newcomers>>,
    /// The kinds whose objects define kinds.
    defining: RwLock<Vec<Kind>>,
    /// The objects that define kinds, as far as they are known.
    definitions: RwLock<HashMap<(Kind, ObjectKey), Definition>>,
}

/// An object that defines kinds.
#[derive(Default)]
struct Definition {
    uid: String,
    /// The `resourceVersion` that it is known at.
    version: String,
    /// The first of the kinds: its versions show the same objects.
    kind: Option<Kind>,
    /// Whether the kind is accepted.
    is_accepted: bool,
}

struct Place {
    kind: Kind,
    /// None while nobody serves the kind.
    cache: Option<Arc<Cache<PartialObject>>>,
}

/// A kind that is served, and where.
pub(crate) type Served = (usize, Kind, Arc<Cache<PartialObject>>);

impl AllKinds {
    /// Follows these kinds and those that their objects define, until cancelled. The subscriber is told of every change.
    pub(crate) fn follow<'a>(
        context: &Context,
        entries: impl IntoIterator<Item = &'a KindEntry>,
        subscriber: impl Fn(&Self, usize, &Change<'_, PartialObject>) + Send + Sync + 'static,
        cancel: &CancellationToken,
    ) -> Arc<Self> {
        let (caches, subscriber) = (context.caches.clone(), Arc::new(subscriber));
        let kinds = Arc::new(Self {
            caches,
            subscriber,
            places: RwLock::default(),
            newcomers: Mutex::default(),
            defining: RwLock::default(),
            definitions: RwLock::default(),
        });
        for entry in entries {
            kinds.add(entry.kind);
            if let Some(defines) = entry.defines {
                kinds.follow_definitions(context, entry.kind, defines, cancel);
            }
        }
        kinds
    }

    /// The kinds that are served, with their objects.
    pub(crate) fn served(&self) -> Vec<Served> {
        let places = self.places.read();
        let served = places.iter().enumerate();
        served.filter_map(|(place, at)| Some((place, at.kind, at.cache.clone()?))).collect()
    }

    /// The kind at a place, if it is served.
    pub(crate) fn at(&self, place: usize) -> Option<(Kind, Arc<Cache<PartialObject>>)> {
        let places = self.places.read();
        let at = places.get(place)?;
        Some((at.kind, at.cache.clone()?))
    }

    /// The kind of this group and name, whatever its version; one whose objects are known, if there are several.
    pub(crate) fn named(&self, group: &str, name: &str) -> Option<Served> {
        let places = self.places.read();
        let named =
            places.iter().enumerate().filter(|(_, at)| at.kind.group == group && at.kind.name == name);
        let served: Vec<Served> =
            named.filter_map(|(place, at)| Some((place, at.kind, at.cache.clone()?))).collect();
        served.iter().find(|(.., cache)| cache.has_synced()).or(served.first()).cloned()
    }

    /// Asks the server whether there is an object that defines kinds and is not followed as it is now: what is of its kinds would be
    /// overlooked.
    ///
    /// # Errors
    /// 503 if there is; what the server answers otherwise.
    pub(crate) async fn are_all(&self, client: &dyn Client) -> Result<(), Status> {
        let defining = self.defining.read().clone();
        for kind in defining {
            let definitions = list(client, Target::all(&kind), None).await?;
            for undecided in self.not_followed(&kind, &definitions.items)? {
                let served = list(client, Target::all(&undecided), Some(1)).await;
                if !served.as_ref().is_err_and(|status| status.is(&Reason::NotFound)) {
                    return Err(not_yet(&undecided.resource()));
                }
            }
        }
        Ok(())
    }

    /// As [`AllKinds::are_all`], and whether all their objects are known, as of some time after the kind came.
    ///
    /// # Errors
    /// 503 if they are not; what the server answers otherwise.
    pub(crate) async fn are_all_known(&self, client: &dyn Client) -> Result<(), Status> {
        self.are_all(client).await?;
        match self.served().into_iter().find(|(.., cache)| !cache.has_synced()) {
            Some((_, kind, _)) => Err(not_yet(&kind.resource())),
            None => Ok(()),
        }
    }

    /// The kinds of these definitions that are not followed, because nobody has decided about them, or somebody has decided against
    /// them.
    fn not_followed(&self, defining: &Kind, definitions: &[PartialObject]) -> Result<Vec<Kind>, Status> {
        let known = self.definitions.read();
        let mut found = Vec::new();
        for PartialObject { metadata, .. } in definitions {
            let definition = known.get(&(*defining, ObjectKey::of(metadata)));
            match definition.filter(|definition| definition.version == metadata.resource_version) {
                Some(definition) if definition.is_accepted => {}
                Some(definition) => found.extend(definition.kind),
                None => return Err(not_yet(&metadata.name)),
            }
        }
        Ok(found)
    }

    /// Calls `newcomers` for every kind that comes from now on, once it is among those that are served. It must be quick.
    pub(crate) fn when_kinds_come(&self, newcomers: impl Fn(&Kind) + Send + Sync + 'static) {
        *self.newcomers.lock() = Some(Box::new(newcomers));
    }

    fn add(self: &Arc<Self>, kind: Kind) {
        let mut places = self.places.write();
        let known = places.iter().position(|at| at.kind == kind);
        if known.is_some_and(|place| places[place].cache.is_some()) {
            return;
        }
        let cache = self.caches.partial(kind);
        let place = known.unwrap_or(places.len());
        match known {
            Some(place) => places[place].cache = Some(cache.clone()),
            None => places.push(Place { kind, cache: Some(cache.clone()) }),
        }
        drop(places);
        let kinds = Arc::downgrade(self);
        cache.subscribe(move |change| {
            if let Some(kinds) = kinds.upgrade() {
                (kinds.subscriber)(&kinds, place, change);
            }
        });
        self.tell_newcomer(&kind);
    }

    /// The objects of a kind are known no longer. If there are none any more, that is told of those whose deletion has not been seen.
    fn remove(&self, kind: &Kind, are_gone: bool) {
        let mut places = self.places.write();
        let at = places.iter_mut().enumerate().filter(|(_, at)| at.kind == *kind);
        let caches: Vec<_> = at.filter_map(|(place, at)| Some((place, at.cache.take()?))).collect();
        drop(places);
        for (place, cache) in caches {
            self.caches.forget_partial(kind, &cache);
            let left = if are_gone { cache.list() } else { Vec::new() };
            for object in &left {
                let key = &ObjectKey::of(&object.metadata);
                (self.subscriber)(self, place, &Change { key, old: Some(object), new: None });
            }
        }
    }

    /// What is found at the same path is the same objects, whatever else their kind is called.
    fn rename(&self, before: &Kind, now: Kind) {
        let mut places = self.places.write();
        places.iter_mut().filter(|at| at.kind == *before).for_each(|at| at.kind = now);
        drop(places);
        self.tell_newcomer(&now);
    }

    fn tell_newcomer(&self, kind: &Kind) {
        if let Some(newcomers) = &*self.newcomers.lock() {
            newcomers(kind);
        }
    }

    /// Follows the objects that define kinds.
    fn follow_definitions(
        self: &Arc<Self>,
        context: &Context,
        kind: Kind,
        defines: Defines,
        cancel: &CancellationToken,
    ) {
        self.defining.write().push(kind);
        let reflector = Reflector::whole(context.client.clone(), context.clock.clone(), kind);
        let kinds = Arc::downgrade(self);
        reflector.cache().subscribe(move |change| {
            if let Some(kinds) = kinds.upgrade() {
                kinds.define(
                    (kind, change.key.clone()),
                    change.new.map(|object| Definition::by(kind, defines, object)),
                );
            }
        });
        reflector.spawn(cancel.clone());
    }

    /// Follows what an object defines now; none if it is gone.
    fn define(self: &Arc<Self>, object: (Kind, ObjectKey), definition: Option<Definition>) {
        let now = definition.as_ref().and_then(Definition::accepted);
        let (before, stays) = match self.definitions.read().get(&object) {
            Some(before) => (before.accepted(), definition.as_ref().is_some_and(|now| now.uid == before.uid)),
            None => (None, true),
        };
        let path = |kind: &Kind| (kind.group, kind.version, kind.plural);
        match (before, now) {
            (before, now) if before == now => {}
            (Some(before), Some(now)) if path(&before) == path(&now) => self.rename(&before, now),
            (before, now) => {
                if let Some(now) = now {
                    info!(kind = %now.resource(), "a kind has come");
                    self.add(now);
                }
                if let Some(before) = before {
                    info!(kind = %before.resource(), "a kind is gone");
                    self.remove(&before, !stays);
                }
            }
        }
        // Whoever finds it here finds its kind, too.
        let mut definitions = self.definitions.write();
        match definition {
            Some(definition) => drop(definitions.insert(object, definition)),
            None => drop(definitions.remove(&object)),
        }
    }
}

impl Definition {
    /// What an object of a kind defines.
    fn by(kind: Kind, defines: Defines, object: &WholeObject) -> Self {
        let (uid, version) = (object.metadata.uid.clone(), object.metadata.resource_version.clone());
        let mut object = serde_json::to_value(object).unwrap_or_default();
        // The items of a list don't say what they are.
        object["apiVersion"] = Value::from(kind.api_version());
        object["kind"] = Value::from(kind.name);
        match (defines.kinds)(&object) {
            Ok(definition) => {
                let kind = definition.kinds.first().map(|entry| entry.kind);
                Self { uid, version, kind, is_accepted: definition.established }
            }
            Err(errors) => {
                debug!(?errors, "an object defines no kind");
                Self { uid, version, ..Self::default() }
            }
        }
    }

    fn accepted(&self) -> Option<Kind> {
        self.kind.filter(|_| self.is_accepted)
    }
}

async fn list(
    client: &dyn Client,
    target: Target,
    limit: Option<u64>,
) -> Result<List<PartialObject>, Status> {
    let params = Params { limit, ..Params::default() };
    let answer = client.send(Request { verb: Verb::List, target, params, body: None }).await?;
    serde_json::from_slice(&answer).map_err(Status::internal)
}

fn not_yet(what: &str) -> Status {
    Status::unavailable(format!("{what} is not followed yet"))
}
