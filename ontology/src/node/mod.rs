//! [`Node`]: a machine that runs pods.

mod columns;
mod query;
mod status;
mod validate;

use orch_api::{ApiVersion, Column, FieldError, Kind, KindName, Metadata, Resource, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use status::{
    ContainerImage, DaemonEndpoint, NodeAddress, NodeAddressType, NodeCondition, NodeDaemonEndpoints,
    NodeStatus, NodeSystemInfo,
};

use crate::TaintEffect;

/// A machine that runs pods. Made by the machine's own agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Node {
    /// Always `v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `Node`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// How the node is to be used.
    #[serde(default)]
    pub spec: NodeSpec,
    /// What the machine is and how it fares. Set by its agent.
    #[serde(default)]
    pub status: NodeStatus,
}

impl Resource for Node {
    const KIND: Kind = Kind::cluster("", "v1", "Node", "nodes", "node").short_names(&["no"]).with_status();

    const SELECTABLE: &'static [&'static str] = &["spec.unschedulable"];

    const STATUS_ON_CREATE: bool = true;

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn prepare(&mut self, _: Option<&Self>) {
        if self.spec.pod_cidrs.is_empty() && !self.spec.pod_cidr.is_empty() {
            self.spec.pod_cidrs.push(self.spec.pod_cidr.clone());
        }
        if self.status.allocatable.is_empty() {
            self.status.allocatable.clone_from(&self.status.capacity);
        }
    }

    fn validate(&self, old: Option<&Self>) -> Vec<FieldError> {
        self.validate_all(old)
    }

    fn columns() -> Vec<Column> {
        columns::columns()
    }
}

/// How a node is to be used.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSpec {
    /// The addresses that the node's pods get.
    #[serde(default, rename = "podCIDR", skip_serializing_if = "String::is_empty")]
    pub pod_cidr: String,
    /// All ranges of addresses that the node's pods get, `podCIDR` first.
    #[serde(default, rename = "podCIDRs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set", "x-kubernetes-patch-strategy" = "merge"))]
    pub pod_cidrs: Vec<String>,
    /// The machine's name at the cloud provider.
    #[serde(default, rename = "providerID", skip_serializing_if = "String::is_empty")]
    pub provider_id: String,
    /// Whether no new pods are placed on the node; those that run there stay.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unschedulable: bool,
    /// What keeps pods away that do not tolerate it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub taints: Vec<Taint>,
}

/// What keeps pods away that do not tolerate it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Taint {
    /// The taint's name, with the syntax of a label key.
    pub key: String,
    /// Its value, with the syntax of a label value.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// What happens to pods that do not tolerate it: `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: TaintEffect,
    /// When it was put there. Set for `NoExecute`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_added: Option<Time>,
}
