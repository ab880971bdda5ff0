//! A node that wants what is another node's.

use reqwest::Method;
use serde_json::{Value, json};

use super::{caller, secret};
use crate::host::{Host, PODS, pod};
#[tokio::test]
async fn a_node_reads_only_what_its_own_pods_name() {
    let host = Host::guarded().await;
    for (name, node) in [("p1", "n1"), ("p2", "n2")] {
        host.post("/api/v1/namespaces/default/secrets", secret(&format!("of-{name}"))).await.is(201);
        let mut pod = pod(name);
        pod["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": format!("of-{name}")}}]);
        host.post(PODS, pod).await.is(201);
        let target = json!({"target": {"kind": "Node", "name": node}, "metadata": {"name": name}});
        host.post(&format!("{PODS}/{name}/binding"), target).await.is(201);
    }
    let node = caller(&host, "system:node:n1", &["system:nodes"]);
    let secrets = "/api/v1/namespaces/default/secrets";
    node.get(&format!("{secrets}/of-p1")).await.is(200);
    node.get(&format!("{secrets}/of-p2")).await.fails(
        403,
        "Forbidden",
        "no relationship found between node 'n1' and this object",
    );
    node.get(secrets).await.fails(403, "Forbidden", "");
    let watched =
        node.client.get(host.url(&format!("{secrets}?watch=true&fieldSelector=metadata.name%3Dof-p1")));
    assert_eq!(watched.send().await.unwrap().status(), 200);
    let own = node.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").await.is(200);
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
    node.get("/api/v1/pods").await.fails(
        403,
        "Forbidden",
        "can only list/watch pods with spec.nodeName field selector",
    );
    node.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn2").await.is(403);
    node.get(&format!("{PODS}/p2")).await.is(403);
    node.ask(Method::DELETE, &format!("{PODS}/p2"), None).await.is(403);
    node.patch(&format!("{PODS}/p2/status"), "application/merge-patch+json", json!({"status": {}}))
        .await
        .is(403);
    node.post(PODS, pod("mirror")).await.is(403);
    // A pod that goes takes with it what it gave.
    host.delete(&format!("{PODS}/p1?gracePeriodSeconds=0")).await.is(200);
    node.get(&format!("{secrets}/of-p1")).await.is(403);
}

#[tokio::test]
async fn a_node_makes_itself_and_no_other() {
    let host = Host::guarded().await;
    let node = caller(&host, "system:node:n1", &["system:nodes"]);
    let named = |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}});
    node.post("/api/v1/nodes", named("n2", json!({}))).await.fails(
        403,
        "Forbidden",
        r#"node "n1" is not allowed to modify node "n2""#,
    );
    let trusted = json!({"node-restriction.kubernetes.io/vault": "yes"});
    node.post("/api/v1/nodes", named("n1", trusted.clone())).await.fails(
        403,
        "Forbidden",
        "not allowed to set the following labels",
    );
    node.post("/api/v1/nodes", named("n1", json!({"kubernetes.io/hostname": "n1"}))).await.is(201);
    host.post("/api/v1/nodes", named("n2", json!({}))).await.is(201);
    let merge = "application/merge-patch+json";
    for (path, patch) in [
        ("/api/v1/nodes/n1", json!({"metadata": {"labels": trusted}})),
        ("/api/v1/nodes/n1", json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}})),
        ("/api/v1/nodes/n2", json!({"metadata": {"labels": {"a": "b"}}})),
        ("/api/v1/nodes/n2/status", json!({"status": {}})),
    ] {
        node.patch(path, merge, patch).await.fails(403, "Forbidden", "");
    }
    node.patch("/api/v1/nodes/n1", merge, json!({"metadata": {"labels": {"team": "x"}}})).await.is(200);
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    node.post(leases, json!({"metadata": {"name": "n2"}})).await.is(403);
    node.post(leases, json!({"metadata": {"name": "n1"}})).await.is(201);
    // The name of a node without the group of nodes is just a name.
    caller(&host, "system:node:n1", &[]).get("/api/v1/nodes/n1").await.is(403);
}
