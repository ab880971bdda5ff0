//! Server-side apply in detail: who owns what after which applies, and what becomes of what nobody owns.

use serde_json::{Value, json};

use crate::host::{Host, MAPS, PODS, WORKLOADS, text};

/// The managers of an object, with how they wrote, by which subresource, and what they own.
fn managers(object: &Value) -> Vec<(&str, &str, &str, &Value)> {
    let entries = object["metadata"]["managedFields"].as_array().map(Vec::as_slice).unwrap_or_default();
    let told = entries.iter().map(|entry| {
        let subresource = entry["subresource"].as_str().unwrap_or_default();
        (text(&entry["manager"]), text(&entry["operation"]), subresource, &entry["fieldsV1"])
    });
    told.collect()
}

fn map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "data": data})
}

#[tokio::test]
async fn null_in_a_map_is_the_empty_string() {
    let host = Host::start().await;
    let path = format!("{MAPS}/a");
    let config = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "a", "labels": {"l": null}}, "data": {"k": null, "m": "1"},
    });
    let made = host.apply(&path, "one", config.clone()).await.is(201);
    assert_eq!(
        (&made["data"], &made["metadata"]["labels"]),
        (&json!({"k": "", "m": "1"}), &json!({"l": ""}))
    );
    let again = host.apply(&path, "one", config).await.is(200);
    assert_eq!(again, made, "applied again, it changes nothing");
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "2"}});
    host.apply(&path, "two", other).await.fails(409, "Conflict", ".data.k");
    let posted = host.post(MAPS, json!({"metadata": {"name": "b"}, "data": {"k": null}})).await.is(201);
    assert_eq!(posted["data"], json!({"k": ""}));
}

#[tokio::test]
async fn what_several_own_goes_with_the_last_of_them() {
    let host = Host::start().await;
    let path = format!("{MAPS}/shared");
    host.apply(&path, "one", map(json!({"a": "1", "b": "2"}))).await.is(201);
    // The same value is no conflict: both own it.
    let shared = host.apply(&path, "two", map(json!({"a": "1"}))).await.is(200);
    let both = json!({"f:data": {"f:a": {}, "f:b": {}}});
    let a = json!({"f:data": {"f:a": {}}});
    assert_eq!(managers(&shared), [("one", "Apply", "", &both), ("two", "Apply", "", &a)]);
    let left = host.apply(&path, "one", map(json!({"b": "2"}))).await.is(200);
    assert_eq!(left["data"], json!({"a": "1", "b": "2"}));
    let gone = host.apply(&path, "two", json!({"apiVersion": "v1", "kind": "ConfigMap"})).await.is(200);
    assert_eq!(gone["data"], json!({"b": "2"}));
    let b = json!({"f:data": {"f:b": {}}});
    assert_eq!(managers(&gone), [("one", "Apply", "", &b)], "who owns nothing has no record");
    // Force takes a field from its owner; the owner's next apply without it leaves it alone.
    host.apply(&path, "two", map(json!({"b": "3"}))).await.fails(
        409,
        "Conflict",
        "conflict with \"one\": .data.b",
    );
    let forced = host.apply(&path, "two&force=true", map(json!({"b": "3"}))).await.is(200);
    assert_eq!(managers(&forced), [("two", "Apply", "", &b)]);
    let kept = host.apply(&path, "one", map(json!({}))).await.is(200);
    assert_eq!(kept["data"], json!({"b": "3"}));
}

