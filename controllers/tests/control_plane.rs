//! All controllers over a real API server on a real store. Only the machines are missing: [`play_nodes`] says of every bound
//! pod that it runs, and removes those that are to go.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod garbage;
mod plane;
mod plans;

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use orch_api::{Api, Object, Params, Propagation, Request, Status};
use orch_ontology::{
    CertificateSigningRequest, ConfigMap, Event, Namespace, Node, Pod, ServiceAccount, Workload, labels,
};
use orch_transport::CertificateRequest;
use plane::{Meanwhile, Plane};
use serde_json::json;

#[tokio::test]
async fn a_workload_is_made_scaled_rolled_out_and_deleted() {
    let plane = Plane::start().await;
    plane.nodes(3).await;
    plane.create::<Workload>(plane::workload("web", 3)).await;
    plane.until::<Workload>("all available", |web| web["status"]["availableReplicas"] == 3).await;
    let pods = plane.list::<Pod>().await;
    let nodes: std::collections::BTreeSet<_> =
        pods.iter().map(|pod| pod["spec"]["nodeName"].to_string()).collect();
    assert_eq!(nodes.len(), 3, "spread over all nodes");

    plane.merge::<Workload>("web", json!({"spec": {"replicas": 5}})).await;
    plane.until::<Workload>("five available", |web| web["status"]["availableReplicas"] == 5).await;
    plane.merge::<Workload>("web", json!({"spec": {"replicas": 2}})).await;
    plane.until_count::<Pod>(2).await;

    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:2"}]}});
    plane.merge::<Workload>("web", json!({"spec": {"template": template}})).await;
    let done = |web: &serde_json::Value| {
        web["status"]["revision"] == 2
            && web["status"]["updatedReplicas"] == 2
            && web["status"]["replicas"] == 2
    };
    plane.until::<Workload>("rolled out", done).await;
    for pod in plane.list::<Pod>().await {
        assert_eq!(pod["spec"]["containers"][0]["image"], "web:2");
        assert_eq!(pod["metadata"]["annotations"][labels::REVISION], "2");
    }

    plane.delete::<Workload>("web", Params::default()).await;
    plane.until_count::<Pod>(0).await;
}

#[tokio::test]
async fn owners_go_in_the_foreground_and_orphans_stay() {
    let plane = Plane::start().await;
    plane.nodes(1).await;
    for name in ["front", "orphans"] {
        plane.create::<Workload>(plane::workload(name, 2)).await;
    }
    plane.until_count::<Pod>(4).await;
    let with = |propagation| Params { propagation: Some(propagation), ..Params::default() };
    plane.delete::<Workload>("front", with(Propagation::Foreground)).await;
    plane.delete::<Workload>("orphans", with(Propagation::Orphan)).await;
    plane.until_count::<Workload>(0).await;
    plane.until_count::<Pod>(2).await;
    for pod in plane.list::<Pod>().await {
        assert_eq!(pod.labels().unwrap()[labels::WORKLOAD], "orphans");
        assert!(
            pod["metadata"].get("ownerReferences").is_none_or(|owners| owners.as_array().unwrap().is_empty())
        );
    }
}

#[tokio::test]
async fn the_systems_namespaces_exist_and_a_deleted_one_is_emptied_first() {
    let plane = Plane::start().await;
    plane.until_count::<Namespace>(4).await;
    plane.nodes(1).await;
    plane.create::<Namespace>(json!({"metadata": {"name": "shop"}})).await;
    plane.until_count::<ServiceAccount>(5).await;
    let mut web = plane::workload("web", 2);
    web["metadata"]["namespace"] = "shop".into();
    plane.create::<Workload>(web).await;
    let config = json!({"metadata": {"name": "held", "namespace": "shop", "finalizers": ["test/held"]}});
    plane.create::<ConfigMap>(config).await;
    plane.until_count::<Pod>(2).await;
    plane.delete::<Namespace>("shop", Params::default()).await;
    plane
        .until::<Namespace>("what holds it", |namespace| {
            namespace["status"]["conditions"].to_string().contains("has finalizers remaining: test/held")
        })
        .await;
    plane.merge_in::<ConfigMap>("shop", "held", json!({"metadata": {"finalizers": null}})).await;
    plane.until_count::<Namespace>(4).await;
    assert_eq!(plane.list::<Pod>().await.len(), 0);
    assert_eq!(plane.list::<Workload>().await.len(), 0);
}

