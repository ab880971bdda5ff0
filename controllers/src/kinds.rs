//! All kinds and the metadata of their objects, those included that objects define while the system runs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use orch_api::{
    Client, Defines, Kind, KindEntry, List, Metadata, Params, Request, Resource as _, Status, Target, Verb,
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
pub(crate) struct AllKinds {
    caches: Arc<Caches>,
    subscriber: Subscriber,
    places: RwLock<Vec<Place>>,
    newcomers: Mutex<Option<Newcomers>>,
    /// The kinds whose objects define kinds.
    defining: RwLock<Vec<Kind>>,
    /// The objects that define kinds, as far as they are followed, each with the `resourceVersion` that it is known at.
    definitions: RwLock<HashMap<(Kind, ObjectKey), String>>,
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

    /// The kind of this group and name, whatever its version.
    pub(crate) fn named(&self, group: &str, name: &str) -> Option<Served> {
        let places = self.places.read();
        let found = places
            .iter()
            .position(|at| at.kind.group == group && at.kind.name == name && at.cache.is_some())?;
        Some((found, places[found].kind, places[found].cache.clone()?))
    }

    /// Asks the server whether there is an object that defines kinds and is not followed as it is now: what is of its kinds would be
    /// overlooked.
    ///
    /// # Errors
    /// 503 if there is; what the server answers otherwise.
    pub(crate) async fn are_all(&self, client: &dyn Client) -> Result<(), Status> {
        let defining = self.defining.read().clone();
        for kind in defining {
            let request = Request {
                verb: Verb::List,
                target: Target::all(&kind),
                params: Params::default(),
                body: None,
            };
            let answer = client.send(request).await?;
            let list: List<PartialObject> = serde_json::from_slice(&answer).map_err(Status::internal)?;
            let known = self.definitions.read();
            for object in list.items {
                let Metadata { name, resource_version, .. } = object.metadata;
                if known.get(&(kind, ObjectKey::new("", name.clone()))) != Some(&resource_version) {
                    return Err(Status::unavailable(format!("{} {name} is not followed yet", kind.name)));
                }
            }
        }
        Ok(())
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
        if let Some(newcomers) = &*self.newcomers.lock() {
            newcomers(&kind);
        }
    }

    fn remove(&self, kind: &Kind) {
        let mut places = self.places.write();
        let at = places.iter_mut().filter(|at| at.kind == *kind);
        let caches: Vec<_> = at.filter_map(|at| at.cache.take()).collect();
        drop(places);
        caches.iter().for_each(|cache| self.caches.forget_partial(kind, cache));
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
        let (kinds, defined) = (Arc::downgrade(self), RwLock::new(BTreeMap::new()));
        reflector.cache().subscribe(move |change| {
            let Some(kinds) = kinds.upgrade() else { return };
            let now = change.new.and_then(|object| first_kind(kind, defines, object));
            let before = match now {
                Some(now) => defined.write().insert(change.key.clone(), now),
                None => defined.write().remove(change.key),
            };
            if before != now {
                if let Some(before) = before {
                    info!(kind = %before.resource(), "a kind is gone");
                    kinds.remove(&before);
                }
                if let Some(now) = now {
                    info!(kind = %now.resource(), "a kind has come");
                    kinds.add(now);
                }
            }
            let known = (kind, change.key.clone());
            match change.new {
                Some(object) => {
                    let at = object.metadata.resource_version.clone();
                    kinds.definitions.write().insert(known, at)
                }
                None => kinds.definitions.write().remove(&known),
            };
        });
        reflector.spawn(cancel.clone());
    }
}

/// The first of the kinds that an object defines: its versions show the same objects.
fn first_kind(kind: Kind, defines: Defines, object: &WholeObject) -> Option<Kind> {
    let mut object = serde_json::to_value(object).ok()?;
    // The items of a list don't say what they are.
    object["apiVersion"] = Value::from(kind.api_version());
    object["kind"] = Value::from(kind.name);
    match (defines.kinds)(&object) {
        Ok(definition) => definition.kinds.first().map(|entry| entry.kind),
        Err(errors) => {
            debug!(?errors, "an object defines no kind");
            None
        }
    }
}
