//! One container of a pod.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{EnvFromSource, EnvVar, ResourceRequirements, SecurityContext};

/// One container of a pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Container {
    /// The container's name, unique in the pod.
    pub name: String,
    /// The image, such as `docker.io/library/nginx:1.27`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// The program to run, in place of the image's entry point. `$(NAME)` is replaced by the variable of that name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub command: Vec<String>,
    /// Arguments of the program, in place of the image's. `$(NAME)` is replaced by the variable of that name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub args: Vec<String>,
    /// The directory that the program starts in, in place of the image's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Ports that the program listens on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["containerPort", "protocol"],
        "x-kubernetes-patch-strategy" = "merge",
        "x-kubernetes-patch-merge-key" = "containerPort"
    ))]
    pub ports: Vec<ContainerPort>,
    /// Whole ConfigMaps and Secrets whose entries become environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub env_from: Vec<EnvFromSource>,
    /// Environment variables. They win over those of `envFrom`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["name"],
        "x-kubernetes-patch-strategy" = "merge",
        "x-kubernetes-patch-merge-key" = "name"
    ))]
    pub env: Vec<EnvVar>,
    /// How much of the node's resources the container needs and may use.
    #[serde(default)]
    pub resources: ResourceRequirements,
    /// Where volumes appear in the container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["mountPath"],
        "x-kubernetes-patch-strategy" = "merge",
        "x-kubernetes-patch-merge-key" = "mountPath"
    ))]
    pub volume_mounts: Vec<VolumeMount>,
    /// The file whose content becomes the message of the container's end. `/dev/termination-log` unless given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub termination_message_path: String,
    /// Where the message of the container's end comes from: `File` (the default), or `FallbackToLogsOnError`.
    #[serde(default)]
    pub termination_message_policy: TerminationMessagePolicy,
    /// When the image is pulled: `Always`, `Never` or `IfNotPresent`. `Always` for the tag `latest`, otherwise `IfNotPresent`,
    /// unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// What the container's processes may do. Wins over the pod's settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<SecurityContext>,
    /// Whether the program has a standard input, which those who attach write to. Without, it reads the end at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stdin: bool,
    /// Whether the standard input ends with the first who attaches to it. Otherwise it never ends. Not with `tty`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stdin_once: bool,
    /// Whether the program runs on a terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tty: bool,
}

/// A port that a container listens on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ContainerPort {
    /// A name for the port, unique in the pod.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The same port on the node. With `hostNetwork`, equal to `containerPort`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_port: Option<i32>,
    /// The port's number on the pod's address, 1 to 65535.
    pub container_port: i32,
    /// `TCP` (the default), `UDP` or `SCTP`.
    #[serde(default)]
    pub protocol: Protocol,
    /// The node's address that `hostPort` is bound to. All of them unless given.
    #[serde(default, rename = "hostIP", skip_serializing_if = "String::is_empty")]
    pub host_ip: String,
}

/// A transport protocol.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// Streams.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
    /// Messages over several paths.
    Sctp,
}

/// Where a volume appears in a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeMount {
    /// The name of one of the pod's volumes.
    pub name: String,
    /// Whether the container may only read it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// The path in the container. May not contain `:`.
    pub mount_path: String,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// Before every start of a container.
    Always,
    /// Never: it must be on the node already.
    Never,
    /// When the node does not have it.
    #[default]
    IfNotPresent,
}

/// Where the message of a container's end comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TerminationMessagePolicy {
    /// The file `terminationMessagePath`.
    #[default]
    File,
    /// The file, or the end of the log if the file is empty and the container failed.
    FallbackToLogsOnError,
}
