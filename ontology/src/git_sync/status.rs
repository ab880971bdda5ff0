//! What has become of a sync.

use orch_api::plan::PlanTarget;
use orch_api::{Condition, FieldChange, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What has become of a sync.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSyncStatus {
    /// The `metadata.generation` that the rest is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the repository is applied, and works. `Fetched`: it could be read. `Healthy`: what it says does what it should.
    /// `Held`: a guard keeps the newest revision from being applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The newest commit that the repository has.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fetched_revision: String,
    /// The commit that is applied.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub applied_revision: String,
    /// The `metadata.generation` that it is applied with; none while only some of a commit is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_generation: Option<i64>,
    /// Since when this commit is applied with this generation: from then on it has its time to become healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_since: Option<Time>,
    /// When something was last changed for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<Time>,
    /// The last commit that was found healthy after it had been applied.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub healthy_revision: String,
    /// The `metadata.generation` that it was found healthy with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_generation: Option<i64>,
    /// The commit that did not become healthy and was rolled back. It is not tried again before it is asked for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub failed_revision: String,
    /// Why it did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub failed_message: String,
    /// The value of the annotation that asked last for a look at the repository and was heeded.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub handled_reconcile: String,
    /// What is held, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldRevision>,
    /// The plans of the last sync that changed something, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub last_plans: Vec<String>,
    /// What had been changed by others when it was last changed back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub drift: Vec<DriftedObject>,
    /// The objects that have been applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub inventory: Vec<InventoryItem>,
}

/// A revision that is not applied because of a guard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeldRevision {
    /// The commit. `orchctl gitsync approve` lets it through.
    pub revision: String,
    /// Which guard, as a word: `TooManyDeletes`, `ReplicaDrop`, `Frozen`.
    pub reason: String,
    /// The same as a sentence.
    pub message: String,
    /// Until when, if it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// The objects that would be deleted, 50 at most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub deletes: Vec<InventoryItem>,
}

/// An object that somebody else had changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DriftedObject {
    /// The object.
    pub object: InventoryItem,
    /// When it was changed back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// The managers of the fields as they were, or who deleted the object.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub changed_by: Vec<String>,
    /// The fields: as they were, and as they are again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub fields: Vec<FieldChange>,
}

/// An object, of whatever kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InventoryItem {
    /// `v1` or `group/version`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace, if its kind has namespaces.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl From<InventoryItem> for PlanTarget {
    fn from(item: InventoryItem) -> Self {
        let InventoryItem { api_version, kind, namespace, name } = item;
        Self { api_version, kind, namespace, name, subresource: String::new() }
    }
}

impl From<PlanTarget> for InventoryItem {
    fn from(target: PlanTarget) -> Self {
        let PlanTarget { api_version, kind, namespace, name, .. } = target;
        Self { api_version, kind, namespace, name }
    }
}
