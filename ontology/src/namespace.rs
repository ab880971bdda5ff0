//! [`Namespace`]: a room of names of its own.

use orch_api::{ApiVersion, ConditionStatus, Kind, KindName, Metadata, Resource, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A room of names of its own. Deleting it deletes everything in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Namespace {
    /// Always `v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `Namespace`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// What holds the namespace.
    #[serde(default)]
    pub spec: NamespaceSpec,
    /// Whether the namespace is in use or on its way out.
    #[serde(default)]
    pub status: NamespaceStatus,
}

impl Resource for Namespace {
    const KIND: Kind =
        Kind::cluster("", "v1", "Namespace", "namespaces", "namespace").short_names(&["ns"]).with_status();

    const SELECTABLE: &'static [&'static str] = &["status.phase"];

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }
}

/// What holds a namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceSpec {
    /// Who must be done before the namespace may go. `kubernetes` stands for the deletion of all that is in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub finalizers: Vec<String>,
}

/// Whether a namespace is in use or on its way out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceStatus {
    /// `Active`, or `Terminating` once deletion has been asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<NamespacePhase>,
    /// What still holds a namespace that is being deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"],
        "x-kubernetes-patch-strategy" = "merge",
        "x-kubernetes-patch-merge-key" = "type"
    ))]
    pub conditions: Vec<NamespaceCondition>,
}

/// Where a namespace is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NamespacePhase {
    /// In use.
    #[default]
    Active,
    /// Being deleted: nothing new can be made in it.
    Terminating,
}

/// A fact about a namespace that is being deleted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceCondition {
    /// What the fact is about, such as `NamespaceContentRemaining`.
    #[serde(rename = "type")]
    pub condition_type: String,
    /// Whether it is so.
    pub status: ConditionStatus,
    /// When the status last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Why, as a word for programs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, as a sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}
