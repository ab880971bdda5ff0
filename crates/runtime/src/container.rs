//! Containers: what is asked for, and what is.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ContainerId, SandboxId};

/// A container to be. What it leaves out comes from the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// See [`ContainerId::of_pod`].
    pub id: ContainerId,
    /// The sandbox it runs in; it must exist.
    pub sandbox: SandboxId,
    /// Its name within the pod.
    pub name: String,
    /// Which run of this container it is, from 0.
    pub attempt: u32,
    /// Given back by `observe`.
    pub labels: BTreeMap<String, String>,
    /// Given back by `observe`: the place for what the agent must find again after a restart.
    pub annotations: BTreeMap<String, String>,
    /// Reference of an image that is present.
    pub image: String,
    /// Replaces the image's entrypoint *and* its command, as Kubernetes does; empty keeps them.
    pub command: Vec<String>,
    /// Replaces the image's command; empty keeps it unless `command` is given.
    pub args: Vec<String>,
    /// `None` is the image's, else `/`. Created if it does not exist.
    pub working_dir: Option<String>,
    /// Added to the image's, replacing equal names; of several equal names the last counts.
    pub env: Vec<EnvVar>,
    /// Mounted together with the runtime's own (`/proc`, `/dev`, `/etc/hosts`, …), which they replace when the path is equal: those
    /// nearer to the root first, so that none hides another below it.
    pub mounts: Vec<Mount>,
    /// `None` is the image's, else root.
    pub user: Option<User>,
    /// Cgroup limits.
    pub resources: Resources,
    /// What its processes may do.
    pub security: Security,
    /// File that gets its output in CRI format (`<RFC 3339 time> stdout|stderr F|P <text>`), appended; its directory must
    /// exist. `None` discards the output.
    pub log_path: Option<PathBuf>,
    /// What its first process reads; an input needs a `log_path`.
    #[serde(default)]
    pub stdin: Stdin,
    /// Runs it on a terminal, which needs a `log_path`; standard error is then part of standard output.
    #[serde(default)]
    pub terminal: bool,
}

/// What a container's first process reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdin {
    /// Nothing: it is at its end.
    #[default]
    Empty,
    /// What those who attach write, one after the other. It never ends.
    Open,
    /// What the first who attaches writes. Without a terminal it ends with that one.
    Once,
}

/// An environment variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVar {
    /// Without `=`.
    pub name: String,
    /// Anything.
    pub value: String,
}

/// A file or directory of the host inside the container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Absolute; must exist when the container is started.
    pub host_path: PathBuf,
    /// Absolute; made if it does not exist.
    pub container_path: PathBuf,
    /// Refuses writes through this mount.
    pub read_only: bool,
    /// Whether mounts made later on one side appear on the other.
    pub propagation: Propagation,
}

/// Whether mounts made later on one side appear on the other; Kubernetes' `mountPropagation`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// Neither way (Kubernetes' `None`).
    #[default]
    Private,
    /// The host's appear in the container.
    HostToContainer,
    /// Both ways.
    Bidirectional,
}

/// What processes run as.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// `None` is the image's user.
    pub uid: Option<u32>,
    /// `None` is the image's group, or that of the uid in the image's `/etc/passwd`, else 0.
    pub gid: Option<u32>,
    /// More groups, on top of those that the image gives the user.
    pub supplemental_gids: Vec<u32>,
}

/// Cgroup limits; `None` is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Relative weight, 2 to 262,144; cgroup v2's weight is computed from it.
    pub cpu_shares: Option<u64>,
    /// CPU time a period.
    pub cpu_quota_micros: Option<i64>,
    /// Length of a period; 100,000 when a quota is given without.
    pub cpu_period_micros: Option<u64>,
    /// Memory; more gets a process killed. Swap is not added.
    pub memory_limit_bytes: Option<i64>,
    /// Processes and threads.
    pub pids_limit: Option<i64>,
    /// Who is killed first when the node runs out of memory, −1000 (last) to 1000. A value below what the runtime itself
    /// may set is raised to that.
    pub oom_score_adj: Option<i32>,
}

/// A Linux capability, as in `NET_ADMIN`; with or without `CAP_`. `ALL` is all of them.
pub type Capability = String;

/// What processes may do. The default is what Docker and Kubernetes give: 14 capabilities, masked kernel files,
/// privilege escalation allowed, no seccomp filter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Everything the host's root may do, all devices, nothing masked.
    pub privileged: bool,
    /// On top of the default set.
    pub add_capabilities: Vec<Capability>,
    /// Taken away; `ALL` takes the default set away before adding, others are taken after adding.
    pub drop_capabilities: Vec<Capability>,
    /// Refuses gaining privileges by setuid files.
    pub no_new_privileges: bool,
    /// Refuses writes to the image's files.
    pub read_only_root: bool,
    /// Seccomp filter as in the OCI runtime specification's `linux.seccomp`.
    pub seccomp: Option<serde_json::Value>,
}

/// Where a container is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerState {
    /// Its process was not started yet.
    Created,
    /// Its process runs, or was started and nothing is known of its end.
    Running {
        /// When the process was started.
        started_at: Timestamp,
    },
    /// Its process ended.
    Exited(Exit),
}

/// How a container's process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// When it was started; `None` if it never was.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// What it returned; 128 + n when signal n ended it, 128 when it could not start.
    pub code: i32,
    /// One of [`reason`], as Kubernetes shows it.
    pub reason: String,
    /// More for people; often empty.
    pub message: String,
}

/// Reasons of an [`Exit`], in Kubernetes' words.
pub mod reason {
    /// Returned 0.
    pub const COMPLETED: &str = "Completed";
    /// Returned something else, or a signal ended it.
    pub const ERROR: &str = "Error";
    /// The kernel killed it at its memory limit.
    pub const OOM_KILLED: &str = "OOMKilled";
    /// Could not be started.
    pub const START_ERROR: &str = "StartError";
    /// Nobody knows how it ended (a reboot); the code is then 255.
    pub const UNKNOWN: &str = "ContainerStatusUnknown";
}

/// A container as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStatus {
    /// As in its spec.
    pub id: ContainerId,
    /// As in its spec.
    pub sandbox: SandboxId,
    /// As in its spec.
    pub name: String,
    /// As in its spec.
    pub attempt: u32,
    /// As in its spec.
    pub labels: BTreeMap<String, String>,
    /// As in its spec.
    pub annotations: BTreeMap<String, String>,
    /// The reference in its spec.
    pub image: String,
    /// [`ImageStatus::digest`](crate::ImageStatus::digest) when it was created.
    pub image_digest: String,
    /// [`ImageStatus::id`](crate::ImageStatus::id) when it was created.
    pub image_id: String,
    /// As in its spec.
    pub log_path: Option<PathBuf>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Where it is in its life.
    pub state: ContainerState,
}

/// Resource use of a running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerStats {
    /// Which.
    pub id: ContainerId,
    /// When it was measured.
    pub at: Timestamp,
    /// CPU time used since the start.
    pub cpu_nanos: u64,
    /// Memory in use, page cache included.
    pub memory_bytes: u64,
    /// Memory that cannot be reclaimed at once: what Kubernetes calls the working set.
    pub working_set_bytes: u64,
    /// Processes and threads.
    pub pids: u64,
}
