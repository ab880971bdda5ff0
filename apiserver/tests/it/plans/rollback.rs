//! Bringing objects back to what the history has of them at a revision, by a plan.

use serde_json::{Value, json};

use super::{PLANS, brief, of_map, plan};
use crate::changes::host;
use crate::host::{Host, MAPS, WORKLOADS, map, revision, text, workload};

fn of_workload(name: &str) -> Value {
    json!({"apiVersion": "orch.dev/v1", "kind": "Workload", "namespace": "default", "name": name})
}

fn back(target: Value, revision: u64) -> Value {
    plan(json!([{"rollback": {"target": target, "revision": revision}}]))
}

async fn roll_back(host: &Host, target: Value, revision: u64) -> Value {
    let plan = host.post(PLANS, back(target, revision)).await.is(201);
    host.apply_plan(&plan).await.is(200)
}

/// What of an object is its own.
fn own(object: &Value) -> [&Value; 4] {
    [&object["data"], &object["spec"], &object["metadata"]["labels"], &object["metadata"]["annotations"]]
}

#[tokio::test]
async fn an_object_becomes_what_it_was_whatever_has_become_of_it_since() {
    let (host, _directory) = host().await;
    let web = format!("{WORKLOADS}/web");
    host.post(WORKLOADS, workload("web", 2)).await.is(201);
    let labels = json!({"metadata": {"labels": {"tier": "front"}, "annotations": {"note": "a"}}});
    let then = host.merge(&web, labels).await.is(200);
    host.merge(&web, json!({"spec": {"replicas": 5}, "metadata": {"labels": {"tier": null}}})).await.is(200);
    let image = json!({"spec": {"template": {"spec": {"containers": [{"name": "other", "image": "c"}]}}}});
    host.merge(&web, image).await.is(200);
    let done = roll_back(&host, of_workload("web"), revision(&then)).await;
    let changes = done["status"]["changes"][0]["fields"].as_array().unwrap().clone();
    let paths: Vec<&str> = changes.iter().map(|field| text(&field["path"])).collect();
    assert!(paths.contains(&"spec.replicas") && paths.contains(&"metadata.labels.tier"), "{paths:?}");
    assert_eq!(own(&host.get(&web).await.is(200)), own(&then));
    let again = host.post(PLANS, back(of_workload("web"), revision(&then))).await.is(201);
    assert_eq!(brief(&again), ["Unchanged Workload web"]);
}

#[tokio::test]
async fn an_object_that_is_gone_is_made_again_as_it_was() {
    let (host, _directory) = host().await;
    let page = format!("{MAPS}/page");
    let first = host.post(MAPS, map("page", json!({"a": "1"}))).await.is(201);
    host.merge(&page, json!({"data": {"a": "2"}})).await.is(200);
    host.delete(&page).await.is(200);
    roll_back(&host, of_map("page"), revision(&first)).await;
    let again = host.get(&page).await.is(200);
    assert_eq!(again["data"], json!({"a": "1"}));
    assert_ne!(again["metadata"]["uid"], first["metadata"]["uid"], "it is another object");
    host.delete(&page).await.is(200);
    host.post(MAPS, map("page", json!({"b": "1"}))).await.is(201);
    roll_back(&host, of_map("page"), revision(&first)).await;
    assert_eq!(host.get(&page).await.is(200)["data"], json!({"a": "1"}), "so does another of its name");
}

#[tokio::test]
async fn what_it_was_is_told_by_the_change_before_or_after_the_revision() {
    let (host, _directory) = host().await;
    let first = host.post(MAPS, map("page", json!({"a": "1"}))).await.is(201);
    let between = host.post(MAPS, map("other", json!({}))).await.is(201);
    host.merge(&format!("{MAPS}/page"), json!({"data": {"a": "2"}})).await.is(200);
    for at in [revision(&first), revision(&between)] {
        let plan = host.post(PLANS, back(of_map("page"), at)).await.is(201);
        let fields = json!([{"path": "data.a", "before": "2", "after": "1"}]);
        assert_eq!(plan["status"]["changes"][0]["fields"], fields, "at {at}");
    }
    let same = host.post(PLANS, back(of_map("other"), revision(&between))).await.is(201);
    assert_eq!(brief(&same), ["Unchanged ConfigMap other"], "it has not changed since");
}

#[tokio::test]
async fn what_cannot_be_brought_back_says_why() {
    let (host, _directory) = host().await;
    let before = host.post(MAPS, map("other", json!({}))).await.is(201);
    host.post(MAPS, map("page", json!({"a": "1"}))).await.is(201);
    let refused = async |change: Value, why: &str| host.post(PLANS, change).await.fails(422, "Invalid", why);
    let absent = format!("it was not there at revision {}: delete it to have that again", revision(&before));
    refused(back(of_map("page"), revision(&before)), &absent).await;
    refused(back(of_map("never"), revision(&before)), &absent).await;
    refused(back(of_map("page"), 1), "the history does not know what it was at revision 1: it begins at")
        .await;
    refused(back(of_map("page"), 7_777_777), "there has been no such revision yet").await;
    refused(back(of_map("page"), 0), "must be at least 1").await;
    let mut of_status = of_workload("web");
    of_status["subresource"] = "status".into();
    refused(back(of_status, 1), "only the whole object can be brought back").await;
    let without = Host::start().await;
    without.post(PLANS, back(of_map("page"), 1)).await.fails(422, "Invalid", "needs a history of changes");
}

#[tokio::test]
async fn secrets_come_back_and_are_not_shown() {
    let (host, _directory) = host().await;
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"password": "hunter2"}});
    let first = host.post(secrets, secret).await.is(201);
    let s = format!("{secrets}/s");
    host.merge(&s, json!({"stringData": {"password": "other"}})).await.is(200);
    let target = json!({"apiVersion": "v1", "kind": "Secret", "namespace": "default", "name": "s"});
    let done = roll_back(&host, target, revision(&first)).await;
    assert!(!done.to_string().contains("aHVudGVy"), "{done}");
    assert_eq!(host.get(&s).await.is(200)["data"], first["data"]);
}
