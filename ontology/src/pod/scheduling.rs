//! What a pod says about the nodes it may run on.

use orch_api::Selector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Pod;

/// A taint that does not keep the pod away.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Toleration {
    /// The taint's key. Empty, with operator `Exists`: every key.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// `Equal` (the default): key and value are those of the taint. `Exists`: any value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// The taint's value. Empty with operator `Exists`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// The taint's effect. Every effect unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// For effect `NoExecute`: seconds that the pod stays on a node that gets the taint. For ever unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<i64>,
}

/// How a toleration's value is compared with a taint's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// Any value.
    Exists,
    /// The same value.
    #[default]
    Equal,
}

/// What a taint does to pods that do not tolerate it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// They are not placed on the node.
    #[default]
    NoSchedule,
    /// They are placed elsewhere if they can.
    PreferNoSchedule,
    /// They are not placed on the node, and those that run there are evicted.
    NoExecute,
}

impl TaintEffect {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}

/// How evenly pods are spread over groups of nodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopologySpreadConstraint {
    /// How many more of the pods one group may have than the group with the fewest. At least 1.
    pub max_skew: i32,
    /// The node label whose values are the groups, such as `kubernetes.io/hostname`.
    pub topology_key: String,
    /// Whether a pod that cannot be placed evenly waits (`DoNotSchedule`) or is placed as well as can be (`ScheduleAnyway`).
    pub when_unsatisfiable: UnsatisfiableConstraintAction,
    /// The pods, in the same namespace, that are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector: Option<Selector<Pod>>,
}

/// What happens to a pod that cannot be placed evenly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum UnsatisfiableConstraintAction {
    /// It waits.
    #[default]
    DoNotSchedule,
    /// It is placed as evenly as can be.
    ScheduleAnyway,
}
