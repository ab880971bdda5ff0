//! [`Secret`]: named bytes that not everybody may read.

use std::collections::BTreeMap;

use orch_api::{ApiVersion, Kind, KindName, Metadata, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ByteString;

/// Named bytes that not everybody may read, which pods read as files or environment variables.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Secret {
    /// Always `v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `Secret`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// Whether the data can no longer be changed. Once true, it stays true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
    /// Bytes by key, in base64. Keys consist of letters, digits, `-`, `_` and `.`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, ByteString>,
    /// Texts by key, to write entries without base64. Merged into `data`; never read back.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub string_data: BTreeMap<String, String>,
    /// What the data is, for programs. `Opaque` unless given; cannot be changed.
    #[serde(default, rename = "type", skip_serializing_if = "String::is_empty")]
    pub secret_type: String,
}

impl Resource for Secret {
    const KIND: Kind = Kind::namespaced("", "v1", "Secret", "secrets", "secret");

    const SELECTABLE: &'static [&'static str] = &["type"];

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }
}
