//! Plans about kinds that users define, and their definitions.

use serde_json::{Value, json};

use super::{PLANS, applied, brief, name, plan};
use crate::changes::host;
use crate::host::{Host, MAPS, map};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const OWN: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/gizmos.example.com";
const GIZMOS: &str = "/apis/example.com/v1/namespaces/default/gizmos";

/// The versions of the kind, with this as the size of whoever says none.
fn versions(size: u64) -> Value {
    json!([{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
        "type": "object", "properties": {"spec": {"type": "object", "properties": {
            "size": {"type": "integer", "default": size}, "colour": {"type": "string"},
        }}},
    }}}])
}

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gizmos.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "gizmos", "singular": "gizmo", "kind": "Gizmo", "listKind": "GizmoList"},
            "versions": versions(1),
        },
    })
}

fn gizmo() -> Value {
    json!({"apiVersion": "example.com/v1", "kind": "Gizmo", "metadata": {"name": "g"}, "spec": {"colour": "red"}})
}

async fn applied_plan(host: &Host, changes: Value) -> Value {
    let plan = host.plan(changes).await;
    host.apply_plan(&plan).await.is(200);
    plan
}

#[tokio::test]
async fn a_kind_that_went_with_its_objects_comes_back_before_them() {
    let (host, _directory) = host().await;
    host.post(DEFINITIONS, definition()).await.is(201);
    host.post(GIZMOS, gizmo()).await.is(201);
    let of_gizmo =
        json!({"apiVersion": "example.com/v1", "kind": "Gizmo", "namespace": "default", "name": "g"});
    let of_definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "name": "gizmos.example.com",
    });
    let deletions = json!([{"delete": {"target": of_gizmo}}, {"delete": {"target": of_definition}}]);
    let gone = applied_plan(&host, deletions).await;
    // As its controller does, once there are no objects.
    host.merge(OWN, json!({"metadata": {"finalizers": null}})).await.is(200);
    host.get(GIZMOS).await.is(404);

    let back = applied_plan(&host, json!([{"undo": {"plan": name(&gone)}}])).await;
    assert_eq!(brief(&back), ["Created CustomResourceDefinition gizmos.example.com", "Created Gizmo g"]);
    assert_eq!(host.get(&format!("{GIZMOS}/g")).await.is(200)["spec"]["colour"], "red");
    let again = host.plan(json!([{"undo": {"plan": name(&back)}}])).await;
    assert_eq!(brief(&again), ["Deleted Gizmo g", "Deleted CustomResourceDefinition gizmos.example.com"]);
}

#[tokio::test]
async fn an_object_of_a_kind_that_is_served_no_more_cannot_be_made_again() {
    let (host, _directory) = host().await;
    host.post(DEFINITIONS, definition()).await.is(201);
    host.post(GIZMOS, gizmo()).await.is(201);
    host.delete(&format!("{GIZMOS}/g")).await.is(200);
    host.delete(OWN).await.is(200);
    host.merge(OWN, json!({"metadata": {"finalizers": null}})).await.is(200);
    let deleted = crate::changes::changes(&host, "fieldSelector=object.kind=Gizmo,verb=deleted").await;
    let undo = plan(json!([{"undo": {"change": deleted[0]["metadata"]["name"]}}]));
    host.post(PLANS, undo).await.fails(422, "Invalid", "Gizmo is no longer served in \"example.com/v1\"");
}

#[tokio::test]
async fn a_definition_that_has_changed_makes_a_plan_for_its_kind_stale() {
    let host = Host::start().await;
    host.post(DEFINITIONS, definition()).await.is(201);
    let plan = host.plan(json!([applied(gizmo())])).await;
    let shown = plan["status"]["changes"][0]["fields"].as_array().unwrap();
    assert!(shown.contains(&json!({"path": "spec.size", "after": 1})), "{shown:?}");
    host.merge(OWN, json!({"spec": {"versions": versions(2)}})).await.is(200);
    let why = "CustomResourceDefinition gizmos.example.com was at revision";
    host.apply_plan(&plan).await.fails(409, "Conflict", why);
    host.get(&format!("{GIZMOS}/g")).await.is(404);

    // It is none of the business of others.
    let other = host.plan(json!([applied(map("b", json!({})))])).await;
    host.merge(OWN, json!({"metadata": {"labels": {"a": "c"}}})).await.is(200);
    host.apply_plan(&other).await.is(200);
    host.get(&format!("{MAPS}/b")).await.is(200);
}
