//! Owners whose pods are refused when they are made.

use orch_api::Object as _;
use serde_json::Value;

use crate::world::{Index, label, seen};
use crate::{Cause, Finding};

pub(crate) fn findings(world: &Index<'_>) -> Vec<Finding> {
    let all = world.subject.iter().chain(&world.others);
    all.filter_map(|owner| refused(world, owner)).collect()
}

fn refused(world: &Index<'_>, owner: &Value) -> Option<Finding> {
    let events = world.events_of(owner);
    let latest = |reason: &str| events.iter().find(|event| event.text(&["reason"]) == reason);
    let failed = latest("FailedCreate")?;
    let is_over = latest("SuccessfulCreate").is_some_and(|made| seen(made) > seen(failed));
    if is_over || has_all(owner) {
        return None;
    }
    Some(
        Finding::new(Cause::PodsRefused, label(owner), format!("the pods of {} are refused", label(owner)))
            .because("Event FailedCreate", failed.text(&["message"]))
            .affecting(label(owner))
            .fix(
                "correct what is refused, or the policy or quota that refuses it: the evidence says which",
                Vec::new(),
            ),
    )
}

/// Whether as many pods are there as are wanted, all of them as the owner is now. Not known of kinds that count otherwise.
pub(crate) fn has_all(owner: &Value) -> bool {
    let Some(wanted) = owner["spec"]["replicas"].as_i64() else { return false };
    let status = &owner["status"];
    let there = status["replicas"].as_i64().unwrap_or(0);
    let updated = status["updatedReplicas"].as_i64().unwrap_or(there);
    there.min(updated) >= wanted
}
