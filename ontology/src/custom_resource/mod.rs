//! [`CustomResourceDefinition`]: a kind that users define.
//!
//! - `schema_props.rs`: the schema language; `structural.rs`: which schemas are accepted.
//! - `validate.rs`: the rules for the rest of a definition, and for its changes.
//! - `rules.rs`: the rules in CEL that objects must keep.
//! - `define.rs`: from a definition to the kinds that it defines; `columns.rs`: what `get` prints of them.

mod columns;
mod defaults;
mod define;
mod rules;
mod schema_props;
mod structural;
mod validate;

use orch_api::{
    ApiVersion, Column, ConditionStatus, Deletion, FieldError, Kind, KindName, Metadata, Resource, Time,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use define::DEFINES;
pub use schema_props::{JsonSchemaProps, ValidationRule};

/// A kind that users define. Its objects are served like those of every other kind as soon as the definition is there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomResourceDefinition {
    /// Always `apiextensions.k8s.io/v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `CustomResourceDefinition`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners. The name is `<plural>.<group>`.
    #[serde(default)]
    pub metadata: Metadata,
    /// What the kind is called and what its objects look like.
    pub spec: CustomResourceDefinitionSpec,
    /// Whether the kind is served. Set by the server.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub status: CustomResourceDefinitionStatus,
}

impl CustomResourceDefinition {
    /// The finalizer that holds a definition until its objects are gone.
    pub const FINALIZER: &'static str = "customresourcecleanup.apiextensions.k8s.io";

    /// Whether the names have been accepted and the kind is served.
    pub fn is_established(&self) -> bool {
        self.status.is_true("Established")
    }

    /// The version in which objects are stored.
    pub fn storage_version(&self) -> Option<&CustomResourceDefinitionVersion> {
        self.spec.versions.iter().find(|version| version.storage)
    }

    /// The names under which the kind is served: those accepted, or those asked for as long as none are.
    pub fn served_names(&self) -> &CustomResourceDefinitionNames {
        if self.is_established() { &self.status.accepted_names } else { &self.spec.names }
    }
}

impl Resource for CustomResourceDefinition {
    const KIND: Kind = Kind::cluster(
        "apiextensions.k8s.io",
        "v1",
        "CustomResourceDefinition",
        "customresourcedefinitions",
        "customresourcedefinition",
    )
    .short_names(&["crd", "crds"])
    .categories(&["api-extensions"])
    .with_status();

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn prepare(&mut self, _: Option<&Self>) {
        self.set_defaults();
    }

    fn validate(&self, old: Option<&Self>) -> Vec<FieldError> {
        validate::validate(self, old)
    }

    /// The definition stays until its objects are gone.
    fn deletion(&mut self, _: Option<i64>) -> Deletion {
        if !self.metadata.is_terminating() {
            let finalizers = &mut self.metadata.finalizers;
            if !finalizers.iter().any(|name| name == Self::FINALIZER) {
                finalizers.push(Self::FINALIZER.to_owned());
            }
        }
        Deletion::Now
    }

    fn columns() -> Vec<Column> {
        let created =
            Column::at("Created At", "When the definition was made.", "/metadata/creationTimestamp");
        vec![Column::object_name(), created.cell_type("date")]
    }
}

/// What a kind is called and what its objects look like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomResourceDefinitionSpec {
    /// The API group, a domain name: objects are served below `/apis/<group>/`. Cannot be changed.
    pub group: String,
    /// What the kind is called.
    pub names: CustomResourceDefinitionNames,
    /// `Namespaced` or `Cluster`. Cannot be changed.
    pub scope: String,
    /// The versions of the kind. One of them is what is stored.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub versions: Vec<CustomResourceDefinitionVersion>,
    /// How objects are converted between versions. Only `None`: nothing but their `apiVersion` changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion: Option<CustomResourceConversion>,
    /// Of old definitions. Must be false: unknown fields are dropped unless a schema says
    /// `x-kubernetes-preserve-unknown-fields`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preserve_unknown_fields: Option<bool>,
}

/// What a kind is called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomResourceDefinitionNames {
    /// The collection's name in paths, in lower case, such as `crontabs`.
    pub plural: String,
    /// The name of one, such as `crontab`. The kind in lower case by default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub singular: String,
    /// Abbreviations for the command line, such as `ct`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub short_names: Vec<String>,
    /// The kind, in camel case, such as `CronTab`.
    pub kind: String,
    /// The kind of lists. The kind with `List` behind it by default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub list_kind: String,
    /// Groups of kinds on the command line, such as `all`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub categories: Vec<String>,
}

