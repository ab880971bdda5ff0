//! The agent with real containers. Needs root and containerd.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use orch_node::Config;
use orch_ontology::{ConfigMap, Pod, Secret};
use orch_runtime::{ExecRequest, Runtime};
use orch_runtime_containerd::{
    ContainerdRuntime, LoggerCommand,
    testing::{TestHost, build_busybox_layout},
};
use serde_json::json;
use tokio::io::AsyncReadExt as _;

use crate::cluster::{Agent, Cluster, eventually, last_exit_code, restarts, state};

const IMAGE: &str = "localhost/busybox:1";

struct Machine {
    cluster: Cluster,
    // Ends before the directory of the cluster goes.
    runtime: Arc<ContainerdRuntime>,
    host: TestHost,
    _dir: tempfile::TempDir,
}

impl Machine {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = TestHost::start(dir.path()).await.unwrap();
        let runtime = Arc::new(ContainerdRuntime::connect(host.config(logger())).await.unwrap());
        let layout = dir.path().join("busybox.tar");
        build_busybox_layout(&layout, IMAGE).unwrap();
        runtime.import_oci_layout(&layout).await.unwrap();
        Self { cluster: Cluster::start().await, runtime, host, _dir: dir }
    }

    fn agent(&self) -> Agent {
        self.cluster.agent_of(Config { runtime: self.runtime.clone(), ..self.cluster.config() })
    }

    /// What the pod's container `main` prints when asked to run this.
    async fn exec(&self, pod: &Pod, script: &str) -> String {
        let id = orch_runtime::ContainerId::of_pod(&pod.metadata.uid, "main", 0);
        let command = ["sh", "-c", script].map(str::to_owned).to_vec();
        let mut session =
            self.runtime.exec(&id, ExecRequest { command, ..Default::default() }).await.unwrap();
        let mut output = String::new();
        session.stdout.read_to_string(&mut output).await.unwrap();
        session.exit.await.unwrap();
        output
    }

    /// The process of this command line. A container runs before its shell has come to it.
    async fn process(&self, command: &str) -> Pid {
        let is_it = |pid: &i32| {
            let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.trim_end_matches('\0').replace('\0', " ") == command
        };
        let find = async || self.host.processes().into_iter().find(is_it);
        Pid::from_raw(eventually(command, find).await)
    }
}

/// The example of this crate, which cargo builds with the tests.
fn logger() -> LoggerCommand {
    let test = std::env::current_exe().unwrap();
    let binary: PathBuf = test.parent().unwrap().with_file_name("examples").join("node-log-pipe");
    assert!(binary.exists(), "{} is missing: run all targets, cargo test -p orch-node", binary.display());
    LoggerCommand::new(binary, "log-pipe")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_pod_has_all_that_it_asked_for_and_leaves_nothing() {
    let machine = Machine::start().await;
    let cluster = &machine.cluster;
    let idle = (machine.host.mounts(), machine.host.processes());
    let _agent = machine.agent();
    let texts = json!({"metadata": {"name": "texts", "namespace": "default"}, "data": {"greeting": "hello"}});
    cluster.create::<ConfigMap>(texts).await;
    let keys = json!({"metadata": {"name": "keys", "namespace": "default"}, "stringData": {"key": "secret"}});
    cluster.create::<Secret>(keys).await;
    let main = json!({
        "image": IMAGE, "command": ["sh", "-c", "echo $(GREETING) from $(WHERE); sleep 100001"],
        "env": [
            {"name": "GREETING", "valueFrom": {"configMapKeyRef": {"name": "texts", "key": "greeting"}}},
            {"name": "WHERE", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}},
        "volumeMounts": [
            {"name": "shared", "mountPath": "/shared"}, {"name": "texts", "mountPath": "/texts"},
            {"name": "keys", "mountPath": "/keys"},
        ],
    });
    let side = json!({
        "name": "side", "image": IMAGE, "command": ["sh", "-c", "echo from side > /shared/file; sleep 100002"],
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    });
    let init = json!({
        "name": "first", "image": IMAGE, "command": ["sh", "-c", "echo from init > /shared/first"],
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    });
    let mut containers = vec![main, side];
    containers[0]["name"] = json!("main");
    let spec = json!({
        "initContainers": [init], "containers": containers, "terminationGracePeriodSeconds": 1,
        "volumes": [
            {"name": "shared", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"name": "texts", "configMap": {"name": "texts"}}, {"name": "keys", "secret": {"secretName": "keys"}},
        ],
    });
    cluster.pod_with("web", json!({}), spec).await;
    let pod = cluster.until("web", "running", crate::cluster::ready).await;
    let script =
        "hostname; cat /texts/greeting /keys/key; cat /shared/first /shared/file; df -k /shared | tail -1";
    let seen = machine.exec(&pod, script).await;
    assert!(seen.starts_with("web\nhellosecretfrom init\nfrom side\n"), "{seen}");
    assert!(seen.contains(" 1024 "), "a mebibyte: {seen}");
    let log = cluster.data_dir().join(format!("logs/default_web_{}/main/0.log", pod.metadata.uid));
    let line = format!("stdout F hello from {}\n", pod.status.pod_ip);
    eventually("the log is written", || async {
        std::fs::read_to_string(&log).ok()?.ends_with(&line).then_some(())
    })
    .await;
    cluster.delete("web").await;
    cluster.until_gone("web").await;
    eventually("all is as it was", || async {
        ((machine.host.mounts(), machine.host.processes()) == idle).then_some(())
    })
    .await;
    assert!(machine.runtime.observe().await.unwrap().sandboxes.is_empty());
    assert_eq!(std::fs::read_dir(cluster.data_dir().join("pods")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_container_that_is_killed_is_back_at_once_and_tells_why() {
    let machine = Machine::start().await;
    let agent = machine.agent();
    let script = "echo bye > /dev/termination-log; exec sleep 100003";
    let main = json!({"image": IMAGE, "command": ["sh", "-c", script]});
    machine.cluster.pod("web", main).await;
    machine.cluster.until_running("web").await;
    let process = machine.process("sleep 100003").await;
    let killed = Instant::now();
    kill(process, Signal::SIGKILL).unwrap();
    let is_back = |times: i32| move |pod: &Pod| restarts(pod) == times && state(pod) == "running";
    let pod = machine.cluster.until("web", "running again", is_back(1)).await;
    let took = killed.elapsed();
    println!("back after {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?} on a machine that is busy with other tests");
    let ended = pod.status.container_statuses[0].last_state.terminated.as_ref().unwrap();
    assert_eq!((ended.exit_code, ended.message.as_str()), (137, "bye\n"));
    // And while no agent looks: the run goes on, and its end is found later.
    drop(agent);
    let process = machine.process("sleep 100003").await;
    kill(process, Signal::SIGTERM).unwrap();
    kill(process, Signal::SIGKILL).unwrap();
    let _agent = machine.agent();
    let pod = machine.cluster.until("web", "backing off", |pod| state(pod) == "CrashLoopBackOff").await;
    assert!(last_exit_code(&pod).is_some_and(|code| code > 128));
}
