//! Starting one container: when, which run, image, then the container itself.

use std::time::Duration;

use jiff::Timestamp;
use orch_controller_runtime::{Note, later};
use orch_ontology::{Container, ContainerStatus as ReportedStatus, ImagePullPolicy, Pod, RestartPolicy};
use orch_runtime::{ContainerState, ContainerStatus};

use super::{
    Action, Failure, Seen, Slot,
    backoff::{first_delay, go_duration, restart_at},
    memory::Image,
    run::Running,
    world::display,
};
use crate::spec::{ConfigError, EnvContext, Run, container_spec};

/// What an end that nobody saw is taken for: the code of a process that was killed.
pub(crate) const UNSEEN_CODE: i32 = 137;

/// How long a failed pull is shown as such before it is shown as being waited out.
const SHOWN_AS_FAILED: Duration = Duration::from_secs(1);

/// What a container's latest run says about the next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    /// It runs, or ended for good.
    Nothing,
    /// A run is due, at once or at a time.
    Start { attempt: u32, not_before: Option<Timestamp>, delay: Duration, next_delay: Duration },
}

impl Next {
    pub(super) fn is_start(&self) -> bool {
        matches!(self, Self::Start { .. })
    }
}

/// Decides from what is there, and from what was reported of runs that are gone.
pub(super) fn next(seen: &Seen, pod: &Pod, container: &Container, is_init: bool) -> Next {
    let start =
        |attempt, next_delay| Next::Start { attempt, not_before: None, delay: Duration::ZERO, next_delay };
    let policy = pod.spec.restart_policy;
    let Some(run) = seen.run(&container.name) else {
        let Some(gone) = reported(pod, &container.name).filter(|status| !status.container_id.is_empty())
        else {
            return start(0, first_delay(0));
        };
        let is_over = match end_of(gone) {
            Some(0) if is_init => has_succeeded(seen, pod, container),
            Some(code) => !should_restart(policy, is_init, code),
            // What was waited for then is due now.
            None => false,
        };
        let attempt = u32::try_from(gone.restart_count).unwrap_or(0) + 1;
        return if is_over { Next::Nothing } else { start(attempt, first_delay(attempt)) };
    };
    match &run.state {
        ContainerState::Running { .. } => Next::Nothing,
        ContainerState::Created => start(run.attempt, crate::spec::label::restart_delay(run)),
        // Nothing of what is wanted now has failed.
        ContainerState::Exited(_) if !is_init && is_outdated(run, container) => {
            start(run.attempt + 1, Duration::ZERO)
        }
        ContainerState::Exited(exit) if is_init && exit.code == 0 => match seen.is_of_present_sandbox(run) {
            true => Next::Nothing,
            false => start(run.attempt + 1, Duration::ZERO),
        },
        ContainerState::Exited(exit) if should_restart(policy, is_init, exit.code) => {
            let restart = restart_at(run, exit);
            let (attempt, not_before) = (run.attempt + 1, Some(restart.at));
            Next::Start { attempt, not_before, delay: restart.delay, next_delay: restart.next_delay }
        }
        ContainerState::Exited(_) => Next::Nothing,
    }
}

/// Whether a container will run, now or later, though it does not now.
pub(crate) fn will_run(seen: &Seen, pod: &Pod, container: &Container) -> bool {
    next(seen, pod, container, false).is_start()
}

/// Whether the end of a run calls for another. Init containers that succeeded are done whatever the policy.
fn should_restart(policy: RestartPolicy, is_init: bool, code: i32) -> bool {
    match policy {
        RestartPolicy::Never => false,
        RestartPolicy::OnFailure => code != 0,
        RestartPolicy::Always => !is_init || code != 0,
    }
}

/// Whether another image is wanted by now than the one that ran, which calls for another run whatever the policy.
pub(super) fn is_outdated(run: &ContainerStatus, container: &Container) -> bool {
    run.image != container.image
}

/// Whether an init container has done its work. It has to be done again in a sandbox that was made anew: that has none of it.
pub(super) fn has_succeeded(seen: &Seen, pod: &Pod, container: &Container) -> bool {
    if let Some(run) = seen.run(&container.name) {
        let has_succeeded = matches!(&run.state, ContainerState::Exited(exit) if exit.code == 0);
        return has_succeeded && seen.is_of_present_sandbox(run);
    }
    let ended = reported(pod, &container.name).and_then(|status| status.state.terminated.as_ref());
    ended.is_some_and(|ended| {
        let is_present = |at: orch_api::Time| seen.is_in_present_sandbox(at.timestamp());
        ended.exit_code == 0 && ended.finished_at.is_none_or(is_present)
    })
}

