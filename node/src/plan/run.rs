//! Making a pod run and keeping it running.

use jiff::Timestamp;
use orch_api::{ConditionStatus, Conditions as _};
use orch_controller_runtime::Note;
use orch_ontology::{Container, Pod};
use orch_runtime::ContainerStatus;

use super::{
    Action, Plan, Slot, World,
    start::{Next, has_succeeded, is_outdated, next},
    world::is_running,
};
use crate::spec::{ConfigError, all_containers, sandbox_spec, volume_specs, volumes_version};

/// Runs that are kept of each container: the latest and the one before, whose end and log people ask for.
const RUNS_KEPT: usize = 2;

pub(super) fn plan(world: &World<'_>, pod: &Pod, now: Timestamp) -> Plan {
    let mut running = Running { world, pod, now, plan: Plan::default() };
    running.default_waiting();
    running.stop_outdated();
    let volumes_ready = running.set_up_volumes();
    let wanted = running.wanted();
    if !wanted.is_empty() && volumes_ready && running.ensure_sandbox() {
        wanted.into_iter().for_each(|(container, next)| running.start(container, next));
    } else {
        wanted.into_iter().for_each(|(container, next)| running.show_backoff(container, &next));
    }
    // Last, so that no start waits for what cannot be removed.
    running.remove_old_runs();
    running.plan
}

pub(super) struct Running<'a> {
    pub(super) world: &'a World<'a>,
    pub(super) pod: &'a Pod,
    pub(super) now: Timestamp,
    pub(super) plan: Plan,
}

impl<'a> Running<'a> {
    pub(super) fn is_busy(&self, slot: &Slot) -> bool {
        self.world.memory.busy.contains_key(slot)
    }

    /// Whether nothing is done about it, nor about to be.
    pub(super) fn is_free(&self, slot: &Slot) -> bool {
        !self.is_busy(slot) && !self.plan.actions.iter().any(|action| action.slot() == *slot)
    }

    pub(super) fn note(&mut self, key: String, note: Note) {
        if !self.world.memory.told.contains(&key) {
            self.plan.notes.push((key, note));
        }
    }

    /// What containers wait for that are to run and of which no run is there, or none of what is wanted by now, unless something better is
    /// known.
    fn default_waiting(&mut self) {
        let (spec, is_initialized) = (&self.pod.spec, self.is_initialized());
        let reason = if is_initialized { "ContainerCreating" } else { "PodInitializing" };
        let still_to_run = if is_initialized { &[] } else { spec.init_containers.as_slice() };
        let init = still_to_run.iter().map(|container| (container, true));
        for (container, is_init) in init.chain(spec.containers.iter().map(|container| (container, false))) {
            let seen = self.world.seen;
            // What made room for another image waits for that one: as ended it would count as ended for good, if it is to run once.
            let is_to_come = seen
                .run(&container.name)
                .is_none_or(|run| !is_init && !is_running(run) && is_outdated(run, container));
            if is_to_come && next(seen, self.pod, container, is_init).is_start() {
                self.plan.wait(&container.name, reason, "");
            }
        }
    }

    fn remove_old_runs(&mut self) {
        let seen = self.world.seen;
        for container in all_containers(&self.pod.spec) {
            let runs: Vec<&ContainerStatus> = seen.runs_of(&container.name).collect();
            let kept = runs.len().saturating_sub(RUNS_KEPT);
            let Some(run) = runs.into_iter().take(kept).find(|run| !is_running(run)) else { continue };
            let (container, id) = (container.name.clone(), run.id.clone());
            let action = Action::RemoveContainer { container, id, attempt: run.attempt };
            if let Some(retry_at) = self.world.memory.removal_backoff(&action, self.now) {
                self.plan.wake(retry_at);
            } else if self.is_free(&action.slot()) {
                self.plan.actions.push(action);
            }
        }
    }

    /// Whether containers may be started as far as volumes go.
    fn set_up_volumes(&mut self) -> bool {
        if self.world.facts.layout.is_none() {
            return true;
        }
        let (memory, was_set_up) = (self.world.memory, self.world.memory.volumes.is_some());
        let version = match volumes_version(self.pod, self.world.sources) {
            Ok(version) => version,
            Err(error) => {
                self.note_mount_failure(&error);
                // What was shown goes on to be shown.
                return was_set_up;
            }
        };
        if memory.volumes.as_ref() == Some(&version) {
            return true;
        }
        if let Some(failure) = memory.volumes_failure.as_ref().filter(|failure| failure.retry_at > self.now) {
            self.plan.wake(failure.retry_at);
        } else if !self.is_busy(&Slot::Pod) {
            match volume_specs(self.pod, self.world.sources) {
                Ok(volumes) => self.plan.actions.push(Action::SetUpVolumes { volumes, version }),
                Err(error) => self.note_mount_failure(&error),
            }
        }
        was_set_up
    }

