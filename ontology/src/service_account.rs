//! [`ServiceAccount`]: who a pod acts as.

use orch_api::{Action, ApiVersion, Column, Kind, KindName, Metadata, Resource, Subresource, TokenBinding};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Node, Pod, Secret};

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
    /// Whether pods that act as this account find a token of it at `/var/run/secrets/kubernetes.io/serviceaccount`. They do
    /// unless this is false; a pod's own `automountServiceAccountToken` wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub automount_service_account_token: Option<bool>,
}

impl Resource for ServiceAccount {
    const KIND: Kind = Kind::namespaced("", "v1", "ServiceAccount", "serviceaccounts", "serviceaccount")
        .short_names(&["sa"]);

    const RETURNS_DELETED: bool = true;

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

    fn subresources() -> Vec<Subresource> {
        vec![Subresource { name: "token", kind: TOKEN_REQUEST, action: Action::Token(BINDINGS) }]
    }
}

impl ServiceAccount {
    /// The ConfigMap in every namespace that holds, as `ca.crt`, the certificate of the authority that the API server is
    /// known by.
    pub const ROOT_AUTHORITY: &'static str = "kube-root-ca.crt";
}

/// `TokenRequest`, which is asked for and answered but never stored.
const TOKEN_REQUEST: Kind = Kind::namespaced(
    "authentication.k8s.io",
    "v1",
    "TokenRequest",
    "serviceaccounts/token",
    "serviceaccounts/token",
);

/// What tokens can be bound to. A token of a pod tells of its node too.
const BINDINGS: &[TokenBinding] = &[
    TokenBinding {
        kind: Pod::KIND,
        account: Some("/spec/serviceAccountName"),
        host: Some(("/spec/nodeName", Node::KIND)),
        is_told: true,
    },
    TokenBinding { kind: Node::KIND, account: None, host: None, is_told: true },
    TokenBinding { kind: Secret::KIND, account: None, host: None, is_told: false },
];
