//! Carrying actions out.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path};

use orch_api::{Body, Params, Reason, Request, Resource as _, Status, Target, Verb};
use orch_ontology::{ImagePullPolicy, Pod};
use orch_runtime::{ContainerSpec, PullOptions, RuntimeError};
use serde_json::json;
use std::time::Duration;

use super::Shared;
use crate::{
    layout::Layout,
    plan::{Action, Outcome, RUN_CONTAINER_ERROR},
    spec::mount_failure,
    volumes,
};

/// Carries out one action for a pod. Dropped half way, the action can be carried out again.
pub(crate) async fn execute(shared: &Shared, pod: Option<&Pod>, uid: &str, action: &Action) -> Outcome {
    match action {
        Action::SetUpVolumes { volumes, .. } => {
            let (uid, volumes, now) = (uid.to_owned(), volumes.clone(), shared.clock.now());
            on_disk(shared, move |layout| set_up_volumes(layout, &uid, &volumes, now)).await
        }
        Action::EnsureSandbox(spec) => {
            let _permit = shared.starts.acquire().await;
            outcome("SandboxError", shared.runtime.ensure_sandbox(spec).await.map(drop))
        }
        Action::EnsureImage { image, policy, .. } => ensure_image(shared, pod, image, *policy).await,
        Action::StartContainer(spec) => start_container(shared, pod, uid, spec).await,
        Action::StopContainer { container, id, grace_seconds } => {
            shared.tell(pod, "Killing", format!("Stopping container {container}"));
            let grace = Duration::from_secs(*grace_seconds);
            outcome("KillContainerError", shared.runtime.stop_container(id, grace).await)
        }
        Action::RemoveContainer { container, id, attempt } => {
            let removed = outcome("RemoveContainerError", shared.runtime.remove_container(id).await);
            if removed != Outcome::Done {
                return removed;
            }
            let (uid, container, attempt) = (uid.to_owned(), container.clone(), *attempt);
            let pod = pod.map(|pod| pod.metadata.clone());
            on_disk(shared, move |layout| {
                pod.iter().try_for_each(|pod| remove_files(&layout.log(pod, &container, attempt)))?;
                remove_files(&layout.termination_message(&uid, &container, attempt))
            })
            .await
        }
        Action::RemoveSandbox(id) => {
            let _permit = shared.starts.acquire().await;
            outcome("KillPodSandboxError", shared.runtime.remove_sandbox(id).await)
        }
        Action::TearDown { logs } => {
            let (uid, logs) = (uid.to_owned(), *logs);
            on_disk(shared, move |layout| tear_down(layout, &uid, logs)).await
        }
        Action::DeletePod => delete_pod(shared, pod).await,
    }
}

fn outcome(reason: &'static str, result: Result<(), RuntimeError>) -> Outcome {
    match result {
        Ok(()) => Outcome::Done,
        Err(error) => Outcome::Failed { reason, message: chain(&error) },
    }
}

/// An error and its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    message
}

