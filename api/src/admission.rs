//! What is asked before a change is stored: [`Admission`], which decides by rules that are objects themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::{Authorizer, Followed, Kind, Status};

/// What a request does to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Makes it, or is a command that is posted to it.
    Create,
    /// Changes it.
    Update,
    /// Deletes it, or marks it for deletion.
    Delete,
    /// Opens a stream to what it stands for.
    Connect,
}

impl Operation {
    /// `CREATE`, as rules write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// A change that is about to be stored, or a stream that is about to be opened.
#[derive(Debug, Clone)]
pub struct AdmissionRequest<'a> {
    /// What is done.
    pub operation: Operation,
    /// The kind of the path.
    pub kind: &'a Kind,
    /// What follows the name in the path; empty for the object itself.
    pub subresource: &'a str,
    /// The kind of `object`: that of the path, unless the subresource has a kind of its own.
    pub object_kind: &'a Kind,
    /// The object's namespace; empty if its kind has none.
    pub namespace: &'a str,
    /// The object's name; empty if the server is to choose one.
    pub name: &'a str,
    /// The object as it would be stored, or what is posted to it; none for a deletion.
    pub object: Option<&'a Value>,
    /// The object as it is stored; none for a creation.
    pub old: Option<&'a Value>,
    /// Who asks: `authentication.k8s.io/v1` `UserInfo`.
    pub user: Value,
    /// Whether nothing is to be stored.
    pub dry_run: bool,
}

/// What else there is: rules may depend on it.
pub trait World {
    /// An object, as this server knows it.
    fn object(&self, kind: &Kind, namespace: &str, name: &str) -> Option<Value>;

    /// All objects of a kind in a namespace, as this server knows them; of a kind without namespaces, all.
    fn objects(&self, kind: &Kind, namespace: &str) -> Vec<Value>;

    /// The kind of this group and version, and of this name.
    fn kind(&self, api_version: &str, name: &str) -> Option<Kind>;

    /// The other versions of a kind.
    fn other_versions(&self, kind: &Kind) -> Vec<Kind>;

    /// What says who may do what.
    fn authorizer(&self) -> Arc<dyn Authorizer>;
}

/// What is said about a request, beside whether it passes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admitted {
    /// For the caller.
    pub warnings: Vec<String>,
    /// For the audit record.
    pub annotations: BTreeMap<String, String>,
}

/// How much a kind's requests concern an [`Admission`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// Nothing is to be said about any.
    Nothing,
    /// Some are to be reviewed.
    Request,
    /// Some are to be reviewed, and what is said depends on other objects: these should be up to date.
    World,
}

/// Decides which changes may be stored, by rules that are objects, which it is told of.
///
/// Everything here is synchronous and does no I/O. Reviews may be asked for from many threads at once; changes are told by
/// one.
pub trait Admission: Send + Sync + 'static {
    /// Whether there is anything to say about requests of a kind. Cost: a look at an index.
    fn concern(&self, kind: &Kind) -> Concern;

    /// Whether a request passes. What is to be said about it, whether it does or not, is added to `said`.
    ///
    /// # Errors
    /// The refusal, in Kubernetes' words.
    fn review(
        &self,
        request: &AdmissionRequest<'_>,
        world: &dyn World,
        said: &mut Admitted,
    ) -> Result<(), Status>;

    /// The kinds whose objects are rules. A write to one is acknowledged once the rule applies.
    fn follows(&self) -> Vec<Kind>;

    /// Begins anew: these are all the objects of the kinds that it follows.
    fn replace(&self, objects: &mut dyn Iterator<Item = Followed<'_>>);

    /// Takes in changes that happened together.
    fn take(&self, changes: &mut dyn Iterator<Item = Followed<'_>>);

    /// Another one that knows what this one knows, and is told of other changes from now on: those of a plan.
    fn fork(&self) -> Arc<dyn Admission>;
}

/// Everything passes: for tests, and for servers without rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct AdmitAll;

impl Admission for AdmitAll {
    fn concern(&self, _: &Kind) -> Concern {
        Concern::Nothing
    }

    fn review(&self, _: &AdmissionRequest<'_>, _: &dyn World, _: &mut Admitted) -> Result<(), Status> {
        Ok(())
    }

    fn follows(&self) -> Vec<Kind> {
        Vec::new()
    }

    fn replace(&self, _: &mut dyn Iterator<Item = Followed<'_>>) {}

    fn take(&self, _: &mut dyn Iterator<Item = Followed<'_>>) {}

    fn fork(&self) -> Arc<dyn Admission> {
        Arc::new(*self)
    }
}
