//! What a decision is made from.

use jiff::Timestamp;
use orch_api::Metadata;
use orch_ontology::Pod;
use orch_runtime::{ContainerState, ContainerStatus, SandboxState, SandboxStatus};

use super::Memory;
use crate::spec::{NodeFacts, Sources, label};

/// One pod: what should be, what is, and what was tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World<'a> {
    /// The pod as the API has it; `None` if the API does not know it (any longer).
    pub(crate) pod: Option<&'a Pod>,
    /// What the runtime has of it.
    pub(crate) seen: &'a Seen,
    /// What cannot be observed.
    pub(crate) memory: &'a Memory,
    /// What it refers to.
    pub(crate) sources: &'a Sources,
    /// The node.
    pub(crate) facts: &'a NodeFacts,
    /// Whether the runtime answers; what was seen may be long ago otherwise.
    pub(crate) is_runtime_there: bool,
}

/// What the runtime has of one pod.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// By attempt.
    pub(crate) sandboxes: Vec<SandboxStatus>,
    /// All runs of all containers, by name, then attempt.
    pub(crate) runs: Vec<ContainerStatus>,
}

impl Seen {
    /// The sandbox in use: the newest.
    pub(crate) fn sandbox(&self) -> Option<&SandboxStatus> {
        self.sandboxes.iter().max_by_key(|sandbox| sandbox.attempt)
    }

    /// The sandbox in use, if containers can run in it.
    pub(crate) fn ready_sandbox(&self) -> Option<&SandboxStatus> {
        self.sandbox().filter(|sandbox| sandbox.state == SandboxState::Ready)
    }

    /// The runs of a container, oldest first.
    pub(crate) fn runs_of<'a>(
        &'a self,
        container: &str,
    ) -> impl DoubleEndedIterator<Item = &'a ContainerStatus> {
        let container = container.to_owned();
        self.runs.iter().filter(move |run| run.name == container)
    }

    /// The latest run of a container.
    pub(crate) fn run(&self, container: &str) -> Option<&ContainerStatus> {
        self.runs_of(container).max_by_key(|run| run.attempt)
    }

    /// Runs whose process is alive.
    pub(crate) fn running(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.runs.iter().filter(|run| is_running(run))
    }

    /// Whether a run is of the sandbox in use, and not of one that was there before it under the same id.
    pub(crate) fn is_of_present_sandbox(&self, run: &ContainerStatus) -> bool {
        let ran_in = run.annotations.get(label::SANDBOX_CREATED_AT);
        let present = self.sandbox().map(|sandbox| sandbox.created_at.to_string());
        ran_in.is_none_or(|ran_in| present.is_none_or(|present| present == *ran_in))
    }

    /// Whether something happened in the time of the sandbox in use, as far as seconds tell.
    pub(crate) fn is_in_present_sandbox(&self, at: Timestamp) -> bool {
        self.sandbox().is_none_or(|sandbox| at.as_second() >= sandbox.created_at.as_second())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sandboxes.is_empty() && self.runs.is_empty()
    }

    /// Seconds that the containers of a pod nobody knows have to stop, as its sandbox remembers.
    pub(crate) fn grace_seconds(&self) -> u64 {
        let noted = self.sandbox().and_then(|sandbox| sandbox.annotations.get(label::GRACE_SECONDS));
        noted.and_then(|seconds| seconds.parse().ok()).unwrap_or(30)
    }
}

pub(crate) fn is_running(run: &ContainerStatus) -> bool {
    matches!(run.state, ContainerState::Running { .. })
}

/// `web_default(uid)`, as kubelet names pods in messages.
pub(crate) fn display(pod: &Metadata) -> String {
    format!("{}_{}({})", pod.name, pod.namespace(), pod.uid)
}
