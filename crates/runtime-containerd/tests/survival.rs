//! What lives on when something dies, and that nothing is left of what was removed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod host;

use std::{path::Path, process::Command, time::Duration};

use futures::StreamExt as _;
use host::{Node, eventually, exec, log, run};
use nix::{
    mount::{MntFlags, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use orch_runtime::{
    ContainerId, ContainerState, Runtime, RuntimeError, RuntimeEvent, SandboxState, Stdin, conformance,
    reason,
};
use orch_runtime_containerd::PrivateContainerd;

fn is_running(state: &ContainerState) -> bool {
    matches!(state, ContainerState::Running { .. })
}

/// What containerd's own client lists.
fn ctr(node: &Node, what: &[&str]) -> String {
    let socket = node.host.dir().join("containerd/containerd.sock");
    let output = Command::new("ctr").arg("-a").arg(socket).args(["-n", "orch"]).args(what).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn files(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn nothing_is_left_of_a_removed_sandbox() {
    let node = Node::start().await;
    let snapshots = ctr(&node, &["snapshots", "ls"]);
    let processes = node.host.processes();
    let container = run(&node, "gone", "sleep 1000 & sleep 1000", |_, _| {}).await;
    let runtime = node.runtime();
    let mut created = container.clone();
    created.id = ContainerId::of_pod("gone", "created", 0);
    runtime.create_container(&created).await.unwrap();
    let mut exited = container.clone();
    (exited.id, exited.command) = (ContainerId::of_pod("gone", "exited", 0), vec!["true".into()]);
    runtime.create_container(&exited).await.unwrap();
    runtime.start_container(&exited.id).await.unwrap();
    exec(&node, &container.id, &["true"]).await;
    assert!(node.host.mounts().len() > 3 && node.host.processes().len() > processes.len());
    runtime.remove_sandbox(&container.sandbox).await.unwrap();
    assert_eq!(ctr(&node, &["snapshots", "ls"]), snapshots);
    assert_eq!(ctr(&node, &["containers", "ls", "-q"]) + &ctr(&node, &["tasks", "ls", "-q"]), "");
    assert_eq!(ctr(&node, &["leases", "ls", "-q"]), "");
    let state = node.dir.path().join("state");
    assert_eq!(node.host.mounts(), [""; 0].map(Path::new));
    assert_eq!(files(&state.join("sandboxes")), [""; 0]);
    assert!(files(&state.join("ipam").join(node.host.bridge())).iter().all(|name| !name.starts_with("10.")));
    assert_eq!(files(&state.join("mounts")), [""; 0]);
    let cgroups = node.host.cgroup_dirs();
    assert!(cgroups.iter().all(|dir| !dir.to_string_lossy().contains("gone")), "{cgroups:?}");
    eventually("its processes are gone", async || (node.host.processes() == processes).then_some(())).await;
    let links =
        Command::new("ip").args(["-o", "link", "show", "master", &node.host.bridge()]).output().unwrap();
    assert!(links.stdout.is_empty(), "{}", String::from_utf8_lossy(&links.stdout));
}

#[tokio::test]
async fn no_line_is_lost_while_the_agent_restarts() {
    let mut node = Node::start().await;
    let script = "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; sleep 0.2; echo done";
    let container = run(&node, "talks", script, |_, _| {}).await;
    for _ in 0..5 {
        node.connect().await;
    }
    conformance::exit_of(&*node.runtime(), &container.id).await;
    let path = container.log_path.unwrap();
    let lines = eventually("the last line", async || {
        let lines = log(&path);
        (lines.last()? == "done").then_some(lines)
    })
    .await;
    let expected: Vec<String> = (0..3000).map(|n| format!("line {n}")).chain(["done".to_owned()]).collect();
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn containers_outlive_containerd() {
    let mut node = Node::start().await;
    let container =
        run(&node, "outlives", "trap 'exit 6' TERM; while true; do sleep 0.05; done", |_, _| {}).await;
    let runtime = node.runtime();
    let before = runtime.observe().await.unwrap();
    let containerd = node.host.take_containerd().unwrap();
    assert!(node.host.processes().contains(&containerd.pid()));
    kill(Pid::from_raw(containerd.pid()), Signal::SIGKILL).unwrap();
    containerd.exited().await;
    match runtime.observe().await.unwrap_err() {
        RuntimeError::Unavailable { .. } => {}
        other => panic!("{other:?}"),
    }
    let mut events = runtime.events().skip(1);
    let again = PrivateContainerd::start(node.host.dir().join("containerd")).await.unwrap();
    assert_ne!(again.pid(), containerd.pid());
    let resync = tokio::time::timeout(Duration::from_secs(30), events.next()).await.unwrap();
    assert_eq!(resync, Some(RuntimeEvent::Resync));
    assert_eq!(runtime.observe().await.unwrap(), before);
    runtime.stop_container(&container.id, Duration::from_secs(60)).await.unwrap();
    assert_eq!(conformance::exit_of(&*runtime, &container.id).await.code, 6);
}

#[tokio::test]
async fn a_private_containerd_is_found_again_and_stopped_only_when_asked() {
    let mut node = Node::start().await;
    let container = run(&node, "stays", "exec sleep 1000", |_, _| {}).await;
    let first = node.host.take_containerd().unwrap();
    let dir = node.host.dir().join("containerd");
    let found = PrivateContainerd::start(&dir).await.unwrap();
    assert_eq!((found.pid(), found.socket()), (first.pid(), first.socket()));
    found.stop().await;
    first.exited().await;
    let next = PrivateContainerd::start(&dir).await.unwrap();
    let state = conformance::observed(&*node.runtime(), &container.id).await.unwrap().state;
    assert!(is_running(&state), "{state:?}");
    drop(next);
    assert!(node.runtime().version().await.is_ok());
}

#[tokio::test]
async fn an_exit_while_containerd_is_dead_is_not_lost() {
    let mut node = Node::start().await;
    let flag = node.dir.path().join("flag");
    let container =
        run(&node, "dead", "while [ ! -e /shared/flag ]; do sleep 0.05; done; exit 8", |_, container| {
            container.mounts = vec![orch_runtime::Mount {
                host_path: node.dir.path().to_owned(),
                container_path: "/shared".into(),
                read_only: true,
                propagation: orch_runtime::Propagation::Private,
            }];
        })
        .await;
    let containerd = node.host.take_containerd().unwrap();
    let own: Vec<i32> = cgroup_processes(&node, &container.id);
    containerd.stop().await;
    std::fs::write(flag, "").unwrap();
    eventually("it ended", async || {
        own.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()).then_some(())
    })
    .await;
    PrivateContainerd::start(node.host.dir().join("containerd")).await.unwrap();
    let exit = conformance::exit_of(&*node.connect().await, &container.id).await;
    assert_eq!((exit.code, exit.reason.as_str()), (8, reason::ERROR));
}

fn cgroup_processes(node: &Node, id: &ContainerId) -> Vec<i32> {
    let dirs = node.host.cgroup_dirs().into_iter().filter(|dir| dir.ends_with(id.as_str()));
    dirs.flat_map(|dir| {
        let text = std::fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
    })
    .collect()
}

/// The parent of the container's first process.
fn shim_of(node: &Node, id: &ContainerId) -> Pid {
    let inits = cgroup_processes(node, id);
    let parent = std::fs::read_to_string(format!("/proc/{}/stat", inits[0])).unwrap();
    let shim: i32 = parent.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    assert!(shim > 1 && node.host.processes().contains(&shim), "{shim} is no shim of this host");
    Pid::from_raw(shim)
}

#[tokio::test]
async fn a_shim_that_does_not_answer_is_no_end_of_what_it_runs() {
    let node = Node::start().await;
    let container = run(&node, "slow", "exec sleep 1000", |_, _| {}).await;
    let other = run(&node, "other", "exec sleep 1000", |_, _| {}).await;
    let runtime = node.runtime();
    let before = runtime.observe().await.unwrap();
    let states: Vec<_> = before.containers.iter().map(|container| &container.state).collect();
    assert!(states.len() == 2 && states.into_iter().all(is_running), "{before:?}");
    let (shim, inits) = (shim_of(&node, &container.id), cgroup_processes(&node, &container.id));
    let events = runtime.events().skip(1);
    kill(shim, Signal::SIGSTOP).unwrap();
    let frozen = runtime.observe().await;
    kill(Pid::from_raw(inits[0]), Signal::SIGKILL).unwrap();
    let ended = runtime.observe().await;
    kill(shim, Signal::SIGCONT).unwrap();
    assert_eq!(frozen.unwrap(), before);
    assert_eq!(ended.unwrap(), before);
    let is_told = events.any(async |event| event == RuntimeEvent::Resync);
    assert!(tokio::time::timeout(Duration::from_secs(30), is_told).await.unwrap());
    assert_eq!(conformance::exit_of(&*runtime, &container.id).await.code, 137);
    let state = conformance::observed(&*runtime, &other.id).await.unwrap().state;
    assert!(is_running(&state), "{state:?}");
}

#[tokio::test]
async fn a_killed_shim_is_an_exit() {
    let node = Node::start().await;
    let container = run(&node, "shimless", "exec sleep 1000", |_, _| {}).await;
    kill(shim_of(&node, &container.id), Signal::SIGKILL).unwrap();
    let runtime = node.runtime();
    let exit = conformance::exit_of(&*runtime, &container.id).await;
    assert!([137, 255].contains(&exit.code), "{exit:?}");
    assert_eq!(conformance::exit_of(&*runtime, &container.id).await, exit);
    let mut next = container.clone();
    (next.id, next.attempt) = (ContainerId::of_pod("shimless", "main", 1), 1);
    runtime.create_container(&next).await.unwrap();
    runtime.start_container(&next.id).await.unwrap();
    runtime.remove_sandbox(&container.sandbox).await.unwrap();
    assert_eq!(runtime.observe().await.unwrap().containers, []);
}

#[tokio::test]
async fn a_sandbox_that_lost_its_namespaces_is_made_anew() {
    let mut node = Node::start().await;
    let runtime = node.runtime();
    let pod = conformance::sandbox("rebooted");
    let before = runtime.ensure_sandbox(&pod).await.unwrap();
    let ns = node.dir.path().join("state/sandboxes").join(pod.id.as_str()).join("ns");
    for kind in ["net", "uts", "ipc"] {
        umount2(&ns.join(kind), MntFlags::MNT_DETACH).unwrap();
    }
    drop(runtime);
    let runtime = node.connect().await;
    let lost = runtime.observe().await.unwrap().sandboxes.remove(0);
    assert_eq!((lost.state, lost.ips.len(), lost.created_at), (SandboxState::NotReady, 0, before.created_at));
    let after = runtime.ensure_sandbox(&pod).await.unwrap();
    assert_eq!((after.state, after.ips.len()), (SandboxState::Ready, 1));
    assert!(after.created_at > before.created_at, "what was made anew tells so");
    let ipam = files(&node.dir.path().join("state/ipam").join(node.host.bridge()));
    assert_eq!(ipam.iter().filter(|name| name.starts_with("10.")).count(), 1, "{ipam:?}");
}

/// Loggers of this node's containers.
fn loggers(node: &Node) -> Vec<String> {
    let processes = files(Path::new("/proc"));
    let commands = processes.iter().filter_map(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).ok());
    let commands = commands.map(|command| String::from_utf8_lossy(&command).into_owned());
    let dir = node.dir.path().to_string_lossy().into_owned();
    commands.filter(|command| command.contains("log-pipe") && command.contains(&dir)).collect()
}

#[tokio::test]
async fn the_logger_of_an_interactive_container_ends_with_it_or_with_the_failed_start() {
    let node = Node::start().await;
    let container = run(&node, "talks", "cat", |_, container| container.stdin = Stdin::Open).await;
    assert_eq!(loggers(&node).len(), 1);
    let runtime = node.runtime();
    let mut absent = container.clone();
    (absent.id, absent.command) = (ContainerId::of_pod("talks", "absent", 0), vec!["/nonexistent".into()]);
    absent.terminal = true;
    runtime.create_container(&absent).await.unwrap();
    match runtime.start_container(&absent.id).await.unwrap_err() {
        RuntimeError::StartFailed { .. } => {}
        other => panic!("{other:?}"),
    }
    let only = async || (loggers(&node).len() == 1).then_some(());
    eventually("only the logger of what runs is there", only).await;
    runtime.remove_sandbox(&container.sandbox).await.unwrap();
    eventually("no logger is there", async || loggers(&node).is_empty().then_some(())).await;
    assert_eq!(files(&node.dir.path().join("state/streams")), [""; 0]);
}
