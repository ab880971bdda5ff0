//! Owners whose pods are refused, until they are no more.

use super::*;

fn found(status: Value, events: &[(&str, &str)]) -> Vec<Finding> {
    let workload = json!({"apiVersion": "orch.dev/v1", "kind": "Workload", "metadata": {"name": "web", "namespace": "shop", "uid": "w1"},
        "spec": {"replicas": 2}, "status": status});
    let event = |(reason, at): &(&str, &str)| {
        json!({"reason": reason, "message": "exceeded quota", "lastTimestamp": at,
        "involvedObject": {"kind": "Workload", "name": "web", "uid": "w1"}})
    };
    let events: Vec<Value> = events.iter().map(event).collect();
    let world = json!({"subject": workload, "events": events});
    diagnose(&serde_json::from_value(world).unwrap(), NOW.parse().unwrap())
}

#[test]
fn pods_are_refused_until_as_many_are_there_as_are_wanted() {
    let refused = &[("FailedCreate", "2026-06-01T12:05:00Z")];
    for short in [
        json!({}),
        json!({"replicas": 1, "updatedReplicas": 1}),
        json!({"replicas": 2, "updatedReplicas": 1}),
    ] {
        let found = found(short.clone(), refused);
        assert_eq!(
            found.iter().map(|found| found.cause).collect::<Vec<_>>(),
            [Cause::PodsRefused],
            "{short}"
        );
    }
    assert_eq!(found(json!({"replicas": 2, "updatedReplicas": 2}), refused), []);
}

#[test]
fn pods_are_refused_until_one_is_made() {
    let (refused, made) = (("FailedCreate", "2026-06-01T12:05:00Z"), "SuccessfulCreate");
    assert_eq!(found(json!({"replicas": 1}), &[refused, (made, "2026-06-01T12:05:00.5Z")]), []);
    assert_eq!(found(json!({"replicas": 1}), &[refused, (made, "2026-06-01T12:04:59Z")]).len(), 1);
}
