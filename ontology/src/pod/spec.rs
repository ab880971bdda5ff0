//! What should run in a pod.

use std::collections::BTreeMap;

use orch_api::{Metadata, Ref, RunsOn};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Container, PodSecurityContext, Toleration, TopologySpreadConstraint, Volume};
use crate::{Node, ServiceAccount};

/// What should run in a pod, and where.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodSpec {
    /// Containers that run one after the other, each to its successful end, before the others start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"],
        "x-kubernetes-patch-strategy" = "merge",
        "x-kubernetes-patch-merge-key" = "name"
    ))]
    pub init_containers: Vec<Container>,
    /// The containers. At least one; they start together and share network and volumes.
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"],
        "x-kubernetes-patch-strategy" = "merge",
        "x-kubernetes-patch-merge-key" = "name"
    ))]
    pub containers: Vec<Container>,
    /// Directories and files that containers can mount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"],
        "x-kubernetes-patch-strategy" = "merge,retainKeys",
        "x-kubernetes-patch-merge-key" = "name"
    ))]
    pub volumes: Vec<Volume>,
    /// Whether containers that have ended are started again: `Always` (the default), `OnFailure` or `Never`.
    #[serde(default)]
    pub restart_policy: RestartPolicy,
    /// Seconds that containers have between being asked to stop and being killed. 30 unless given; 0 kills at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub termination_grace_period_seconds: Option<i64>,
    /// How names are resolved: `ClusterFirst` (the default) by the cluster's name server, `Default` as on the node.
    #[serde(default)]
    pub dns_policy: DnsPolicy,
    /// Labels that a node must carry for the pod to run there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("x-kubernetes-map-type" = "atomic"))]
    pub node_selector: BTreeMap<String, String>,
    /// The service account that the pod acts as. `default` unless given; it must be there when the pod is made.
    #[serde(default, skip_serializing_if = "Ref::is_empty")]
    pub service_account_name: Ref<ServiceAccount>,
    /// Whether containers find a token of the service account at `/var/run/secrets/kubernetes.io/serviceaccount`. As the
    /// account says unless given; it says yes unless it says no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
    /// The node that the pod runs on. Set by the scheduler; given by hand, the scheduler is passed by.
    #[serde(default, skip_serializing_if = "Ref::is_empty")]
    pub node_name: Ref<Node, RunsOn>,
    /// Use the node's own network instead of one of the pod's own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub host_network: bool,
    /// Security settings of all the pod's containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurityContext>,
    /// The host name inside the pod. The pod's name unless given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Who places the pod. `default-scheduler` unless given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scheduler_name: String,
    /// Taints of nodes that do not keep the pod away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub tolerations: Vec<Toleration>,
    /// How pods are spread over nodes, zones or other groups of nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["topologyKey", "whenUnsatisfiable"],
        "x-kubernetes-patch-strategy" = "merge",
        "x-kubernetes-patch-merge-key" = "topologyKey"
    ))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Whether services are announced to containers by environment variables. Accepted because clients send it; there are
    /// no services to announce.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable_service_links: Option<bool>,
}

/// Whether containers that have ended are started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum RestartPolicy {
    /// Started again whatever happened.
    #[default]
    Always,
    /// Started again unless they ended with exit code 0.
    OnFailure,
    /// Never started again.
    Never,
}

/// How names are resolved inside a pod.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DnsPolicy {
    /// By the cluster's name server, even on the node's own network.
    ClusterFirstWithHostNet,
    /// By the cluster's name server, unless the pod uses the node's network.
    #[default]
    ClusterFirst,
    /// As on the node.
    Default,
}

/// What a pod to come looks like: its labels, annotations and spec.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodTemplateSpec {
    /// Labels and annotations of the pods.
    #[serde(default)]
    pub metadata: Metadata,
    /// What the pods run: the `spec` of a Pod.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub spec: PodSpec,
}
