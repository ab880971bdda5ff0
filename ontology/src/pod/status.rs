//! What runs in a pod, as its node sees it.

use orch_api::{ConditionStatus, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What runs in a pod, as its node sees it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodStatus {
    /// The `metadata.generation` that the node has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the pod is in its life: `Pending`, `Running`, `Succeeded`, `Failed`, or `Unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<PodPhase>,
    /// Facts about the pod: `PodScheduled`, `Initialized`, `ContainersReady`, `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"],
        "x-kubernetes-patch-strategy" = "merge",
        "x-kubernetes-patch-merge-key" = "type"
    ))]
    pub conditions: Vec<PodCondition>,
    /// Why the pod is in its phase, as a sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Why the pod is in its phase, as a word for programs, such as `Evicted`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The address of the pod's node.
    #[serde(default, rename = "hostIP", skip_serializing_if = "String::is_empty")]
    pub host_ip: String,
    /// All addresses of the pod's node, `hostIP` first.
    #[serde(default, rename = "hostIPs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "atomic",
        "x-kubernetes-patch-strategy" = "merge",
        "x-kubernetes-patch-merge-key" = "ip"
    ))]
    pub host_ips: Vec<HostIp>,
    /// The pod's address.
    #[serde(default, rename = "podIP", skip_serializing_if = "String::is_empty")]
    pub pod_ip: String,
    /// All addresses of the pod, `podIP` first.
    #[serde(default, rename = "podIPs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["ip"],
        "x-kubernetes-patch-strategy" = "merge",
        "x-kubernetes-patch-merge-key" = "ip"
    ))]
    pub pod_ips: Vec<PodIp>,
    /// When the node took the pod on, before images were pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// The init containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub init_container_statuses: Vec<ContainerStatus>,
    /// The containers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub container_statuses: Vec<ContainerStatus>,
    /// How the pod fares when the node runs out of resources: `Guaranteed`, `Burstable` or `BestEffort`, from its requests and
    /// limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qos_class: Option<QosClass>,
}

/// Where a pod is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PodPhase {
    /// Accepted; not all containers have been started.
    #[default]
    Pending,
    /// On a node; all containers have been started and at least one runs or is about to start again.
    Running,
    /// All containers have ended with exit code 0 and will not start again.
    Succeeded,
    /// All containers have ended, at least one of them in failure, and will not start again.
    Failed,
    /// The node cannot be reached.
    Unknown,
}

/// How a pod fares when its node runs out of resources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum QosClass {
    /// Every container has limits for CPU and memory that equal its requests.
    Guaranteed,
    /// Some container requests something.
    Burstable,
    /// No container requests anything.
    #[default]
    BestEffort,
}

/// A fact about a pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodCondition {
    /// What the fact is about, such as `Ready`.
    #[serde(rename = "type")]
    pub condition_type: String,
    /// The `metadata.generation` that was seen when this was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Whether it is so.
    pub status: ConditionStatus,
    /// When it was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_probe_time: Option<Time>,
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

/// An address of a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostIp {
    /// The address.
    pub ip: String,
}

/// An address of a pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodIp {
    /// The address.
    pub ip: String,
}

/// What has become of a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerStatus {
    /// The container's name.
    pub name: String,
    /// What the container does now.
    #[serde(default)]
    pub state: ContainerState,
    /// How the container's last run ended.
    #[serde(default)]
    pub last_state: ContainerState,
    /// Whether the container runs and its readiness is given.
    pub ready: bool,
    /// How often the container has been started again.
    pub restart_count: i32,
    /// The image, as it was asked for.
    pub image: String,
    /// The image that runs, by digest.
    #[serde(rename = "imageID")]
    pub image_id: String,
    /// The container's id at the runtime, such as `containerd://<id>`.
    #[serde(default, rename = "containerID", skip_serializing_if = "String::is_empty")]
    pub container_id: String,
    /// Whether the container has started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<bool>,
}

/// What a container does. At most one field is given; none stands for waiting.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerState {
    /// It waits to be started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<ContainerStateWaiting>,
    /// It runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<ContainerStateRunning>,
    /// It has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminated: Option<ContainerStateTerminated>,
}

/// Why a container waits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerStateWaiting {
    /// As a word for programs, such as `ContainerCreating`, `ImagePullBackOff` or `CrashLoopBackOff`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// As a sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// Since when a container runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerStateRunning {
    /// When it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
}

/// How a container ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerStateTerminated {
    /// The exit code; 128 plus the signal if a signal ended it.
    pub exit_code: i32,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// Why, as a word for programs: `Completed`, `Error`, `OOMKilled`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, as a sentence for people: what the container left in `terminationMessagePath`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
    /// The container's id at the runtime.
    #[serde(default, rename = "containerID", skip_serializing_if = "String::is_empty")]
    pub container_id: String,
}
