//! What a workload's status says.

use jiff::Timestamp;
use orch_api::{Condition, Conditions};
use orch_controller_runtime::Write;
use orch_ontology::WorkloadStatus;

use super::World;
use super::rollout::Rollout;

/// The write that brings the status up to date; none if it is.
pub(super) fn write(world: &World, rollout: &Rollout<'_>, now: Timestamp) -> Option<Write> {
    let workload = &world.workload;
    let status = status(world, rollout, now);
    if status == workload.status {
        return None;
    }
    // Plain data with string keys can always be written.
    let status = serde_json::to_value(status).ok()?;
    Some(Write::merge_status(workload, status))
}

fn status(world: &World, rollout: &Rollout<'_>, now: Timestamp) -> WorkloadStatus {
    let mut conditions = world.workload.status.conditions.clone();
    conditions.put(available(rollout, now));
    conditions.put(progressing(rollout, now));
    WorkloadStatus {
        observed_generation: world.workload.metadata.generation,
        replicas: number(rollout.total),
        updated_replicas: number(rollout.updated),
        ready_replicas: number(rollout.ready),
        available_replicas: number(rollout.available),
        revision: Some(rollout.revision),
        conditions,
    }
}

fn available(rollout: &Rollout<'_>, now: Timestamp) -> Condition {
    let enough = rollout.available >= rollout.desired.saturating_sub(rollout.max_unavailable);
    let (reason, message) = if enough {
        ("MinimumReplicasAvailable", "Workload has minimum availability.")
    } else {
        ("MinimumReplicasUnavailable", "Workload does not have minimum availability.")
    };
    Condition::new("Available", enough, reason, message, now.into())
}

fn progressing(rollout: &Rollout<'_>, now: Timestamp) -> Condition {
    let (revision, desired) = (rollout.revision, rollout.desired);
    if rollout.is_complete() {
        let message = format!("All pods of revision {revision} are available.");
        return Condition::new("Progressing", true, "RolloutComplete", message, now.into());
    }
    let (updated, available) = (rollout.updated, rollout.available);
    let message = format!("Revision {revision}: {updated} of {desired} pods updated, {available} available.");
    Condition::new("Progressing", true, "RollingOut", message, now.into())
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
