//! What `get` prints, as kubectl prints it.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{admit, entry, yaml};

const NOW: &str = "2026-01-31T13:00:00Z";

/// The row of an object: heading and cell, `(wide)` after headings that only `-o wide` shows.
fn row(object: &Value) -> Vec<(String, String)> {
    let now: Timestamp = NOW.parse().unwrap();
    let kind = entry(object["kind"].as_str().unwrap());
    let text = |cell: Value| cell.as_str().map_or_else(|| cell.to_string(), str::to_owned);
    let heading = |column: &orch_api::Column| {
        format!("{}{}", column.name, if column.priority > 0 { " (wide)" } else { "" })
    };
    kind.columns.iter().map(|column| (heading(column), text((column.cell)(object, now)))).collect()
}

fn check(object: &Value, expected: &[(&str, &str)]) {
    let expected: Vec<(String, String)> =
        expected.iter().map(|(heading, cell)| ((*heading).to_owned(), (*cell).to_owned())).collect();
    assert_eq!(row(object), expected);
}

fn example(kind: &str) -> Value {
    let example = orch_ontology::examples().into_iter().find(|example| example.kind == kind).unwrap();
    let mut object = yaml(example.valid);
    let status = object.get("status").cloned();
    admit(&mut object, None).unwrap();
    object["metadata"]["creationTimestamp"] = "2026-01-31T12:00:00Z".into();
    if let Some(status) = status {
        object["status"] = status;
    }
    object
}

#[test]
fn rows_are_kubernetes_rows() {
    check(&example("Namespace"), &[("Name", "shop"), ("Status", "Active"), ("Age", "60m")]);
    check(&example("ConfigMap"), &[("Name", "web"), ("Data", "3"), ("Age", "60m")]);
    check(&example("Secret"), &[("Name", "web"), ("Type", "Opaque"), ("Data", "2"), ("Age", "60m")]);
    check(&example("ServiceAccount"), &[("Name", "web"), ("Secrets", "0"), ("Age", "60m")]);
    check(
        &example("Service"),
        &[
            ("Name", "web"),
            ("Type", "ClusterIP"),
            ("Cluster-IP", "None"),
            ("External-IP", "<none>"),
            ("Port(s)", "80/TCP,9090/TCP"),
            ("Age", "60m"),
            ("Selector (wide)", "app=web"),
        ],
    );
    check(
        &example("EndpointSlice"),
        &[
            ("Name", "web-x2x4z"),
            ("AddressType", "IPv4"),
            ("Ports", "8080"),
            ("Endpoints", "10.1.2.3"),
            ("Age", "60m"),
        ],
    );
    check(&example("Lease"), &[("Name", "orch-controllers"), ("Holder", "server-1"), ("Age", "60m")]);
    check(&example("Role"), &[("Name", "config-reader"), ("Created At", "2026-01-31T12:00:00Z")]);
    check(&example("ClusterRole"), &[("Name", "monitoring"), ("Created At", "2026-01-31T12:00:00Z")]);
    check(
        &example("RoleBinding"),
        &[
            ("Name", "config-readers"),
            ("Role", "Role/config-reader"),
            ("Age", "60m"),
            ("Users (wide)", "jane, joe"),
            ("Groups (wide)", "shop:developers"),
            ("ServiceAccounts (wide)", "shop/web"),
        ],
    );
    check(
        &example("Node"),
        &[
            ("Name", "worker-1"),
            ("Status", "Ready"),
            ("Roles", "worker"),
            ("Age", "60m"),
            ("Version", "v0.1.0"),
            ("Internal-IP (wide)", "192.0.2.11"),
            ("External-IP (wide)", "<none>"),
            ("OS-Image (wide)", "Debian GNU/Linux 12 (bookworm)"),
            ("Kernel-Version (wide)", "6.1.0-18-amd64"),
            ("Container-Runtime (wide)", "containerd://1.6.20"),
        ],
    );
    check(
        &example("Event"),
        &[
            ("Last Seen", "59m"),
            ("Type", "Normal"),
            ("Reason", "Started"),
            ("Object", "pod/web"),
            ("Subobject (wide)", "spec.containers{web}"),
            ("Source (wide)", "orch.dev/node, worker-1"),
            ("Message", "Started container web"),
            ("First Seen (wide)", "60m"),
            ("Count (wide)", "2"),
            ("Name (wide)", "web.17f3a8d2c4b5e6f7"),
        ],
    );
}

#[test]
fn a_workload_shows_how_far_it_is() {
    let mut workload = example("Workload");
    workload["status"] =
        json!({"replicas": 4, "readyReplicas": 2, "updatedReplicas": 1, "availableReplicas": 2});
    check(
        &workload,
        &[
            ("Name", "web"),
            ("Ready", "2/3"),
            ("Up-to-date", "1"),
            ("Available", "2"),
            ("Age", "60m"),
            ("Containers (wide)", "web"),
            ("Images (wide)", "docker.io/library/busybox:1.36"),
        ],
    );
}

