//! Real containers: `orchd up` on a containerd of its own, as root.

use std::path::{Path, PathBuf};
use std::process::Command;

use orch_tests::{Orchd, Run, wait_for};
use serde_json::Value;

use crate::real::{DEADLINE, IMAGE, is_ready, objects, restarts, running, start, text, workload};

/// The pid of a container's first process, as containerd tells it.
fn pid_of(orch: &Orchd, pod: &Value) -> i32 {
    let id =
        text(pod, "/status/containerStatuses/0/containerID").trim_start_matches("containerd://").to_owned();
    let socket = orch.data_dir().join("containerd/containerd.sock");
    let tasks =
        Run::new(Command::new("ctr").arg("--address").arg(socket).args(["-n", "orch", "task", "ls"]), "")
            .ok();
    let line = tasks
        .lines()
        .find(|line| line.starts_with(&id))
        .unwrap_or_else(|| panic!("{id} has no task:\n{tasks}"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What is mounted, which network namespaces and which snapshots there are below a data directory.
fn traces(orch: &Orchd) -> Vec<String> {
    let data = orch.data_dir().to_string_lossy().into_owned();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mounts = mounts.lines().filter(|line| line.contains(&data)).map(str::to_owned);
    let socket = orch.data_dir().join("containerd/containerd.sock");
    let ctr = |args: &[&str]| {
        let listed =
            Run::new(Command::new("ctr").arg("--address").arg(&socket).args(["-n", "orch"]).args(args), "")
                .ok();
        listed.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let active = ctr(&["snapshots", "ls"]).into_iter().filter(|line| line.contains("Active"));
    let all = mounts.chain(active).chain(ctr(&["containers", "ls", "-q"])).chain(ctr(&["tasks", "ls", "-q"]));
    all.collect()
}

fn pod_directories(orch: &Orchd) -> Vec<PathBuf> {
    let pods = orch.data_dir().join("node/pods");
    std::fs::read_dir(pods)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default()
}

#[test]
fn the_quickstart_runs_and_serves_its_page() {
    let orch = start();
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/quickstart");
    let applied = orch.orchctl(&["apply", "-f", &manifests.to_string_lossy()]).ok();
    assert!(applied.contains("workload.orch.dev/hello created"), "{applied}");
    let pods = running(&orch, "app=hello", 3);
    for pod in &pods {
        let url = format!("http://{}:8080/", text(pod, "/status/podIP"));
        let fetch = ["--silent", "--fail", "--retry", "5", "--retry-connrefused", &url];
        let page = Run::new(Command::new("curl").args(fetch), "").ok();
        assert_eq!(page.trim(), "<h1>Hello from Orch</h1>");
    }
    let name = text(&pods[0], "/metadata/name");
    let listed = orch.orchctl(&["exec", name, "--", "ls", "/www"]).ok();
    assert_eq!(listed.trim(), "index.html");
    wait_for("the request in the log", DEADLINE, || {
        let log = orch.orchctl(&["logs", name]).ok();
        if log.contains("response:200") { Ok(()) } else { Err(log) }
    });

    let title = r#"{"data":{"index.html":"<h1>Changed</h1>\n"}}"#;
    orch.kubectl(&["patch", "configmap", "hello-page", "--type=merge", "-p", title]).ok();
    wait_for("the changed page", DEADLINE, || {
        let page = orch.orchctl(&["exec", name, "--", "cat", "/www/index.html"]).ok();
        if page.contains("Changed") { Ok(()) } else { Err(page) }
    });
}

#[test]
fn a_deleted_workload_leaves_nothing_behind() {
    let orch = start();
    let before = traces(&orch);
    orch.orchctl_with(&["apply", "-f", "-"], &workload("gone", 2, "trap 'exit 0' TERM; sleep 3600 & wait"))
        .ok();
    let pods = running(&orch, "app=gone", 2);
    assert!(traces(&orch).len() > before.len());
    assert_eq!(pod_directories(&orch).len(), 2);
    orch.orchctl(&["delete", "workload", "gone"]).ok();
    orch.kubectl(&["wait", "pod", "-l", "app=gone", "--for=delete", "--timeout=60s"]).ok();
    wait_for("all traces to go", DEADLINE, || {
        let (left, directories) = (traces(&orch), pod_directories(&orch));
        if left == before && directories.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:#?} {directories:?}"))
        }
    });
    let addresses: Vec<&str> = pods.iter().map(|pod| text(pod, "/status/podIP")).collect();
    let kept = Run::new(Command::new("find").arg(orch.data_dir().join("runtime")), "").ok();
    assert!(
        addresses.iter().all(|address| !kept.contains(address)),
        "addresses are kept: {addresses:?}\n{kept}"
    );
}

#[test]
fn a_container_killed_from_outside_is_started_again() {
    let orch = start();
    orch.orchctl_with(&["apply", "-f", "-"], &workload("again", 1, "echo started; exec sleep 3600")).ok();
    let pod = running(&orch, "app=again", 1).remove(0);
    let name = text(&pod, "/metadata/name").to_owned();
    Run::new(Command::new("kill").args(["-9", &pid_of(&orch, &pod).to_string()]), "").ok();
    let pod = wait_for("the restart", DEADLINE, || {
        let pod = objects(&orch, &["pod", &name]).remove(0);
        if restarts(&pod) == 1 && is_ready(&pod) { Ok(pod) } else { Err(format!("{:#}", pod["status"])) }
    });
    let last = pod.pointer("/status/containerStatuses/0/lastState/terminated").unwrap();
    assert_eq!((last["exitCode"].as_i64(), last["reason"].as_str()), (Some(137), Some("Error")));
    assert_eq!(orch.orchctl(&["logs", &name, "--previous"]).ok().trim(), "started");
}

#[test]
fn a_crash_of_orchd_disturbs_no_container_and_loses_no_status() {
    let mut orch = start();
    orch.orchctl_with(
        &["apply", "-f", "-"],
        &workload("steady", 2, "i=0; while :; do echo $i; i=$((i+1)); sleep 0.1; done"),
    )
    .ok();
    orch.orchctl_with(&["apply", "-f", "-"], &workload("fragile", 1, "exec sleep 3600")).ok();
    let before = running(&orch, "app=steady", 2);
    let fragile = running(&orch, "app=fragile", 1).remove(0);
    let pids: Vec<i32> = before.iter().map(|pod| pid_of(&orch, pod)).collect();
    let victim = pid_of(&orch, &fragile);

    orch.kill();
    Run::new(Command::new("kill").args(["-9", &victim.to_string()]), "").ok();
    orch.start_again();

    let pod = wait_for("the container that died meanwhile", DEADLINE, || {
        let pod = objects(&orch, &["pod", text(&fragile, "/metadata/name")]).remove(0);
        if restarts(&pod) == 1 && is_ready(&pod) { Ok(pod) } else { Err(format!("{:#}", pod["status"])) }
    });
    assert_eq!(
        pod.pointer("/status/containerStatuses/0/lastState/terminated/exitCode"),
        Some(&Value::from(137))
    );
    let after = running(&orch, "app=steady", 2);
    assert_eq!(pids, after.iter().map(|pod| pid_of(&orch, pod)).collect::<Vec<_>>());
    for (pod, earlier) in after.iter().zip(&before) {
        assert_eq!(restarts(pod), 0);
        assert_eq!(pod.pointer("/status/containerStatuses"), earlier.pointer("/status/containerStatuses"));
        let log = orch.orchctl(&["logs", text(pod, "/metadata/name")]).ok();
        let numbers: Vec<usize> = log.lines().map(|line| line.parse().unwrap()).collect();
        assert!(numbers.iter().copied().eq(0..numbers.len()), "lines are missing: {numbers:?}");
    }
}

#[test]
fn orchd_stops_in_time_and_leaves_containers_running() {
    let mut orch = start();
    orch.orchctl_with(&["apply", "-f", "-"], &workload("stays", 1, "exec sleep 3600")).ok();
    let pod = running(&orch, "app=stays", 1).remove(0);
    let pid = pid_of(&orch, &pod);
    orch.stop();
    assert!(Path::new(&format!("/proc/{pid}")).exists(), "the container has ended with orchd");
    orch.start_again();
    assert_eq!(pid_of(&orch, &running(&orch, "app=stays", 1)[0]), pid);
}

#[test]
fn what_belongs_to_unknown_pods_is_removed() {
    let mut orch = start();
    orch.orchctl_with(&["apply", "-f", "-"], &workload("unknown", 1, "exec sleep 3600")).ok();
    let pod = running(&orch, "app=unknown", 1).remove(0);
    let pid = pid_of(&orch, &pod);
    orch.stop();
    std::fs::remove_dir_all(orch.data_dir().join("store")).unwrap();
    orch.start_again();
    wait_for("the leftover to go", DEADLINE, || {
        if Path::new(&format!("/proc/{pid}")).exists() { Err("it runs".to_owned()) } else { Ok(()) }
    });
}

#[test]
fn limits_commands_and_failures_are_what_the_manifest_says() {
    let orch = start();
    let manifest = workload("failing", 1, "echo to-out; echo to-err >&2; exit 3");
    orch.orchctl_with(&["apply", "-f", "-"], &manifest).ok();
    let status = wait_for("a back-off", DEADLINE, || {
        let pods = objects(&orch, &["pods", "-l", "app=failing"]);
        let status =
            pods.first().map(|pod| pod["status"]["containerStatuses"][0].clone()).unwrap_or_default();
        let waiting =
            status.pointer("/state/waiting/reason").and_then(Value::as_str) == Some("CrashLoopBackOff");
        if waiting { Ok(status) } else { Err(format!("{status:#}")) }
    });
    assert_eq!(status.pointer("/lastState/terminated/exitCode"), Some(&Value::from(3)));
    let table = orch.orchctl(&["get", "pods", "-l", "app=failing"]).ok();
    assert!(table.contains("CrashLoopBackOff"), "{table}");

    let missing = workload("missing", 1, "true").replace(IMAGE, "localhost:1/none:1");
    orch.orchctl_with(&["apply", "-f", "-"], &missing).ok();
    wait_for("a failed pull", DEADLINE, || {
        let table = orch.orchctl(&["get", "pods", "-l", "app=missing"]).ok();
        if table.contains("ErrImagePull") || table.contains("ImagePullBackOff") { Ok(()) } else { Err(table) }
    });
    let described = orch.orchctl(&["describe", "pods", "-l", "app=missing"]).ok();
    assert!(described.contains("localhost:1"), "{described}");
}

#[test]
fn a_private_containerd_that_is_killed_is_started_again() {
    let orch = start();
    orch.orchctl_with(&["apply", "-f", "-"], &workload("app", 1, "sleep 1000")).ok();
    let before = running(&orch, "app=app", 1).remove(0);
    let pid_file = orch.data_dir().join("containerd/containerd.pid");
    let pid = std::fs::read_to_string(&pid_file).unwrap();
    Run::new(Command::new("kill").args(["-9", &pid]), "").ok();
    wait_for("another containerd", DEADLINE, || match std::fs::read_to_string(&pid_file).unwrap() {
        other if other != pid && !other.is_empty() => Ok(()),
        same => Err(same),
    });
    orch.orchctl(&["scale", "workload/app", "--replicas=2"]).ok();
    let pods = running(&orch, "app=app", 2);
    let same = pods.iter().find(|pod| pod["metadata"]["uid"] == before["metadata"]["uid"]).expect("the pod");
    assert_eq!(restarts(same), 0);
}

#[test]
fn two_on_one_containerd_leave_each_other_alone() {
    let orch = start();
    orch.orchctl_with(&["apply", "-f", "-"], &workload("app", 1, "sleep 1000")).ok();
    let before = running(&orch, "app=app", 1).remove(0);
    let socket = orch.data_dir().join("containerd/containerd.sock").to_string_lossy().into_owned();
    let second = Orchd::start(&["--containerd", &socket, "--pod-cidr", "10.94.0.0/24"]);
    // Its agent has looked at the runtime when its node is ready, and would have begun to remove what is not its own.
    wait_for("the second's node", DEADLINE, || {
        let nodes = second.orchctl(&["get", "nodes", "--no-headers"]).stdout;
        if nodes.contains(" Ready ") { Ok(()) } else { Err(nodes) }
    });
    assert!(!second.log().contains("belongs to no pod"), "{}", second.log());
    drop(second);
    let images = orch.orchd(&["image", "ls", "--data-dir", &orch.data_dir().to_string_lossy()]).ok();
    assert!(images.contains(IMAGE), "{images}");
    orch.orchctl(&["scale", "workload/app", "--replicas=2"]).ok();
    let pods = running(&orch, "app=app", 2);
    let same = pods.iter().find(|pod| pod["metadata"]["uid"] == before["metadata"]["uid"]).expect("the pod");
    assert_eq!(restarts(same), 0);
}
