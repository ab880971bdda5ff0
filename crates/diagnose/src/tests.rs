//! The ten faults that everybody meets, each as a world: its cause is found first.

use orch_api::Object as _;
use serde_json::{Value, json};

use super::*;

mod deleted;
mod exits;
mod gathered;
mod owners;
mod pulls;
mod unwell;

const NOW: &str = "2026-06-01T12:10:00Z";

fn first(world: Value) -> Finding {
    let world: World = serde_json::from_value(world).unwrap();
    let found = diagnose(&world, NOW.parse().unwrap());
    let first = found.first().unwrap_or_else(|| panic!("nothing was found"));
    assert!(!first.evidence.is_empty(), "{first:?} has no evidence");
    assert!(!first.fix.say.is_empty(), "{first:?} says not what to do");
    assert!(!first.affects.is_empty(), "{first:?} affects nobody");
    first.clone()
}

fn node(name: &str, rest: Value) -> Value {
    let mut node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"disk": "hdd"}}, "spec": {},
        "status": {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"}, "conditions": [{"type": "Ready", "status": "True"}]}});
    merge(&mut node, rest);
    node
}

fn merge(value: &mut Value, over: Value) {
    match (value, over) {
        (Value::Object(value), Value::Object(over)) => {
            over.into_iter().for_each(|(key, over)| merge(value.entry(key).or_insert(Value::Null), over));
        }
        (value, over) => *value = over,
    }
}

fn pod(spec: Value, status: Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web-1", "namespace": "shop", "uid": "p1",
        "ownerReferences": [{"apiVersion": "orch.dev/v1", "kind": "Workload", "name": "web", "uid": "w1", "controller": true}]},
        "spec": {"nodeName": "a", "containers": [{"name": "web", "image": "registry.example/web:2",
            "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "64Mi"}}}]},
        "status": {"phase": "Pending"}});
    merge(&mut pod["spec"], spec);
    merge(&mut pod["status"], status);
    pod
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({"containerStatuses": [{"name": "web", "ready": false, "restartCount": 0, "state": {"waiting": {"reason": reason, "message": message}}}]})
}

fn unscheduled(spec: Value, message: &str) -> Value {
    let spec = json!({"nodeName": null, "x": spec});
    let mut made = pod(
        json!({"nodeName": null}),
        json!({"conditions": [
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]}),
    );
    merge(&mut made["spec"], spec["x"].clone());
    made
}

fn of(pod: Value) -> Value {
    json!({"pods": [pod], "nodes": [node("a", json!({}))]})
}

#[test]
fn a_wrong_image_is_found() {
    let message = r#"Back-off pulling image "registry.example/web:2": ErrImagePull: image "registry.example/web:2" not found: manifest unknown"#;
    let found = first(of(pod(json!({}), waiting("ImagePullBackOff", message))));
    assert_eq!(found.cause, Cause::WrongImage);
    assert!(found.says.contains("registry.example/web:2"), "{}", found.says);
    let malformed = first(of(pod(json!({}), waiting("InvalidImageName", "invalid image: !!"))));
    assert_eq!(malformed.cause, Cause::WrongImage);
}

#[test]
fn a_refused_pull_is_found() {
    for message in ["failed to pull image \"registry.example/web:2\": 401 Unauthorized", "pull access denied"]
    {
        let found = first(of(pod(json!({}), waiting("ErrImagePull", message))));
        assert_eq!(found.cause, Cause::PullRefused, "{message}");
        assert!(found.fix.say.contains("imagePullSecret"), "{}", found.fix.say);
    }
    let unreachable =
        "failed to pull image: error sending request: tcp connect error: Connection refused (os error 111)";
    assert_eq!(
        first(of(pod(json!({}), waiting("ErrImagePull", unreachable)))).cause,
        Cause::RegistryUnreachable
    );
}

#[test]
fn missing_capacity_is_found() {
    let spec =
        json!({"containers": [{"name": "web", "image": "i", "resources": {"requests": {"cpu": "64"}}}]});
    let pod = unscheduled(spec, "0/2 nodes are available: 2 Insufficient cpu.");
    let found = first(json!({"pods": [pod], "nodes": [node("a", json!({})), node("b", json!({}))]}));
    assert_eq!(found.cause, Cause::NoCapacity);
    assert!(found.says.contains("64 cpu") && found.says.contains("has 4"), "{}", found.says);
}