/// The code that a run ended with whose record is gone; `None` if its end was not the end of it.
fn end_of(reported: &ReportedStatus) -> Option<i32> {
    match (&reported.state.terminated, &reported.state.running) {
        (Some(ended), _) => Some(ended.exit_code),
        (None, Some(_)) => Some(UNSEEN_CODE),
        (None, None) => None,
    }
}

fn reported<'a>(pod: &'a Pod, container: &str) -> Option<&'a ReportedStatus> {
    let all = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
    all.into_iter().find(|status| status.name == container)
}

impl Running<'_> {
    /// Takes the next step towards a run that is due.
    pub(super) fn start(&mut self, container: &Container, next: Next) {
        let Next::Start { attempt, next_delay, .. } = next else { return };
        if self.is_backing_off(container, &next) {
            return;
        }
        let slot = Slot::Container(container.name.clone());
        let is_free = self.is_free(&slot);
        if !self.has_image(container, attempt, is_free) || !is_free {
            return;
        }
        if let Some(failure) = self.world.memory.start_failures.get(&container.name) {
            self.show(container, failure);
            if failure.retry_at > self.now {
                return self.plan.wake(failure.retry_at);
            }
        }
        let Some(sandbox) = self.world.seen.ready_sandbox() else { return };
        let (world, restart_delay) = (self.world, next_delay);
        let pod_ips = if self.pod.spec.host_network { &world.facts.host_ips } else { &sandbox.ips };
        let context = EnvContext { pod: self.pod, facts: world.facts, sources: world.sources, pod_ips };
        match container_spec(&context, &Run { container, sandbox, attempt, restart_delay }) {
            Ok(spec) => self.plan.actions.push(Action::StartContainer(Box::new(spec))),
            Err(ConfigError::Loading) => {}
            Err(ConfigError::Invalid(message)) => {
                let note = Note::warning(self.pod, "Failed", format!("Error: {message}"));
                self.note(format!("config/{}/{message}", container.name), note);
                self.plan.wait(&container.name, "CreateContainerConfigError", message);
            }
        }
    }

    /// Shows that a run waits for its time, without starting it.
    pub(super) fn show_backoff(&mut self, container: &Container, next: &Next) {
        self.is_backing_off(container, next);
    }

    fn is_backing_off(&mut self, container: &Container, next: &Next) -> bool {
        let Next::Start { attempt, not_before: Some(not_before), delay, .. } = next else { return false };
        if *not_before <= self.now {
            return false;
        }
        self.plan.wake(*not_before);
        let (name, pod) = (&container.name, display(&self.pod.metadata));
        let message =
            format!("back-off {} restarting failed container={name} pod={pod}", go_duration(*delay));
        self.plan.wait(name, "CrashLoopBackOff", message);
        let message = format!("Back-off restarting failed container {name} in pod {pod}");
        self.note(format!("crash/{name}/{attempt}"), Note::warning(self.pod, "BackOff", message));
        true
    }

    fn has_image(&mut self, container: &Container, attempt: u32, is_free: bool) -> bool {
        match self.world.memory.images.get(&container.name) {
            Some(Image::Present { attempt: present }) if *present == attempt => return true,
            Some(Image::Failed(failure)) => {
                self.show_pull_failure(container, failure);
                if failure.retry_at > self.now {
                    self.plan.wake(failure.retry_at);
                    return false;
                }
            }
            _ => {}
        }
        if is_free {
            let (container, image) = (container.name.clone(), container.image.clone());
            let policy = self.policy(&container);
            self.plan.actions.push(Action::EnsureImage { container, attempt, image, policy });
        }
        false
    }

    fn policy(&self, container: &str) -> ImagePullPolicy {
        let asked = crate::spec::all_containers(&self.pod.spec).find(|c| c.name == container);
        asked.and_then(|container| container.image_pull_policy).unwrap_or_default()
    }

    fn show_pull_failure(&mut self, container: &Container, failure: &Failure) {
        let becomes_back_off = later(failure.at, SHOWN_AS_FAILED);
        if failure.reason != "ErrImagePull" {
            self.show(container, failure);
        } else if self.now < becomes_back_off {
            self.plan.wake(becomes_back_off);
            self.show(container, failure);
        } else {
            let message = format!("Back-off pulling image {:?}", container.image);
            let note = Note::normal(self.pod, "BackOff", message.clone());
            self.note(format!("pull/{}/{}", container.name, failure.failures), note);
            let cause = format!("{message}: {}: {}", failure.reason, failure.message);
            self.plan.wait(&container.name, "ImagePullBackOff", cause);
        }
    }

    fn show(&mut self, container: &Container, failure: &Failure) {
        self.plan.wait(&container.name, failure.reason, failure.message.clone());
    }
}
