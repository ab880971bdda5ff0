//! What a cache can hold: whole objects of a type, or [`PartialObject`]s and [`WholeObject`]s of any kind.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use orch_api::{Metadata, Resource};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Something read from the wire that has metadata.
pub trait Cached: DeserializeOwned + Send + Sync + 'static {
    /// The object's metadata.
    fn metadata(&self) -> &Metadata;

    /// Drops what nobody reads from a cache, and room that lists were read into but don't need, so that it takes no memory.
    fn trim(&mut self);
}

impl<K: Resource> Cached for K {
    fn metadata(&self) -> &Metadata {
        Resource::metadata(self)
    }

    fn trim(&mut self) {
        self.metadata_mut().managed_fields = Vec::new();
        // A list is read into room for four at least; its copy has room for what is there.
        *self = self.clone();
    }
}

/// The identity, owners and finalizers of an object of any kind: what garbage collection needs, and no more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartialObject {
    /// Labels, annotations and managed fields are left out.
    pub metadata: Metadata,
    /// Tells whether labels or annotations have changed: the same as long as they are. Not across processes.
    #[serde(skip)]
    pub marks: u64,
}

impl Cached for PartialObject {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn trim(&mut self) {
        let mut marks = DefaultHasher::new();
        (&self.metadata.labels, &self.metadata.annotations).hash(&mut marks);
        self.marks = marks.finish();
        self.metadata.managed_fields = Vec::new();
        self.metadata.labels.clear();
        self.metadata.annotations.clear();
    }
}

/// An object of any kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WholeObject {
    /// Managed fields are left out.
    pub metadata: Metadata,
    /// All other fields.
    #[serde(flatten)]
    pub fields: Map<String, Value>,
}

impl Cached for WholeObject {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn trim(&mut self) {
        self.metadata.managed_fields = Vec::new();
    }
}
