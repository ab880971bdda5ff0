//! What is wrong with the object that was asked about itself, rather than with its pods.

use orch_api::Object as _;
use serde_json::Value;

use crate::world::{items, label, named, said};
use crate::{Cause, Finding, World};

/// Conditions that say that something is wrong, and the status in which they do.
const FAILED: [(&str, &str); 4] =
    [("Failed", "True"), ("Stalled", "True"), ("ReplicaFailure", "True"), ("Progressing", "False")];
/// Conditions that are true of what is as it should be.
const READY: [&str; 4] = ["Ready", "Available", "Established", "Healthy"];
/// Kinds that are judged by more than what they say of themselves.
const JUDGED: [&str; 3] = ["Pod", "Node", "Namespace"];

/// A Service that selects pods, of which there are none.
pub(crate) fn without_pods(world: &World) -> Option<Finding> {
    let service = world.subject.as_ref().filter(|subject| subject.kind() == "Service")?;
    let selector = selector(service)?;
    let are_unknown = world.unread.iter().any(|unread| unread.starts_with("Pod:"));
    if !world.pods.is_empty() || are_unknown || service.is_terminating() {
        return None;
    }
    let label = label(service);
    let wanted: Vec<String> =
        selector.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    Some(
        Finding::new(Cause::SelectsNoPods, label.clone(), format!("{label} selects no pods"))
            .because(format!("{label} spec.selector"), wanted.join(", "))
            .affecting(label)
            .fix(
                "correct the selector or the labels of the pods that are meant, or make those pods",
                Vec::new(),
            ),
    )
}

/// What a Service selects by; none if it selects nothing.
pub(crate) fn selector(service: &Value) -> Option<&serde_json::Map<String, Value>> {
    let sends = service.text(&["spec", "type"]) != "ExternalName";
    service["spec"]["selector"].as_object().filter(|selector| sends && !selector.is_empty())
}

/// What an object says of itself by its conditions, as kinds do that follow Kubernetes' conventions.
pub(crate) fn unwell(world: &World) -> Option<Finding> {
    let subject = world.subject.as_ref().filter(|subject| !JUDGED.contains(&subject.kind()))?;
    if subject.is_terminating() {
        return None;
    }
    let label = label(subject);
    let conditions = items(subject, &["status", "conditions"]);
    let is = |condition: &Value, name: &str, status: &str| {
        condition.text(&["type"]) == name && condition.text(&["status"]) == status
    };
    let failed = conditions.iter().find(|told| FAILED.iter().any(|(name, status)| is(told, name, status)));
    let unready = || {
        let is_unready = |told: &&Value| READY.contains(&told.text(&["type"])) && told["status"] != "True";
        conditions.iter().find(is_unready)
    };
    let finding = if let Some(told) = failed.or_else(unready) {
        let (name, status) = (named(told.text(&["type"])), named(told.text(&["status"])));
        Finding::new(
            Cause::NotReady,
            label.clone(),
            format!("{label} says of itself that {name} is {status}"),
        )
        .because(format!("{label} condition {name}"), status)
        .because(format!("{label} condition {name}"), said(told))
    } else {
        let (wanted, seen) = (&subject["metadata"]["generation"], &subject["status"]["observedGeneration"]);
        let (wanted, seen) = (wanted.as_i64()?, seen.as_i64()?);
        if seen >= wanted {
            return None;
        }
        Finding::new(
            Cause::NotReady,
            label.clone(),
            format!("the last change of {label} has not been taken up"),
        )
        .because(format!("{label} status.observedGeneration"), format!("{seen}, of {wanted}"))
    };
    let say = "the evidence says what it waits for; if that does not change, see its events and whether its controller runs";
    Some(finding.affecting(label).fix(say, Vec::new()))
}
