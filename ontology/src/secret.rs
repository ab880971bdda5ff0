//! [`Secret`]: named bytes that not everybody may read.

use std::collections::BTreeMap;

use orch_api::{ApiVersion, Column, FieldError, FieldPath, Kind, KindName, Metadata, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ByteString;
use crate::config_map::{MAX_DATA_BYTES, frozen};
use crate::syntax::{config_key, immutable, invalid_each};

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
    const KIND: Kind = Kind::namespaced("", "v1", "Secret", "secrets", "secret").sensitive();

    const SELECTABLE: &'static [&'static str] = &["type"];

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn prepare(&mut self, old: Option<&Self>) {
        let texts = std::mem::take(&mut self.string_data);
        self.data.extend(texts.into_iter().map(|(key, text)| (key, ByteString(text.into_bytes()))));
        if self.secret_type.is_empty() {
            self.secret_type = old.map_or_else(|| "Opaque".to_owned(), |old| old.secret_type.clone());
        }
    }

    fn validate(&self, old: Option<&Self>) -> Vec<FieldError> {
        let data = FieldPath::new("data");
        let mut errors: Vec<FieldError> =
            self.data.keys().flat_map(|key| invalid_each(&data.key(key), key, config_key(key))).collect();
        if self.data.values().map(|value| value.len()).sum::<usize>() > MAX_DATA_BYTES {
            errors.push(FieldError::too_long(&data, "", MAX_DATA_BYTES));
        }
        errors.extend(self.validate_type(&data));
        if let Some(old) = old {
            errors.extend(immutable("type", &self.secret_type, &old.secret_type));
        }
        if let Some(old) = old.filter(|old| old.immutable == Some(true)) {
            errors.extend(frozen("immutable", self.immutable == old.immutable));
            errors.extend(frozen("data", self.data == old.data));
        }
        errors
    }

    fn columns() -> Vec<Column> {
        let data = Column::new("Data", "How many entries there are.", |object, _| {
            object.get("data").and_then(Value::as_object).map_or(0, Map::len).into()
        });
        let secret_type = Column::at("Type", "What the data is, for programs.", "/type");
        vec![Column::object_name(), secret_type, data.cell_type("integer"), Column::age()]
    }
}

impl Secret {
    /// Types that programs know have entries that they need.
    fn validate_type(&self, data: &FieldPath) -> Vec<FieldError> {
        let needs = |keys: &[&str]| -> Vec<FieldError> {
            let absent = keys.iter().filter(|key| !self.data.contains_key(**key));
            absent.map(|key| FieldError::required(data.key(key), "")).collect()
        };
        match self.secret_type.as_str() {
            "kubernetes.io/service-account-token" => {
                const ACCOUNT: &str = "kubernetes.io/service-account.name";
                let named = self.metadata.annotations.get(ACCOUNT).is_some_and(|name| !name.is_empty());
                let path = FieldPath::new("metadata.annotations").key(ACCOUNT);
                if named { Vec::new() } else { vec![FieldError::required(path, "")] }
            }
            "kubernetes.io/dockercfg" => self.validate_json(data, ".dockercfg"),
            "kubernetes.io/dockerconfigjson" => self.validate_json(data, ".dockerconfigjson"),
            "kubernetes.io/basic-auth" => match needs(&["username", "password"]) {
                absent if absent.len() == 2 => absent,
                _ => Vec::new(),
            },
            "kubernetes.io/ssh-auth" => needs(&["ssh-privatekey"]),
            "kubernetes.io/tls" => needs(&["tls.crt", "tls.key"]),
            _ => Vec::new(),
        }
    }

    fn validate_json(&self, data: &FieldPath, key: &str) -> Vec<FieldError> {
        let Some(bytes) = self.data.get(key) else { return vec![FieldError::required(data.key(key), "")] };
        match serde_json::from_slice::<Map<String, Value>>(bytes) {
            Ok(_) => Vec::new(),
            Err(error) => {
                let shown = "<secret contents redacted>";
                vec![FieldError::invalid(data.key(key), shown, error.to_string())]
            }
        }
    }
}
