//! Kinds that objects define: from the defining objects to the table of kinds.
//!
//! Compiling a definition takes a while, so that what is known of an object is kept until the part that the definition
//! depends on changes; objects that have not changed at all are not even read. Definitions whose names are taken are left
//! out; those that have been accepted before come first, then the older ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use orch_api::{Defines, Definition, Kind};
use orch_store::{Entry, Key, Revision};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tracing::{error, info, warn};

use crate::cache::Cached;
use crate::kinds::{Kinds, Served};
use crate::origin::object_in;

/// An object that defines kinds.
pub(crate) struct Source {
    key: Key,
    defines: Defines,
    bytes: Bytes,
    /// When the object was made, or where that is not known, a revision at which it was there.
    seen: Revision,
    /// The revision that wrote it.
    revision: Revision,
}

impl Source {
    /// The object that the store holds.
    pub(crate) fn of(defines: Defines, entry: &Entry) -> Self {
        let (key, bytes) = (entry.key.clone(), object_in(&entry.value));
        Self { key, defines, bytes, seen: entry.created, revision: entry.modified }
    }

    /// The object that the cache holds.
    pub(crate) fn cached(defines: Defines, object: &Cached) -> Self {
        let (key, bytes) = (object.key.clone(), object.stored.clone());
        Self { key, defines, bytes, seen: object.revision, revision: object.revision }
    }
}

/// What the present definitions have made.
pub(crate) struct Definitions {
    /// The kinds that are always there.
    builtin: Vec<Arc<Served>>,
    known: BTreeMap<Key, Known>,
}

/// One definition as it was last made.
struct Known {
    /// The revision of the object that has been read.
    revision: Revision,
    /// A digest of what its kinds depend on.
    identity: [u8; 32],
    /// When the object was made.
    since: Revision,
    established: bool,
    served: Vec<Arc<Served>>,
}

impl Definitions {
    /// No definitions yet, beside these kinds.
    pub(crate) fn beside(builtin: &Kinds) -> Self {
        Self { builtin: builtin.all().to_vec(), known: BTreeMap::new() }
    }

    /// The kinds of a table whose objects define kinds.
    pub(crate) fn defining(kinds: &Kinds) -> Vec<(Arc<Served>, Defines)> {
        kinds.all().iter().filter_map(|served| Some((served.clone(), served.entry.defines?))).collect()
    }

    /// The table of kinds that these objects, and no others, define; none if it is the one made last. An object that cannot be
    /// read defines nothing, which is said where it is served. Cost: that of the objects that have changed.
    pub(crate) async fn renew(&mut self, sources: Vec<Source>) -> Option<Arc<Kinds>> {
        let mut before = std::mem::take(&mut self.known);
        let mut changed = false;
        for source in sources {
            let known = before.remove(&source.key);
            let key = source.key.clone();
            let known = match known {
                Some(known) if known.revision == source.revision => known,
                other => match again(source, other).await {
                    Some((known, is_new)) => {
                        changed |= is_new;
                        known
                    }
                    None => continue,
                },
            };
            self.known.insert(key, known);
        }
        (changed || !before.is_empty()).then(|| self.table())
    }

    /// The table of kinds that the objects define that have been seen last.
    pub(crate) fn table(&self) -> Arc<Kinds> {
        let mut taken = Names::default();
        self.builtin.iter().for_each(|served| taken.claim(served.kind()));
        let mut known: Vec<(&Key, &Known)> = self.known.iter().collect();
        known.sort_by_key(|(key, known)| (!known.established, known.since, *key));
        let mut all = self.builtin.clone();
        for (key, known) in known {
            let kinds = || known.served.iter().map(|served| served.kind());
            match kinds().find(|kind| !taken.is_free_for(kind)) {
                Some(kind) => {
                    warn!(%key, %kind, "a defined kind is not served: its names are taken");
                }
                None => {
                    kinds().for_each(|kind| taken.claim(kind));
                    all.extend(known.served.iter().cloned());
                }
            }
        }
        info!(kinds = all.len(), "the table of kinds has changed");
        match Kinds::serving(all) {
            Ok(kinds) => Arc::new(kinds),
            Err(problem) => {
                // Definitions with a path of another's are left out above; one that repeats a version is not admitted.
                error!(%problem, "defined kinds are not served");
                Arc::new(Kinds::serving(self.builtin.clone()).unwrap_or_default())
            }
        }
    }
}

/// Reads an object that has changed, and makes its kinds if they have. Answers whether they have.
async fn again(source: Source, known: Option<Known>) -> Option<(Known, bool)> {
    let object: Value = serde_json::from_slice(&source.bytes).ok()?;
    let identity = Sha256::digest((source.defines.identity)(&object).to_string()).into();
    let since = known.as_ref().map_or(source.seen, |known| known.since);
    let revision = source.revision;
    match known {
        Some(known) if known.identity == identity => Some((Known { revision, ..known }, false)),
        old => {
            let old = old.map(|old| old.served).unwrap_or_default();
            let (established, served) = make(source, object, &old).await;
            Some((Known { revision, identity, since, established, served }, true))
        }
    }
}

/// Makes the kinds of an object. One that cannot be made is logged and left out: it must not hold up all others.
async fn make(source: Source, object: Value, old: &[Arc<Served>]) -> (bool, Vec<Arc<Served>>) {
    let Source { key, defines, .. } = source;
    let made = tokio::task::spawn_blocking(move || (defines.kinds)(&object)).await;
    let Definition { kinds, established } = match made {
        Ok(Ok(definition)) => definition,
        Ok(Err(errors)) => {
            let problems: Vec<String> = errors.iter().map(ToString::to_string).collect();
            error!(%key, ?problems, "a stored definition of kinds is not valid and is not served");
            return (false, Vec::new());
        }
        Err(panic) => {
            error!(%key, %panic, "a stored definition of kinds cannot be made and is not served");
            return (false, Vec::new());
        }
    };
    let before = |kind: &Kind| old.iter().find(|old| old.kind().version == kind.version).map(|old| &**old);
    let served = kinds.into_iter().map(|entry| {
        let before = before(&entry.kind);
        Arc::new(Served::replacing(entry, before))
    });
    (established, served.collect())
}

/// Names that are taken, by group.
#[derive(Default)]
struct Names {
    resources: BTreeSet<(&'static str, &'static str)>,
    kinds: BTreeSet<(&'static str, &'static str)>,
}

impl Names {
    fn resources(kind: &Kind) -> impl Iterator<Item = (&'static str, &'static str)> {
        let group = kind.group;
        [kind.plural, kind.singular]
            .into_iter()
            .chain(kind.short_names.iter().copied())
            .map(move |n| (group, n))
    }

    fn is_free_for(&self, kind: &Kind) -> bool {
        Self::resources(kind).all(|name| !self.resources.contains(&name))
            && !self.kinds.contains(&(kind.group, kind.name))
    }

    fn claim(&mut self, kind: &Kind) {
        self.resources.extend(Self::resources(kind));
        self.kinds.insert((kind.group, kind.name));
    }
}
