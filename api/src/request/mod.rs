//! [`Request`]: one call on the API, the same whether it travels over HTTP or stays in the process.

mod body;
mod params;

use std::fmt;

pub use body::{Body, MediaType, Patch};
pub use params::{FieldValidation, Params, Propagation, VersionMatch, parse_dry_run};

use crate::{FieldError, Kind, Status, Target};

/// One call on the API.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What to do.
    pub verb: Verb,
    /// What to do it to.
    pub target: Target,
    /// How to do it.
    pub params: Params,
    /// The object, patch or options sent along.
    pub body: Option<Body>,
}

/// What to do. The words are those of Kubernetes' authorization rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read a collection.
    List,
    /// Follow a collection.
    Watch,
    /// Add an object to a collection, or post to a subresource.
    Create,
    /// Replace an object.
    Update,
    /// Change an object.
    Patch,
    /// Delete an object.
    Delete,
    /// Delete the objects of a collection.
    DeleteCollection,
}

impl Verb {
    /// The verb as authorization rules name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// The kind that Kubernetes gives the verb's parameters, for errors about them.
    pub fn options(self) -> Kind {
        let name = match self {
            Self::Get | Self::List | Self::Watch => "ListOptions",
            Self::Create => "CreateOptions",
            Self::Update => "UpdateOptions",
            Self::Patch => "PatchOptions",
            Self::Delete | Self::DeleteCollection => "DeleteOptions",
        };
        Kind::cluster("meta.k8s.io", "v1", name, "", "")
    }

    /// 422: a parameter of the verb is not valid.
    pub fn invalid_options(self, error: FieldError) -> Status {
        Status::invalid(&self.options(), "", &[error])
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
