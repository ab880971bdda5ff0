//! [`ServiceAccount`]: who a pod acts as.

use orch_api::{ApiVersion, Kind, KindName, Metadata, Resource};
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
}
