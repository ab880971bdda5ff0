//! [`Follower`]: who is told of changes before anybody can read them.

use std::sync::Arc;

use orch_api::{Authorizer, Followed, Kind};
use orch_store::Key;

use super::Cached;
use crate::kinds::Served;

/// Tells the authorizer of the objects that its decisions depend on.
pub(crate) struct Follower {
    authorizer: Arc<dyn Authorizer>,
    kinds: Vec<Kind>,
}

impl Follower {
    pub(crate) fn new(authorizer: Arc<dyn Authorizer>) -> Self {
        let kinds = authorizer.follows().into_iter().map(|(kind, _)| kind).collect();
        Self { authorizer, kinds }
    }

    /// Whether the kind's objects are to be told of.
    pub(super) fn follows(&self, kind: &Kind) -> bool {
        self.kinds.contains(kind)
    }

    /// Tells of all objects there are; those of kinds that are not followed are left out.
    pub(super) fn replace<'a>(&self, objects: impl Iterator<Item = (&'a Served, &'a Arc<Cached>)>) {
        let mut followed =
            objects.map(|(served, object)| followed(served.kind(), &object.key, Some(&**object)));
        self.authorizer.replace(&mut followed);
    }

    /// Tells of changes that happened together: what each object is now, or that it is gone.
    pub(super) fn take<'a>(
        &self,
        changes: impl Iterator<Item = (&'a Served, &'a (Key, Option<Arc<Cached>>))>,
    ) {
        let mut followed =
            changes.map(|(served, (key, object))| followed(served.kind(), key, object.as_deref())).peekable();
        if followed.peek().is_some() {
            self.authorizer.take(&mut followed);
        }
    }
}

fn followed<'a>(kind: &'a Kind, key: &'a Key, object: Option<&'a Cached>) -> Followed<'a> {
    let mut path = key.as_str().rsplit('/');
    let (name, place) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
    let namespace = if kind.is_namespaced() { place } else { "" };
    Followed { kind, namespace, name, object: object.map(|object| &*object.bytes) }
}
