//! Looking at the runtime.

use std::{collections::BTreeMap, io::Read as _, path::Path};

use orch_runtime::{ContainerState, ContainerStatus, Exit, Observed, RuntimeError};

use super::Shared;
use crate::{Layout, logs, plan::Seen, spec::label};

/// The longest message that is read from a container's termination message file.
const LONGEST_MESSAGE_BYTES: u64 = 4096;

/// What the runtime has of each pod, by uid.
pub(crate) async fn observe(shared: &Shared) -> Result<BTreeMap<String, Seen>, RuntimeError> {
    let observed = shared.runtime.observe().await?;
    let pods = by_pod(observed);
    let Some(layout) = shared.facts.layout.clone() else { return Ok(pods) };
    let with_messages = tokio::task::spawn_blocking(move || add_messages(&layout, pods));
    with_messages.await.map_err(|error| RuntimeError::failed("read termination messages", error))
}

fn by_pod(observed: Observed) -> BTreeMap<String, Seen> {
    let mut pods: BTreeMap<String, Seen> = BTreeMap::new();
    let owners: BTreeMap<_, _> =
        observed.sandboxes.iter().map(|sandbox| (sandbox.id.clone(), sandbox.pod.uid.clone())).collect();
    for sandbox in observed.sandboxes {
        pods.entry(sandbox.pod.uid.clone()).or_default().sandboxes.push(sandbox);
    }
    for run in observed.containers {
        // What belongs to no pod was made by somebody else, and is theirs.
        let Some(uid) = owners.get(&run.sandbox).or_else(|| run.labels.get(label::POD_UID)).cloned() else {
            continue;
        };
        pods.entry(uid).or_default().runs.push(run);
    }
    for seen in pods.values_mut() {
        seen.sandboxes.sort_by_key(|sandbox| sandbox.attempt);
        seen.runs.sort_by(|a, b| (&a.name, a.attempt).cmp(&(&b.name, b.attempt)));
    }
    pods
}

fn add_messages(layout: &Layout, mut pods: BTreeMap<String, Seen>) -> BTreeMap<String, Seen> {
    for (uid, seen) in &mut pods {
        for run in &mut seen.runs {
            let path = layout.termination_message(uid, &run.name, run.attempt);
            let fallback = log_if_asked_for(run);
            if let ContainerState::Exited(exit) = &mut run.state {
                add_message(exit, &path, fallback.as_deref());
            }
        }
    }
    pods
}

fn log_if_asked_for(run: &ContainerStatus) -> Option<std::path::PathBuf> {
    let policy = run.annotations.get(label::TERMINATION_MESSAGE_POLICY);
    run.log_path.clone().filter(|_| policy.is_some_and(|policy| policy == "FallbackToLogsOnError"))
}

/// What cannot be read says nothing.
fn add_message(exit: &mut Exit, path: &Path, log: Option<&Path>) {
    let mut bytes = Vec::new();
    if let Ok(file) = std::fs::File::open(path) {
        file.take(LONGEST_MESSAGE_BYTES).read_to_end(&mut bytes).unwrap_or_default();
    }
    if bytes.is_empty() && exit.code != 0 {
        bytes = log.and_then(|log| logs::last_words(log).ok()).unwrap_or_default();
    }
    if !bytes.is_empty() {
        exit.message = String::from_utf8_lossy(&bytes).into_owned();
    }
}
