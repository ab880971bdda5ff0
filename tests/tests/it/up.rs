//! `orchd up` itself: its flags, its files, who may talk to it.

use std::process::Command;
use std::time::Duration;

use orch_tests::{Orchd, Run, binary, start_etcd, wait_for};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(60);

fn workload(replicas: u32) -> String {
    format!(
        "
apiVersion: orch.dev/v1
kind: Workload
metadata: {{name: app}}
spec:
  replicas: {replicas}
  template:
    metadata: {{labels: {{app: app}}}}
    spec: {{containers: [{{name: app, image: 'registry.test/app:1'}}]}}
"
    )
}

fn ready(orch: &Orchd, replicas: u32, deadline: Duration) {
    wait_for(&format!("{replicas} ready replicas"), deadline, || {
        let status =
            orch.orchctl(&["get", "workload", "app", "-o", "jsonpath={.status.readyReplicas}"]).stdout;
        if status.trim() == replicas.to_string() { Ok(()) } else { Err(format!("{status} are ready")) }
    });
}

/// Asks with curl, as anybody could.
fn curl(orch: &Orchd, path: &str, args: &[&str]) -> (u16, String) {
    let kubeconfig = std::fs::read_to_string(orch.kubeconfig()).unwrap();
    let server = kubeconfig.lines().find_map(|line| line.trim().strip_prefix("server: ")).unwrap();
    let url = format!("{}{path}", server.trim_matches('"'));
    let base = ["--silent", "--insecure", "--write-out", "\n%{http_code}", &url];
    let out = Run::new(Command::new("curl").args(base).args(args), "").ok();
    let (body, code) = out.rsplit_once('\n').unwrap();
    (code.parse().unwrap(), body.to_owned())
}

