//! Where a pod is in its life, from the states of its containers.

use orch_ontology::{ContainerState, ContainerStatus, PodPhase, PodSpec, RestartPolicy};

/// The phase, by kubelet's rules. `is_ending` says that no container will be started any more, `will_run` that one will that does not
/// run now.
pub(super) fn phase(
    spec: &PodSpec,
    init: &[ContainerStatus],
    containers: &[ContainerStatus],
    is_ending: bool,
    will_run: bool,
) -> PodPhase {
    let count = Count::of(containers);
    let has_failed = |status: &ContainerStatus| exit_code(&status.state).is_some_and(|code| code != 0);
    if spec.restart_policy == RestartPolicy::Never && init.iter().any(has_failed) {
        return PodPhase::Failed;
    }
    let has_run = count.running + count.stopped > 0;
    let is_initialized = has_run || init.iter().all(|status| exit_code(&status.state) == Some(0));
    if is_ending && count.running == 0 && (count.stopped > 0 || !is_initialized) {
        let all_succeeded = count.stopped == count.succeeded && count.waiting == 0 && is_initialized;
        return if all_succeeded { PodPhase::Succeeded } else { PodPhase::Failed };
    }
    if !is_initialized || count.waiting > 0 {
        return PodPhase::Pending;
    }
    if count.running > 0 {
        return PodPhase::Running;
    }
    match count.stopped {
        0 => PodPhase::Pending,
        _ if will_run => PodPhase::Running,
        stopped if stopped == count.succeeded => PodPhase::Succeeded,
        _ => PodPhase::Failed,
    }
}

#[derive(Default)]
struct Count {
    running: usize,
    /// Never ran.
    waiting: usize,
    /// Ran to an end, and may be about to run again.
    stopped: usize,
    succeeded: usize,
}

impl Count {
    fn of(containers: &[ContainerStatus]) -> Self {
        let mut count = Self::default();
        for status in containers {
            let ended = exit_code(&status.state).or_else(|| exit_code(&status.last_state));
            match ended {
                _ if status.state.running.is_some() => count.running += 1,
                Some(code) => {
                    count.stopped += 1;
                    count.succeeded += usize::from(code == 0);
                }
                None => count.waiting += 1,
            }
        }
        count
    }
}

pub(super) fn exit_code(state: &ContainerState) -> Option<i32> {
    state.terminated.as_ref().map(|terminated| terminated.exit_code)
}
