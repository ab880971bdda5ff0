//! [`Pod`]: containers that run together on one node and share its network and volumes.

mod container;
mod env;
mod resources;
mod scheduling;
mod security;
mod spec;
mod status;
mod volume;

use orch_api::{ApiVersion, Kind, KindName, Metadata, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use container::{
    Container, ContainerPort, ImagePullPolicy, Protocol, TerminationMessagePolicy, VolumeMount,
};
pub use env::{
    ConfigMapEnvSource, ConfigMapKeySelector, EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector,
    SecretEnvSource, SecretKeySelector,
};
pub use resources::{ResourceList, ResourceRequirements};
pub use scheduling::{
    TaintEffect, Toleration, TolerationOperator, TopologySpreadConstraint, UnsatisfiableConstraintAction,
};
pub use security::{Capabilities, PodSecurityContext, SecurityContext};
pub use spec::{DnsPolicy, PodSpec, PodTemplateSpec, RestartPolicy};
pub use status::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
    HostIp, PodCondition, PodIp, PodPhase, PodStatus, QosClass,
};
pub use volume::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, HostPathType, HostPathVolumeSource, KeyToPath,
    SecretVolumeSource, StorageMedium, Volume,
};

/// Containers that run together on one node and share its network and volumes. Usually made by a Workload rather than by
/// hand.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pod {
    /// Always `v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `Pod`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// What should run. Apart from images and a few other fields it cannot be changed once the pod exists.
    #[serde(default)]
    pub spec: PodSpec,
    /// What does run, as the node sees it. Set by the node's agent.
    #[serde(default)]
    pub status: PodStatus,
}

impl Resource for Pod {
    const KIND: Kind = Kind::namespaced("", "v1", "Pod", "pods", "pod")
        .short_names(&["po"])
        .categories(&["all"])
        .with_status();

    const SELECTABLE: &'static [&'static str] = &[
        "spec.nodeName",
        "spec.restartPolicy",
        "spec.schedulerName",
        "spec.serviceAccountName",
        "spec.hostNetwork",
        "status.phase",
        "status.podIP",
    ];

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }
}