#[test]
fn a_thousand_replicas_run_on_a_hundred_simulated_nodes() {
    let orch = Orchd::simulated(100);
    orch.orchctl_with(&["apply", "-f", "-"], &workload(1000)).ok();
    ready(&orch, 1000, Duration::from_secs(120));
    let nodes = orch.orchctl(&["get", "nodes", "--no-headers"]).ok();
    assert_eq!(nodes.lines().filter(|line| line.contains(" Ready ")).count(), 100, "{nodes}");
    let pods = orch.orchctl(&["get", "pods", "-o", "json"]).ok();
    let pods: Value = serde_json::from_str(&pods).unwrap();
    let mut by_node = std::collections::BTreeMap::<String, usize>::new();
    for pod in pods["items"].as_array().unwrap() {
        *by_node.entry(pod["spec"]["nodeName"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert_eq!(by_node.values().sum::<usize>(), 1000);
    assert!(by_node.values().all(|count| (8..=12).contains(count)), "not spread: {by_node:?}");
}

#[test]
fn objects_are_kept_in_a_real_etcd_too() {
    let etcd = start_etcd();
    let args = [
        "--store",
        "etcd",
        "--etcd-endpoints",
        etcd.endpoint(),
        "--runtime",
        "simulated",
        "--simulate-nodes",
        "3",
    ];
    let mut orch = Orchd::start(&args);
    orch.orchctl_with(&["apply", "-f", "-"], &workload(5)).ok();
    ready(&orch, 5, DEADLINE);
    orch.kill();
    orch.start_again();
    ready(&orch, 5, DEADLINE);
    orch.orchctl(&["delete", "workload", "app"]).ok();
    orch.kubectl(&["wait", "pod", "-l", "app=app", "--for=delete", "--timeout=60s"]).ok();
}

#[test]
fn what_was_applied_is_there_after_a_crash() {
    let mut orch = Orchd::simulated(3);
    orch.orchctl_with(&["apply", "-f", "-"], &workload(4)).ok();
    let before = orch.orchctl(&["get", "workload", "app", "-o", "jsonpath={.metadata.uid}"]).ok();
    orch.kill();
    orch.start_again();
    assert_eq!(orch.orchctl(&["get", "workload", "app", "-o", "jsonpath={.metadata.uid}"]).ok(), before);
    ready(&orch, 4, DEADLINE);
}

#[test]
fn strangers_reach_only_what_everybody_may() {
    let orch = Orchd::simulated(1);
    for path in ["/livez", "/readyz"] {
        assert_eq!(curl(&orch, path, &[]), (200, "ok".into()), "{path}");
    }
    assert_eq!(curl(&orch, "/version", &[]).0, 200);
    for path in ["/api", "/apis", "/api/v1/pods", "/openapi/v3", "/metrics", "/nothing"] {
        let (code, body) = curl(&orch, path, &[]);
        let status: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}"));
        assert_eq!((code, status["reason"].as_str()), (401, Some("Unauthorized")), "{path}");
    }
    let (code, _) = curl(&orch, "/api/v1/pods", &["--header", "Authorization: Bearer wrong"]);
    assert_eq!(code, 401);
}

#[test]
fn tokens_come_from_a_file() {
    let tokens = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(tokens.path(), "s3cret,alice,1,\"dev,ops\"\n").unwrap();
    let orch = Orchd::start(&["--runtime", "simulated", "--token-file", &tokens.path().to_string_lossy()]);
    assert_eq!(curl(&orch, "/apis", &["--header", "Authorization: Bearer s3cret"]).0, 200);
    assert_eq!(curl(&orch, "/apis", &["--header", "Authorization: Bearer s3cre"]).0, 401);
    let (code, body) = curl(&orch, "/api/v1/namespaces", &["--header", "Authorization: Bearer s3cret"]);
    let status: Value = serde_json::from_str(&body).unwrap();
    let refused = "namespaces is forbidden: User \"alice\" cannot list resource \"namespaces\" in API group \"\" at the \
                   cluster scope";
    assert_eq!((code, status["message"].as_str()), (403, Some(refused)));
}

#[test]
fn a_second_process_on_the_same_directory_is_refused() {
    let orch = Orchd::simulated(1);
    let args = ["up", "--runtime", "simulated", "--listen", "127.0.0.1:0", "--data-dir"];
    let refused = Run::new(Command::new(binary("orchd")).args(args).arg(orch.data_dir()), "").fails();
    assert!(refused.contains(&format!("in use by process {}", orch.pid())), "{refused}");
    assert!(refused.contains("hint:"), "{refused}");
}

#[test]
fn the_configuration_file_is_checked_like_an_object() {
    let head = "apiVersion: orch.dev/v1\nkind: Config\n";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{head}runtime:\n  kind: simulated\n  simulateNode: 3\n")).unwrap();
    let refused =
        Run::new(Command::new(binary("orchd")).args(["up", "--config"]).arg(file.path()), "").fails();
    assert!(refused.contains("runtime.simulateNode") && refused.contains("simulateNodes"), "{refused}");

    std::fs::write(file.path(), format!("{head}runtime:\n  kind: simulated\n  simulateNodes: 3\n")).unwrap();
    let orch = Orchd::start(&["--config", &file.path().to_string_lossy()]);
    wait_for("three nodes", DEADLINE, || {
        let nodes = orch.orchctl(&["get", "nodes", "-o", "name"]).stdout;
        if nodes.lines().count() == 3 { Ok(()) } else { Err(nodes) }
    });
}

#[test]
fn an_idle_cluster_stops_within_five_seconds() {
    let mut orch = Orchd::simulated(20);
    orch.stop();
    assert!(!orch.log().contains("panicked"), "{}", orch.log());
}

#[test]
fn a_start_that_hangs_can_be_stopped() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(binary("orchd"));
    command.args(["up", "--listen", "127.0.0.1:0", "--runtime", "none", "--store", "etcd"]);
    command.args(["--etcd-endpoints", &endpoint, "--data-dir"]).arg(directory.path());
    let mut orchd = command.stderr(std::process::Stdio::null()).spawn().unwrap();
    // An etcd that never answers.
    let asked = silent.accept().unwrap();
    let pid = orchd.id().to_string();
    Run::new(Command::new("kill").args(["-TERM", &pid]), "").ok();
    let status = wait_for("orchd to stop", Duration::from_secs(5), || {
        orchd.try_wait().unwrap().ok_or_else(|| "it runs".to_owned())
    });
    assert!(status.success(), "{status}");
    drop(asked);
}

#[test]
fn a_healthy_start_warns_of_nothing() {
    let mut orch = Orchd::simulated(2);
    for start in ["the first", "the second"] {
        let all = "default kube-node-lease kube-public kube-system sim-0000 sim-0001";
        wait_for("all that every cluster has", DEADLINE, || {
            let names = ["get", "namespaces,nodes", "-o", "jsonpath={.items[*].metadata.name}"];
            let there = orch.orchctl(&names).stdout;
            if all.split(' ').all(|name| there.contains(name)) { Ok(()) } else { Err(there) }
        });
        let log = orch.log();
        let loud = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR"));
        assert_eq!(loud.collect::<Vec<_>>(), [""; 0], "at {start} start");
        orch.stop();
        orch.start_again();
    }
}
