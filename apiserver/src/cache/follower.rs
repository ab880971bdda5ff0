//! [`Follower`]: who is told of changes before anybody can read them.

use std::sync::Arc;

use orch_api::{Admission, Authorizer, Followed, Kind};
use orch_store::Key;

use super::Cached;
use crate::kinds::Served;

/// An object, with the kind by which it is told of; none if it is gone.
type News<'a> = (&'a Served, &'a Key, Option<&'a Cached>);

/// Tells the authorizer of the objects that its decisions depend on, and the admission of those that are its rules.
pub(crate) struct Follower {
    authorizer: Arc<dyn Authorizer>,
    rights: Vec<Kind>,
    admission: Arc<dyn Admission>,
    rules: Vec<Kind>,
}

impl Follower {
    pub(crate) fn new(authorizer: Arc<dyn Authorizer>, admission: Arc<dyn Admission>) -> Self {
        let rights = authorizer.follows().into_iter().map(|(kind, _)| kind).collect();
        let rules = admission.follows();
        Self { authorizer, rights, admission, rules }
    }

    /// Whether the kind's objects are to be told of.
    pub(super) fn follows(&self, kind: &Kind) -> bool {
        self.rights.contains(kind) || self.rules.contains(kind)
    }

    /// Tells of all objects there are of the kinds that are followed.
    pub(super) fn replace<'a>(&self, objects: impl Iterator<Item = (&'a Served, &'a Arc<Cached>)>) {
        let all: Vec<News<'_>> =
            objects.map(|(served, object)| (served, &object.key, Some(&**object))).collect();
        self.authorizer.replace(&mut of(&all, &self.rights));
        self.admission.replace(&mut of(&all, &self.rules));
    }

    /// Tells of changes that happened together: what each object is now, or that it is gone.
    pub(super) fn take<'a>(
        &self,
        changes: impl Iterator<Item = (&'a Served, &'a (Key, Option<Arc<Cached>>))>,
    ) {
        let all: Vec<News<'_>> =
            changes.map(|(served, (key, object))| (served, key, object.as_deref())).collect();
        let concerns = |kinds: &[Kind]| all.iter().any(|(served, ..)| kinds.contains(served.kind()));
        if concerns(&self.rights) {
            self.authorizer.take(&mut of(&all, &self.rights));
        }
        if concerns(&self.rules) {
            self.admission.take(&mut of(&all, &self.rules));
        }
    }
}

fn of<'a>(all: &'a [News<'a>], kinds: &'a [Kind]) -> impl Iterator<Item = Followed<'a>> {
    let meant = all.iter().filter(|(served, ..)| kinds.contains(served.kind()));
    meant.map(|(served, key, object)| followed(served.kind(), key, *object))
}

fn followed<'a>(kind: &'a Kind, key: &'a Key, object: Option<&'a Cached>) -> Followed<'a> {
    let mut path = key.as_str().rsplit('/');
    let (name, place) = (path.next().unwrap_or_default(), path.next().unwrap_or_default());
    let namespace = if kind.is_namespaced() { place } else { "" };
    Followed { kind, namespace, name, object: object.map(|object| &*object.stored) }
}
