//! [`Binding`]: the placement of a pod, posted to its `binding` subresource. Never stored.

use orch_api::{ApiVersion, Kind, KindName, Metadata, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ObjectReference;

/// The placement of a pod on a node. Posted to the pod's `binding` subresource; never stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Binding {
    /// Always `v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `Binding`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// The node.
    pub target: ObjectReference,
}

impl Resource for Binding {
    const KIND: Kind = Kind::namespaced("", "v1", "Binding", "bindings", "binding");

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }
}
