//! [`Service`]: pods that answer together under one name.

mod columns;
mod defaults;
mod validate;

use orch_api::{
    ApiVersion, Column, Condition, FieldError, Kind, KindName, MatchLabels, Metadata, Owns, Resource,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EndpointSlice, IntOrString, Pod, Protocol};

/// Pods that answer together under one name. Headless services (`clusterIP: None`), whose pods are found by their
/// EndpointSlices, and names of services elsewhere (`type: ExternalName`) work today; addresses and ports of a service's own
/// are refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    /// Always `v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `Service`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// Which pods answer, and on which ports.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub spec: ServiceSpec,
    /// What the service has been given. Set by the server.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub status: ServiceStatus,
}

impl Owns<EndpointSlice> for Service {}

impl Resource for Service {
    const KIND: Kind = Kind::namespaced("", "v1", "Service", "services", "service")
        .short_names(&["svc"])
        .categories(&["all"])
        .with_status();

    const SELECTABLE: &'static [&'static str] = &["spec.clusterIP", "spec.type"];

    const RETURNS_DELETED: bool = true;

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn prepare(&mut self, old: Option<&Self>) {
        self.set_defaults(old);
    }

    fn validate(&self, old: Option<&Self>) -> Vec<FieldError> {
        self.validate_service(old)
    }

    fn columns() -> Vec<Column> {
        columns::columns()
    }
}

impl Service {
    /// What `clusterIP` says of a service that has no address of its own.
    pub const HEADLESS: &'static str = "None";

    /// Whether the service has no address of its own: clients talk to its pods.
    pub fn is_headless(&self) -> bool {
        self.spec.cluster_ip == Self::HEADLESS
    }
}

/// Which pods answer, and on which ports.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSpec {
    /// The ports that clients use. A headless service need not have any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["port", "protocol"],
        "x-kubernetes-patch-strategy" = "merge",
        "x-kubernetes-patch-merge-key" = "port"
    ))]
    pub ports: Vec<ServicePort>,
    /// Labels of the pods that answer. Without it, somebody else keeps the EndpointSlices.
    #[serde(default, skip_serializing_if = "MatchLabels::is_empty")]
    pub selector: MatchLabels<Pod>,
    /// The service's address: `None` for a headless service. Addresses are not given out yet.
    #[serde(default, rename = "clusterIP", skip_serializing_if = "String::is_empty")]
    pub cluster_ip: String,
    /// All addresses of the service, `clusterIP` first. Filled in.
    #[serde(default, rename = "clusterIPs", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub cluster_ips: Vec<String>,
    /// How the service is reached: `ClusterIP` (the default) or `ExternalName`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub service_type: Option<ServiceType>,
    /// Whether a client stays with the pod that it has reached first: always `None`, it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_affinity: Option<SessionAffinity>,
    /// With `type: ExternalName`, the name that the service stands for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub external_name: String,
    /// Whether pods are to be found before they are ready, so that they find each other.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub publish_not_ready_addresses: bool,
    /// The families of the service's addresses: `IPv4`. Filled in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub ip_families: Vec<IpFamily>,
    /// How many families of addresses the service has: `SingleStack`. Filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<IpFamilyPolicy>,
    /// Which pods answer clients within the cluster: `Cluster`, all of them. Filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_traffic_policy: Option<TrafficPolicy>,
}

impl ServiceSpec {
    /// How the service is reached.
    pub fn service_type(&self) -> ServiceType {
        self.service_type.unwrap_or_default()
    }
}

/// A port that clients use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServicePort {
    /// A name for the port, unique in the service. Must be given if there are several.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `TCP` (the default), `UDP` or `SCTP`.
    #[serde(default)]
    pub protocol: Protocol,
    /// What is spoken on the port, such as `http` or `kubernetes.io/h2c`: a hint for clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_protocol: Option<String>,
    /// The number that clients use, 1 to 65535.
    pub port: i32,
    /// The port of the pods, by number or by its name in their containers. The same as `port` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_port: Option<IntOrString>,
}

/// How a service is reached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ServiceType {
    /// From within the cluster.
    #[default]
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    /// By a port of every node. Refused so far.
    NodePort,
    /// By a load balancer outside of the cluster. Refused so far.
    LoadBalancer,
    /// It is a name for something elsewhere.
    ExternalName,
}

/// Whether a client stays with the pod that it has reached first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SessionAffinity {
    /// Each connection may reach another pod.
    #[default]
    None,
}

/// A family of addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IpFamily {
    /// 32 bits.
    #[default]
    IPv4,
    /// 128 bits. Refused so far.
    IPv6,
}

/// How many families of addresses a service has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IpFamilyPolicy {
    /// One.
    #[default]
    SingleStack,
    /// Two if the cluster has two.
    PreferDualStack,
    /// Two. Refused so far.
    RequireDualStack,
}

/// Which pods answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TrafficPolicy {
    /// All of them.
    #[default]
    Cluster,
}

/// What a service has been given.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceStatus {
    /// The load balancer: there is none.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub load_balancer: LoadBalancerStatus,
    /// Facts about the service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["type"],
        "x-kubernetes-patch-strategy" = "merge",
        "x-kubernetes-patch-merge-key" = "type"
    ))]
    pub conditions: Vec<Condition>,
}

/// A load balancer's addresses: there are none yet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadBalancerStatus {}
