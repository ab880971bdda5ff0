//! Roles and bindings: what is stored (`objects.rs`), and what decisions are made from (`snapshot.rs`).

mod objects;
mod snapshot;

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use orch_api::Followed;
use parking_lot::{Mutex, MutexGuard};

use objects::Objects;
pub(crate) use snapshot::Snapshot;

/// All roles and bindings.
#[derive(Default)]
pub(crate) struct Rbac {
    /// Touched only by whoever tells of changes.
    objects: Mutex<Objects>,
    snapshot: ArcSwap<Snapshot>,
}

impl Rbac {
    /// What to decide from at this moment.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// The same roles and bindings, to be changed apart from these. Cost: as many as there are.
    pub(crate) fn fork(&self) -> Self {
        let objects = self.objects.lock();
        Self { objects: Mutex::new(objects.clone()), snapshot: ArcSwap::new(self.snapshot()) }
    }

    /// Takes in changes; nobody sees them until they are published.
    pub(crate) fn writer(&self) -> Writer<'_> {
        Writer { objects: self.objects.lock(), snapshot: &self.snapshot }
    }
}

/// Changes that become visible together.
pub(crate) struct Writer<'a> {
    objects: MutexGuard<'a, Objects>,
    snapshot: &'a ArcSwap<Snapshot>,
}

impl Writer<'_> {
    /// Takes in an object, or that it is gone.
    pub(crate) fn note(&mut self, object: &Followed<'_>) {
        self.objects.note(object);
    }

    /// Forgets everything. What is decided from stays until the next [`publish`](Self::publish).
    pub(crate) fn clear(&mut self) {
        self.objects.clear();
    }

    /// Makes the changes visible. Cost: the bindings of the namespaces that they touch.
    pub(crate) fn publish(&mut self) {
        let Some(changed) = self.objects.changed() else { return };
        let now = self.snapshot.load();
        let mut namespaces: HashMap<_, _> = if changed.all { HashMap::new() } else { now.namespaces.clone() };
        for namespace in changed.namespaces {
            match self.objects.grants(&namespace) {
                Some(grants) => drop(namespaces.insert(namespace, Arc::new(grants))),
                None => drop(namespaces.remove(&namespace)),
            }
        }
        let cluster = match changed.cluster {
            true => Arc::new(self.objects.grants("").unwrap_or_default()),
            false => now.cluster.clone(),
        };
        self.snapshot.store(Arc::new(Snapshot { cluster, namespaces }));
    }
}
