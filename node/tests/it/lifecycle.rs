//! Pods come, go on whatever happens, and go.

use std::time::{Duration, Instant};

use orch_api::{Params, Patch};
use orch_ontology::{Pod, PodPhase};
use orch_runtime::{
    Behaviour, ContainerId, ContainerState, Latency, PodIdentity, Runtime as _, SandboxId, SandboxSpec,
    Script, Verb,
};
use serde_json::json;

use crate::cluster::{Cluster, eventually, last_exit_code, restarts, state};

fn main_of(pod: &Pod, attempt: u32) -> ContainerId {
    ContainerId::of_pod(&pod.metadata.uid, "main", attempt)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_runs_and_is_removed_without_a_trace() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    cluster.pod("web", json!({})).await;
    let pod = cluster.until_running("web").await;
    assert_eq!(pod.status.phase, Some(PodPhase::Running));
    assert!(!pod.status.pod_ip.is_empty());
    assert_eq!(pod.status.host_ip, "127.0.0.1");
    assert!(pod.status.start_time.is_some());
    cluster.delete("web").await;
    cluster.until_gone("web").await;
    cluster.until_empty().await;
    for directory in ["pods", "logs"] {
        let left: Vec<_> = std::fs::read_dir(cluster.data_dir().join(directory)).unwrap().collect();
        assert!(left.is_empty(), "{directory}: {left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_container_is_back_within_half_a_second() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    let pod = cluster.pod("web", json!({})).await;
    cluster.until_running("web").await;
    let killed = Instant::now();
    cluster.runtime.kill(&main_of(&pod, 0), 137);
    let is_back = |pod: &Pod| restarts(pod) == 1 && state(pod) == "running";
    let back = cluster.until("web", "running again", is_back).await;
    assert!(killed.elapsed() < Duration::from_millis(500), "{:?}", killed.elapsed());
    assert_eq!(last_exit_code(&back), Some(137));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_image_is_run_instead() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    cluster.pod_with("web", json!({}), json!({"restartPolicy": "Never"})).await;
    cluster.until_running("web").await;
    let image = json!([{"op": "replace", "path": "/spec/containers/0/image", "value": "busybox:2"}]);
    cluster.api().patch("web", &Patch::Json(image), Params::default()).await.unwrap();
    let is_other = |pod: &Pod| restarts(pod) == 1 && state(pod) == "running";
    let pod = cluster.until("web", "running from the other image", is_other).await;
    assert_eq!(pod.status.container_statuses[0].image, "busybox:2");
    assert_eq!((pod.status.phase, last_exit_code(&pod)), (Some(PodPhase::Running), Some(143)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashing_container_is_shown_as_backing_off() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    cluster.pod("web", json!({"command": ["sh", "-c", "exit 3"]})).await;
    let pod = cluster.until("web", "backing off", |pod| state(pod) == "CrashLoopBackOff").await;
    assert_eq!((restarts(&pod), last_exit_code(&pod)), (1, Some(3)));
    assert_eq!(pod.status.phase, Some(PodPhase::Running));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_died_disturbs_nothing_and_loses_no_exit() {
    let cluster = Cluster::start().await;
    let agent = cluster.agent();
    cluster.pod("kept", json!({})).await;
    let killed = cluster.pod("killed", json!({})).await;
    let before = cluster.until_running("kept").await;
    cluster.until_running("killed").await;
    drop(agent);
    cluster.runtime.kill(&main_of(&killed, 0), 42);
    let _agent = cluster.agent();
    let is_back = |pod: &Pod| restarts(pod) == 1 && state(pod) == "running";
    let back = cluster.until("killed", "running again", is_back).await;
    assert_eq!(last_exit_code(&back), Some(42));
    let after = cluster.until_running("kept").await;
    assert_eq!(after.status, before.status, "nothing is told again");
    assert_eq!(after.metadata.resource_version, before.metadata.resource_version);
}

/// An agent that starts looks at the runtime and reads its pods at the same time: whichever is first, none is a stranger.
#[tokio::test(flavor = "multi_thread")]
async fn however_often_the_agent_starts_what_runs_is_not_touched() {
    let cluster = Cluster::start().await;
    let agent = cluster.agent();
    cluster.pod("kept", json!({})).await;
    let before = cluster.until_running("kept").await;
    agent.kill().await;
    for round in 0..25 {
        let agent = cluster.agent();
        let other = format!("other-{round}");
        cluster.pod(&other, json!({})).await;
        cluster.until_running(&other).await;
        agent.kill().await;
    }
    let after = cluster.until_running("kept").await;
    assert_eq!(after.status, before.status);
    let running = cluster.observe().await.containers;
    assert!(
        running.iter().all(|run| run.attempt == 0 && matches!(run.state, ContainerState::Running { .. }))
    );
    assert_eq!(running.len(), 26);
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_goes_on_after_the_agent_died() {
    let script =
        Script { behaviours: vec![Behaviour { ignores_stop: true, ..behaviour() }], ..Script::default() };
    let cluster = Cluster::with_script(script).await;
    let agent = cluster.agent();
    cluster.pod_with("web", json!({}), json!({"terminationGracePeriodSeconds": 1})).await;
    cluster.until_running("web").await;
    cluster.delete("web").await;
    drop(agent);
    let _agent = cluster.agent();
    cluster.until_gone("web").await;
    cluster.until_empty().await;
}

fn behaviour() -> Behaviour {
    Behaviour {
        matching: String::new(),
        exit_after_millis: None,
        exit_code: 0,
        out_of_memory: false,
        ignores_stop: false,
        output: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_no_pod_is_removed_and_the_rest_stays() {
    let cluster = Cluster::start().await;
    let agent = cluster.agent();
    cluster.pod("web", json!({})).await;
    let before = cluster.until_running("web").await;
    agent.stop().await;
    let stray = SandboxSpec {
        id: SandboxId::of_pod("stray", 0),
        pod: PodIdentity { uid: "stray".into(), name: "stray".into(), namespace: "default".into() },
        attempt: 0,
        labels: Default::default(),
        annotations: Default::default(),
        hostname: "stray".into(),
        network: Default::default(),
        dns: None,
        host_aliases: Vec::new(),
        port_mappings: Vec::new(),
        cgroup_parent: None,
    };
    cluster.runtime.ensure_sandbox(&stray).await.unwrap();
    let leftover = cluster.data_dir().join("pods/gone/volumes/v");
    std::fs::create_dir_all(&leftover).unwrap();
    let _agent = cluster.agent();
    eventually("only the pod's sandbox is left", || async {
        let sandboxes = cluster.observe().await.sandboxes;
        (sandboxes.len() == 1 && sandboxes[0].pod.name == "web" && !leftover.exists()).then_some(())
    })
    .await;
    let after = cluster.until_running("web").await;
    assert_eq!(after.status, before.status);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_completes_keeps_its_log_and_nothing_else() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    let main = json!({"command": ["sh", "-c", "echo done; exit 0"]});
    let pod = cluster.pod_with("job", main, json!({"restartPolicy": "Never"})).await;
    let done = cluster.until("job", "succeeded", |pod| pod.status.phase == Some(PodPhase::Succeeded)).await;
    assert_eq!(state(&done), "terminated");
    cluster.until_empty().await;
    let log_dir = cluster.data_dir().join(format!("logs/default_job_{}", pod.metadata.uid));
    assert!(std::fs::read_to_string(log_dir.join("main/0.log")).unwrap().ends_with("stdout F done\n"));
    cluster.delete("job").await;
    cluster.until_gone("job").await;
    eventually("no logs", async || (!log_dir.exists()).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_forced_out_of_the_api_is_stopped_all_the_same() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    cluster.pod("web", json!({})).await;
    cluster.until_running("web").await;
    let now = orch_api::Params { grace_period_seconds: Some(0), ..Default::default() };
    cluster.api().delete("web", now).await.unwrap();
    cluster.until_gone("web").await;
    cluster.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_finalizers_hold_is_stopped_and_waits() {
    let cluster = Cluster::start().await;
    let _agent = cluster.agent();
    cluster.pod("web", json!({})).await;
    let mut pod = Pod::clone(&*cluster.until_running("web").await);
    let patch = |finalizers: serde_json::Value| {
        orch_api::Patch::Merge(json!({"metadata": {"finalizers": finalizers}}))
    };
    cluster.api().patch("web", &patch(json!(["example.com/hold"])), Default::default()).await.unwrap();
    cluster.delete("web").await;
    cluster.until_empty().await;
    pod = cluster.api().get(&pod.metadata.name).await.unwrap();
    assert!(pod.metadata.is_terminating());
    cluster.api().patch("web", &patch(json!([])), Default::default()).await.unwrap();
    cluster.until_gone("web").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_deleted_while_its_image_is_pulled_does_not_wait_for_it() {
    let slow = Latency { verb: Verb::PullImage, millis: 3_600_000, jitter_millis: 0 };
    let cluster = Cluster::with_script(Script { latencies: vec![slow], ..Script::default() }).await;
    let _agent = cluster.agent();
    cluster.pod("web", json!({})).await;
    let is_pulling = |pod: &Pod| !pod.status.pod_ip.is_empty();
    cluster.until("web", "given an address", is_pulling).await;
    cluster.delete("web").await;
    cluster.until_gone("web").await;
    cluster.until_empty().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reboot_pods_run_again_and_count_it() {
    let cluster = Cluster::start().await;
    let agent = cluster.agent();
    let first = json!([{"name": "first", "image": "busybox", "command": ["true"]}]);
    cluster.pod_with("web", json!({}), json!({"initContainers": first})).await;
    cluster.until_running("web").await;
    agent.kill().await;
    cluster.runtime.reboot();
    let _agent = cluster.agent();
    let is_back = |pod: &Pod| restarts(pod) == 1 && state(pod) == "running";
    let back = cluster.until("web", "running again", is_back).await;
    assert_eq!(last_exit_code(&back), Some(255));
    let first = &back.status.init_container_statuses[0];
    assert_eq!(first.restart_count, 1, "nothing is left of what it did");
    let observed = cluster.observe().await;
    let running = observed.containers.iter().filter(|c| matches!(c.state, ContainerState::Running { .. }));
    assert_eq!(running.count(), 1);
    assert_eq!(back.status.pod_ip, observed.sandboxes[0].ips[0].to_string());
}
