//! The simulated runtime keeps the contract, follows its script, and repeats itself.
#![expect(clippy::unwrap_used, reason = "a test file; clippy sees its shared functions as ordinary code")]

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use orch_runtime::{
    Behaviour, ContainerState, Failure, Fault, Latency, Outage, PullOptions, Runtime, RuntimeError,
    SandboxState, Script, SimulatedRuntime, Simulation, Verb, conformance, conformance::Harness, reason,
};

struct Simulated {
    runtime: SimulatedRuntime,
    logs: tempfile::TempDir,
}

impl Simulated {
    fn start(script: Script) -> Self {
        let simulation = Simulation { script, write_logs: true, ..Simulation::default() };
        Self { runtime: SimulatedRuntime::new(simulation), logs: tempfile::tempdir().unwrap() }
    }
}

#[async_trait]
impl Harness for Simulated {
    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(self.runtime.clone())
    }
    async fn restarted(&mut self) -> Arc<dyn Runtime> {
        self.runtime()
    }
    fn image(&self) -> String {
        "registry.test:5000/busybox:1".into()
    }
    fn missing_image(&self) -> String {
        "registry.test:5000/no-such-image:1".into()
    }
    fn log_dir(&self) -> PathBuf {
        self.logs.path().to_owned()
    }
}

fn fault(verb: Verb, matching: &str, times: Option<u32>, failure: Failure) -> Fault {
    Fault { verb, matching: matching.into(), times, failure }
}

mod contract {
    use super::{Failure, Script, Simulated, Verb, fault};

    orch_runtime::conformance_tests!(Simulated::start(Script {
        faults: vec![fault(Verb::PullImage, "no-such-image", None, Failure::ImageNotFound)],
        ..Script::default()
    }));
}

#[tokio::test(start_paused = true)]
async fn a_pull_fails_as_often_as_the_script_says() {
    let script = Script {
        faults: vec![fault(Verb::PullImage, "web", Some(2), Failure::PullRetryable)],
        ..Script::default()
    };
    let harness = Simulated::start(script);
    for _ in 0..2 {
        let error = harness.runtime.pull_image("web", &PullOptions::default()).await.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        harness.runtime.pull_image("other", &PullOptions::default()).await.unwrap();
    }
    harness.runtime.pull_image("web", &PullOptions::default()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_behaviour_exits_when_the_script_says() {
    let behaviour = Behaviour {
        matching: "leaky".into(),
        exit_after_millis: Some(90_000),
        exit_code: 1,
        out_of_memory: true,
        ignores_stop: false,
        output: vec![],
    };
    let harness = Simulated::start(Script { behaviours: vec![behaviour], ..Script::default() });
    let container = conformance::run(&harness, "leaky", &["server"]).await;
    tokio::time::sleep(Duration::from_millis(89_999)).await;
    let state = conformance::observed(&harness.runtime, &container.id).await.unwrap().state;
    assert!(matches!(state, ContainerState::Running { .. }));
    tokio::time::sleep(Duration::from_millis(2)).await;
    let exit = conformance::exit_of(&harness.runtime, &container.id).await;
    assert_eq!((exit.code, exit.reason.as_str()), (137, reason::OOM_KILLED));
    assert_eq!(exit.finished_at.duration_since(exit.started_at.unwrap()).as_secs(), 90);
}

#[tokio::test(start_paused = true)]
async fn an_outage_hides_the_runtime_and_not_the_containers() {
    let outages = vec![Outage { from_millis: 1_000, until_millis: 2_000 }];
    let harness = Simulated::start(Script { outages, ..Script::default() });
    let container = conformance::run(&harness, "lasting", &["server"]).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(matches!(harness.runtime.observe().await, Err(RuntimeError::Unavailable { .. })));
    tokio::time::sleep(Duration::from_millis(600)).await;
    let state = conformance::observed(&harness.runtime, &container.id).await.unwrap().state;
    assert!(matches!(state, ContainerState::Running { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_reboot_leaves_nothing_running() {
    let harness = Simulated::start(Script::default());
    let container = conformance::run(&harness, "rebooted", &["server"]).await;
    harness.runtime.reboot();
    let observed = harness.runtime.observe().await.unwrap();
    assert_eq!(observed.sandboxes[0].state, SandboxState::NotReady);
    let exit = conformance::exit_of(&harness.runtime, &container.id).await;
    assert_eq!((exit.code, exit.reason.as_str()), (255, reason::UNKNOWN));
    let again = harness.runtime.ensure_sandbox(&conformance::sandbox("rebooted")).await.unwrap();
    assert_eq!(again.state, SandboxState::Ready);
}

/// Everything observable of a run with jitter in which `order` says which pod is asked for first.
async fn history(seed: u64, order: &[usize]) -> String {
    let latency = |verb| Latency { verb, millis: 10, jitter_millis: 500 };
    let script = Script {
        latencies: vec![
            latency(Verb::EnsureSandbox),
            latency(Verb::StartContainer),
            latency(Verb::PullImage),
        ],
        ..Script::default()
    };
    let simulation = Simulation { seed, script, ..Simulation::default() };
    let runtime = SimulatedRuntime::new(simulation);
    let pods = order.iter().copied().map(|n| {
        let runtime = runtime.clone();
        async move {
            runtime.pull_image("web", &PullOptions::default()).await.unwrap();
            let pod = conformance::sandbox(&format!("pod{n}"));
            runtime.ensure_sandbox(&pod).await.unwrap();
            let container = conformance::container(&pod, "web", &["server"]);
            runtime.create_container(&container).await.unwrap();
            runtime.start_container(&container.id).await.unwrap();
        }
    });
    futures::future::join_all(pods.map(tokio::spawn)).await.into_iter().for_each(|joined| joined.unwrap());
    format!("{:#?}", runtime.observe().await.unwrap())
}

#[tokio::test(start_paused = true)]
async fn one_seed_is_one_history() {
    let first = history(7, &[0, 1, 2, 3]).await;
    assert_eq!(first, history(7, &[0, 1, 2, 3]).await);
    assert_ne!(first, history(8, &[0, 1, 2, 3]).await);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_nodes_with_ten_pods_each_are_cheap() {
    let began = std::time::Instant::now();
    for _ in 0..1000 {
        let harness = SimulatedRuntime::new(Simulation::default());
        harness.pull_image("web", &PullOptions::default()).await.unwrap();
        for n in 0..10 {
            let pod = conformance::sandbox(&format!("pod{n}"));
            harness.ensure_sandbox(&pod).await.unwrap();
            let container = conformance::container(&pod, "web", &["server"]);
            harness.create_container(&container).await.unwrap();
            harness.start_container(&container.id).await.unwrap();
        }
        assert_eq!(harness.observe().await.unwrap().containers.len(), 10);
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