#[test]
fn missing_capacity_is_found_by_who_may_not_read_nodes() {
    let pod = unscheduled(json!({}), "0/2 nodes are available: 2 Insufficient cpu.");
    let found = first(json!({"pods": [pod], "unread": ["Node: nodes is forbidden"]}));
    assert_eq!(found.cause, Cause::NoCapacity);
    assert!(found.says.contains("asks for 1 cpu, which no node has left"), "{}", found.says);
}

#[test]
fn a_taint_is_found() {
    let taint = json!({"spec": {"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]}});
    let pod = unscheduled(json!({}), "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}.");
    let found = first(json!({"pods": [pod], "nodes": [node("a", taint)]}));
    assert_eq!(found.cause, Cause::Taint);
    let tolerations = &found.fix.changes[0]["patch"]["patch"]["spec"]["template"]["spec"]["tolerations"];
    assert_eq!(
        tolerations[0],
        json!({"key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoSchedule"})
    );
    assert_eq!(found.fix.changes[0]["patch"]["target"]["kind"], "Workload");
}

#[test]
fn a_taint_is_tolerated_beside_what_was_tolerated_before() {
    let taint = json!({"spec": {"taints": [{"key": "gpu", "effect": "NoSchedule"}]}});
    let for_a_while = |key: &str, seconds: u32| json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
    let own = [for_a_while("maintenance", 60), for_a_while("node.kubernetes.io/unreachable", 30)];
    let of_server =
        ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].map(|key| for_a_while(key, 300));
    let spec = json!({"tolerations": [own[0], of_server[0], own[1], of_server[1]]});
    let pod = unscheduled(spec, "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: }.");
    let found = first(json!({"pods": [pod], "nodes": [node("a", taint)]}));
    let tolerations = &found.fix.changes[0]["patch"]["patch"]["spec"]["template"]["spec"]["tolerations"];
    let added = json!({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"});
    assert_eq!(*tolerations, json!([own[0], own[1], added]));
}

#[test]
fn a_node_selector_that_matches_nothing_is_found() {
    let pod = unscheduled(
        json!({"nodeSelector": {"disk": "ssd"}}),
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
    );
    let found = first(of(pod));
    assert_eq!(found.cause, Cause::SelectorMatchesNothing);
    assert!(found.says.contains("disk=ssd"), "{}", found.says);
    let affinity = json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
        {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]}}}});
    let pod = unscheduled(
        affinity,
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
    );
    assert_eq!(first(of(pod)).cause, Cause::SelectorMatchesNothing);
}

#[test]
fn a_crash_loop_is_found() {
    let status = json!({"phase": "Running", "containerStatuses": [{"name": "web", "ready": false, "restartCount": 4,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
        "lastState": {"terminated": {"exitCode": 127, "reason": "Error", "message": "no such file"}}}]});
    let found = first(of(pod(json!({}), status)));
    assert_eq!(found.cause, Cause::CrashLoop);
    assert!(found.says.contains("exit code 127 (the command is not there)"), "{}", found.says);
    assert!(found.evidence.iter().any(|evidence| evidence.says == "no such file"), "{:?}", found.evidence);
}

#[test]
fn a_container_out_of_memory_is_found() {
    for state in [json!({"waiting": {"reason": "CrashLoopBackOff"}}), json!({"running": {}})] {
        let ended = json!({"exitCode": 137, "reason": "OOMKilled", "finishedAt": "2026-06-01T12:09:00Z"});
        let status = json!({"phase": "Running", "containerStatuses": [{"name": "web", "ready": true, "restartCount": 2,
            "state": state, "lastState": {"terminated": ended}}]});
        let found = first(of(pod(json!({}), status)));
        assert_eq!(found.cause, Cause::OutOfMemory);
        assert!(found.says.contains("64Mi"), "{}", found.says);
        let containers = &found.fix.changes[0]["patch"]["patch"]["spec"]["template"]["spec"]["containers"];
        assert_eq!(containers[0]["resources"]["limits"]["memory"], "128Mi");
    }
}

