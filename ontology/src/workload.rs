//! [`Workload`]: a number of equal pods, kept running.

use orch_api::{ApiVersion, Condition, Kind, KindName, Metadata, Owns, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Pod, PodTemplateSpec};

/// A number of equal pods, kept running and replaced one by one when their template changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Workload {
    /// Always `orch.dev/v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `Workload`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// What should run.
    #[serde(default)]
    pub spec: WorkloadSpec,
    /// What does run. Set by the server.
    #[serde(default)]
    pub status: WorkloadStatus,
}

impl Owns<Pod> for Workload {}

impl Resource for Workload {
    const KIND: Kind = Kind::namespaced("orch.dev", "v1", "Workload", "workloads", "workload")
        .short_names(&["wl"])
        .categories(&["all"])
        .with_status();

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }
}

/// What a workload should run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadSpec {
    /// How many pods. 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// How pods of an old template are replaced.
    #[serde(default)]
    pub update: WorkloadUpdate,
    /// What each pod looks like. The server labels the pods so that it knows them; no selector is needed.
    #[serde(default)]
    pub template: PodTemplateSpec,
}

/// How a workload's pods of an old template are replaced.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadUpdate {
    /// How many pods more than `replicas` there may be meanwhile. 1 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_surge: Option<i32>,
    /// How many pods fewer than `replicas` may be available meanwhile. 0 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_unavailable: Option<i32>,
    /// Seconds that a new pod must have been ready to count as available. 0 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ready_seconds: Option<i32>,
}

/// What a workload runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadStatus {
    /// The `metadata.generation` that the numbers below are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many pods there are.
    #[serde(default)]
    pub replicas: i32,
    /// How many pods of the present template there are.
    #[serde(default)]
    pub updated_replicas: i32,
    /// How many pods are ready.
    #[serde(default)]
    pub ready_replicas: i32,
    /// How many pods have been ready for `minReadySeconds`.
    #[serde(default)]
    pub available_replicas: i32,
    /// Counts the templates that the workload has had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,
    /// Facts about the workload: `Available`, `Progressing`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}
