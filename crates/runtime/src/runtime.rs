//! The trait.

use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;

use crate::{
    AttachSession, Connection, ContainerId, ContainerSpec, ContainerStats, ContainerStatus, ExecRequest,
    ExecSession, ImageStatus, PullOptions, RuntimeError, RuntimeEvent, SandboxId, SandboxSpec, SandboxStatus,
};

/// Runs sandboxes, containers and images on one node.
///
/// Every verb is idempotent and safe to call concurrently, also for the same id. A verb that fails may have done part
/// of its work: asking again completes it, [`remove_sandbox`](Self::remove_sandbox) clears it. A verb whose
/// future is dropped counts as failed.
///
/// All verbs fail with [`RuntimeError::Unavailable`] while the runtime cannot be reached.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Name and version of what runs the containers. Answers only when the runtime is reachable: it is the health check.
    async fn version(&self) -> Result<Version, RuntimeError>;

    /// Makes the sandbox exist and be [`Ready`](crate::SandboxState::Ready): its namespaces, addresses and files.
    ///
    /// A sandbox that is ready is returned as it is; one that lost its network (a reboot) is given a new one. The
    /// status holds the addresses unless the sandbox uses the host's network.
    ///
    /// Fails with `Network` when no address could be given.
    async fn ensure_sandbox(&self, spec: &SandboxSpec) -> Result<SandboxStatus, RuntimeError>;

    /// Kills and removes everything that belongs to the sandbox: processes, containers, snapshots, namespaces,
    /// addresses, mounts, files. Unknown ids are fine. It does not wait for graceful stops: stop the containers before.
    ///
    /// Log files stay; they belong to the caller.
    async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError>;

    /// Creates a container in an existing sandbox from an image that is present, without starting it.
    ///
    /// Does nothing when the id exists. Fails with `NotFound` for the sandbox, `ImageNotFound`
    /// for the image, `InvalidSpec` for what can never work.
    async fn create_container(&self, spec: &ContainerSpec) -> Result<(), RuntimeError>;

    /// Starts a created container; returns once its process runs. Does nothing when it was started before, even if it
    /// exited since: another run is another container with the next attempt.
    ///
    /// Fails with `StartFailed` when the process cannot run (no such executable, a missing mount); the container is
    /// then `Exited` with reason [`START_ERROR`](crate::reason::START_ERROR).
    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Sends the image's stop signal (SIGTERM by default) to the container's first process, waits up to `grace`, then kills
    /// all its processes; returns once it has exited and `observe` says so. A zero `grace` kills at once. Does nothing to a
    /// container that is not running or is unknown.
    ///
    /// A second call with a shorter grace shortens the wait.
    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError>;

    /// Kills the container if it runs, and removes it and its files except the log. Unknown ids are fine.
    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError>;

    /// Starts a process inside a running container. Fails with `NotFound` or `NotRunning`, and with `StartFailed` when the
    /// executable cannot run.
    async fn exec(&self, id: &ContainerId, request: ExecRequest) -> Result<ExecSession, RuntimeError>;

    /// Takes part in the output, and with `stdin` in the input, of a running container's first process. Any number may at the same
    /// time. Fails with `NotFound` or `NotRunning`, and with `Failed` when its output goes nowhere.
    async fn attach(&self, id: &ContainerId, stdin: bool) -> Result<AttachSession, RuntimeError>;

    /// Connects to a TCP port inside the sandbox, as one of its processes would to `localhost`. Fails with `NotFound`, and with
    /// `Refused` when nothing listens.
    async fn connect(&self, id: &SandboxId, port: u16) -> Result<Connection, RuntimeError>;

    /// The image known by this reference (`busybox`, `host:5000/a/b:tag`, `host/a@sha256:…`), or `None` if it is not
    /// present. Never asks a registry.
    async fn image_status(&self, image: &str) -> Result<Option<ImageStatus>, RuntimeError>;

    /// Brings the image from its registry, asking the registry even when the reference is present (a tag may have moved);
    /// blobs and layers that are present are not transferred again. Concurrent pulls of one reference are one pull.
    ///
    /// Fails with `ImageNotFound` or `PullFailed`, which says whether trying again can help.
    async fn pull_image(&self, image: &str, options: &PullOptions) -> Result<ImageStatus, RuntimeError>;

    /// Every image that is present, by reference, sorted.
    async fn list_images(&self) -> Result<Vec<ImageStatus>, RuntimeError>;

    /// Forgets the reference and frees what only it held. Containers made from it go on. Unknown references are fine.
    async fn remove_image(&self, image: &str) -> Result<(), RuntimeError>;

    /// All sandboxes and containers of this runtime, whoever asked for them, each sorted by id. A container that exited is
    /// listed until it is removed. Costs a constant number of round trips.
    async fn observe(&self) -> Result<Observed, RuntimeError>;

    /// Hints that something changed. Starts with [`RuntimeEvent::Resync`] once changes are being followed, and
    /// repeats it whenever some may have been missed: observe then. Never blocks the runtime: a reader that
    /// is slow gets a `Resync` in place of what it missed. The stream ends only when the runtime is dropped.
    fn events(&self) -> BoxStream<'static, RuntimeEvent>;

    /// Resource use of every running container, sorted by id.
    async fn stats(&self) -> Result<Vec<ContainerStats>, RuntimeError>;
}

/// What runs the containers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// For instance `containerd`; the scheme of the `containerID` that Kubernetes shows.
    pub name: String,
    /// For instance `1.6.20`.
    pub version: String,
}

/// The truth about one runtime at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Sorted by id.
    pub sandboxes: Vec<SandboxStatus>,
    /// Sorted by id.
    pub containers: Vec<ContainerStatus>,
}
