//! `scale`, and which subresources know which verbs.

use serde_json::json;

use crate::host::{Host, PODS, WORKLOADS, pod, text, workload};

const SCALE: &str = "/apis/orch.dev/v1/namespaces/default/workloads/web/scale";

#[tokio::test]
async fn a_workload_is_scaled_by_its_scale() {
    let host = Host::start().await;
    let made = host.post(WORKLOADS, workload("web", 2)).await.is(201);
    let scale = host.get(SCALE).await.is(200);
    assert_eq!((text(&scale["apiVersion"]), text(&scale["kind"])), ("autoscaling/v1", "Scale"));
    assert_eq!(
        (&scale["spec"], &scale["metadata"]["uid"]),
        (&json!({"replicas": 2}), &made["metadata"]["uid"])
    );
    assert_eq!(scale["status"], json!({"replicas": 0, "selector": "orch.dev/workload=web"}));

    let mut wanted = scale.clone();
    wanted["spec"]["replicas"] = 5.into();
    assert_eq!(host.put(SCALE, wanted.clone()).await.is(200)["spec"]["replicas"], 5);
    host.put(SCALE, wanted).await.fails(409, "Conflict", "the object has been modified");
    let scaled = host.get(&format!("{WORKLOADS}/web")).await.is(200);
    assert_eq!((&scaled["spec"]["replicas"], &scaled["metadata"]["generation"]), (&json!(5), &json!(2)));
    let managers = scaled["metadata"]["managedFields"].as_array().unwrap();
    assert!(managers.iter().any(|entry| entry["subresource"] == "scale"), "{managers:?}");

    assert_eq!(host.merge(SCALE, json!({"spec": {"replicas": 7}})).await.is(200)["spec"]["replicas"], 7);
    let operations = json!([{"op": "replace", "path": "/spec/replicas", "value": 4}]);
    let patched = host.patch(SCALE, "application/json-patch+json", operations).await.is(200);
    assert_eq!(patched["spec"]["replicas"], 4);
    host.merge(SCALE, json!({"metadata": {"resourceVersion": "1"}})).await.fails(409, "Conflict", "modified");
}

#[tokio::test]
async fn scaling_is_checked_and_a_dry_run_scales_nothing() {
    let host = Host::start().await;
    host.post(WORKLOADS, workload("web", 2)).await.is(201);
    let negative = host.merge(SCALE, json!({"spec": {"replicas": -1}})).await;
    negative.fails(422, "Invalid", "Scale.autoscaling \"web\" is invalid: spec.replicas: Invalid value: -1");
    host.merge(SCALE, json!({"spec": {"replicas": "many"}})).await.fails(400, "BadRequest", "spec.replicas");
    host.put(SCALE, json!({"kind": "Workload"})).await.fails(400, "BadRequest", "kind");
    host.put(SCALE, json!({"spec": {}})).await.fails(400, "BadRequest", "name must be provided");
    let odd = json!({"metadata": {"name": "web"}, "spec": {"replicas": 1, "replicaz": 2}});
    host.put(SCALE, odd.clone()).await.fails(400, "BadRequest", "unknown field \"spec.replicaz\"");
    host.merge(SCALE, odd.clone()).await.fails(422, "Invalid", "unknown field \"spec.replicaz\"");
    let warned = host.put(&format!("{SCALE}?fieldValidation=Warn&dryRun=All"), odd).await;
    assert!(warned.headers["warning"].to_str().unwrap().contains("spec.replicaz"), "{warned:?}");
    warned.is(200);
    let dry = host.merge(&format!("{SCALE}?dryRun=All"), json!({"spec": {"replicas": 9}})).await.is(200);
    assert_eq!(dry["spec"]["replicas"], 9);
    assert_eq!(host.get(SCALE).await.is(200)["spec"]["replicas"], 2);
    host.get(&SCALE.replace("web", "none")).await.fails(
        404,
        "NotFound",
        "workloads.orch.dev \"none\" not found",
    );
}

#[tokio::test]
async fn applying_a_scale_takes_only_the_number() {
    let host = Host::start().await;
    host.apply(&format!("{WORKLOADS}/web"), "author", workload("web", 2)).await.is(201);
    let scale = |replicas: u32| json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": replicas}});
    host.apply(SCALE, "scaler", scale(3)).await.fails(409, "Conflict", "conflict with \"author\"");
    let forced = host.apply(SCALE, "scaler&force=true", scale(3)).await.is(200);
    assert_eq!((text(&forced["kind"]), &forced["spec"]["replicas"]), ("Scale", &json!(3)));
    // The author no longer owns the number: leaving it out changes nothing.
    let mut without = workload("web", 0);
    without["spec"].as_object_mut().unwrap().remove("replicas");
    let applied = host.apply(&format!("{WORKLOADS}/web"), "author", without).await.is(200);
    assert_eq!(applied["spec"]["replicas"], 3);
}

#[tokio::test]
async fn subresources_know_only_their_verbs() {
    let host = Host::start().await;
    host.post(WORKLOADS, workload("web", 2)).await.is(201);
    host.post(PODS, pod("p")).await.is(201);
    host.post(SCALE, json!({})).await.fails(405, "MethodNotAllowed", "");
    host.delete(SCALE).await.fails(405, "MethodNotAllowed", "");
    host.merge(&format!("{PODS}/p/binding"), json!({})).await.fails(405, "MethodNotAllowed", "");
    host.post(&format!("{WORKLOADS}/web/status"), json!({})).await.fails(405, "MethodNotAllowed", "");
    host.get(&format!("{PODS}/p/scale")).await.fails(404, "NotFound", "");
    host.put(&format!("{PODS}/p/log"), json!({})).await.fails(405, "MethodNotAllowed", "");
    let listed = host.get("/apis/orch.dev/v1").await.is(200);
    let listed = listed["resources"].as_array().unwrap();
    let scale = listed.iter().find(|resource| resource["name"] == "workloads/scale").unwrap();
    assert_eq!(
        (text(&scale["group"]), text(&scale["version"]), text(&scale["kind"])),
        ("autoscaling", "v1", "Scale")
    );
    assert_eq!(scale["verbs"], json!(["get", "patch", "update"]));
    let core = host.get("/api/v1").await.is(200);
    let verbs = |name: &str| {
        core["resources"].as_array().unwrap().iter().find(|r| r["name"] == name).map(|r| r["verbs"].clone())
    };
    assert_eq!(verbs("pods/binding"), Some(json!(["create"])));
    assert_eq!(verbs("namespaces/finalize"), Some(json!(["update"])));
}