#[tokio::test]
async fn a_pod_that_fits_nowhere_says_why_and_is_placed_when_it_fits() {
    let plane = Plane::start().await;
    let mut web = plane::workload("web", 1);
    web["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "3"}});
    plane.create::<Workload>(web).await;
    let says = |message: &'static str| {
        move |pod: &serde_json::Value| pod["status"]["conditions"].to_string().contains(message)
    };
    plane.until::<Pod>("no nodes", says("no nodes available to schedule pods")).await;
    plane.node("small", json!({"cpu": "2", "memory": "1Gi", "pods": "10"})).await;
    plane.node("large", json!({"cpu": "4", "memory": "1Gi", "pods": "10"})).await;
    plane.until::<Pod>("a node", |pod| pod["spec"]["nodeName"] == "large").await;
    let decision = plane.decisions.latest().remove(0);
    let reasons: Vec<_> = decision.placement.reasons().filter(|(_, reasons)| !reasons.is_empty()).collect();
    assert!(reasons.is_empty() || reasons == [("small", vec!["Insufficient cpu".to_owned()])], "{reasons:?}");
}

#[tokio::test]
async fn a_pod_whose_binding_is_rejected_says_why_and_is_bound_when_it_can_be() {
    fn no_bindings(_: &str, request: &Request) -> Option<Meanwhile> {
        let is_binding = request.target.subresource.as_deref() == Some("binding");
        is_binding.then(|| Meanwhile::Fail(Status::unavailable("not today")))
    }
    let plane = Plane::start_gated(no_bindings, async |_| ()).await;
    plane.nodes(1).await;
    plane.create::<Workload>(plane::workload("web", 1)).await;
    let is_told = |pod: &serde_json::Value| {
        let conditions = pod["status"]["conditions"].to_string();
        conditions.contains("SchedulerError") && conditions.contains("binding rejected: not today")
    };
    plane.until::<Pod>("a condition", is_told).await;
    let is_event = |event: &serde_json::Value| {
        event["reason"] == "FailedScheduling" && event["message"] == "binding rejected: not today"
    };
    plane.until::<Event>("an event", is_event).await;
    plane.open_gate();
    plane.until::<Pod>("a node", |pod| pod["spec"]["nodeName"] == "node-0").await;
}

#[tokio::test]
async fn pods_of_a_node_that_falls_silent_are_replaced_elsewhere_after_their_time() {
    let plane = Plane::start().await;
    plane.nodes(2).await;
    plane.create::<Workload>(plane::workload("web", 2)).await;
    plane.until::<Workload>("all available", |web| web["status"]["availableReplicas"] == 2).await;
    plane.silence("node-0");
    plane
        .while_time_passes(plane.until::<Node>("unknown", |node| {
            node.name() == "node-0" && node["status"]["conditions"][0]["status"] == "Unknown"
        }))
        .await;
    plane
        .while_time_passes(plane.until::<Workload>("one fewer", |web| web["status"]["readyReplicas"] == 1))
        .await;
    let gone_from_node = async {
        plane.until::<Workload>("two again", |web| web["status"]["readyReplicas"] == 2).await;
    };
    plane.while_time_passes(gone_from_node).await;
    let alive = plane.list::<Pod>().await.into_iter().filter(|pod| !pod.is_terminating());
    assert!(alive.into_iter().all(|pod| pod["spec"]["nodeName"] == "node-1"));
    // Nobody is there to end the old pod gracefully; when the node itself is removed, so is the pod.
    plane.delete::<Node>("node-0", Params::default()).await;
    plane.while_time_passes(plane.until_count::<Pod>(2)).await;
}

