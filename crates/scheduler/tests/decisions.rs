//! Which node, and why not the others: one short case each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use orch_ontology::{Node, Pod};
use orch_scheduler::{Likeness, Placement, Snapshot, Verdict, place, try_node};
use serde_json::{Value, json};

fn merge(target: &mut Value, patch: Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch,
    }
}

fn node(name: &str, patch: Value) -> Node {
    let mut node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "status": {
            "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    });
    merge(&mut node, patch);
    serde_json::from_value(node).unwrap()
}

fn pod(name: &str, patch: Value) -> Arc<Pod> {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "uid": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "main", "image": "web"}]},
    });
    merge(&mut pod, patch);
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn asking(resources: Value) -> Value {
    json!({"spec": {"containers": [{"name": "main", "resources": {"requests": resources}}]}})
}

fn snapshot(nodes: &[Node]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for node in nodes {
        assert!(snapshot.set_node(node));
    }
    snapshot
}

fn verdict_of(placement: &Placement, node: &str) -> Verdict {
    placement.verdicts().find(|(name, _)| *name == node).map(|(_, verdict)| verdict).unwrap()
}

/// Why the pod fits on no node of a cluster of one, made of these patches.
fn why_not(node_patch: Value, pod_patch: Value) -> String {
    let placement = place(&snapshot(&[node("n1", node_patch)]), &pod("p", pod_patch));
    assert_eq!(placement.node, None);
    placement.message()
}

#[test]
fn the_reasons_are_kube_schedulers() {
    let taints = json!({"spec": {"taints": [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]}});
    let not_ready = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    let spread = json!({"spec": {"topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
         "labelSelector": {"matchLabels": {"app": "web"}}}]}});
    for (node, pod, reason) in [
        (json!({"spec": {"unschedulable": true}}), json!({}), "node(s) were unschedulable"),
        (taints, json!({}), "node(s) had untolerated taint {dedicated: gpu}"),
        (not_ready, json!({}), "node(s) had untolerated taint {node.kubernetes.io/not-ready: }"),
        (
            json!({}),
            json!({"spec": {"nodeSelector": {"disk": "ssd"}}}),
            "node(s) didn't match Pod's node affinity/selector",
        ),
        (json!({}), json!({"spec": {"nodeName": "n2"}}), "node(s) didn't match the requested node name"),
        (json!({}), asking(json!({"cpu": "4001m"})), "Insufficient cpu"),
        (json!({}), asking(json!({"example.com/gpu": 1})), "Insufficient example.com/gpu"),
        (json!({"status": {"allocatable": {"pods": 0}}}), json!({}), "Too many pods"),
        (json!({}), spread, "node(s) didn't match pod topology spread constraints (missing required label)"),
    ] {
        assert_eq!(why_not(node, pod), format!("0/1 nodes are available: 1 {reason}."));
    }
}

#[test]
fn a_node_that_lacks_two_resources_is_counted_under_both() {
    let asked = asking(json!({"cpu": 5, "memory": "9Gi"}));
    assert_eq!(
        why_not(json!({}), asked),
        "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory."
    );
}

#[test]
fn without_nodes_it_says_so() {
    assert_eq!(
        place(&Snapshot::default(), &pod("p", json!({}))).message(),
        "no nodes available to schedule pods"
    );
}

#[test]
fn tolerations_open_tainted_and_cordoned_nodes() {
    let tainted = json!({"spec": {"unschedulable": true, "taints": [{"key": "a", "value": "b", "effect": "NoExecute"}]}});
    let tolerant = json!({"spec": {"tolerations": [{"operator": "Exists"}]}});
    let snapshot = snapshot(&[node("n1", tainted)]);
    assert_eq!(place(&snapshot, &pod("p", tolerant)).node.as_deref(), Some("n1"));
    assert_eq!(place(&snapshot, &pod("p", json!({}))).node, None);
}

#[test]
fn what_pods_use_is_counted_and_given_back() {
    let mut snapshot = snapshot(&[node("n1", json!({}))]);
    let big = asking(json!({"cpu": 3}));
    let first = pod("first", big.clone());
    snapshot.assume(&first, "n1");
    assert_eq!(place(&snapshot, &pod("second", big.clone())).node, None);
    assert_eq!(snapshot.remove_pod("first").as_deref(), Some("n1"));
    assert_eq!(place(&snapshot, &pod("second", big)).node.as_deref(), Some("n1"));
}

