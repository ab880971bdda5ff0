//! Whether what a plan was made from is still as it was.

use std::fmt;

use orch_api::plan::PlanTarget;
use orch_api::{Kind, Object as _};
use orch_store::{Entry, Key, ReadAt, Revision};
use serde_json::Value;

use crate::kinds::Served;
use crate::registry::Registry;

/// Which object, whatever the version in which it is read: `Workload default/web`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    kind: String,
    namespace: String,
    name: String,
}

impl Place {
    pub(super) fn of(target: &PlanTarget) -> Self {
        let PlanTarget { kind, namespace, name, .. } = target.clone();
        Self { kind, namespace, name }
    }

    /// Of the object of a kind that is at a key.
    pub(super) fn at(kind: &Kind, key: &Key) -> Self {
        let mut path = key.as_str().rsplit('/');
        let (name, namespace) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
        let namespace = if kind.is_namespaced() { namespace } else { "" };
        Self { kind: kind.name.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, namespace, name } = self;
        match namespace.as_str() {
            "" => write!(f, "{kind} {name}"),
            namespace => write!(f, "{kind} {namespace}/{name}"),
        }
    }
}

/// Whether an object is what it was at a revision, but for what is seen of it. Not if the store has forgotten that revision.
pub(super) async fn has_only_status_changed(
    registry: &Registry,
    kind: &Served,
    was_at: Revision,
    now: &Entry,
) -> bool {
    let Ok(Some(before)) = registry.store.get(&now.key, ReadAt::Exactly(was_at)).await else { return false };
    match [&before, now].map(|entry| wanted(kind, entry)) {
        [Some(before), Some(now)] => before == now,
        _ => false,
    }
}

/// An object without what is seen of it, and without who has written that. None if it cannot be read.
fn wanted(kind: &Served, entry: &Entry) -> Option<Value> {
    let bytes = kind.window.reading().read(&entry.value).ok()?;
    let mut object: Value = serde_json::from_slice(&bytes).ok()?;
    let fields = object.as_object_mut()?;
    fields.remove("status");
    let metadata = fields.get_mut("metadata")?.as_object_mut()?;
    metadata.remove("resourceVersion");
    if let Some(managers) = metadata.get_mut("managedFields").and_then(Value::as_array_mut) {
        managers.retain(|manager| manager.text(&["subresource"]) != "status");
    }
    Some(object)
}
