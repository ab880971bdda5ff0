//! [`ObjectReference`]: an object of any kind, named in full.

use orch_api::Resource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An object of any kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct ObjectReference {
    /// Its kind.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its namespace, if it lives in one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its uid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Its `apiVersion`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// The revision of it that is meant.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// The part of it that is meant, such as `spec.containers{web}`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub field_path: String,
}

impl ObjectReference {
    /// The object as a whole, at the revision at hand.
    pub fn to<K: Resource>(object: &K) -> Self {
        let metadata = object.metadata();
        Self {
            kind: K::KIND.name.to_owned(),
            namespace: metadata.namespace().to_owned(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
            api_version: K::KIND.api_version(),
            resource_version: metadata.resource_version.clone(),
            field_path: String::new(),
        }
    }
}
