//! [`ServiceAccount`]: who a pod acts as.

use orch_api::{ApiVersion, Column, Kind, KindName, Metadata, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who a pod acts as.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceAccount {
    /// Always `v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `ServiceAccount`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
}

impl Resource for ServiceAccount {
    const KIND: Kind = Kind::namespaced("", "v1", "ServiceAccount", "serviceaccounts", "serviceaccount")
        .short_names(&["sa"]);

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn columns() -> Vec<Column> {
        let secrets = Column::new("Secrets", "How many secrets may be used.", |_, _| 0.into());
        vec![Column::object_name(), secrets.cell_type("integer"), Column::age()]
    }
}
