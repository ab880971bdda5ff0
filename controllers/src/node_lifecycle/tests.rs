use orch_controller_runtime::Action;
use serde_json::{Value, json};

use super::*;

fn now() -> Timestamp {
    "2026-01-01T01:00:00Z".parse().unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now() - SignedDuration::from_secs(seconds)
}

fn node(ready: &str, taints: Value) -> Node {
    let conditions = match ready {
        "" => json!([]),
        status => json!([{"type": "Ready", "status": status, "reason": "KubeletReady"}]),
    };
    serde_json::from_value(json!({
        "metadata": {"name": "n1", "uid": "n1", "resourceVersion": "3"},
        "spec": {"taints": taints},
        "status": {"conditions": conditions},
    }))
    .unwrap()
}

fn pod(tolerations: Value) -> Arc<Pod> {
    let pod = json!({
        "metadata": {"name": "web", "namespace": "default", "uid": "p", "resourceVersion": "4"},
        "spec": {"nodeName": "n1", "containers": [{"name": "c"}], "tolerations": tolerations},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    Arc::new(serde_json::from_value(pod).unwrap())
}

fn plan(node: Node, heard_seconds_ago: i64, pods: Vec<Arc<Pod>>) -> Plan {
    NodeLifecycle::plan(&World { node, heard_at: ago(heard_seconds_ago), pods }, now())
}

fn merged<'a>(plan: &'a Plan, place: &str) -> Option<&'a Value> {
    plan.writes.iter().chain(&plan.status).find_map(|write| match &write.action {
        Action::Merge(patch) if write.target.to_string() == place => Some(patch),
        _ => None,
    })
}

fn taints(plan: &Plan) -> Option<String> {
    let taints = merged(plan, "/api/v1/nodes/n1")?["spec"]["taints"].as_array().unwrap();
    let texts = taints.iter().map(|taint| format!("{}:{}", taint["key"], taint["effect"]).replace('"', ""));
    Some(texts.collect::<Vec<_>>().join(" "))
}

fn evicted(plan: &Plan) -> usize {
    plan.writes.iter().filter(|write| matches!(write.action, Action::Delete { .. })).count()
}

const UNREACHABLE: &str =
    "node.kubernetes.io/unreachable:NoSchedule node.kubernetes.io/unreachable:NoExecute";
const NOT_READY: &str = "node.kubernetes.io/not-ready:NoSchedule node.kubernetes.io/not-ready:NoExecute";

