//! Which container, and which of its runs, a request is about.

use orch_api::Status;
use orch_ontology::{ContainerStatus, Pod};

use crate::{plan::Seen, spec::all_containers};

/// The container asked for, or the only one there is.
pub(super) fn choose<'a>(pod: &'a Pod, asked: Option<&str>) -> Result<&'a str, Status> {
    let names = |containers: &'a [orch_ontology::Container]| -> Vec<&'a str> {
        containers.iter().map(|container| container.name.as_str()).collect()
    };
    let pod_name = &pod.metadata.name;
    match asked {
        Some(asked) => all_containers(&pod.spec)
            .map(|container| container.name.as_str())
            .find(|name| *name == asked)
            .ok_or_else(|| Status::bad_request(format!("container {asked} is not valid for pod {pod_name}"))),
        None => match (names(&pod.spec.containers).as_slice(), names(&pod.spec.init_containers).as_slice()) {
            ([only], []) => Ok(only),
            (containers, init) => {
                let choices = containers.join(" ");
                let or = match init {
                    [] => String::new(),
                    init => format!(" or one of the init containers: [{}]", init.join(" ")),
                };
                Err(Status::bad_request(format!(
                    "a container name must be specified for pod {pod_name}, choose one of: [{choices}]{or}"
                )))
            }
        },
    }
}

/// The attempt whose log is asked for: the present or last run, or with `previous` the one that ended before.
pub(super) fn attempt(pod: &Pod, seen: &Seen, container: &str, previous: bool) -> Result<u32, Status> {
    let all = pod.status.init_container_statuses.iter().chain(&pod.status.container_statuses);
    let told = all.into_iter().find(|status| status.name == container);
    let found =
        if previous { previous_run(seen, told, container) } else { latest_run(seen, told, container) };
    found.ok_or_else(|| {
        let pod_name = &pod.metadata.name;
        Status::bad_request(if previous {
            format!("previous terminated container {container:?} in pod {pod_name:?} not found")
        } else {
            format!("container {container:?} in pod {pod_name:?} is waiting to start: {}", why(told))
        })
    })
}

fn latest_run(seen: &Seen, told: Option<&ContainerStatus>, container: &str) -> Option<u32> {
    let run = seen.run(container).map(|run| run.attempt);
    // Of a pod that is complete nothing runs, but the log is there.
    run.or_else(|| told.filter(|told| !told.container_id.is_empty()).and_then(told_attempt))
}

fn previous_run(seen: &Seen, told: Option<&ContainerStatus>, container: &str) -> Option<u32> {
    let is_between_runs = told.is_some_and(|told| told.state.waiting.is_some());
    let latest = seen.run(container);
    match latest {
        Some(run) if is_between_runs && !crate::plan::is_running(run) => Some(run.attempt),
        Some(run) => run
            .attempt
            .checked_sub(1)
            .filter(|before| seen.runs_of(container).any(|run| run.attempt == *before)),
        None => told
            .filter(|told| told.last_state.terminated.is_some())
            .and_then(told_attempt)
            .map(|attempt| if is_between_runs { attempt } else { attempt.saturating_sub(1) }),
    }
}

fn told_attempt(told: &ContainerStatus) -> Option<u32> {
    u32::try_from(told.restart_count).ok()
}

/// Why a container did not run yet, as kubelet says it.
fn why(told: Option<&ContainerStatus>) -> &str {
    let reason =
        told.and_then(|told| told.state.waiting.as_ref()).map_or("ContainerCreating", |w| w.reason.as_str());
    match reason {
        "ErrImagePull" => "image can't be pulled",
        "ImagePullBackOff" => "trying and failing to pull image",
        other => other,
    }
}
