//! What would come of a plan.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PlanTarget;
use crate::FieldChange;

/// What becomes of an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ChangeAction {
    /// It is made.
    Created,
    /// Some of its fields change.
    Changed,
    /// It goes, and another comes in its place, of the same name.
    Replaced,
    /// It goes, at once or when what holds it lets go.
    Deleted,
    /// It is already as it is to be.
    #[default]
    Unchanged,
}

/// What becomes of one object.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectChange {
    /// The object.
    pub target: PlanTarget,
    /// What becomes of it: `Created`, `Changed`, `Replaced`, `Deleted` or `Unchanged`.
    pub action: ChangeAction,
    /// The fields that differ. Values of kinds that hold secrets are not shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub fields: Vec<FieldChange>,
    /// What the server has to say about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub warnings: Vec<String>,
    /// Why it changes, if not because the plan says so: what it follows from. It happens after the plan has been applied.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub because: String,
}

/// Where a pod would go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Placement {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name; of a pod that is yet to be made, the name of what makes it and a number.
    pub pod: String,
    /// The node; empty if the pod fits nowhere.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// Why it fits nowhere, in one sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What speaks against each node, for a pod that fits nowhere: told of the first one for which it is the same in one sentence, and not
    /// of ever more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reasons: BTreeMap<String, Vec<String>>,
}

/// A pod that would have to go.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Eviction {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The node that it is on; empty if it is on none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// Why it goes.
    pub because: String,
}

/// How far the changes reach, with all that follows from them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BlastRadius {
    /// How many objects are made.
    #[serde(default)]
    pub created: i32,
    /// How many objects change.
    #[serde(default)]
    pub changed: i32,
    /// How many objects go.
    #[serde(default)]
    pub deleted: i32,
    /// How many running pods go without another in their place.
    #[serde(default)]
    pub replicas_lost: i32,
    /// The nodes that pods come to or go from, or that change themselves.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub nodes_touched: Vec<String>,
    /// The services whose pods come or go, or that change themselves, as `namespace/name`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub services_affected: Vec<String>,
}
