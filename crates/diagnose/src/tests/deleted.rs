//! What is being deleted and does not go, and what only takes its time.

use super::*;

const DELETED: &str = "2026-06-01T12:00:00Z";

fn found(world: Value) -> Vec<Finding> {
    diagnose(&serde_json::from_value(world).unwrap(), NOW.parse().unwrap())
}

fn namespace(conditions: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "deletionTimestamp": DELETED},
        "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Terminating", "conditions": conditions}})
}

fn true_condition(name: &str, message: &str) -> Value {
    json!({"type": name, "status": "True", "message": message})
}

fn is_evident(found: &Finding, word: &str) -> bool {
    found.evidence.iter().any(|evidence| evidence.says.contains(word))
}

fn going_pod(deleted: &str) -> Value {
    let mut pod = pod(json!({}), json!({"phase": "Running"}));
    pod["metadata"]["deletionTimestamp"] = deleted.into();
    pod
}

#[test]
fn a_namespace_that_is_held_says_by_what() {
    let held = namespace(json!([
        true_condition("NamespaceContentRemaining", "Some resources are remaining: configmaps"),
        true_condition("NamespaceFinalizersRemaining", "Some content in the namespace has finalizers remaining: example.com/guard"),
        {"type": "NamespaceDeletionContentFailure", "status": "False", "message": "All content successfully deleted"},
    ]));
    for world in [json!({"subject": held}), json!({"others": [held]})] {
        let found = first(world);
        assert_eq!(found.cause, Cause::StuckFinalizer);
        for word in ["Namespace shop", "600 s"] {
            assert!(found.says.contains(word), "{word} is not in {:?}", found.says);
        }
        for word in ["configmaps", "example.com/guard"] {
            assert!(is_evident(&found, word), "{word} is not in {:?}", found.evidence);
        }
        assert_eq!(found.evidence.len(), 3, "{:?}", found.evidence);
        assert_eq!(found.fix.changes, Vec::<Value>::new(), "what holds it is not the namespace's");
    }
}

#[test]
fn a_namespace_that_cannot_be_emptied_says_why() {
    let failing = namespace(json!([true_condition(
        "NamespaceDeletionContentFailure",
        "Failed to delete all resource types: denied"
    )]));
    assert!(is_evident(&first(json!({"subject": failing})), "denied"));
    let unattended = namespace(json!([]));
    assert!(first(json!({"subject": unattended})).says.contains("kubernetes"));
    let mut guarded = namespace(json!([]));
    guarded["spec"]["finalizers"] = json!(["kubernetes", "example.com/guard"]);
    assert!(first(json!({"subject": guarded})).says.contains("example.com/guard"));
}

#[test]
fn a_namespace_waits_for_its_pods_to_end() {
    let remaining =
        namespace(json!([true_condition("NamespaceContentRemaining", "Some resources are remaining: pods")]));
    let within_grace = going_pod("2026-06-01T12:10:20Z");
    assert_eq!(found(json!({"subject": remaining, "pods": [within_grace]})), []);
    let over = going_pod("2026-06-01T12:05:00Z");
    let causes: Vec<_> =
        found(json!({"subject": remaining, "pods": [over]})).iter().map(|found| found.cause).collect();
    assert_eq!(causes, [Cause::StuckFinalizer, Cause::KillFailed]);
}

#[test]
fn a_pod_that_its_node_does_not_end_is_found_once_its_grace_is_over() {
    let warning = json!({"type": "Warning", "reason": "FailedKillPod", "message": "error killing container web: busy",
        "involvedObject": {"kind": "Pod", "name": "web-1", "uid": "p1"}});
    let world = |deleted: &str| json!({"pods": [going_pod(deleted)], "events": [warning], "nodes": [node("a", json!({}))]});
    assert_eq!(found(world("2026-06-01T12:10:20Z")), []);
    let held = first(world("2026-06-01T12:05:00Z"));
    assert_eq!(held.cause, Cause::KillFailed);
    assert!(held.says.contains("node a has not ended it"), "{}", held.says);
    assert!(is_evident(&held, "busy"), "{:?}", held.evidence);
}

#[test]
fn a_foreground_deletion_waits_for_what_is_owned() {
    let workload = json!({"apiVersion": "orch.dev/v1", "kind": "Workload", "metadata": {"name": "web", "namespace": "shop",
        "uid": "w1", "deletionTimestamp": "2026-06-01T12:09:40Z", "finalizers": ["foregroundDeletion"]}});
    let within_grace = going_pod("2026-06-01T12:10:20Z");
    assert_eq!(found(json!({"subject": workload, "pods": [within_grace]})), []);
    let held = first(json!({"subject": workload, "pods": [going_pod("2026-06-01T12:05:00Z")]}));
    assert!(held.says.contains("what it owns"), "{}", held.says);
    assert_eq!(
        held.fix.changes,
        Vec::<Value>::new(),
        "removing the API's own finalizer leaves orphans behind"
    );
}