fn unreachable_since(seconds: i64) -> Value {
    json!([
        {"key": "node.kubernetes.io/unreachable", "effect": "NoSchedule"},
        {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": orch_api::Time::new(ago(seconds))},
    ])
}

#[test]
fn a_node_that_is_heard_of_is_left_alone_until_it_would_be_overdue() {
    let plan = plan(node("True", json!([])), 10, vec![pod(json!([]))]);
    assert!(plan.is_empty(), "{plan:?}");
    assert_eq!(plan.requeue_after, Some(Duration::from_secs(30)));
}

#[test]
fn a_node_that_nothing_is_heard_of_becomes_unknown_and_unreachable() {
    let plan = plan(node("True", json!([])), 40, vec![pod(json!([]))]);
    let conditions = &merged(&plan, "/api/v1/nodes/n1/status").unwrap()["status"]["conditions"];
    assert_eq!(conditions[0]["status"], "Unknown");
    assert_eq!(conditions[0]["reason"], "NodeStatusUnknown");
    assert_eq!(conditions[0]["message"], "Kubelet stopped posting node status.");
    assert_eq!(taints(&plan), None, "two writes at once to what is stated to be as it was");
    assert_eq!(evicted(&plan), 0);
    let pod = merged(&plan, "/api/v1/namespaces/default/pods/web/status").unwrap();
    assert_eq!(pod["status"]["conditions"][0]["status"], "False");
    assert_eq!(pod["metadata"]["resourceVersion"], "4");
}

#[test]
fn a_node_that_is_unknown_is_tainted_unreachable() {
    let plan = plan(node("Unknown", json!([])), 40, vec![]);
    assert_eq!((taints(&plan).as_deref(), plan.status), (Some(UNREACHABLE), None));
}

#[test]
fn what_has_been_said_once_is_not_said_again() {
    let plan = plan(node("Unknown", unreachable_since(10)), 100, vec![]);
    assert!(plan.is_empty() && plan.requeue_after.is_none(), "{plan:?}");
}

#[test]
fn a_node_that_says_it_is_not_ready_is_tainted_so() {
    assert_eq!(taints(&plan(node("False", json!([])), 1, vec![])).unwrap(), NOT_READY);
}

#[test]
fn a_node_that_is_just_registering_is_left_in_peace() {
    let plan = plan(node("", json!([])), 1, vec![]);
    assert!(plan.is_empty(), "{plan:?}");
}

#[test]
fn a_node_that_comes_back_loses_our_taints_and_keeps_others() {
    let mut list = unreachable_since(10);
    list.as_array_mut().unwrap().push(json!({"key": "mine", "effect": "NoSchedule"}));
    assert_eq!(taints(&plan(node("True", list), 1, vec![])).unwrap(), "mine:NoSchedule");
}

#[test]
fn when_unreachable_becomes_not_ready_the_taints_change_places() {
    assert_eq!(taints(&plan(node("False", unreachable_since(10)), 1, vec![])).unwrap(), NOT_READY);
}

#[test]
fn a_cordoned_node_is_tainted_unschedulable() {
    let mut node = node("True", json!([]));
    node.spec.unschedulable = true;
    assert_eq!(taints(&plan(node, 1, vec![])).unwrap(), "node.kubernetes.io/unschedulable:NoSchedule");
}

#[test]
fn pods_stay_for_five_minutes_unless_they_say_otherwise() {
    let toleration = |seconds: Value| json!([{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "tolerationSeconds": seconds}]);
    for (tolerations, stays) in [
        (json!([]), Some(300)),
        (toleration(json!(30)), Some(30)),
        (toleration(json!(0)), Some(0)),
        (json!([{"operator": "Exists"}]), None),
        (toleration(json!(i64::MAX)), Some(i64::MAX)),
    ] {
        let late =
            |seconds| plan(node("Unknown", unreachable_since(seconds)), 400, vec![pod(tolerations.clone())]);
        match stays {
            None => assert_eq!((evicted(&late(100_000)), late(100_000).requeue_after), (0, None)),
            Some(0) => assert_eq!(evicted(&late(0)), 1),
            Some(i64::MAX) => assert_eq!(evicted(&late(100_000)), 0),
            Some(stays) => {
                assert_eq!(evicted(&late(stays - 5)), 0);
                assert_eq!(late(stays - 5).requeue_after, Some(Duration::from_secs(5)));
                assert_eq!(evicted(&late(stays)), 1);
            }
        }
    }
}

#[test]
fn a_taint_made_by_hand_evicts_at_once() {
    let list = json!([{"key": "mine", "effect": "NoExecute"}]);
    assert_eq!(evicted(&plan(node("True", list.clone()), 1, vec![pod(json!([]))])), 1);
    assert_eq!(
        evicted(&plan(node("True", list), 1, vec![pod(json!([{"key": "mine", "operator": "Exists"}]))])),
        0
    );
}

#[test]
fn a_taint_without_a_time_is_given_one_so_that_toleration_ends() {
    let list = json!([{"key": "mine", "effect": "NoExecute"}, {"key": "other", "effect": "NoSchedule"}]);
    let tolerant = || vec![pod(json!([{"key": "mine", "operator": "Exists", "tolerationSeconds": 60}]))];
    let first = plan(node("True", list), 1, tolerant());
    assert_eq!((evicted(&first), first.requeue_after), (0, Some(Duration::from_secs(39))));
    let dated = merged(&first, "/api/v1/nodes/n1").unwrap()["spec"]["taints"].clone();
    assert_eq!(dated[0]["timeAdded"], json!(orch_api::Time::new(now())));
    assert_eq!(dated[1].get("timeAdded"), None);
    let since = |seconds| json!([{"key": "mine", "effect": "NoExecute", "timeAdded": orch_api::Time::new(ago(seconds))}]);
    let later = |seconds| plan(node("True", since(seconds)), 1, tolerant());
    assert!(taints(&later(59)).is_none(), "it has one");
    assert_eq!((evicted(&later(59)), evicted(&later(60))), (0, 1));
}

#[test]
fn what_a_node_that_is_not_ready_says_of_its_pods_afterwards_stands() {
    let not_ready_since = |seconds| {
        let mut node = node("False", json!([]));
        node.status.conditions[0].last_transition_time = Some(ago(seconds).into());
        node
    };
    let ready_since = |seconds| {
        let mut pod = (*pod(json!([]))).clone();
        pod.status.conditions[0].last_transition_time = Some(ago(seconds).into());
        vec![Arc::new(pod)]
    };
    let is_marked = |plan: &Plan| merged(plan, "/api/v1/namespaces/default/pods/web/status").is_some();
    assert!(is_marked(&plan(not_ready_since(10), 1, ready_since(20))));
    assert!(!is_marked(&plan(not_ready_since(10), 1, ready_since(5))));
    let mut silent = not_ready_since(10);
    silent.status.conditions[0].status = orch_api::ConditionStatus::Unknown;
    assert!(is_marked(&plan(silent, 100, ready_since(5))), "its clock may be ahead");
}

#[test]
fn a_node_is_heard_of_when_its_lease_changes_by_our_clock() {
    let clock = orch_controller_runtime::TestClock::new(now());
    let heard = Heard { clock: Arc::new(clock.clone()), nodes: Mutex::default() };
    let lease = |renewed: &str| -> Lease {
        serde_json::from_value(json!({"metadata": {"name": "n1"}, "spec": {"renewTime": renewed}})).unwrap()
    };
    let node = node("True", json!([]));
    // The node's clock is a day behind: that is its own affair.
    let first = heard.at(&node, Some(&lease("2025-12-31T01:00:00.000000Z")));
    clock.advance(Duration::from_secs(10));
    assert_eq!(heard.at(&node, Some(&lease("2025-12-31T01:00:00.000000Z"))), first);
    assert_eq!(heard.at(&node, Some(&lease("2025-12-31T01:00:10.000000Z"))), clock.now());
}
