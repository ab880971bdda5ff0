//! What a decision consists of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use orch_controller_runtime::Note;
use orch_ontology::ImagePullPolicy;
use orch_runtime::{ContainerId, ContainerSpec, SandboxId, SandboxSpec};

use crate::spec::{VolumeSpec, VolumesVersion};

/// What to do for one pod now.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Plan {
    /// Independent of each other.
    pub(crate) actions: Vec<Action>,
    /// Work that is pointless by now.
    pub(crate) cancel: Vec<Slot>,
    /// When to decide again even if nothing happens until then.
    pub(crate) wake_at: Option<Timestamp>,
    /// Why containers that could run do not, by name.
    pub(crate) waiting: BTreeMap<String, Waiting>,
    /// What people should know, each told once for a key.
    pub(crate) notes: Vec<(String, Note)>,
    /// Nothing is left of the pod, and the API does not know it: forget it.
    pub(crate) finished: bool,
}

/// Why a container waits, in Kubernetes' words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) reason: String,
    pub(crate) message: String,
}

/// One effect. Each is idempotent: after a failure or a restart it is simply planned again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    SetUpVolumes {
        volumes: Vec<VolumeSpec>,
        version: VolumesVersion,
    },
    EnsureSandbox(Box<SandboxSpec>),
    /// Makes the image be present, or finds out that it cannot be.
    EnsureImage {
        container: String,
        attempt: u32,
        image: String,
        policy: ImagePullPolicy,
    },
    /// Creates and starts.
    StartContainer(Box<ContainerSpec>),
    StopContainer {
        container: String,
        id: ContainerId,
        grace_seconds: u64,
    },
    /// Removes one run and its files.
    RemoveContainer {
        container: String,
        id: ContainerId,
        attempt: u32,
    },
    RemoveSandbox(SandboxId),
    /// Removes what is on the disk.
    TearDown {
        logs: bool,
    },
    /// Tells the API that nothing is left.
    DeletePod,
}

/// What at most one action at a time may be about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Slot {
    /// The pod as a whole: volumes, sandbox, end.
    Pod,
    /// One container.
    Container(String),
    /// Stopping one run; again with less grace is another.
    Stop(ContainerId, u64),
}

impl Action {
    pub(crate) fn slot(&self) -> Slot {
        match self {
            Self::EnsureImage { container, .. } | Self::RemoveContainer { container, .. } => {
                Slot::Container(container.clone())
            }
            Self::StartContainer(spec) => Slot::Container(spec.name.clone()),
            Self::StopContainer { id, grace_seconds, .. } => Slot::Stop(id.clone(), *grace_seconds),
            Self::SetUpVolumes { .. }
            | Self::EnsureSandbox(_)
            | Self::RemoveSandbox(_)
            | Self::TearDown { .. }
            | Self::DeletePod => Slot::Pod,
        }
    }

    /// Whether it may be given up half way when the pod is to end.
    pub(crate) fn can_be_cancelled(&self) -> bool {
        matches!(self, Self::EnsureImage { .. })
    }
}

impl Plan {
    pub(crate) fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    pub(crate) fn wait(&mut self, container: &str, reason: &str, message: impl Into<String>) {
        let waiting = Waiting { reason: reason.to_owned(), message: message.into() };
        self.waiting.insert(container.to_owned(), waiting);
    }
}
