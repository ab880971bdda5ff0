//! What goes wrong is told, waited out, and tried again.

use orch_api::{Api, Params, Patch};
use orch_ontology::{Event, Node, PodPhase};
use orch_runtime::{Failure, Fault, Verb};
use serde_json::json;

use crate::cluster::{Cluster, NODE, eventually, ready, state};

fn fault(verb: Verb, failure: Failure, times: u32) -> Fault {
    Fault { verb, matching: String::new(), times: Some(times), failure }
}

/// The reasons of the events about a pod.
async fn events_about(cluster: &Cluster, name: &str) -> Vec<String> {
    let params = Params { field_selector: Some(format!("involvedObject.name={name}")), ..Params::default() };
    let events = Api::<Event>::namespaced(cluster.client.clone(), "default").list(params).await.unwrap();
    events.items.into_iter().map(|event| event.reason).collect()
}

async fn until_told(cluster: &Cluster, name: &str, reasons: &[&str]) {
    eventually(&format!("{reasons:?} are told"), || async {
        let told = events_about(cluster, name).await;
        reasons.iter().all(|reason| told.iter().any(|told| told == reason)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_is_told() {
    let cluster = Cluster::start().await;
    cluster.runtime.inject(fault(Verb::PullImage, Failure::ImageNotFound, 1));
    let _agent = cluster.agent();
    cluster.pod("web", json!({})).await;
    cluster.until("web", "failing to pull", |pod| state(pod) == "ErrImagePull").await;
    let pod = cluster.until("web", "waiting to pull", |pod| state(pod) == "ImagePullBackOff").await;
    assert_eq!(pod.status.phase, Some(PodPhase::Pending));
    until_told(&cluster, "web", &["Pulling", "Failed", "BackOff"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_may_not_be_pulled_is_told() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    cluster.pod("web", json!({"imagePullPolicy": "Never"})).await;
    cluster.until("web", "waiting", |pod| state(pod) == "ErrImageNeverPull").await;
    until_told(&cluster, "web", &["ErrImageNeverPull", "Failed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_fails_at_first_comes_up() {
    let cluster = Cluster::start().await;
    cluster.runtime.inject(fault(Verb::EnsureSandbox, Failure::Network, 1));
    let _agent = cluster.agent();
    cluster.pod("web", json!({})).await;
    cluster.until_running("web").await;
    until_told(&cluster, "web", &["FailedCreatePodSandBox", "Pulled", "Created", "Started"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_is_not_there_is_a_failed_run() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    let main = json!({"command": ["/nonexistent"]});
    cluster.pod_with("web", main, json!({"restartPolicy": "Never"})).await;
    let pod = cluster.until("web", "failed", |pod| pod.status.phase == Some(PodPhase::Failed)).await;
    let ended = pod.status.container_statuses[0].state.terminated.as_ref().unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_str()), (128, "StartError"));
    until_told(&cluster, "web", &["Failed"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_does_not_fit_fails() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    cluster.pod("big", json!({"resources": {"requests": {"cpu": "5"}}})).await;
    let pod = cluster.until("big", "failed", |pod| pod.status.phase == Some(PodPhase::Failed)).await;
    assert_eq!(pod.status.reason, "OutOfcpu");
    assert!(cluster.observe().await.sandboxes.is_empty());
    cluster.delete("big").await;
    cluster.until_gone("big").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_that_people_gave_the_node_count() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    let nodes = Api::<Node>::all(cluster.client.clone());
    eventually("registered", async || nodes.find(NODE).await.unwrap()).await;
    cluster.pod_with("early", json!({}), json!({"nodeSelector": {"disk": "ssd"}})).await;
    let early = cluster.until("early", "failed", |pod| pod.status.phase == Some(PodPhase::Failed)).await;
    assert_eq!(early.status.reason, "NodeAffinity");
    assert!(early.status.container_statuses.is_empty(), "it never had containers here");
    let patch = Patch::Merge(json!({"metadata": {"labels": {"disk": "ssd"}}}));
    nodes.patch(NODE, &patch, Params::default()).await.unwrap();
    cluster.pod_with("late", json!({}), json!({"nodeSelector": {"disk": "ssd"}})).await;
    cluster.until_running("late").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_runtime_makes_the_node_not_ready_and_costs_no_pod() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    cluster.pod("web", json!({})).await;
    let before = cluster.until_running("web").await;
    let is_ready = |is_so: bool| {
        let nodes = Api::<Node>::all(cluster.client.clone());
        async move {
            let node = nodes.get(NODE).await.unwrap();
            let ready =
                node.status.conditions.iter().find(|condition| condition.condition_type == "Ready").unwrap();
            (ready.status == is_so.into()).then_some(())
        }
    };
    eventually("the node is ready", || is_ready(true)).await;
    cluster.runtime.set_unreachable(true);
    // Something to look at the runtime for.
    cluster.pod("new", json!({})).await;
    eventually("the node is not ready", || is_ready(false)).await;
    cluster.until("web", "not ready", |pod| !ready(pod)).await;
    cluster.runtime.set_unreachable(false);
    eventually("the node is ready again", || is_ready(true)).await;
    cluster.until_running("new").await;
    let after = cluster.until_running("web").await;
    assert_eq!(after.status.container_statuses, before.status.container_statuses);
}
