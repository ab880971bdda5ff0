//! Whether an object of whatever kind does what it should, by the conventions that Kubernetes' kinds follow in their status.

use orch_api::Object as _;
use serde_json::Value;

/// How an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Health {
    /// It does what it should.
    Healthy,
    /// It is on its way, or seems to be.
    Progressing(String),
    /// It will not get there by itself.
    Failed(String),
}

/// What a condition of this type and status says about an object.
const FAILED: [(&str, &str); 3] = [("Failed", "True"), ("Stalled", "True"), ("ReplicaFailure", "True")];
const READY: [&str; 5] = ["Ready", "Available", "Established", "Complete", "Healthy"];

/// How an object is, by what it says of itself. One that says nothing is as it should be, unless objects of its kind tell of which
/// generation their status is: then nobody has looked at it yet.
pub(super) fn assess(object: &Value, tells_generation: bool) -> Health {
    if object.is_terminating() {
        return Health::Progressing("it is being deleted".into());
    }
    let status = &object["status"];
    let (generation, observed) = (&object["metadata"]["generation"], &status["observedGeneration"]);
    match (generation.as_i64(), observed.as_i64()) {
        (Some(generation), Some(observed)) if observed < generation => {
            return Health::Progressing("its change has not been taken up".into());
        }
        (Some(_), None) if tells_generation => {
            return Health::Progressing("it has not been looked at".into());
        }
        _ => {}
    }
    of_phase(object)
        .or_else(|| failed(status))
        .or_else(|| of_replicas(object))
        .or_else(|| unready(status))
        .unwrap_or(Health::Healthy)
}

/// A pod says it by its phase.
fn of_phase(object: &Value) -> Option<Health> {
    if object.kind() != "Pod" {
        return None;
    }
    match object["status"].text(&["phase"]) {
        "Succeeded" => Some(Health::Healthy),
        "Failed" => Some(Health::Failed(format!("it has failed{}", because(&object["status"])))),
        "Running" => None,
        _ => Some(Health::Progressing("it does not run yet".into())),
    }
}

fn failed(status: &Value) -> Option<Health> {
    let deadline = |condition: &&Value| {
        condition["type"] == "Progressing"
            && condition["reason"] == "ProgressDeadlineExceeded"
            && condition["status"] == "False"
    };
    let is_failure = |condition: &&Value| {
        let is = |(condition_type, so): &(&str, &str)| {
            condition["type"] == *condition_type && condition["status"] == *so
        };
        FAILED.iter().any(is) || deadline(condition)
    };
    let condition = conditions(status).iter().find(is_failure)?;
    Some(Health::Failed(format!(
        "{} is {}{}",
        condition.text(&["type"]),
        condition.text(&["status"]),
        because(condition)
    )))
}

/// What has replicas has come as far as its status counts them.
fn of_replicas(object: &Value) -> Option<Health> {
    let wanted = object["spec"]["replicas"].as_i64()?;
    let count = |field: &str| object["status"][field].as_i64().unwrap_or(0);
    // Not every kind that has replicas counts them so.
    let updated = object["status"]["updatedReplicas"].as_i64()?;
    let available = count("availableReplicas");
    if updated < wanted {
        return Some(Health::Progressing(format!("{updated} of {wanted} replicas are up to date")));
    }
    if available < wanted {
        return Some(Health::Progressing(format!("{available} of {wanted} replicas are available")));
    }
    let many = count("replicas");
    (many > wanted).then(|| Health::Progressing(format!("{} old replicas are still there", many - wanted)))
}

fn unready(status: &Value) -> Option<Health> {
    let is_unready = |condition: &&Value| {
        READY.iter().any(|ready| condition["type"] == *ready) && condition["status"] != "True"
    };
    let condition = conditions(status).iter().find(is_unready)?;
    Some(Health::Progressing(format!("it is not {}{}", condition.text(&["type"]), because(condition))))
}

fn because(told: &Value) -> String {
    match (told.text(&["message"]), told.text(&["reason"])) {
        ("", "") => String::new(),
        ("", reason) => format!(": {reason}"),
        (message, _) => format!(": {message}"),
    }
}

fn conditions(status: &Value) -> &[Value] {
    status["conditions"].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload(status: Value) -> Health {
        let spec = json!({"replicas": 2});
        let object =
            json!({"kind": "Workload", "metadata": {"generation": 2}, "spec": spec, "status": status});
        assess(&object, true)
    }

    #[test]
    fn what_says_nothing_is_healthy() {
        assert_eq!(assess(&json!({"kind": "ConfigMap", "metadata": {}}), false), Health::Healthy);
    }

    #[test]
    fn what_nobody_has_looked_at_is_not_healthy_yet() {
        let sync =
            |status: Value| json!({"kind": "GitSync", "metadata": {"generation": 1}, "status": status});
        assert!(matches!(assess(&sync(json!({})), true), Health::Progressing(_)));
        assert_eq!(assess(&sync(json!({"observedGeneration": 1})), true), Health::Healthy);
        assert_eq!(assess(&sync(json!({})), false), Health::Healthy);
    }

    #[test]
    fn a_workload_is_healthy_once_all_of_its_new_replicas_are_available_and_no_old_one_is_left() {
        let status = |observed: i64, replicas: i64, updated: i64, available: i64| {
            json!({"observedGeneration": observed, "replicas": replicas, "updatedReplicas": updated,
                "availableReplicas": available, "conditions": [{"type": "Available", "status": "True"}]})
        };
        assert!(matches!(workload(status(1, 2, 2, 2)), Health::Progressing(_)));
        assert_eq!(
            workload(status(2, 2, 1, 2)),
            Health::Progressing("1 of 2 replicas are up to date".into())
        );
        assert_eq!(workload(status(2, 2, 2, 1)), Health::Progressing("1 of 2 replicas are available".into()));
        assert_eq!(
            workload(status(2, 3, 2, 2)),
            Health::Progressing("1 old replicas are still there".into())
        );
        assert_eq!(workload(status(2, 2, 2, 2)), Health::Healthy);
    }

    #[test]
    fn a_deadline_that_is_over_is_a_failure() {
        let conditions = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "too slow"}]);
        let health = workload(json!({"observedGeneration": 2, "conditions": conditions}));
        assert_eq!(health, Health::Failed("Progressing is False: too slow".into()));
    }

    #[test]
    fn a_custom_object_is_what_its_condition_ready_says() {
        let of = |status: &str| {
            assess(
                &json!({"kind": "Shop", "metadata": {}, "status": {"conditions": [
                {"type": "Ready", "status": status, "reason": "Waiting", "message": "for paint"}]}}),
                false,
            )
        };
        assert_eq!(of("True"), Health::Healthy);
        assert_eq!(of("False"), Health::Progressing("it is not Ready: for paint".into()));
    }

    #[test]
    fn a_pod_is_what_its_phase_says() {
        let of = |phase: &str| {
            assess(
                &json!({"kind": "Pod", "metadata": {}, "status": {"phase": phase, "reason": "Evicted"}}),
                false,
            )
        };
        assert_eq!(of("Succeeded"), Health::Healthy);
        assert_eq!(of("Failed"), Health::Failed("it has failed: Evicted".into()));
        assert!(matches!(of("Pending"), Health::Progressing(_)));
    }
}
