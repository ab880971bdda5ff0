//! [`Namespace`]: a room of names of its own.

use jiff::Timestamp;
use orch_api::{
    Action, ApiVersion, Column, ConditionStatus, Deletion, FieldError, Kind, KindName, Metadata, Resource,
    Status, Subresource, Time,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::labels;
use crate::syntax::object_dns_label;

/// A room of names of its own. Deleting it deletes everything in it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Namespace {
    /// Always `v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `Namespace`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// What holds the namespace.
    #[serde(default)]
    pub spec: NamespaceSpec,
    /// Whether the namespace is in use or on its way out.
    #[serde(default)]
    pub status: NamespaceStatus,
}

impl Resource for Namespace {
    const KIND: Kind =
        Kind::cluster("", "v1", "Namespace", "namespaces", "namespace").short_names(&["ns"]).with_status();

    const SELECTABLE: &'static [&'static str] = &["status.phase"];

    const DELETES_COLLECTIONS: bool = false;

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    /// A new namespace is held until all that is in it is gone. After that its finalizers change only through `finalize`.
    fn prepare(&mut self, old: Option<&Self>) {
        let name = self.metadata.name.clone();
        self.metadata.labels.insert(labels::NAMESPACE_NAME.to_owned(), name);
        match old {
            Some(old) => self.spec.finalizers.clone_from(&old.spec.finalizers),
            None if !self.spec.finalizers.iter().any(|f| f == Self::FINALIZER) => {
                self.spec.finalizers.push(Self::FINALIZER.to_owned());
            }
            None => {}
        }
        if old.is_none() {
            self.status = NamespaceStatus::default();
        }
        let terminating = self.metadata.is_terminating();
        self.status.phase =
            Some(if terminating { NamespacePhase::Terminating } else { NamespacePhase::Active });
    }

    fn validate(&self, _: Option<&Self>) -> Vec<FieldError> {
        object_dns_label(&self.metadata.name)
    }

    fn undeletable(&self) -> Option<&'static str> {
        let is_needed = matches!(self.metadata.name.as_str(), "default" | "kube-system" | "kube-public");
        is_needed.then_some("this namespace may not be deleted")
    }

    fn deletion(&mut self, _: Option<i64>) -> Deletion {
        if self.spec.finalizers.is_empty() {
            return Deletion::Now;
        }
        self.status.phase = Some(NamespacePhase::Terminating);
        Deletion::Held
    }

    fn columns() -> Vec<Column> {
        let status =
            Column::at("Status", "Whether the namespace is in use or on its way out.", "/status/phase");
        vec![Column::object_name(), status, Column::age()]
    }

    fn subresources() -> Vec<Subresource> {
        vec![Subresource { name: "finalize", kind: Self::KIND, action: Action::Transform(finalize) }]
    }
}

impl Namespace {
    /// The finalizer that stands for the deletion of all that is in a namespace.
    pub const FINALIZER: &'static str = "kubernetes";
}

/// Replaces the finalizers, by which a namespace that is being deleted is let go.
fn finalize(object: &Value, body: &Value, _: Timestamp) -> Result<Value, Status> {
    let mut namespace = Namespace::deserialize(object).map_err(Status::internal)?;
    let asked = Namespace::deserialize(body).map_err(|error| Status::bad_request(error.to_string()))?;
    if asked.metadata.name != namespace.metadata.name {
        return Err(Status::bad_request("name in URL does not match name in Namespace object"));
    }
    namespace.spec.finalizers = asked.spec.finalizers;
    serde_json::to_value(&namespace).map_err(Status::internal)
}

/// What holds a namespace.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceSpec {
    /// Who must be done before the namespace may go. `kubernetes` stands for the deletion of all that is in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub finalizers: Vec<String>,
}

/// Whether a namespace is in use or on its way out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceStatus {
    /// `Active`, or `Terminating` once deletion has been asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<NamespacePhase>,
    /// What still holds a namespace that is being deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"],
        "x-kubernetes-patch-strategy" = "merge",
        "x-kubernetes-patch-merge-key" = "type"
    ))]
    pub conditions: Vec<NamespaceCondition>,
}

/// Where a namespace is in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NamespacePhase {
    /// In use.
    #[default]
    Active,
    /// Being deleted: nothing new can be made in it.
    Terminating,
}

/// A fact about a namespace that is being deleted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceCondition {
    /// What the fact is about, such as `NamespaceContentRemaining`.
    #[serde(rename = "type")]
    pub condition_type: String,
    /// Whether it is so.
    pub status: ConditionStatus,
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
