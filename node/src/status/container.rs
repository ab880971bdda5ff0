//! What is reported of one container.

use orch_api::Time;
use orch_ontology::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus,
};
use orch_runtime::{ContainerState as RunState, ContainerStatus as Run, Exit};

use crate::plan::{UNSEEN_CODE, Waiting, World};

/// The reason of an end that nobody saw.
const UNSEEN: &str = "ContainerStatusUnknown";

/// The status of a container. `prior` is what was reported last, `waiting` why it doesn't run although it could.
pub(super) fn container_status(
    world: &World<'_>,
    container: &Container,
    prior: Option<&ContainerStatus>,
    waiting: Option<&Waiting>,
    is_ending: bool,
) -> ContainerStatus {
    match world.seen.run(&container.name) {
        Some(run) => of_run(world, run, prior, waiting),
        None => of_no_run(container, prior, waiting, is_ending),
    }
}

fn of_run(
    world: &World<'_>,
    run: &Run,
    prior: Option<&ContainerStatus>,
    waiting: Option<&Waiting>,
) -> ContainerStatus {
    let id = |run: &Run| format!("{}://{}", world.facts.runtime_name, run.id);
    let before = world.seen.runs_of(&run.name).rfind(|before| before.attempt < run.attempt);
    let restart_count = i32::try_from(run.attempt).unwrap_or(i32::MAX);
    let last_state = match before.map(|before| (&before.state, id(before))) {
        Some((RunState::Exited(exit), id)) => terminated(exit, id),
        // Its record is gone, but it was reported.
        _ => prior
            .filter(|prior| prior.restart_count == restart_count)
            .map(|prior| prior.last_state.clone())
            .unwrap_or_default(),
    };
    let (state, last_state) = match (&run.state, waiting) {
        (RunState::Running { started_at }, _) => (running((*started_at).into()), last_state),
        (RunState::Exited(exit), None) => (terminated(exit, id(run)), last_state),
        (RunState::Exited(exit), Some(waiting)) => (waiting_for(waiting), terminated(exit, id(run))),
        (RunState::Created, waiting) => {
            let creating = Waiting { reason: "ContainerCreating".into(), message: String::new() };
            (waiting_for(waiting.unwrap_or(&creating)), last_state)
        }
    };
    let is_running = state.running.is_some();
    ContainerStatus {
        name: run.name.clone(),
        state,
        last_state,
        ready: is_running,
        restart_count,
        image: run.image.clone(),
        image_id: image_id(run),
        container_id: id(run),
        started: Some(is_running),
    }
}

fn of_no_run(
    container: &Container,
    prior: Option<&ContainerStatus>,
    waiting: Option<&Waiting>,
    is_ending: bool,
) -> ContainerStatus {
    let creating = Waiting { reason: "ContainerCreating".into(), message: String::new() };
    let fresh = ContainerStatus {
        name: container.name.clone(),
        state: waiting_for(waiting.unwrap_or(&creating)),
        image: container.image.clone(),
        started: Some(false),
        ..ContainerStatus::default()
    };
    let Some(prior) = prior else { return fresh };
    let ended = if prior.state.running.is_some() { unseen(prior) } else { prior.state.clone() };
    if is_ending || waiting.is_none() {
        // It is over, and its record is gone; what was reported of it stays.
        let is_new = prior.container_id.is_empty() && ended.terminated.is_none();
        let state = if is_new { fresh.state } else { ended };
        return ContainerStatus { state, ready: false, started: Some(false), ..prior.clone() };
    }
    let last_state = if ended.terminated.is_some() { ended } else { prior.last_state.clone() };
    ContainerStatus { state: fresh.state, last_state, ready: false, started: Some(false), ..prior.clone() }
}

/// It ran, and its record is gone.
fn unseen(prior: &ContainerStatus) -> ContainerState {
    let message = "The container could not be located when the pod was terminated".to_owned();
    let container_id = prior.container_id.clone();
    let terminated = ContainerStateTerminated {
        exit_code: UNSEEN_CODE,
        reason: UNSEEN.into(),
        message,
        container_id,
        ..Default::default()
    };
    ContainerState { terminated: Some(terminated), ..ContainerState::default() }
}

fn waiting_for(waiting: &Waiting) -> ContainerState {
    let (reason, message) = (waiting.reason.clone(), waiting.message.clone());
    ContainerState { waiting: Some(ContainerStateWaiting { reason, message }), ..ContainerState::default() }
}

fn running(started_at: Time) -> ContainerState {
    let running = ContainerStateRunning { started_at: Some(started_at) };
    ContainerState { running: Some(running), ..ContainerState::default() }
}

fn terminated(exit: &Exit, container_id: String) -> ContainerState {
    let terminated = ContainerStateTerminated {
        exit_code: exit.code,
        signal: None,
        reason: exit.reason.clone(),
        message: exit.message.clone(),
        started_at: exit.started_at.map(Time::from),
        finished_at: Some(exit.finished_at.into()),
        container_id,
    };
    ContainerState { terminated: Some(terminated), ..ContainerState::default() }
}

/// Like `docker.io/library/busybox@sha256:…`: the repository and what the reference resolved to.
fn image_id(run: &Run) -> String {
    let repository = run.image.split('@').next().unwrap_or_default();
    let name_from = repository.rfind('/').map_or(0, |slash| slash + 1);
    let tag_from = repository[name_from..].find(':').map_or(repository.len(), |colon| name_from + colon);
    match run.image_digest.as_str() {
        "" => run.image_id.clone(),
        digest => format!("{}@{digest}", &repository[..tag_from]),
    }
}