/// Does blocking work where the agent keeps files. Without such a place there is nothing to do.
async fn on_disk<E: std::error::Error + Send + 'static>(
    shared: &Shared,
    work: impl FnOnce(&Layout) -> Result<(), E> + Send + 'static,
) -> Outcome {
    let Some(layout) = shared.facts.layout.clone() else { return Outcome::Done };
    match tokio::task::spawn_blocking(move || work(&layout).map_err(|error| chain(&error))).await {
        Ok(Ok(())) => Outcome::Done,
        Ok(Err(message)) => Outcome::Failed { reason: "DiskError", message },
        Err(error) => Outcome::Failed { reason: "DiskError", message: error.to_string() },
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{}", mount_failure(volume, &chain(error)))]
struct SetUpError {
    volume: String,
    error: volumes::VolumeError,
}

fn set_up_volumes(
    layout: &Layout,
    uid: &str,
    all: &[crate::spec::VolumeSpec],
    now: jiff::Timestamp,
) -> Result<(), SetUpError> {
    volumes::set_up(layout, uid, all, now).map_err(|(volume, error)| SetUpError { volume, error })
}

fn tear_down(layout: &Layout, uid: &str, logs: bool) -> Result<(), volumes::VolumeError> {
    volumes::tear_down(layout, uid)?;
    if logs {
        volumes::remove_logs(layout, uid)?;
    }
    Ok(())
}

/// Removes a file and what was rotated away from it.
fn remove_files(path: &Path) -> io::Result<()> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str()))
    else {
        return Ok(());
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        let is_one =
            |file: &str| file.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        if entry.file_name().to_str().is_some_and(is_one) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

async fn ensure_image(shared: &Shared, pod: Option<&Pod>, image: &str, policy: ImagePullPolicy) -> Outcome {
    if policy != ImagePullPolicy::Always {
        match shared.runtime.image_status(image).await {
            Ok(Some(_)) => {
                shared.tell(pod, "Pulled", format!("Container image {image:?} already present on machine"));
                return Outcome::Done;
            }
            Ok(None) if policy == ImagePullPolicy::Never => {
                let message = format!("Container image {image:?} is not present with pull policy of Never");
                shared.warn(pod, "ErrImageNeverPull", message.clone());
                return Outcome::Failed { reason: "ErrImageNeverPull", message };
            }
            Ok(None) => {}
            Err(error) => return pull_failed(shared, pod, image, &error),
        }
    }
    let asked = shared.clock.now();
    let _permit = shared.pulls.acquire().await;
    let began = shared.clock.now();
    shared.tell(pod, "Pulling", format!("Pulling image {image:?}"));
    match shared.runtime.pull_image(image, &PullOptions::default()).await {
        Ok(status) => {
            let (pulled, size) = (shared.clock.now(), status.size_bytes);
            let took = |since| format!("{:.3}s", pulled.duration_since(since).as_secs_f64());
            let (alone, waited) = (took(began), took(asked));
            shared.tell(
                pod,
                "Pulled",
                format!("Successfully pulled image {image:?} in {alone} ({waited} including waiting). Image size: {size} bytes."),
            );
            Outcome::Done
        }
        Err(error) => pull_failed(shared, pod, image, &error),
    }
}

fn pull_failed(shared: &Shared, pod: Option<&Pod>, image: &str, error: &RuntimeError) -> Outcome {
    let message = chain(error);
    shared.warn(pod, "Failed", format!("Failed to pull image {image:?}: {message}"));
    let reason = match error {
        RuntimeError::InvalidSpec { .. } => "InvalidImageName",
        _ => "ErrImagePull",
    };
    Outcome::Failed { reason, message }
}

async fn start_container(shared: &Shared, pod: Option<&Pod>, uid: &str, spec: &ContainerSpec) -> Outcome {
    let _permit = shared.starts.acquire().await;
    let (prepared_for, log) = (uid.to_owned(), spec.log_path.clone());
    let (name, attempt) = (spec.name.clone(), spec.attempt);
    let prepared = on_disk(shared, move |layout| {
        let message = layout.termination_message(&prepared_for, &name, attempt);
        prepare_files(&message, log.as_deref())
    });
    if let Outcome::Failed { message, .. } = prepared.await {
        return Outcome::Failed { reason: "CreateContainerError", message };
    }
    if let Err(error) = shared.runtime.create_container(spec).await {
        return Outcome::Failed { reason: "CreateContainerError", message: chain(&error) };
    }
    shared.tell(pod, "Created", format!("Created container: {}", spec.name));
    if let Err(error) = shared.runtime.start_container(&spec.id).await {
        let reason = match error {
            RuntimeError::StartFailed { .. } => RUN_CONTAINER_ERROR,
            _ => "CreateContainerError",
        };
        return Outcome::Failed { reason, message: chain(&error) };
    }
    shared.tell(pod, "Started", format!("Started container {}", spec.name));
    Outcome::Done
}

/// Makes what must be there before a container starts: the log's directory and the file for its last message.
fn prepare_files(message: &Path, log: Option<&Path>) -> io::Result<()> {
    for file in [Some(message), log].into_iter().flatten() {
        file.parent().into_iter().try_for_each(fs::create_dir_all)?;
    }
    if !message.exists() {
        fs::write(message, "")?;
        // Whoever the container runs as may write it.
        fs::set_permissions(message, fs::Permissions::from_mode(0o666))?;
    }
    Ok(())
}

async fn delete_pod(shared: &Shared, pod: Option<&Pod>) -> Outcome {
    let Some(pod) = pod else { return Outcome::Done };
    match delete_request(pod) {
        Err(status) => Outcome::Failed { reason: "DeleteError", message: status.to_string() },
        Ok(request) => match shared.client.send(request).await {
            Ok(_) => Outcome::Done,
            // Gone, or another pod of the name.
            Err(status) if status.is(&Reason::NotFound) || status.is(&Reason::Conflict) => Outcome::Done,
            Err(status) => Outcome::Failed { reason: "DeleteError", message: status.to_string() },
        },
    }
}

fn delete_request(pod: &Pod) -> Result<Request, Status> {
    let options = json!({
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "gracePeriodSeconds": 0,
        "preconditions": {"uid": pod.metadata.uid},
    });
    let target = Target::in_namespace(&Pod::KIND, pod.metadata.namespace()).named(&pod.metadata.name);
    Ok(Request { verb: Verb::Delete, target, params: Params::default(), body: Some(Body::json(&options)?) })
}
