//! Kinds that objects define: from the defining objects to the table of kinds.
//!
//! Compiling a definition takes a while, so that what is known of an object is kept until the part that the definition
//! depends on changes. Definitions whose names are taken are left out; those that have been accepted before come first, then
//! the older ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orch_api::{Defines, Definition, Kind};
use orch_store::{Entry, Key, Revision};
use serde_json::Value;
use tracing::{error, info, warn};

use crate::cache::Cached;
use crate::kinds::{Kinds, Served};

/// An object that defines kinds.
pub(crate) struct Source {
    key: Key,
    defines: Defines,
    object: Value,
    /// When the object was made, or where that is not known, a revision at which it was there.
    seen: Revision,
}

impl Source {
    /// The object that the store holds; none if it cannot be read, which is said where it is served.
    pub(crate) fn of(defines: Defines, entry: &Entry) -> Option<Self> {
        Self::read(defines, &entry.key, &entry.value, entry.created)
    }

    /// The object that the cache holds.
    pub(crate) fn cached(defines: Defines, object: &Cached) -> Option<Self> {
        Self::read(defines, &object.key, &object.bytes, object.revision)
    }

    fn read(defines: Defines, key: &Key, bytes: &[u8], seen: Revision) -> Option<Self> {
        Some(Self { key: key.clone(), defines, object: serde_json::from_slice(bytes).ok()?, seen })
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
    identity: Value,
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

    /// The table of kinds that these objects, and no others, define; none if it is the one made last.
    pub(crate) async fn renew(&mut self, sources: Vec<Source>) -> Option<Arc<Kinds>> {
        let mut before = std::mem::take(&mut self.known);
        let mut changed = false;
        for source in sources {
            let identity = (source.defines.identity)(&source.object);
            let known = before.remove(&source.key);
            let key = source.key.clone();
            let since = known.as_ref().map_or(source.seen, |known| known.since);
            let known = match known {
                Some(known) if known.identity == identity => known,
                old => {
                    changed = true;
                    let old = old.map(|old| old.served).unwrap_or_default();
                    let (established, served) = make(source, &old).await;
                    Known { identity, since, established, served }
                }
            };
            self.known.insert(key, known);
        }
        (changed || !before.is_empty()).then(|| self.table())
    }

    fn table(&self) -> Arc<Kinds> {
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

/// Makes the kinds of an object. One that cannot be made is logged and left out: it must not hold up all others.
async fn make(source: Source, old: &[Arc<Served>]) -> (bool, Vec<Arc<Served>>) {
    let Source { key, defines, object, seen: _ } = source;
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