/// One version of a kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomResourceDefinitionVersion {
    /// The version, such as `v1` or `v1beta1`.
    pub name: String,
    /// Whether the version is served.
    pub served: bool,
    /// Whether objects are stored in this version. True for exactly one.
    pub storage: bool,
    /// Whether use of the version is answered with a warning.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// The warning, if it should be another than the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecation_warning: Option<String>,
    /// What objects look like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<CustomResourceValidation>,
    /// Which subresources there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subresources: Option<CustomResourceSubresources>,
    /// What `get` prints beside the name. The age by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub additional_printer_columns: Vec<CustomResourceColumnDefinition>,
    /// The fields that field selectors may name, beside name and namespace. At most eight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub selectable_fields: Vec<SelectableField>,
}

/// What objects look like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomResourceValidation {
    /// A structural OpenAPI v3 schema: fields that it doesn't know are dropped or refused.
    #[serde(default, rename = "openAPIV3Schema", skip_serializing_if = "Option::is_none")]
    pub open_api_v3_schema: Option<JsonSchemaProps>,
}

/// Which subresources a kind has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomResourceSubresources {
    /// If given, `.status` is written by way of the subresource `status` and no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CustomResourceSubresourceStatus>,
    /// If given, objects have a subresource `scale`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<CustomResourceSubresourceScale>,
}

/// The subresource `status`, of which there is nothing to say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomResourceSubresourceStatus {}

/// Where the subresource `scale` finds its numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomResourceSubresourceScale {
    /// Where it says how many are wanted: a path below `.spec`, such as `.spec.replicas`.
    pub spec_replicas_path: String,
    /// Where it says how many there are: a path below `.status`.
    pub status_replicas_path: String,
    /// Where a label selector stands as text: a path below `.status` or `.spec`. Autoscalers need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_selector_path: Option<String>,
}

/// A column of what `get` prints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomResourceColumnDefinition {
    /// The heading.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    #[serde(rename = "type")]
    pub column_type: String,
    /// An OpenAPI format of the type, such as `int32`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub format: String,
    /// What the column says, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Columns above 0 are shown by `-o wide` only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// Where the value stands, such as `.spec.replicas`.
    pub json_path: String,
}

/// A field that field selectors may name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SelectableField {
    /// Where the field stands, such as `.spec.color`. A string, boolean or integer; not in a list.
    pub json_path: String,
}

/// How objects are converted between versions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomResourceConversion {
    /// `None`: nothing but the `apiVersion` changes. Webhooks are not supported.
    pub strategy: String,
    /// How a webhook is called. Known so that it can be refused in words that help.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub webhook: Option<serde_json::Value>,
}

fn anything(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Whether a kind is served.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomResourceDefinitionStatus {
    /// `NamesAccepted`, `Established`, and `Terminating` while objects are being deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<CustomResourceDefinitionCondition>,
    /// The names under which the kind is served: those asked for unless another definition has them.
    #[serde(default)]
    #[schemars(extend("default" = {"plural": "", "kind": ""}))]
    pub accepted_names: CustomResourceDefinitionNames,
    /// The versions in which objects are or have been stored. A version can be removed from the definition when it has been
    /// removed here, which is for whoever has rewritten the objects to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub stored_versions: Vec<String>,
}

impl CustomResourceDefinitionStatus {
    /// Whether the condition of a type is there and true.
    pub fn is_true(&self, condition_type: &str) -> bool {
        let of_type = self.conditions.iter().find(|condition| condition.condition_type == condition_type);
        of_type.is_some_and(|condition| condition.status == ConditionStatus::True)
    }

    /// Puts a condition in the place of the one of its type. The time of the last transition is kept where the status has not
    /// changed.
    pub fn put(&mut self, mut condition: CustomResourceDefinitionCondition) {
        let same_type =
            |known: &&mut CustomResourceDefinitionCondition| known.condition_type == condition.condition_type;
        match self.conditions.iter_mut().find(same_type) {
            Some(known) => {
                if known.status == condition.status {
                    condition.last_transition_time =
                        known.last_transition_time.or(condition.last_transition_time);
                }
                *known = condition;
            }
            None => self.conditions.push(condition),
        }
    }
}

/// A fact about a definition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CustomResourceDefinitionCondition {
    /// `NamesAccepted`, `Established` or `Terminating`.
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}
