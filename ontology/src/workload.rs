//! [`Workload`]: a number of equal pods, kept running.

use std::sync::Arc;

use orch_api::labels::validate_labels;
use orch_api::{
    ApiVersion, Column, Condition, FieldError, FieldPath, Kind, KindName, Metadata, Object as _, Owns,
    Resource, Scale, Subresource,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::syntax::{non_negative, object_dns_label};
use crate::{Pod, PodTemplateSpec, RestartPolicy, labels};

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
    #[schemars(extend("default" = {}))]
    pub spec: WorkloadSpec,
    /// What does run. Set by the server.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
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

    fn prepare(&mut self, old: Option<&Self>) {
        self.spec.replicas.get_or_insert(1);
        let update = &mut self.spec.update;
        update.max_surge.get_or_insert(1);
        update.max_unavailable.get_or_insert(0);
        update.min_ready_seconds.get_or_insert(0);
        self.spec.template.set_defaults();
        if old.is_none() {
            self.status = WorkloadStatus::default();
        }
    }

    fn validate(&self, _: Option<&Self>) -> Vec<FieldError> {
        let mut errors = object_dns_label(&self.metadata.name);
        errors.extend(self.spec.validate(&FieldPath::new("spec")));
        errors
    }

    fn columns() -> Vec<Column> {
        let number = |object: &Value, pointer| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
        vec![
            Column::object_name(),
            Column::new("Ready", "Pods that are ready, of those wanted.", move |object, _| {
                let (ready, wanted) =
                    (number(object, "/status/readyReplicas"), number(object, "/spec/replicas"));
                format!("{ready}/{wanted}").into()
            }),
            Column::new("Up-to-date", "Pods of the present template.", move |object, _| {
                number(object, "/status/updatedReplicas").into()
            })
            .cell_type("integer"),
            Column::new("Available", "Pods that have been ready for long enough.", move |object, _| {
                number(object, "/status/availableReplicas").into()
            })
            .cell_type("integer"),
            Column::age(),
            Column::new("Containers", "Names of the containers.", |object, _| of_containers(object, "name"))
                .wide(),
            Column::new("Images", "Images of the containers.", |object, _| of_containers(object, "image"))
                .wide(),
        ]
    }

    fn subresources() -> Vec<Subresource> {
        vec![Subresource::scale(Scale {
            spec_replicas: "/spec/replicas".into(),
            status_replicas: "/status/replicas".into(),
            selector: Arc::new(|object| format!("{}={}", labels::WORKLOAD, object.name())),
        })]
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
    #[schemars(extend("default" = {}))]
    pub update: WorkloadUpdate,
    /// What each pod looks like. The server labels the pods so that it knows them; no selector is needed.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub template: PodTemplateSpec,
}

impl WorkloadSpec {
    fn validate(&self, path: &FieldPath) -> Vec<FieldError> {
        let (update, template) = (path.child("update"), path.child("template"));
        let mut errors = Vec::new();
        errors.extend(non_negative(&path.child("replicas"), self.replicas));
        errors.extend(non_negative(&update.child("maxSurge"), self.update.max_surge));
        errors.extend(non_negative(&update.child("maxUnavailable"), self.update.max_unavailable));
        errors.extend(non_negative(&update.child("minReadySeconds"), self.update.min_ready_seconds));
        if (self.update.max_surge, self.update.max_unavailable) == (Some(0), Some(0)) {
            let detail = "may not be 0 when `maxSurge` is 0";
            errors.push(FieldError::invalid(update.child("maxUnavailable"), 0, detail));
        }
        errors.extend(validate_labels(&self.template.metadata.labels, &template.child("metadata.labels")));
        errors.extend(self.template.spec.validate(&template.child("spec")));
        if self.template.spec.restart_policy != RestartPolicy::Always {
            let given = format!("{:?}", self.template.spec.restart_policy);
            errors.push(FieldError::not_supported(template.child("spec.restartPolicy"), given, &["Always"]));
        }
        errors
    }
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

fn of_containers(workload: &Value, field: &str) -> Value {
    let containers = workload.pointer("/spec/template/spec/containers").and_then(Value::as_array);
    let texts = containers.into_iter().flatten().filter_map(|container| container.get(field)?.as_str());
    texts.collect::<Vec<_>>().join(",").into()
}