#[tokio::test]
async fn a_node_gets_another_certificate_of_its_own_and_old_requests_go() {
    let plane = Plane::start().await;
    plane.node("n1", json!({"cpu": "1"})).await;
    let request = |name: &str, signer: &str| {
        let asked = CertificateRequest::new("system:node:n1", &["system:nodes"]).unwrap();
        let request = json!({"metadata": {"name": name}, "spec": {
            "request": STANDARD.encode(asked.request_pem), "usages": ["digital signature", "client auth"],
            "signerName": signer,
        }});
        serde_json::from_value::<CertificateSigningRequest>(request).unwrap()
    };
    let node = Api::<CertificateSigningRequest>::all(plane.client_of("system:node:n1", "system:nodes"));
    // One for another signer has to wait for people.
    node.create(&request("for-people", CertificateSigningRequest::CLIENT_SIGNER)).await.unwrap();
    node.create(&request("own", CertificateSigningRequest::NODE_CLIENT_SIGNER)).await.unwrap();
    let is_signed = |object: &serde_json::Value| {
        let condition = &object["status"]["conditions"][0];
        condition["reason"] == "AutoApproved" && object["status"]["certificate"].is_string()
    };
    plane.until::<CertificateSigningRequest>("signed", |own| own.name() == "own" && is_signed(own)).await;
    let waiting = plane.list::<CertificateSigningRequest>().await;
    let waiting = waiting.iter().find(|request| request.name() == "for-people").unwrap();
    assert_eq!(waiting["status"]["certificate"], json!(null), "{waiting}");
    // What is signed goes after an hour, what nobody decides after a day.
    plane.clock.advance(Duration::from_secs(2 * 3_600));
    plane.until_count::<CertificateSigningRequest>(1).await;
    plane.clock.advance(Duration::from_secs(24 * 3_600));
    plane.until_count::<CertificateSigningRequest>(0).await;
}

#[tokio::test]
async fn every_namespace_has_the_authority_and_keeps_it() {
    let plane = Plane::start().await;
    plane.until_count::<ConfigMap>(4).await;
    let is_pem =
        |map: &serde_json::Value| map["data"]["ca.crt"].as_str().unwrap().contains("BEGIN CERTIFICATE");
    assert!(plane.list::<ConfigMap>().await.iter().all(is_pem));
    plane.delete::<ConfigMap>("kube-root-ca.crt", Params::default()).await;
    plane.until_count::<ConfigMap>(4).await;
    plane.merge::<ConfigMap>("kube-root-ca.crt", json!({"data": {"ca.crt": "forged", "more": "x"}})).await;
    let is_whole = |map: &serde_json::Value| {
        map["metadata"]["namespace"] == "default" && is_pem(map) && map["data"].get("more").is_none()
    };
    plane.until::<ConfigMap>("mended", is_whole).await;
}

#[tokio::test]
async fn an_idle_cluster_writes_nothing() {
    let plane = Plane::start().await;
    plane.create::<Workload>(plane::workload("web", 3)).await;
    plane.until_count::<Pod>(3).await;
    plane.until::<Workload>("observed", |web| web["status"]["replicas"] == 3).await;
    let settled = plane.settled_revision().await;
    for _ in 0..10 {
        plane.clock.advance(Duration::from_secs(60));
        assert_eq!(plane.settled_revision().await, settled);
    }
}

#[tokio::test]
async fn a_thousand_replicas_are_made_and_placed() {
    let plane = Plane::start().await;
    plane.nodes(100).await;
    let started = std::time::Instant::now();
    plane.create::<Workload>(plane::workload("web", 1000)).await;
    plane.until::<Workload>("all available", |web| web["status"]["availableReplicas"] == 1000).await;
    println!("1,000 replicas available after {:?}", started.elapsed());
    let mut per_node = std::collections::BTreeMap::<String, usize>::new();
    for pod in plane.list::<Pod>().await {
        *per_node.entry(pod["spec"]["nodeName"].to_string()).or_default() += 1;
    }
    assert!(per_node.len() == 100 && per_node.values().all(|count| *count == 10), "{per_node:?}");
}
