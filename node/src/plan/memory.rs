//! What the agent remembers of a pod because nothing else shows it. Losing it costs a few tries, never a container.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use orch_controller_runtime::{Backoff, Note};
use orch_ontology::Pod;

use super::{Action, Failure, Rejection, Slot, slowing};
use crate::spec::VolumesVersion;

/// What the agent remembers of a pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    /// Work under way; whether it may be given up.
    pub(crate) busy: BTreeMap<Slot, bool>,
    /// Whether the node takes the pod; `None` before that was decided.
    pub(crate) admission: Option<Result<(), Rejection>>,
    /// What the volumes show; `None` before they were set up by this process.
    pub(crate) volumes: Option<VolumesVersion>,
    pub(crate) volumes_failure: Option<Failure>,
    pub(crate) sandbox_failure: Option<Failure>,
    pub(crate) images: BTreeMap<String, Image>,
    pub(crate) start_failures: BTreeMap<String, Failure>,
    pub(crate) end_failure: Option<Failure>,
    /// Of runs that are in nobody's way, by container.
    pub(crate) removal_failures: BTreeMap<String, Failure>,
    pub(crate) torn_down: TornDown,
    /// The API was told that nothing is left; finalizers may hold the object for as long as they like.
    pub(crate) is_released: bool,
    /// Keys of notes that were told.
    pub(crate) told: BTreeSet<String>,
}

/// What of the pod was removed from the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TornDown {
    #[default]
    Nothing,
    AllButLogs,
    Everything,
}

impl TornDown {
    /// With or without the logs.
    pub(crate) fn of(logs: bool) -> Self {
        if logs { Self::Everything } else { Self::AllButLogs }
    }
}

/// What came of making the image for a run be present.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Image {
    Present { attempt: u32 },
    Failed(Failure),
}

/// How an action ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// As planned.
    Done,
    /// Try again later.
    Failed { reason: &'static str, message: String },
}

/// The reason of a container that was created and could not be started.
pub(crate) const RUN_CONTAINER_ERROR: &str = "RunContainerError";

/// Where waiting starts for what is the node's own fault.
const SOON: Backoff = slowing(Duration::from_secs(1));
/// Where waiting starts for what somebody has to mend.
const LATER: Backoff = slowing(Duration::from_secs(10));

impl Memory {
    pub(crate) fn begin(&mut self, action: &Action) {
        self.busy.insert(action.slot(), action.can_be_cancelled());
        if !matches!(action, Action::DeletePod | Action::TearDown { .. }) {
            self.torn_down = TornDown::Nothing;
        }
    }

    /// Until when removing a run has to wait because it failed before.
    pub(crate) fn removal_backoff(&self, action: &Action, now: Timestamp) -> Option<Timestamp> {
        let Action::RemoveContainer { container, .. } = action else { return None };
        self.removal_failures
            .get(container)
            .map(|failure| failure.retry_at)
            .filter(|retry_at| *retry_at > now)
    }

    /// Takes note of how an action ended. Answers with what people should know.
    pub(crate) fn end(
        &mut self,
        pod: Option<&Pod>,
        action: &Action,
        outcome: Outcome,
        now: Timestamp,
    ) -> Vec<Note> {
        self.busy.remove(&action.slot());
        match outcome {
            Outcome::Done => self.succeeded(action),
            Outcome::Failed { reason, message } => return self.failed(pod, action, reason, message, now),
        }
        Vec::new()
    }

    fn succeeded(&mut self, action: &Action) {
        match action {
            Action::SetUpVolumes { version, .. } => {
                (self.volumes, self.volumes_failure) = (Some(version.clone()), None);
            }
            Action::EnsureSandbox(_) => self.sandbox_failure = None,
            Action::EnsureImage { container, attempt, .. } => {
                self.images.insert(container.clone(), Image::Present { attempt: *attempt });
            }
            Action::StartContainer(spec) => drop(self.start_failures.remove(&spec.name)),
            Action::TearDown { logs } => (self.torn_down, self.end_failure) = (TornDown::of(*logs), None),
            Action::DeletePod => (self.is_released, self.end_failure) = (true, None),
            Action::RemoveSandbox(_) | Action::StopContainer { .. } => self.end_failure = None,
            Action::RemoveContainer { container, .. } => drop(self.removal_failures.remove(container)),
        }
    }

    fn failed(
        &mut self,
        pod: Option<&Pod>,
        action: &Action,
        reason: &'static str,
        message: String,
        now: Timestamp,
    ) -> Vec<Note> {
        let warn = |reason: &str, message: String| -> Vec<Note> {
            pod.map(|pod| Note::warning(pod, reason, message)).into_iter().collect()
        };
        let failure =
            |before: Option<&Failure>, pace| Failure::after(before, pace, now, reason, message.clone());
        match action {
            Action::SetUpVolumes { .. } => {
                self.volumes_failure = Some(failure(self.volumes_failure.as_ref(), SOON));
                warn("FailedMount", message)
            }
            Action::EnsureSandbox(_) => {
                self.sandbox_failure = Some(failure(self.sandbox_failure.as_ref(), SOON));
                warn("FailedCreatePodSandBox", format!("Failed to create pod sandbox: {message}"))
            }
            Action::EnsureImage { container, .. } => {
                let before = match self.images.get(container) {
                    Some(Image::Failed(before)) => Some(before),
                    _ => None,
                };
                let failure = failure(before, LATER);
                self.images.insert(container.clone(), Image::Failed(failure));
                warn("Failed", format!("Error: {reason}"))
            }
            Action::StartContainer(spec) => {
                // Whatever went wrong, the image may be gone.
                self.images.remove(&spec.name);
                // What could not be started is seen as a run that ended; that says when to try again.
                if reason != RUN_CONTAINER_ERROR {
                    let failure = failure(self.start_failures.get(&spec.name), LATER);
                    self.start_failures.insert(spec.name.clone(), failure);
                }
                warn("Failed", format!("Error: {message}"))
            }
            Action::StopContainer { container, .. } => {
                self.end_failure = Some(failure(self.end_failure.as_ref(), SOON));
                warn("FailedKillPod", format!("error killing container {container}: {message}"))
            }
            Action::RemoveContainer { container, .. } => {
                let failure = failure(self.removal_failures.get(container), SOON);
                self.removal_failures.insert(container.clone(), failure);
                tracing::warn!(%message, ?action, "cannot remove a run, trying again");
                Vec::new()
            }
            Action::RemoveSandbox(_) | Action::TearDown { .. } | Action::DeletePod => {
                self.end_failure = Some(failure(self.end_failure.as_ref(), SOON));
                tracing::warn!(%message, ?action, "cannot clean up, trying again");
                Vec::new()
            }
        }
    }
}
