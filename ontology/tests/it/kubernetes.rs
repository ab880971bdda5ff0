//! The types against `k8s-openapi`, which is generated from Kubernetes' own OpenAPI document.

use std::fmt::Debug;

use k8s_openapi::api::coordination::v1 as coordination;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::api::events::v1 as events;
use k8s_openapi::api::rbac::v1 as rbac;
use orch_api::schema::{Type, Types};
use orch_ontology::{KINDS, examples};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::{admit, entry, messages, yaml};

/// Reads the object as Kubernetes' type and writes it again.
fn through<T: Serialize + DeserializeOwned + Debug>(object: &Value) -> Value {
    let read: T =
        serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{error}: {object:#}"));
    serde_json::to_value(read).unwrap()
}

fn through_kubernetes(kind: &str, object: &Value) -> Value {
    match kind {
        "Namespace" => through::<core::Namespace>(object),
        "Node" => through::<core::Node>(object),
        "Pod" => through::<core::Pod>(object),
        "ConfigMap" => through::<core::ConfigMap>(object),
        "Secret" => through::<core::Secret>(object),
        "ServiceAccount" => through::<core::ServiceAccount>(object),
        "Service" => through::<core::Service>(object),
        "EndpointSlice" => through::<discovery::EndpointSlice>(object),
        "Event" if object["apiVersion"] == "events.k8s.io/v1" => through::<events::Event>(object),
        "Event" => through::<core::Event>(object),
        "Role" => through::<rbac::Role>(object),
        "ClusterRole" => through::<rbac::ClusterRole>(object),
        "RoleBinding" => through::<rbac::RoleBinding>(object),
        "ClusterRoleBinding" => through::<rbac::ClusterRoleBinding>(object),
        "Lease" => through::<coordination::Lease>(object),
        other => panic!("Kubernetes has no {other}"),
    }
}

const KUBERNETES: [&str; 14] = [
    "Namespace",
    "Node",
    "Pod",
    "ConfigMap",
    "Secret",
    "ServiceAccount",
    "Service",
    "EndpointSlice",
    "Event",
    "Lease",
    "Role",
    "ClusterRole",
    "RoleBinding",
    "ClusterRoleBinding",
];

#[test]
fn examples_round_trip_through_both() {
    for example in examples().into_iter().filter(|example| KUBERNETES.contains(&example.kind)) {
        let mut object = yaml(example.valid);
        assert_eq!(messages(admit(&mut object, None)), Vec::<String>::new(), "{}", example.kind);
        assert_eq!(through_kubernetes(example.kind, &object), object, "{}", example.kind);
    }
}

#[test]
fn no_field_is_named_or_shaped_differently() {
    for kind in KUBERNETES {
        let object = sample(entry(kind).schema.root(), "");
        assert_eq!(through_kubernetes(kind, &object), object, "{kind}");
        let errors = entry(kind).schema.check(&object);
        assert_eq!(errors, [], "{kind}");
    }
}

#[test]
fn a_form_is_shaped_as_in_kubernetes() {
    let form = KINDS.iter().find(|entry| entry.form.is_some()).unwrap();
    let object = sample(form.schema.root(), "");
    assert_eq!(through_kubernetes(form.kind.name, &object), object);
    let mut kept = object.clone();
    form.form.unwrap().keep(&mut kept);
    assert_eq!(through_kubernetes(form.kind.name, &kept), kept);
    assert_eq!(form.schema.check(&object), []);
}

#[test]
fn what_a_workload_borrows_is_shaped_as_in_kubernetes() {
    let root = entry("Workload").schema.root();
    let template = sample(entry("Workload").schema.at("spec.template").unwrap(), "");
    assert_eq!(through::<core::PodTemplateSpec>(&template), template);
    let status = root.property("status").unwrap();
    let condition = sample(status.property("conditions").unwrap().element(), "");
    assert_eq!(through::<k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition>(&condition), condition);
}

#[test]
fn a_binding_is_shaped_as_in_kubernetes() {
    let schema = orch_api::KindEntry::of::<orch_ontology::Binding>().unwrap().schema;
    let object = sample(schema.root(), "");
    assert_eq!(through::<core::Binding>(&object), object);
}

/// The walk would prove nothing if it left fields out.
#[test]
fn the_sample_sets_every_field() {
    let pod = sample(entry("Pod").schema.root(), "");
    for path in [
        "/metadata/managedFields/0/fieldsV1",
        "/spec/initContainers/0/env/0/valueFrom/secretKeyRef/optional",
        "/spec/containers/0/securityContext/capabilities/drop/0",
        "/spec/topologySpreadConstraints/0/labelSelector/matchExpressions/0/values/0",
        "/spec/volumes/0/configMap/items/0/mode",
        "/status/containerStatuses/0/lastState/terminated/finishedAt",
        "/status/podIPs/0/ip",
    ] {
        assert!(pod.pointer(path).is_some(), "{path} is missing in {pod:#}");
    }
}

/// A value for the type, with every field set that it has.
fn sample(ty: Type<'_>, field: &str) -> Value {
    let node = ty.node();
    if let Some(allowed) = &node.allowed {
        return allowed.last().cloned().unwrap_or_default();
    }
    if let Some(items) = ty.items() {
        return json!([sample(items, field)]);
    }
    if let Some(entries) = ty.entries() {
        return json!({"key": sample(entries, field)});
    }
    let properties: Map<String, Value> =
        ty.properties().map(|(name, child)| (name.to_owned(), sample(child, name))).collect();
    if !properties.is_empty() || node.types == Types::OBJECT {
        return properties.into();
    }
    if node.types.contains(Types::STRING) {
        return text(node.format.as_deref(), field).into();
    }
    match node.types {
        Types::BOOLEAN => json!(true),
        Types::INTEGER => json!(7),
        other => panic!("{field}: no sample for {other:?}"),
    }
}

fn text(format: Option<&str>, field: &str) -> &'static str {
    match (format, field) {
        (Some("date-time"), "eventTime" | "lastObservedTime" | "acquireTime" | "renewTime") => {
            "2026-01-31T12:00:00.123456Z"
        }
        (Some("date-time"), _) => "2026-01-31T12:00:00Z",
        (Some("byte"), _) => "aGVsbG8=",
        _ => "1",
    }
}