    fn note_mount_failure(&mut self, error: &ConfigError) {
        if let ConfigError::Invalid(message) = error {
            let note = Note::warning(self.pod, "FailedMount", message.clone());
            self.note(format!("mount/{message}"), note);
        }
    }

    /// The containers that should be started, now or later.
    fn wanted(&self) -> Vec<(&'a Container, Next)> {
        let next = |container: &'a Container, is_init: bool| {
            let next = next(self.world.seen, self.pod, container, is_init);
            (container, next)
        };
        if !self.is_initialized() {
            // One after the other: the first that has not succeeded.
            let has_succeeded = |container: &&Container| has_succeeded(self.world.seen, self.pod, container);
            let first = self.pod.spec.init_containers.iter().find(|container| !has_succeeded(container));
            return first
                .map(|container| next(container, true))
                .into_iter()
                .filter(|(_, n)| n.is_start())
                .collect();
        }
        let all = self.pod.spec.containers.iter().map(|container| next(container, false));
        all.filter(|(_, next)| next.is_start()).collect()
    }

    /// Whether the init containers are behind us. Once they are, they stay so, even if their records are gone, for as long as the
    /// sandbox is the same.
    fn is_initialized(&self) -> bool {
        let (seen, spec) = (self.world.seen, &self.pod.spec);
        let mut runs = spec.containers.iter().filter_map(|container| seen.run(&container.name));
        runs.any(|run| seen.is_of_present_sandbox(run))
            || spec.init_containers.iter().all(|container| has_succeeded(seen, self.pod, container))
            || self.was_initialized()
    }

    /// Whether that was told since the sandbox was made.
    fn was_initialized(&self) -> bool {
        let (seen, conditions) = (self.world.seen, &self.pod.status.conditions);
        let initialized = conditions.of_type("Initialized");
        let is_old = |run: &ContainerStatus| !seen.is_of_present_sandbox(run);
        initialized.is_some_and(|told| {
            let since = told.last_transition_time.map(|at| at.timestamp());
            told.status == ConditionStatus::True
                && since.is_none_or(|since| seen.is_in_present_sandbox(since))
                // That is told in seconds, and what was there before may be younger.
                && !seen.runs.iter().any(is_old)
        })
    }

    /// Whether containers may be started as far as the sandbox goes.
    fn ensure_sandbox(&mut self) -> bool {
        let (seen, memory) = (self.world.seen, self.world.memory);
        if seen.ready_sandbox().is_some() {
            return true;
        }
        if seen.running().next().is_some() {
            // What runs in a sandbox that lost its network is of no use to anybody.
            self.stop_all();
            return false;
        }
        if let Some(failure) = memory.sandbox_failure.as_ref().filter(|failure| failure.retry_at > self.now) {
            self.plan.wake(failure.retry_at);
        } else if self.is_free(&Slot::Pod) {
            if seen.sandbox().is_some() {
                let note = Note::normal(
                    self.pod,
                    "SandboxChanged",
                    "Pod sandbox changed, it will be killed and re-created.",
                );
                self.note(format!("sandbox/{}", self.now), note);
            }
            let attempt = seen.sandbox().map_or(0, |sandbox| sandbox.attempt);
            let spec = sandbox_spec(self.pod, self.world.facts, attempt);
            self.plan.actions.push(Action::EnsureSandbox(Box::new(spec)));
        }
        false
    }

    fn stop_all(&mut self) {
        self.world.seen.running().for_each(|run| self.stop(run));
    }

    /// What runs from another image than it should makes room for its next run.
    fn stop_outdated(&mut self) {
        for container in &self.pod.spec.containers {
            let run = self.world.seen.run(&container.name).filter(|run| is_running(run));
            if let Some(run) = run.filter(|run| is_outdated(run, container)) {
                self.stop(run);
            }
        }
    }

    fn stop(&mut self, run: &ContainerStatus) {
        let grace_seconds = crate::spec::grace_seconds(self.pod);
        let failure = self.world.memory.end_failure.as_ref();
        if let Some(failure) = failure.filter(|failure| failure.retry_at > self.now) {
            self.plan.wake(failure.retry_at);
        } else if self.is_free(&Slot::Stop(run.id.clone(), grace_seconds)) {
            let (container, id) = (run.name.clone(), run.id.clone());
            self.plan.actions.push(Action::StopContainer { container, id, grace_seconds });
        }
    }
}
