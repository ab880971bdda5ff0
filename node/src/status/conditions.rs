//! Facts about a pod, from the states of its containers.

use orch_api::{ConditionStatus, Time};
use orch_ontology::{ContainerStatus, PodCondition, PodPhase};

use super::phase::exit_code;

/// What a pod has of the node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub(super) has_sandbox: bool,
    pub(super) is_ready: bool,
}

/// The agent's conditions, with those of others as they were. A condition that stays as it was keeps its time.
pub(super) fn conditions(
    prior: &[PodCondition],
    phase: PodPhase,
    node: Node,
    init: &[ContainerStatus],
    containers: &[ContainerStatus],
    now: Time,
) -> Vec<PodCondition> {
    let containers_ready = ready(phase, containers);
    let ready = match containers_ready.status {
        // As the control plane says it of a node that nothing is heard of.
        ConditionStatus::True if !node.is_ready => {
            condition("Ready", false, "NodeNotReady", "Node is not ready".into())
        }
        _ => PodCondition { condition_type: "Ready".into(), ..containers_ready.clone() },
    };
    let own = [
        condition("PodReadyToStartContainers", node.has_sandbox, "", String::new()),
        initialized(phase, init, containers),
        ready,
        containers_ready,
        condition("PodScheduled", true, "", String::new()),
    ];
    let is_own = |prior: &PodCondition| own.iter().any(|own| own.condition_type == prior.condition_type);
    let mut all: Vec<PodCondition> = prior.iter().filter(|prior| !is_own(prior)).cloned().collect();
    all.extend(own.into_iter().map(|own| {
        match prior.iter().find(|prior| prior.condition_type == own.condition_type) {
            Some(prior) if own.condition_type == "PodScheduled" => prior.clone(),
            Some(prior) if prior.status == own.status => PodCondition {
                last_transition_time: prior.last_transition_time.or(Some(now)),
                last_probe_time: prior.last_probe_time,
                observed_generation: prior.observed_generation,
                ..own
            },
            _ => PodCondition { last_transition_time: Some(now), ..own },
        }
    }));
    all
}

fn condition(condition_type: &str, is_so: bool, reason: &str, message: String) -> PodCondition {
    PodCondition {
        condition_type: condition_type.into(),
        status: is_so.into(),
        reason: reason.into(),
        message,
        ..PodCondition::default()
    }
}

fn initialized(phase: PodPhase, init: &[ContainerStatus], containers: &[ContainerStatus]) -> PodCondition {
    let has_run = |status: &ContainerStatus| !status.container_id.is_empty();
    let incomplete = names(init.iter().filter(|status| exit_code(&status.state) != Some(0)));
    if phase == PodPhase::Succeeded {
        condition("Initialized", true, "PodCompleted", String::new())
    } else if incomplete.is_empty() || containers.iter().any(has_run) {
        condition("Initialized", true, "", String::new())
    } else {
        let message = format!("containers with incomplete status: [{}]", incomplete.join(" "));
        condition("Initialized", false, "ContainersNotInitialized", message)
    }
}

fn ready(phase: PodPhase, containers: &[ContainerStatus]) -> PodCondition {
    let unready = names(containers.iter().filter(|status| !status.ready));
    match phase {
        PodPhase::Succeeded => condition("ContainersReady", false, "PodCompleted", String::new()),
        PodPhase::Failed => condition("ContainersReady", false, "PodFailed", String::new()),
        _ if unready.is_empty() => condition("ContainersReady", true, "", String::new()),
        _ => {
            let message = format!("containers with unready status: [{}]", unready.join(" "));
            condition("ContainersReady", false, "ContainersNotReady", message)
        }
    }
}

fn names<'a>(statuses: impl Iterator<Item = &'a ContainerStatus>) -> Vec<&'a str> {
    statuses.map(|status| status.name.as_str()).collect()
}
