//! What a machine is and how it fares.

use orch_api::{ConditionStatus, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ResourceList;

/// What a machine is and how it fares.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeStatus {
    /// All resources of the machine.
    #[serde(default, skip_serializing_if = "ResourceList::is_empty")]
    pub capacity: ResourceList,
    /// The resources that pods may use.
    #[serde(default, skip_serializing_if = "ResourceList::is_empty")]
    pub allocatable: ResourceList,
    /// Facts about the node: `Ready`, `MemoryPressure`, `DiskPressure`, `PIDPressure`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"],
        "x-kubernetes-patch-strategy" = "merge",
        "x-kubernetes-patch-merge-key" = "type"
    ))]
    pub conditions: Vec<NodeCondition>,
    /// How the machine is reached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"],
        "x-kubernetes-patch-strategy" = "merge",
        "x-kubernetes-patch-merge-key" = "type"
    ))]
    pub addresses: Vec<NodeAddress>,
    /// Where the node's agent serves.
    #[serde(default)]
    pub daemon_endpoints: NodeDaemonEndpoints,
    /// Versions and identities of the machine.
    #[serde(default)]
    pub node_info: NodeSystemInfo,
    /// Images that are on the node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub images: Vec<ContainerImage>,
}

/// A fact about a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeCondition {
    /// What the fact is about, such as `Ready`.
    #[serde(rename = "type")]
    pub condition_type: String,
    /// Whether it is so.
    pub status: ConditionStatus,
    /// When the node last said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_heartbeat_time: Option<Time>,
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

/// One way to reach a machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeAddress {
    /// What sort of address: `Hostname`, `InternalIP`, `ExternalIP`, `InternalDNS`, `ExternalDNS`.
    #[serde(rename = "type")]
    pub address_type: NodeAddressType,
    /// The address.
    pub address: String,
}

/// A sort of address.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NodeAddressType {
    /// The machine's host name.
    #[default]
    Hostname,
    /// An address inside the cluster's network.
    #[serde(rename = "InternalIP")]
    InternalIp,
    /// An address that is reached from outside.
    #[serde(rename = "ExternalIP")]
    ExternalIp,
    /// A name that resolves to an address inside the cluster's network.
    #[serde(rename = "InternalDNS")]
    InternalDns,
    /// A name that resolves to an address that is reached from outside.
    #[serde(rename = "ExternalDNS")]
    ExternalDns,
}

/// Where a node's agent serves.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeDaemonEndpoints {
    /// Logs, exec and other streams of the node's pods.
    #[serde(default)]
    pub kubelet_endpoint: DaemonEndpoint,
}

/// A port that an agent listens on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DaemonEndpoint {
    /// The port; 0 if there is none.
    #[serde(rename = "Port")]
    pub port: i32,
}

/// Versions and identities of a machine.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSystemInfo {
    /// The id of the installed system, from `/etc/machine-id`.
    #[serde(rename = "machineID")]
    pub machine_id: String,
    /// The id of the machine, from its firmware.
    #[serde(rename = "systemUUID")]
    pub system_uuid: String,
    /// Another one at each start of the machine.
    #[serde(rename = "bootID")]
    pub boot_id: String,
    /// The kernel's version.
    pub kernel_version: String,
    /// The name of the operating system's distribution.
    pub os_image: String,
    /// The container runtime and its version, such as `containerd://1.6.20`.
    pub container_runtime_version: String,
    /// The version of the node's agent.
    pub kubelet_version: String,
    /// The version of what serves services on the node.
    pub kube_proxy_version: String,
    /// The operating system, such as `linux`.
    pub operating_system: String,
    /// The processor architecture, such as `amd64`.
    pub architecture: String,
}

/// An image on a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerImage {
    /// The names that the image is known by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub names: Vec<String>,
    /// Its size on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<i64>,
}
