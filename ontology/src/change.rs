//! [`Change`]: one change of one object. Read-only: the server's history, as objects.

use orch_api::{ApiVersion, Column, FieldChange, Kind, KindName, Metadata, MicroTime, Resource};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One change of one object: who made it, on whose behalf and why, and the object before and after. Changes are made by the server
/// for whatever happens to objects, and can only be read. Its name is the revision of the change, a dash, and its number among those
/// that were made together.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Change {
    /// Always `orch.dev/v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `Change`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// The name of the change, and when it was made.
    #[serde(default)]
    pub metadata: Metadata,
    /// The revision that the change made: the object's `resourceVersion` since.
    #[serde(default)]
    pub revision: i64,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<MicroTime>,
    /// In whose name it was made. Not known of changes made by earlier versions of the server.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// Who really made it, if in the name of another: an agent that acts for a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub impersonator: String,
    /// The program it was made with, if that is not called as the user is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent: String,
    /// The plan that it was a part of.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub plan: String,
    /// Why it was made, in the words of who made it (`reason` of the request). Of a gap: which changes are missing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What happened: `created`, `updated`, `deleted`, or `missed` for a gap in the history.
    #[serde(default)]
    pub verb: String,
    /// The object that was changed; none for a gap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ChangedObject>,
    /// The object as it was, without managed fields; none if it was created, or if it is not known. Values of secrets are hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "whole_object")]
    pub before: Option<Value>,
    /// The object as it became, without managed fields; none if it was deleted. Values of secrets are hashed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "whole_object")]
    pub after: Option<Value>,
    /// The fields that differ, for updates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
}

/// Which object was changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangedObject {
    /// The version in which the object is stored.
    #[serde(default)]
    pub api_version: String,
    /// Its kind.
    #[serde(default)]
    pub kind: String,
    /// Its namespace, if it has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its uid: an object of the same name that was made later has another.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

fn whole_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

impl Resource for Change {
    const KIND: Kind = Kind::cluster("orch.dev", "v1", "Change", "changes", "change");
    const RECORDED: bool = false;
    const IS_HISTORY: bool = true;

    const SELECTABLE: &'static [&'static str] = &[
        "object.apiVersion",
        "object.group",
        "object.kind",
        "object.namespace",
        "object.name",
        "user",
        "plan",
        "verb",
    ];

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn columns() -> Vec<Column> {
        let object = Column::new("Object", "The object that was changed.", |change, _| {
            let text = |field: &str| change["object"][field].as_str().unwrap_or_default();
            match text("kind") {
                "" => "".into(),
                kind => format!("{}/{}", kind.to_lowercase(), text("name")).into(),
            }
        });
        vec![
            Column::object_name(),
            Column::at("Verb", "What happened.", "/verb"),
            Column::at("Namespace", "The object's namespace.", "/object/namespace"),
            object,
            Column::at("User", "In whose name it was made.", "/user"),
            Column::at("Impersonator", "Who really made it.", "/impersonator").wide(),
            Column::at("Agent", "The program it was made with.", "/agent").wide(),
            Column::at("Plan", "The plan that it was a part of.", "/plan").wide(),
            Column::at("Reason", "Why it was made.", "/reason"),
            Column::age(),
        ]
    }
}
