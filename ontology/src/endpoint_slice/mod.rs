//! [`EndpointSlice`]: some of the endpoints of a service.

mod columns;
mod validate;

use orch_api::{ApiVersion, Column, FieldError, Kind, KindName, Metadata, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ObjectReference, Protocol};

/// Some of the endpoints of a service: the label `kubernetes.io/service-name` says of which. All of them have the same
/// ports.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointSlice {
    /// Always `discovery.k8s.io/v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `EndpointSlice`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// What sort of addresses the endpoints have: `IPv4`, `IPv6` or `FQDN`. Cannot be changed.
    pub address_type: AddressType,
    /// The endpoints, 1000 at most.
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub endpoints: Vec<Endpoint>,
    /// The ports of every endpoint. Without any, all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub ports: Vec<EndpointPort>,
}

impl Resource for EndpointSlice {
    const KIND: Kind =
        Kind::namespaced("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", "endpointslice");

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn prepare(&mut self, _: Option<&Self>) {
        for port in &mut self.ports {
            port.name.get_or_insert_default();
            port.protocol.get_or_insert_default();
        }
    }

    fn validate(&self, old: Option<&Self>) -> Vec<FieldError> {
        self.validate_slice(old)
    }

    fn columns() -> Vec<Column> {
        columns::columns()
    }
}

/// What sort of addresses endpoints have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AddressType {
    /// Of 32 bits.
    #[default]
    IPv4,
    /// Of 128 bits.
    IPv6,
    /// Names.
    #[serde(rename = "FQDN")]
    Fqdn,
}

/// Something that answers, usually a pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Endpoint {
    /// Its addresses, which are interchangeable: at least one.
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub addresses: Vec<String>,
    /// Whether it answers.
    #[serde(default)]
    pub conditions: EndpointConditions,
    /// Its host name, unique in the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The object behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_ref: Option<ObjectReference>,
    /// The node that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// The zone that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
}

/// Whether an endpoint answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointConditions {
    /// It answers and is not on its way out. Not given counts as true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// It answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<bool>,
    /// It is on its way out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminating: Option<bool>,
}

/// A port of endpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointPort {
    /// The name of the service's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `TCP` (the default), `UDP` or `SCTP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// Its number. Without it, all ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<i32>,
    /// What is spoken on the port: a hint for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
}
