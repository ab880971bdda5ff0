//! Ending a pod: stop, remove, tell.

use jiff::Timestamp;
use orch_ontology::PodPhase;
use orch_runtime::ContainerState;

use super::{Action, Plan, Slot, TornDown, World, world::is_running};
use crate::spec::grace_seconds;

/// Why a pod is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The API does not know it.
    Gone { grace_seconds: u64 },
    /// Its deletion was asked for.
    Deleted { grace_seconds: u64 },
    /// It has succeeded or failed, and the API knows.
    Complete,
    /// The node did not take it.
    Rejected,
}

/// Whether the pod is to end, and why.
pub(crate) fn ending(world: &World<'_>) -> Option<Ending> {
    let Some(pod) = world.pod else {
        return Some(Ending::Gone { grace_seconds: world.seen.grace_seconds() });
    };
    if pod.metadata.is_terminating() {
        return Some(Ending::Deleted { grace_seconds: grace_seconds(pod) });
    }
    if matches!(pod.status.phase, Some(PodPhase::Succeeded | PodPhase::Failed)) {
        return Some(Ending::Complete);
    }
    matches!(world.memory.admission, Some(Err(_))).then_some(Ending::Rejected)
}

impl Ending {
    fn grace_seconds(self) -> u64 {
        match self {
            Self::Gone { grace_seconds } | Self::Deleted { grace_seconds } => grace_seconds,
            Self::Complete | Self::Rejected => 0,
        }
    }

    /// The pod will never be asked about again.
    fn is_final(self) -> bool {
        matches!(self, Self::Gone { .. } | Self::Deleted { .. })
    }
}

pub(super) fn plan(world: &World<'_>, ending: Ending, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let busy = &world.memory.busy;
    plan.cancel = busy
        .iter()
        .filter(|(_, can_be_cancelled)| **can_be_cancelled)
        .map(|(slot, _)| slot.clone())
        .collect();
    if let Some(failure) = world.memory.end_failure.as_ref().filter(|failure| failure.retry_at > now) {
        plan.wake(failure.retry_at);
        return plan;
    }
    stop(world, ending, &mut plan);
    let is_at_work = busy.values().any(|can_be_cancelled| !can_be_cancelled);
    if is_at_work || !plan.actions.is_empty() {
        return plan;
    }
    match next_step(world, ending) {
        Some(action) => match world.memory.removal_backoff(&action, now) {
            Some(retry_at) => plan.wake(retry_at),
            None => plan.actions.push(action),
        },
        None => plan.finished = matches!(ending, Ending::Gone { .. }),
    }
    plan
}

fn stop(world: &World<'_>, ending: Ending, plan: &mut Plan) {
    let grace_seconds = ending.grace_seconds();
    for run in world.seen.runs.iter().filter(|run| is_running(run)) {
        let is_stopping =
            world.memory.busy.keys().any(
                |slot| matches!(slot, Slot::Stop(id, grace) if *id == run.id && *grace <= grace_seconds),
            );
        if !is_stopping {
            let (container, id) = (run.name.clone(), run.id.clone());
            plan.actions.push(Action::StopContainer { container, id, grace_seconds });
        }
    }
}

/// What comes once nothing runs.
fn next_step(world: &World<'_>, ending: Ending) -> Option<Action> {
    if let Some(sandbox) = world.seen.sandboxes.first() {
        return Some(Action::RemoveSandbox(sandbox.id.clone()));
    }
    if let Some(run) = world.seen.runs.first() {
        debug_assert!(!matches!(run.state, ContainerState::Running { .. }), "stopped above");
        let (container, id) = (run.name.clone(), run.id.clone());
        return Some(Action::RemoveContainer { container, id, attempt: run.attempt });
    }
    // A complete pod leaves its logs; they go when it does.
    let logs = ending.is_final();
    if world.memory.torn_down < TornDown::of(logs) {
        return Some(Action::TearDown { logs });
    }
    let must_release = matches!(ending, Ending::Deleted { .. }) && !world.memory.is_released;
    must_release.then_some(Action::DeletePod)
}
