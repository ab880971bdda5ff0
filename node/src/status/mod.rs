//! What is reported of a pod: a pure function of what is seen and what was reported before.

mod conditions;
mod container;
mod phase;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use orch_api::Time;
use orch_ontology::{Container, ContainerStatus, HostIp, Pod, PodIp, PodPhase, PodStatus};

use self::{
    conditions::{Node, conditions},
    container::container_status,
    phase::phase,
};
use crate::{
    plan::{Ending, Plan, World, ending, will_run},
    spec::qos_class,
};

/// The status of the pod. `plan` says what containers wait for. What was reported and can no longer be seen is kept.
pub(crate) fn pod_status(world: &World<'_>, pod: &Pod, plan: &Plan, now: Timestamp) -> PodStatus {
    let (prior, ending) = (&pod.status, ending(world));
    if ending == Some(Ending::Complete) {
        return prior.clone();
    }
    let is_ending = ending.is_some();
    let report = |containers: &[Container], prior: &[ContainerStatus]| -> Vec<ContainerStatus> {
        let status = |container: &Container| {
            let prior = prior.iter().find(|status| status.name == container.name);
            let waiting = plan.waiting.get(&container.name).filter(|_| !is_ending);
            container_status(world, container, prior, waiting, is_ending)
        };
        // Of a pod that was not taken, there is nothing to say.
        containers.iter().filter(|_| ending != Some(Ending::Rejected)).map(status).collect()
    };
    let init = report(&pod.spec.init_containers, &prior.init_container_statuses);
    let containers = report(&pod.spec.containers, &prior.container_statuses);
    let is_stopped = world.seen.running().next().is_none();
    let will_run = pod.spec.containers.iter().any(|container| will_run(world.seen, pod, container));
    let computed = phase(&pod.spec, &init, &containers, is_ending && is_stopped, will_run);
    let (phase, reason, message) = verdict(world, computed, prior);
    let has_sandbox = world.seen.ready_sandbox().is_some();
    let about = Node { has_sandbox, is_ready: world.is_runtime_there };
    let (pod_ip, pod_ips) = pod_ips(world, pod);
    PodStatus {
        observed_generation: pod.metadata.generation.or(prior.observed_generation),
        phase: Some(phase),
        conditions: conditions(&prior.conditions, phase, about, &init, &containers, now.into()),
        message,
        reason,
        host_ip: world.facts.host_ips.first().map(ToString::to_string).unwrap_or_default(),
        host_ips: world.facts.host_ips.iter().map(|ip| HostIp { ip: ip.to_string() }).collect(),
        pod_ip,
        pod_ips,
        start_time: prior.start_time.or(Some(Time::new(now))),
        init_container_statuses: init,
        container_statuses: containers,
        qos_class: Some(qos_class(pod)),
    }
}

/// The phase, and why if it isn't plain from the containers.
fn verdict(world: &World<'_>, computed: PodPhase, prior: &PodStatus) -> (PodPhase, String, String) {
    match &world.memory.admission {
        Some(Err(rejection)) => (PodPhase::Failed, rejection.reason.clone(), rejection.message.clone()),
        _ => (computed, prior.reason.clone(), prior.message.clone()),
    }
}

fn pod_ips(world: &World<'_>, pod: &Pod) -> (String, Vec<PodIp>) {
    let ips = match world.seen.ready_sandbox() {
        Some(_) if pod.spec.host_network => &world.facts.host_ips,
        Some(sandbox) => &sandbox.ips,
        None => return (pod.status.pod_ip.clone(), pod.status.pod_ips.clone()),
    };
    let ips: Vec<PodIp> = ips.iter().map(|ip| PodIp { ip: ip.to_string() }).collect();
    (ips.first().map(|first| first.ip.clone()).unwrap_or_default(), ips)
}
