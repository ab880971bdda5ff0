//! [`ObjectKey`]: the name of an object of a known kind, and [`Key`]: what a work queue holds.

use std::fmt::{self, Debug};
use std::hash::Hash;

use orch_api::{Metadata, OwnerReference};
use serde::{Deserialize, Serialize};

/// The name of an object among those of its kind. The namespace is empty for kinds of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// The namespace, or the empty string.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectKey {
    /// A key of these parts.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The key of the object with this metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Self::new(metadata.namespace(), metadata.name.clone())
    }

    /// The key of an owner of the object with this metadata. `namespaced` says where objects of the owner's kind live.
    pub fn of_owner(metadata: &Metadata, owner: &OwnerReference, namespaced: bool) -> Self {
        Self::new(if namespaced { metadata.namespace() } else { "" }, owner.name.clone())
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => f.write_str(&self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}

/// What a work queue holds: the name of a piece of work. Equal keys are one piece.
pub trait Key: Clone + Eq + Ord + Hash + Debug + Send + Sync + 'static {
    /// Whose work it is: the queue serves namespaces in turn.
    fn namespace(&self) -> &str;
}

impl Key for ObjectKey {
    fn namespace(&self) -> &str {
        &self.namespace
    }
}