#[tokio::test]
async fn a_status_that_is_applied_is_its_applier_s() {
    let host = Host::start().await;
    let pod =
        json!({"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "a", "image": "i"}]}});
    let path = format!("{PODS}/p");
    host.apply(&path, "author", pod.clone()).await.is(201);
    let condition = json!({"type": "Odd", "status": "True"});
    let status = json!({"apiVersion": "v1", "kind": "Pod", "spec": {"nodeName": "n"}, "status": {"conditions": [condition]}});
    let applied = host.apply(&format!("{path}/status"), "observer", status.clone()).await.is(200);
    assert_eq!(applied["spec"].get("nodeName"), None, "a status has no spec");
    let fields = json!({"f:status": {"f:conditions": {
        "k:{\"type\":\"Odd\"}": {".": {}, "f:status": {}, "f:type": {}},
    }}});
    let found = managers(&applied);
    assert_eq!(found[1], ("observer", "Apply", "status", &fields));
    assert_eq!((found.len(), found[0].0), (2, "author"));
    // Through the object itself a status is neither written nor owned.
    let mut both = pod;
    both["status"] = json!({"message": "x"});
    let again = host.apply(&path, "author", both).await.is(200);
    assert_eq!(again["status"].get("message"), None);
    assert_eq!(managers(&again).len(), 2);
    // What its applier leaves out of a status is taken out.
    let empty = json!({"apiVersion": "v1", "kind": "Pod", "status": {}});
    let emptied = host.apply(&format!("{path}/status"), "observer", empty).await.is(200);
    let conditions = emptied["status"]["conditions"].as_array().cloned().unwrap_or_default();
    assert!(!conditions.iter().any(|condition| condition["type"] == "Odd"), "{emptied:#}");
}

#[tokio::test]
async fn list_items_are_owned_by_key_and_atomic_values_whole() {
    let host = Host::start().await;
    let path = format!("{WORKLOADS}/web");
    let spec = |containers: Value| {
        json!({"apiVersion": "orch.dev/v1", "kind": "Workload", "spec": {"replicas": 0, "template": {
        "metadata": {"labels": {"a": "b"}}, "spec": {"containers": containers}}}})
    };
    let side = |containers: Value| {
        json!({"apiVersion": "orch.dev/v1", "kind": "Workload",
        "spec": {"template": {"spec": {"containers": containers}}}})
    };
    let names = |object: &Value| -> Vec<String> {
        let containers = object["spec"]["template"]["spec"]["containers"].as_array().unwrap();
        containers.iter().map(|container| text(&container["name"]).to_owned()).collect()
    };
    host.apply(&path, "author", spec(json!([{"name": "web", "image": "i", "args": ["1", "2"]}])))
        .await
        .is(201);
    let added = host.apply(&path, "injector", side(json!([{"name": "side", "image": "i"}]))).await.is(200);
    assert_eq!(names(&added), ["web", "side"]);
    let args = host.apply(&path, "injector", side(json!([{"name": "web", "args": ["3"]}]))).await;
    args.fails(
        409,
        "Conflict",
        "conflict with \"author\": .spec.template.spec.containers[name=\"web\"].args",
    );
    let twice = side(json!([{"name": "side", "image": "i"}, {"name": "side", "image": "i"}]));
    host.apply(&path, "injector", twice).await.fails(422, "Invalid", "Duplicate value: \"side\"");
    host.apply(&path, "injector", side(json!([{"image": "i"}]))).await.fails(
        422,
        "Invalid",
        "name: Required value",
    );
    let removed =
        host.apply(&path, "injector", json!({"apiVersion": "orch.dev/v1", "kind": "Workload"})).await.is(200);
    assert_eq!(names(&removed), ["web"]);
}

#[tokio::test]
async fn updates_and_applies_of_one_manager_are_apart() {
    let host = Host::start().await;
    let path = format!("{MAPS}/m");
    host.apply(&path, "one", map(json!({"a": "1"}))).await.is(201);
    let mut wanted = map(json!({"a": "1", "u": "1"}));
    wanted["metadata"] = json!({"name": "m"});
    let updated = host.put(&format!("{path}?fieldManager=one"), wanted).await.is(200);
    let found: Vec<_> = managers(&updated).into_iter().map(|(manager, how, ..)| (manager, how)).collect();
    assert_eq!(found, [("one", "Apply"), ("one", "Update")]);
    // An update owns what it changes: an apply of something else conflicts with it, even of the same name.
    host.apply(&path, "one", map(json!({"u": "2"}))).await.fails(409, "Conflict", ".data.u");
    // Nobody's records may be applied; an empty one clears them all.
    let mut with_records = map(json!({"a": "1"}));
    with_records["metadata"] = json!({"managedFields": [{"manager": "x"}]});
    let refused = host.apply(&path, "one", with_records).await;
    refused.fails(400, "BadRequest", "metadata.managedFields must be nil");
    let cleared = host.merge(&path, json!({"metadata": {"managedFields": [{}]}})).await.is(200);
    assert_eq!(managers(&cleared), []);
}

#[tokio::test]
async fn what_kubectl_applied_on_the_client_moves_over_without_conflicts() {
    let host = Host::start().await;
    let last = map(json!({"a": "1", "b": "2"})).to_string();
    let mut made = map(json!({"a": "1", "b": "2"}));
    made["metadata"] =
        json!({"name": "csa", "annotations": {"kubectl.kubernetes.io/last-applied-configuration": last}});
    host.post(&format!("{MAPS}?fieldManager=kubectl-client-side-apply"), made).await.is(201);
    let path = format!("{MAPS}/csa");
    host.apply(&path, "somebody", map(json!({"a": "9"}))).await.fails(
        409,
        "Conflict",
        "kubectl-client-side-apply",
    );
    let applied = host.apply(&path, "kubectl", map(json!({"a": "9"}))).await.is(200);
    assert_eq!(applied["data"]["a"], "9");
}