#[test]
fn a_missing_config_map_is_found() {
    let said = of(pod(json!({}), waiting("CreateContainerConfigError", "configmap \"settings\" not found")));
    let looked_up = json!({"pods": [pod(json!({}), json!({}))], "nodes": [node("a", json!({}))], "missing": [
        {"kind": "ConfigMap", "namespace": "shop", "name": "settings", "keys": ["colour"], "pod": "Pod shop/web-1"}]});
    let mount = json!({"pods": [pod(json!({}), json!({}))], "nodes": [node("a", json!({}))], "events": [{"type": "Warning",
        "reason": "FailedMount", "message": "MountVolume.SetUp failed for volume \"v\" : configmap \"settings\" not found",
        "involvedObject": {"name": "web-1", "uid": "p1"}}]});
    for world in [said, looked_up.clone(), mount] {
        let found = first(world);
        assert_eq!(found.cause, Cause::MissingReference);
        assert!(found.says.contains("ConfigMap settings is not in the namespace shop"), "{}", found.says);
        assert_eq!(found.fix.changes[0]["apply"]["manifest"].name(), "settings");
    }
    assert_eq!(first(looked_up).fix.changes[0]["apply"]["manifest"]["data"], json!({"colour": ""}));
}

#[test]
fn a_node_that_is_down_is_found_and_its_pods_are_not_blamed() {
    let down = json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
        "message": "Kubelet stopped posting node status.", "lastTransitionTime": "2026-06-01T12:00:00Z"}]}});
    let crashing = pod(json!({}), waiting("CrashLoopBackOff", ""));
    let world = json!({"pods": [crashing], "nodes": [node("a", down), node("b", json!({}))]});
    let found = first(world.clone());
    assert_eq!(
        (found.cause, found.affects.as_slice()),
        (Cause::NodeDown, &["Pod shop/web-1".to_owned()][..])
    );
    assert_eq!(found.fix.changes[0], json!({"drain": {"node": "a"}}));
    let world: World = serde_json::from_value(world).unwrap();
    assert_eq!(diagnose(&world, NOW.parse().unwrap()).len(), 1);
}

#[test]
fn a_stuck_finalizer_is_found() {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "namespace": "shop", "resourceVersion": "7",
        "deletionTimestamp": "2026-06-01T12:00:00Z", "finalizers": ["example.com/guard"]}});
    let found = first(json!({"subject": object}));
    assert_eq!(found.cause, Cause::StuckFinalizer);
    assert!(found.says.contains("example.com/guard") && found.says.contains("600 s"), "{}", found.says);
    assert_eq!(
        found.fix.changes[0]["patch"]["patch"]["metadata"],
        json!({"finalizers": [], "resourceVersion": "7"})
    );
    let mut young = object;
    young["metadata"]["deletionTimestamp"] = "2026-06-01T12:09:55Z".into();
    assert_eq!(diagnose(&World { subject: Some(young), ..World::default() }, NOW.parse().unwrap()), []);
}

#[test]
fn nothing_is_wrong_with_what_is_well() {
    let status = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "web", "ready": true, "restartCount": 0, "state": {"running": {}}}]});
    let world: World = serde_json::from_value(of(pod(json!({}), status))).unwrap();
    assert_eq!(diagnose(&world, NOW.parse().unwrap()), []);
}

#[test]
fn pods_with_the_same_trouble_are_one_finding() {
    let mut other = pod(json!({}), waiting("ErrImagePull", "not found"));
    other["metadata"]["name"] = "web-2".into();
    let world = json!({"pods": [pod(json!({}), waiting("ErrImagePull", "not found")), other], "nodes": [node("a", json!({}))]});
    let found = first(world);
    assert_eq!(found.affects, ["Pod shop/web-1", "Pod shop/web-2"]);
}

#[test]
fn a_cordoned_node_is_named() {
    let cordoned = json!({"spec": {"unschedulable": true, "taints": [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]}});
    let pod = unscheduled(json!({}), "0/1 nodes are available: 1 node(s) were unschedulable.");
    let found = first(json!({"pods": [pod], "nodes": [node("a", cordoned)]}));
    assert_eq!(found.cause, Cause::Cordoned);
}
