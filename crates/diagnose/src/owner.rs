//! Owners whose pods are refused when they are made.

use orch_api::Object as _;
use serde_json::Value;

use crate::world::{label, seen};
use crate::{Cause, Finding, World};

pub(crate) fn findings(world: &World) -> Vec<Finding> {
    let all = world.subject.iter().chain(&world.others);
    all.filter_map(|owner| refused(world, owner)).collect()
}

fn refused(world: &World, owner: &Value) -> Option<Finding> {
    let events = world.events_of(owner);
    let latest = |reason: &str| events.iter().find(|event| event.text(&["reason"]) == reason);
    let failed = latest("FailedCreate")?;
    let is_over = latest("SuccessfulCreate").is_some_and(|made| seen(made) > seen(failed));
    if is_over || has_all(owner) {
        return None;
    }
    let message = failed.text(&["message"]);
    let says = format!("the pods of {} are refused: {message}", label(owner));
    Some(
        Finding::new(Cause::PodsRefused, label(owner), says)
            .because("Event FailedCreate", message)
            .affecting(label(owner))
            .fix(
                format!("correct what is refused, or the policy or quota that refuses it: {message}"),
                Vec::new(),
            ),
    )
}

/// Whether as many pods are there as are wanted, all of them as the owner is now. Not known of kinds that count otherwise.
fn has_all(owner: &Value) -> bool {
    let Some(wanted) = owner["spec"]["replicas"].as_i64() else { return false };
    let status = &owner["status"];
    let there = status["replicas"].as_i64().unwrap_or(0);
    let updated = status["updatedReplicas"].as_i64().unwrap_or(there);
    there.min(updated) >= wanted
}
