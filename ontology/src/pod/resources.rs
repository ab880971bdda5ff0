//! How much of a node containers need and may use.

use std::collections::BTreeMap;

use orch_api::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Amounts by resource: `cpu` in cores, `memory` and `ephemeral-storage` in bytes, `pods` in pods.
pub type ResourceList = BTreeMap<String, Quantity>;

/// How much of the node's resources a container needs and may use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ResourceRequirements {
    /// The most that the container may use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: ResourceList,
    /// What is set aside for the container. What is not given here is taken from `limits`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: ResourceList,
}
