//! [`ConfigMap`]: configuration as named texts.

use std::collections::BTreeMap;

use orch_api::{ApiVersion, Kind, KindName, Metadata, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ByteString;

/// Configuration as named texts, which pods read as files or environment variables.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigMap {
    /// Always `v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `ConfigMap`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// Whether the data can no longer be changed. Once true, it stays true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
    /// Texts by key. Keys consist of letters, digits, `-`, `_` and `.`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, String>,
    /// Bytes by key, in base64. A key is not in `data` as well.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub binary_data: BTreeMap<String, ByteString>,
}

impl Resource for ConfigMap {
    const KIND: Kind =
        Kind::namespaced("", "v1", "ConfigMap", "configmaps", "configmap").short_names(&["cm"]);

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }
}