#[test]
fn however_much_pods_ask_for_all_of_it_is_given_back() {
    let mut snapshot = snapshot(&[node("n1", json!({"status": {"allocatable": {"example.com/gpu": 2}}}))]);
    let most = i64::MAX.to_string();
    let all =
        asking(json!({"cpu": most, "memory": most, "ephemeral-storage": most, "example.com/gpu": most}));
    let small = asking(json!({"memory": "8Gi", "example.com/gpu": 2}));
    for name in ["first", "second", "third"] {
        snapshot.assume(&pod(name, all.clone()), "n1");
        assert_eq!(place(&snapshot, &pod("small", small.clone())).node, None);
        assert_eq!(place(&snapshot, &pod("any", json!({}))).node.as_deref(), Some("n1"));
    }
    for name in ["first", "second", "third"] {
        assert_eq!(place(&snapshot, &pod("small", small.clone())).node, None, "before {name} goes");
        snapshot.remove_pod(name);
    }
    assert_eq!(place(&snapshot, &pod("small", small)).node.as_deref(), Some("n1"));
    assert_eq!(
        why_not(json!({}), asking(json!({"memory": "9Gi"}))),
        "0/1 nodes are available: 1 Insufficient memory."
    );
}

#[test]
fn a_pod_that_has_ended_gives_back_what_it_used() {
    let mut snapshot = snapshot(&[node("n1", json!({}))]);
    let mut patch = asking(json!({"cpu": 3}));
    merge(&mut patch, json!({"spec": {"nodeName": "n1"}}));
    assert_eq!(snapshot.set_pod(&pod("first", patch.clone())), None);
    merge(&mut patch, json!({"status": {"phase": "Succeeded"}}));
    assert_eq!(snapshot.set_pod(&pod("first", patch)).as_deref(), Some("n1"));
    assert_eq!(snapshot.pod_count(), 0);
}

#[test]
fn init_containers_count_only_as_far_as_they_are_larger() {
    let resources = |cpu: &str| json!({"name": cpu, "resources": {"requests": {"cpu": cpu}}});
    let fits = |init: &str| {
        let patch = json!({"spec": {"initContainers": [resources(init)], "containers": [resources("1"), resources("2")]}});
        place(&snapshot(&[node("n1", json!({}))]), &pod("p", patch)).node.is_some()
    };
    assert!(fits("4"));
    assert!(!fits("4001m"));
}

#[test]
fn a_pod_without_requests_fits_on_a_node_whose_cpu_is_spoken_for() {
    let mut snapshot = snapshot(&[node("n1", json!({}))]);
    snapshot.assume(&pod("first", asking(json!({"cpu": 4}))), "n1");
    assert_eq!(place(&snapshot, &pod("second", json!({}))).node.as_deref(), Some("n1"));
}

#[test]
fn a_host_port_is_had_once_per_address_and_protocol() {
    let port = |host_ip: &str, protocol: &str| {
        let port = json!({"containerPort": 80, "hostPort": 8080, "hostIP": host_ip, "protocol": protocol});
        json!({"spec": {"containers": [{"name": "main", "ports": [port]}]}})
    };
    let mut snapshot = snapshot(&[node("n1", json!({}))]);
    snapshot.assume(&pod("first", port("10.0.0.1", "TCP")), "n1");
    for (ip, protocol, fits) in
        [("10.0.0.1", "TCP", false), ("", "TCP", false), ("10.0.0.2", "TCP", true), ("10.0.0.1", "UDP", true)]
    {
        let placement = place(&snapshot, &pod("second", port(ip, protocol)));
        assert_eq!(placement.node.is_some(), fits, "{ip} {protocol}: {}", placement.message());
    }
    snapshot.remove_pod("first");
    assert!(place(&snapshot, &pod("second", port("", "TCP"))).node.is_some());
}

#[test]
fn pods_of_one_owner_are_spread_evenly() {
    let nodes: Vec<_> = (0..5).map(|n| node(&format!("n{n}"), json!({}))).collect();
    let mut snapshot = snapshot(&nodes);
    let owner = json!([{"apiVersion": "orch.dev/v1", "kind": "Workload", "name": "web", "uid": "w", "controller": true}]);
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    for number in 0..20 {
        let pod = pod(&format!("p{number}"), json!({"metadata": {"ownerReferences": owner}}));
        let chosen = place(&snapshot, &pod).node.unwrap();
        snapshot.assume(&pod, &chosen);
        *counts.entry(chosen).or_default() += 1;
    }
    assert_eq!(counts.into_values().collect::<Vec<_>>(), [4; 5]);
}

