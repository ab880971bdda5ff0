//! [`ConfigMap`]: configuration as named texts.

use std::collections::BTreeMap;

use orch_api::{ApiVersion, Column, FieldError, FieldPath, Kind, KindName, Metadata, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ByteString;
use crate::syntax::{config_key, invalid_each};

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

    fn validate(&self, old: Option<&Self>) -> Vec<FieldError> {
        let mut errors = validate_keys(&self.data, &self.binary_data, "data", "binaryData");
        errors.extend(validate_keys(&self.binary_data, &self.data, "binaryData", "data"));
        let size: usize =
            self.data.values().map(String::len).chain(self.binary_data.values().map(|b| b.len())).sum();
        if size > MAX_DATA_BYTES {
            errors.push(FieldError::too_long("", "", MAX_DATA_BYTES));
        }
        if let Some(old) = old.filter(|old| old.immutable == Some(true)) {
            errors.extend(frozen("immutable", self.immutable == old.immutable));
            errors.extend(frozen("data", self.data == old.data));
            errors.extend(frozen("binaryData", self.binary_data == old.binary_data));
        }
        errors
    }

    fn columns() -> Vec<Column> {
        let data = Column::new("Data", "How many entries there are.", |object, _| {
            let count = |field| object.get(field).and_then(Value::as_object).map_or(0, serde_json::Map::len);
            (count("data") + count("binaryData")).into()
        });
        vec![Column::object_name(), data.cell_type("integer"), Column::age()]
    }
}

/// The most that the values of a ConfigMap or a Secret may come to.
pub(crate) const MAX_DATA_BYTES: usize = 1024 * 1024;

fn validate_keys<A, B>(
    entries: &BTreeMap<String, A>,
    others: &BTreeMap<String, B>,
    field: &str,
    other: &str,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for key in entries.keys() {
        let path = FieldPath::new(field).key(key);
        errors.extend(invalid_each(&path, key, config_key(key)));
        if others.contains_key(key) {
            errors.push(FieldError::invalid(
                &path,
                key.as_str(),
                format!("duplicate of key present in {other}"),
            ));
        }
    }
    errors
}

/// A field of an object that is immutable.
pub(crate) fn frozen(field: &str, unchanged: bool) -> Option<FieldError> {
    (!unchanged).then(|| FieldError::forbidden(field, "field is immutable when `immutable` is set"))
}
