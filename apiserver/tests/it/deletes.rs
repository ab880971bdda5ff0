//! delete, deletecollection, finalizers, grace.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::host::{Host, MAPS, PODS, map, pod, text};

async fn delete_with(host: &Host, path: &str, options: Value) -> crate::host::Reply {
    host.send(host.request(Method::DELETE, path).json(&options)).await
}

#[tokio::test]
async fn a_plain_object_goes_at_once() {
    let host = Host::start().await;
    let made = host.post(MAPS, map("a", json!({}))).await.is(201);
    let status = host.delete(&format!("{MAPS}/a")).await.is(200);
    assert_eq!((text(&status["kind"]), text(&status["status"])), ("Status", "Success"));
    assert_eq!(status["details"], json!({"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}));
    host.get(&format!("{MAPS}/a")).await.fails(404, "NotFound", "");
    host.delete(&format!("{MAPS}/a")).await.fails(404, "NotFound", "");
}

#[tokio::test]
async fn preconditions_must_hold() {
    let host = Host::start().await;
    let made = host.post(MAPS, map("a", json!({}))).await.is(201);
    let path = format!("{MAPS}/a");
    for (preconditions, message) in [
        (json!({"uid": "another"}), "UID in precondition: another"),
        (json!({"resourceVersion": "1"}), "ResourceVersion in precondition: 1"),
    ] {
        delete_with(&host, &path, json!({"preconditions": preconditions}))
            .await
            .fails(409, "Conflict", message);
    }
    let right =
        json!({"uid": made["metadata"]["uid"], "resourceVersion": made["metadata"]["resourceVersion"]});
    delete_with(&host, &path, json!({"preconditions": right})).await.is(200);
}

#[tokio::test]
async fn delete_options_that_make_no_sense_are_refused() {
    let host = Host::start().await;
    host.post(MAPS, map("a", json!({}))).await.is(201);
    for options in [json!({"gracePeriodSeconds": "1"}), json!({"kind": "ConfigMap"})] {
        delete_with(&host, &format!("{MAPS}/a"), options).await.fails(400, "BadRequest", "");
    }
    for options in [
        json!({"propagationPolicy": "Sideways"}),
        json!({"propagationPolicy": "Orphan", "orphanDependents": true}),
        json!({"dryRun": ["All", "Some"]}),
        json!({"dryRun": ["Some"]}),
    ] {
        delete_with(&host, &format!("{MAPS}/a"), options).await.fails(422, "Invalid", "DeleteOptions");
    }
    host.get(&format!("{MAPS}/a")).await.is(200);
    // What they do not know, Kubernetes ignores.
    let gone = delete_with(&host, &format!("{MAPS}/a"), json!({"gracePeriodSecond": 1})).await.is(200);
    assert_eq!((text(&gone["status"]), gone.get("code")), ("Success", None));
}

#[tokio::test]
async fn an_eviction_deletes_as_its_options_say() {
    let host = Host::start().await;
    let mut running = pod("p");
    running["spec"]["nodeName"] = "n".into();
    host.post(PODS, running).await.is(201);
    let path = format!("{PODS}/p/eviction");
    let eviction = |name: &str, options: Value| json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, "deleteOptions": options});
    host.post(&path, eviction("q", Value::Null)).await.fails(
        400,
        "BadRequest",
        "does not match name in Eviction",
    );
    host.post(&path, json!({"kind": "Binding", "metadata": {"name": "p"}})).await.fails(
        400,
        "BadRequest",
        "kind",
    );
    let other = json!({"preconditions": {"uid": "another"}});
    host.post(&path, eviction("p", other)).await.fails(409, "Conflict", "UID in precondition: another");
    host.get(&path).await.fails(405, "MethodNotAllowed", "");
    for (query, options) in [("?dryRun=All", Value::Null), ("", json!({"dryRun": ["All"]}))] {
        host.post(&format!("{path}{query}"), eviction("p", options)).await.is(201);
        let kept = host.get(&format!("{PODS}/p")).await.is(200);
        assert_eq!(kept["metadata"].get("deletionTimestamp"), None, "{query}");
    }
    let evicted = host.post(&path, eviction("p", json!({"gracePeriodSeconds": 7}))).await.is(201);
    assert_eq!((text(&evicted["kind"]), text(&evicted["status"])), ("Status", "Success"));
    let dying = host.get(&format!("{PODS}/p")).await.is(200);
    assert_eq!(dying["metadata"]["deletionGracePeriodSeconds"], 7);
    host.post(&format!("{PODS}/none/eviction"), eviction("none", Value::Null))
        .await
        .fails(404, "NotFound", "");
}

#[tokio::test]
async fn finalizers_hold_an_object_until_the_last_is_gone() {
    let host = Host::start().await;
    let mut held = map("a", json!({}));
    held["metadata"]["finalizers"] = json!(["orch.dev/one", "orch.dev/two"]);
    host.post(MAPS, held).await.is(201);
    let path = format!("{MAPS}/a");
    let dying = host.delete(&path).await.is(200);
    assert_eq!(dying["metadata"]["deletionTimestamp"], "2026-01-01T00:00:00Z");
    assert_eq!(dying["metadata"]["deletionGracePeriodSeconds"], 0);
    host.clock.advance(Duration::from_secs(60));
    assert_eq!(host.delete(&path).await.is(200), dying);
    let why = "object is being deleted: configmaps \"a\" already exists";
    host.post(MAPS, map("a", json!({}))).await.fails(409, "AlreadyExists", why);
    let added = json!({"metadata": {"finalizers": ["orch.dev/one", "orch.dev/three"]}});
    host.merge(&path, added).await.fails(
        422,
        "Invalid",
        "no new finalizers can be added if the object is being deleted",
    );
    host.merge(&path, json!({"metadata": {"deletionTimestamp": null}})).await.is(200);
    let one = host.merge(&path, json!({"metadata": {"finalizers": ["orch.dev/two"]}})).await.is(200);
    assert_eq!(one["metadata"]["deletionTimestamp"], dying["metadata"]["deletionTimestamp"]);
    host.merge(&path, json!({"metadata": {"finalizers": null}})).await.is(200);
    host.get(&path).await.fails(404, "NotFound", "");
}

#[tokio::test]
async fn propagation_is_a_finalizer_for_the_garbage_collector() {
    let host = Host::start().await;
    for (name, policy, finalizers) in
        [("a", "Orphan", json!(["orphan"])), ("b", "Foreground", json!(["foregroundDeletion"]))]
    {
        host.post(MAPS, map(name, json!({}))).await.is(201);
        let path = format!("{MAPS}/{name}");
        let dying = host.delete(&format!("{path}?propagationPolicy={policy}")).await.is(200);
        assert_eq!(dying["metadata"]["finalizers"], finalizers);
        host.merge(&path, json!({"metadata": {"finalizers": []}})).await.is(200);
        host.get(&path).await.fails(404, "NotFound", "");
    }
}

#[tokio::test]
async fn what_runs_gets_its_grace_which_can_only_become_shorter() {
    let host = Host::start().await;
    host.post(PODS, pod("p")).await.is(201);
    let binding =
        json!({"kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    host.post(&format!("{PODS}/p/binding"), binding).await.is(201);
    let path = format!("{PODS}/p");
    let due = |object: &Value| {
        let metadata = &object["metadata"];
        (text(&metadata["deletionTimestamp"]).to_owned(), metadata["deletionGracePeriodSeconds"].as_i64())
    };
    let dying = host.delete(&path).await.is(200);
    assert_eq!(due(&dying), ("2026-01-01T00:00:30Z".into(), Some(30)));
    assert_eq!(due(&host.delete(&format!("{path}?gracePeriodSeconds=60")).await.is(200)), due(&dying));
    // From when it was first asked for.
    host.clock.advance(std::time::Duration::from_secs(20));
    let sooner = host.delete(&format!("{path}?gracePeriodSeconds=15")).await.is(200);
    assert_eq!(due(&sooner), ("2026-01-01T00:00:15Z".into(), Some(15)));
    assert_eq!(sooner["metadata"]["generation"], dying["metadata"]["generation"], "it goes, as before");
    host.merge(&path, json!({"metadata": {"labels": {"a": "b"}}})).await.is(200);
    host.delete(&format!("{path}?gracePeriodSeconds=0")).await.is(200);
    host.get(&path).await.fails(404, "NotFound", "");
}

#[tokio::test]
async fn a_dying_namespace_stays_until_its_content_is_gone_and_takes_nothing_new() {
    let host = Host::start().await;
    let (namespace, maps) = ("/api/v1/namespaces/shop", "/api/v1/namespaces/shop/configmaps");
    host.post("/api/v1/namespaces", json!({"metadata": {"name": "shop"}})).await.is(201);
    host.post(maps, map("a", json!({}))).await.is(201);
    let dying = host.delete(namespace).await.is(200);
    assert_eq!(dying["status"]["phase"], "Terminating", "{dying}");
    let status =
        host.post(maps, map("b", json!({}))).await.fails(403, "Forbidden", "because it is being terminated");
    assert_eq!(status["details"]["causes"][0]["reason"], "NamespaceTerminating");
    host.merge(&format!("{maps}/a"), json!({"data": {"x": "1"}})).await.is(200);
    let mut done = host.get(namespace).await.is(200);
    done["spec"]["finalizers"] = json!([]);
    host.put(&format!("{namespace}/finalize"), done).await.is(200);
    host.get(namespace).await.fails(404, "NotFound", "");
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let host = Host::start().await;
    for n in 0..40 {
        let mut object = map(&format!("m{n:02}"), json!({}));
        object["metadata"]["labels"] = json!({"half": (n % 2).to_string()});
        host.post(MAPS, object).await.is(201);
    }
    let deleted = host.delete(&format!("{MAPS}?labelSelector=half%3D0")).await.is(200);
    assert_eq!((text(&deleted["kind"]), deleted["items"].as_array().unwrap().len()), ("ConfigMapList", 20));
    assert_eq!(host.get(MAPS).await.is(200)["items"].as_array().unwrap().len(), 20);
    host.delete(&format!("{MAPS}?fieldSelector=metadata.name%3Dm01")).await.is(200);
    assert_eq!(host.get(MAPS).await.is(200)["items"].as_array().unwrap().len(), 19);
    host.delete(MAPS).await.is(200);
    assert_eq!(host.get(MAPS).await.is(200)["items"], json!([]));
}

#[tokio::test]
async fn of_a_collection_no_more_is_deleted_than_was_asked_for() {
    let host = Host::start().await;
    for n in 0..5 {
        host.post(MAPS, map(&format!("m{n}"), json!({}))).await.is(201);
    }
    let left = async || {
        let list = host.get(MAPS).await.is(200);
        let items = list["items"].as_array().unwrap();
        items.iter().map(|item| text(&item["metadata"]["name"]).to_owned()).collect::<Vec<_>>()
    };
    let first = host.delete(&format!("{MAPS}?limit=2")).await.is(200);
    assert_eq!(
        (first["items"].as_array().unwrap().len(), left().await),
        (2, vec!["m2".into(), "m3".into(), "m4".into()])
    );
    let rest = text(&first["metadata"]["continue"]);
    let second = host.delete(&format!("{MAPS}?limit=2&continue={rest}")).await.is(200);
    assert_eq!((second["items"].as_array().unwrap().len(), left().await), (2, vec!["m4".to_owned()]));
}

#[tokio::test]
async fn a_namespace_is_let_go_only_as_it_was_seen() {
    let host = Host::start().await;
    let path = "/api/v1/namespaces/shop";
    let make = async || host.post("/api/v1/namespaces", json!({"metadata": {"name": "shop"}})).await.is(201);
    make().await;
    let mut seen = host.delete(path).await.is(200);
    seen["spec"]["finalizers"] = json!([]);
    host.merge(path, json!({"metadata": {"labels": {"a": "b"}}})).await.is(200);
    let moved = "the object has been modified";
    host.put(&format!("{path}/finalize"), seen.clone()).await.fails(409, "Conflict", moved);
    seen["metadata"]["resourceVersion"] = "".into();
    host.put(&format!("{path}/finalize"), seen.clone()).await.is(200);
    host.get(path).await.is(404);
    make().await;
    let other = host.put(&format!("{path}/finalize"), seen).await;
    other.fails(409, "Conflict", "Precondition failed: UID in precondition");
}

#[tokio::test]
async fn a_pod_that_goes_at_once_is_answered_as_it_last_was() {
    let host = Host::start().await;
    let made = host.post(PODS, pod("p")).await.is(201);
    let gone = host.delete(&format!("{PODS}/p?gracePeriodSeconds=0")).await.is(200);
    assert_eq!((text(&gone["kind"]), &gone["metadata"]["uid"]), ("Pod", &made["metadata"]["uid"]));
    host.get(&format!("{PODS}/p")).await.fails(404, "NotFound", "");
}

#[tokio::test]
async fn namespaces_that_the_system_needs_are_not_deleted() {
    let host = Host::start().await;
    let path = "/api/v1/namespaces/default";
    let why = "namespaces \"default\" is forbidden: this namespace may not be deleted";
    host.delete(path).await.fails(403, "Forbidden", why);
    host.delete("/api/v1/namespaces").await.fails(405, "MethodNotAllowed", "");
    assert_eq!(host.get(path).await.is(200)["status"]["phase"], "Active");
}