#[test]
fn a_hard_spread_constraint_leaves_the_pod_waiting_rather_than_skewed() {
    let zone = |name: &str, zone: &str| node(name, json!({"metadata": {"labels": {"zone": zone}}}));
    let mut snapshot = snapshot(&[zone("n1", "a"), zone("n2", "b")]);
    let spread = json!({"spec": {"topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
         "labelSelector": {"matchLabels": {"app": "web"}}}]}});
    let first = place(&snapshot, &pod("p1", spread.clone())).node.unwrap();
    snapshot.assume(&pod("p1", spread.clone()), &first);
    let second = place(&snapshot, &pod("p2", spread.clone()));
    assert_eq!(verdict_of(&second, &first), Verdict::SpreadTooUneven);
    let other = second.node.unwrap();
    assert_ne!(other, first);
    // The zone with fewer takes no more pods: now the constraint keeps the pod waiting.
    let zone = if other == "n1" { "a" } else { "b" };
    let cordoned = json!({"metadata": {"labels": {"zone": zone}}, "spec": {"unschedulable": true}});
    assert!(snapshot.set_node(&node(&other, cordoned)));
    assert_eq!(place(&snapshot, &pod("p2", spread)).node, None);
}

#[test]
fn soft_taints_are_avoided_but_do_not_keep_away() {
    let soft = json!({"spec": {"taints": [{"key": "a", "effect": "PreferNoSchedule"}]}});
    let both = snapshot(&[node("n1", soft.clone()), node("n2", json!({}))]);
    assert_eq!(place(&both, &pod("p", json!({}))).node.as_deref(), Some("n2"));
    assert_eq!(place(&snapshot(&[node("n1", soft)]), &pod("p", json!({}))).node.as_deref(), Some("n1"));
}

#[test]
fn the_emptier_node_is_chosen() {
    let mut snapshot = snapshot(&[node("n1", json!({})), node("n2", json!({}))]);
    snapshot.assume(&pod("first", asking(json!({"cpu": 2, "memory": "4Gi"}))), "n1");
    assert_eq!(place(&snapshot, &pod("second", json!({}))).node.as_deref(), Some("n2"));
}

#[test]
fn a_heartbeat_makes_no_difference() {
    let mut snapshot = snapshot(&[node("n1", json!({}))]);
    let beat = json!({"status": {"conditions": [
        {"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-01-01T00:00:00Z"}]}});
    assert!(!snapshot.set_node(&node("n1", beat)));
    assert!(snapshot.set_node(&node("n1", json!({"spec": {"unschedulable": true}}))));
}

#[test]
fn pods_count_on_a_node_that_is_seen_later_or_goes_and_comes_back() {
    let mut snapshot = Snapshot::default();
    let big = asking(json!({"cpu": 3}));
    snapshot.assume(&pod("first", big.clone()), "n1");
    for _ in 0..2 {
        snapshot.set_node(&node("n1", json!({})));
        assert!(!try_node(&snapshot, &pod("second", big.clone()), "n1").unwrap().fits());
        snapshot.remove_node("n1");
        assert_eq!(try_node(&snapshot, &pod("second", big.clone()), "n1"), None);
    }
    snapshot.remove_pod("first");
    assert!(snapshot.set_node(&node("n2", json!({}))));
    assert_eq!(snapshot.nodes().collect::<Vec<_>>(), ["n2"]);
}

#[test]
fn a_placement_explains_itself_after_the_cluster_has_changed() {
    let mut snapshot = snapshot(&[node("n1", json!({"spec": {"unschedulable": true}}))]);
    let placement = place(&snapshot, &pod("p", json!({})));
    snapshot.remove_node("n1");
    assert_eq!(placement.message(), "0/1 nodes are available: 1 node(s) were unschedulable.");
    let reasons: Vec<_> = placement.reasons().collect();
    assert_eq!(reasons, [("n1", vec!["node(s) were unschedulable".to_owned()])]);
}

#[test]
fn pods_are_alike_if_they_fit_on_the_same_nodes() {
    let spread = json!({"spec": {"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]}});
    let is_like = |one: Value, other: Value| Likeness::of(&pod("p", one)) == Likeness::of(&pod("q", other));
    let labelled = json!({"metadata": {"labels": {"app": "other"}}});
    assert!(is_like(asking(json!({"cpu": "1000m"})), asking(json!({"cpu": "1"}))));
    assert!(is_like(json!({}), labelled.clone()), "its labels count for nobody");
    let mut spread_and_labelled = spread.clone();
    merge(&mut spread_and_labelled, labelled);
    assert!(!is_like(spread.clone(), spread_and_labelled));
    for other in [
        asking(json!({"cpu": "2"})),
        json!({"metadata": {"namespace": "other"}}),
        json!({"spec": {"nodeSelector": {"disk": "ssd"}}}),
        json!({"spec": {"tolerations": [{"operator": "Exists"}]}}),
        json!({"spec": {"containers": [{"name": "main", "ports": [{"containerPort": 80, "hostPort": 80}]}]}}),
        spread,
    ] {
        assert!(!is_like(json!({}), other.clone()), "{other}");
    }
}
