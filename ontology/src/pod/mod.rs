//! [`Pod`]: containers that run together on one node and share its network and volumes.

mod account;
mod binding;
mod columns;
mod container;
mod defaults;
mod env;
mod projected;
mod query;
mod resources;
mod scheduling;
mod security;
mod spec;
mod status;
mod update;
mod validate;
mod validate_containers;
mod validate_volumes;
mod volume;

use orch_api::{
    Action, ApiVersion, Backend, Column, Deletion, FieldError, FieldPath, Kind, KindName, Metadata,
    Prerequisite, Resource, Subresource,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Binding, Node};

pub use columns::PodSummary;
pub use container::{
    Container, ContainerPort, ImagePullPolicy, Protocol, TerminationMessagePolicy, VolumeMount,
};
pub use env::{
    ConfigMapEnvSource, ConfigMapKeySelector, EnvFromSource, EnvVar, EnvVarSource, ObjectFieldSelector,
    SecretEnvSource, SecretKeySelector,
};
pub use projected::{
    ConfigMapProjection, DownwardApiProjection, DownwardApiVolumeFile, ProjectedVolumeSource,
    SecretProjection, ServiceAccountTokenProjection, VolumeProjection,
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
    #[schemars(extend("default" = {}))]
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

    const RETURNS_DELETED: bool = true;

    const PREREQUISITE: Option<Prerequisite> = Some(account::PREREQUISITE);

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn prepare(&mut self, old: Option<&Self>) {
        self.set_defaults(old);
    }

    fn validate(&self, old: Option<&Self>) -> Vec<FieldError> {
        let mut errors = self.spec.validate(&FieldPath::new("spec"));
        errors.extend(old.map(|old| self.validate_update(old)).unwrap_or_default());
        errors
    }

    /// A pod that has not reached a node, or has ended, goes at once. Otherwise its containers have the time that was asked
    /// for, or that the pod itself gives.
    fn deletion(&mut self, asked: Option<i64>) -> Deletion {
        let seconds = asked.or(self.spec.termination_grace_period_seconds).unwrap_or(0);
        match seconds {
            0 => Deletion::Now,
            _ if !self.is_scheduled() || self.is_terminal() => Deletion::Now,
            seconds => Deletion::Grace { seconds: if seconds < 0 { 1 } else { seconds } },
        }
    }

    fn columns() -> Vec<Column> {
        columns::columns()
    }

    fn subresources() -> Vec<Subresource> {
        let stream = |name, kind| Subresource { name, kind, action: Action::Stream(on_its_node()) };
        let eviction = Kind::namespaced("policy", "v1", "Eviction", "evictions", "eviction");
        let options = |name| Kind::namespaced("", "v1", name, "pods", "pod");
        vec![
            Subresource { name: "binding", kind: Binding::KIND, action: Action::Transform(binding::bind) },
            Subresource { name: "eviction", kind: eviction, action: Action::Evict },
            stream("log", Self::KIND),
            stream("exec", options("PodExecOptions")),
            stream("attach", options("PodAttachOptions")),
            stream("portforward", options("PodPortForwardOptions")),
        ]
    }
}

/// A pod's streams are served by the agent of the node that it runs on.
fn on_its_node() -> Backend {
    let address = |node: &Value| Node::deserialize(node).ok()?.agent_address();
    Backend { kind: Node::KIND, name: "/spec/nodeName", address }
}
