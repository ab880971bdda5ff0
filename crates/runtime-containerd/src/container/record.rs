//! What containerd keeps about a container for us.
//!
//! Two extensions of containerd's container object: what was asked for, which never changes, and how far it has come. containerd
//! keeps a stopped task, with its exit code, until someone deletes it; we record the exit first, then delete. So an exit is
//! always in at least one of the two places, whoever dies when.

use std::collections::HashMap;

use containerd_client::services::v1::Container;
use jiff::Timestamp;
use orch_runtime::{ContainerId, ContainerSpec, Exit};
use prost_types::Any;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Label of containers and snapshots: their sandbox.
pub(crate) const SANDBOX_LABEL: &str = "orch.dev/sandbox";
const FIXED: &str = "orch.dev/container";
pub(super) const RUN: &str = "orch.dev/run";

#[derive(Clone, Debug)]
pub(crate) struct ContainerRecord {
    pub(crate) fixed: Fixed,
    pub(crate) run: Run,
    pub(crate) created_at: Timestamp,
}

/// Fixed when the container is created.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Fixed {
    pub(crate) spec: ContainerSpec,
    pub(crate) image_digest: String,
    pub(crate) image_id: String,
    pub(crate) cgroup: String,
    pub(crate) stop_signal: u32,
}

/// How far it has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Written when the task exists, before it is started. A container with this and without a task was lost.
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) exit: Option<Exit>,
}

impl ContainerRecord {
    /// `None` for what is not ours.
    pub(crate) fn read(container: &Container) -> Option<Self> {
        let created_at = container.created_at.as_ref().map(timestamp)?;
        let fixed: Fixed = decode(&container.extensions, FIXED)?;
        let run = decode(&container.extensions, RUN).unwrap_or_default();
        Some(Self { fixed, run, created_at })
    }

    pub(crate) fn id(&self) -> &ContainerId {
        &self.fixed.spec.id
    }
}

pub(super) fn extensions(fixed: &Fixed) -> HashMap<String, Any> {
    HashMap::from([(FIXED.to_owned(), encode(FIXED, fixed)), (RUN.to_owned(), encode(RUN, &Run::default()))])
}

pub(super) fn encode(name: &str, value: &impl Serialize) -> Any {
    // Maps with string keys only: cannot fail.
    Any { type_url: name.to_owned(), value: serde_json::to_vec(value).unwrap_or_default() }
}

fn decode<T: DeserializeOwned>(extensions: &HashMap<String, Any>, name: &str) -> Option<T> {
    serde_json::from_slice(&extensions.get(name)?.value).ok()
}

pub(crate) fn timestamp(time: &prost_types::Timestamp) -> Timestamp {
    Timestamp::new(time.seconds, time.nanos).unwrap_or_default()
}