#[test]
fn a_node_that_takes_no_pods_says_so() {
    let mut node = example("Node");
    node["spec"]["unschedulable"] = true.into();
    node["status"]["conditions"] = json!([]);
    node["metadata"]["labels"] = json!({});
    let row = row(&node);
    assert_eq!((row[1].1.as_str(), row[2].1.as_str()), ("Unknown,SchedulingDisabled", "<none>"));
}

#[test]
fn a_pod_shows_where_it_runs() {
    let mut pod = example("Pod");
    pod["spec"]["nodeName"] = "worker-1".into();
    pod["status"] = json!({"phase": "Running", "podIP": "10.85.1.7"});
    check(
        &pod,
        &[
            ("Name", "web"),
            ("Ready", "0/2"),
            ("Status", "Running"),
            ("Restarts", "0"),
            ("Age", "60m"),
            ("IP (wide)", "10.85.1.7"),
            ("Node (wide)", "worker-1"),
            ("Nominated Node (wide)", "<none>"),
            ("Readiness Gates (wide)", "<none>"),
        ],
    );
}

fn container(state: Value) -> Value {
    json!({"name": "a", "image": "a", "imageID": "", "ready": false, "restartCount": 0, "state": state})
}

fn running() -> Value {
    json!({"name": "b", "image": "a", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}})
}

/// READY, STATUS and RESTARTS of the example pod, which has one init container and two others.
fn in_a_word(status: Value) -> [String; 3] {
    let mut pod = example("Pod");
    pod["status"] = status;
    let mut cells = row(&pod).into_iter().skip(1).map(|(_, cell)| cell);
    std::array::from_fn(|_| cells.next().unwrap())
}

#[test]
fn a_pods_state_is_one_word() {
    let waiting = |reason: &str| container(json!({"waiting": {"reason": reason}}));
    let ended = |end: Value| container(json!({"terminated": end}));
    let containers = |list: Value| json!({"phase": "Running", "containerStatuses": list});
    let init = |status: Value| json!({"phase": "Pending", "initContainerStatuses": [status]});
    let mut readied = containers(json!([ended(json!({"exitCode": 0, "reason": "Completed"})), running()]));
    let cases = [
        (json!({"phase": "Pending"}), "0/2", "Pending"),
        (json!({"phase": "Failed", "reason": "Evicted"}), "0/2", "Evicted"),
        (containers(json!([running(), running()])), "2/2", "Running"),
        (containers(json!([running(), waiting("CrashLoopBackOff")])), "1/2", "CrashLoopBackOff"),
        (containers(json!([waiting("ImagePullBackOff"), running()])), "1/2", "ImagePullBackOff"),
        (containers(json!([ended(json!({"exitCode": 1, "reason": "Error"})), running()])), "1/2", "Error"),
        (containers(json!([ended(json!({"exitCode": 3})), running()])), "1/2", "ExitCode:3"),
        (containers(json!([ended(json!({"exitCode": 137, "signal": 9})), running()])), "1/2", "Signal:9"),
        (readied.clone(), "1/2", "NotReady"),
        (init(waiting("ImagePullBackOff")), "0/2", "Init:ImagePullBackOff"),
        (init(waiting("PodInitializing")), "0/2", "Init:0/1"),
        (init(container(json!({"running": {}}))), "0/2", "Init:0/1"),
        (init(ended(json!({"exitCode": 1, "reason": "Error"}))), "0/2", "Init:Error"),
        (init(ended(json!({"exitCode": 2}))), "0/2", "Init:ExitCode:2"),
        (init(ended(json!({"exitCode": 0}))), "0/2", "Pending"),
    ];
    for (status, ready, state) in cases {
        let [found_ready, found_state, _] = in_a_word(status.clone());
        assert_eq!((found_ready.as_str(), found_state.as_str()), (ready, state), "{status}");
    }
    readied["conditions"] = json!([{"type": "Ready", "status": "True"}]);
    assert_eq!(in_a_word(readied)[1], "Running");
}

#[test]
fn a_pod_that_is_being_deleted_is_terminating_until_it_has_ended() {
    for (phase, state) in [("Running", "Terminating"), ("Succeeded", "Succeeded")] {
        let mut pod = example("Pod");
        pod["metadata"]["deletionTimestamp"] = NOW.into();
        pod["status"] = json!({"phase": phase});
        assert_eq!(row(&pod)[2].1, state);
    }
}

#[test]
fn restarts_tell_when_the_last_one_was() {
    let mut restarted = running();
    restarted["restartCount"] = 2.into();
    restarted["lastState"] = json!({"terminated": {"exitCode": 1, "finishedAt": "2026-01-31T12:55:00Z"}});
    let status = json!({"phase": "Running", "containerStatuses": [restarted, running()]});
    assert_eq!(in_a_word(status)[2], "2 (5m ago)");
}
