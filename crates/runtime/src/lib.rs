//! The seam between Orch's node agent and whatever runs containers.
//!
//! [`Runtime`] has the granularity of Kubernetes' Container Runtime Interface: sandboxes (what the containers
//! of one pod share), containers, images. Two implementations exist: `orch-runtime-containerd`, which runs real
//! containers, and [`SimulatedRuntime`], which plays them from a seed and a fault script. [`conformance`] is the
//! suite that both pass; it is the precise statement of the contract.
//!
//! It deliberately is not a pod model: it knows no restart policy, no probes, no volumes, no Kubernetes types. The
//! agent decides; a runtime does one thing when asked and reports the truth.
//!
//! # Invariants
//!
//! - **Every verb is idempotent.** Asking twice is the same as asking once, so an agent that died half way asks again.
//! - **The caller names everything** ([`SandboxId`], [`ContainerId`]), from the pod's uid and the attempt, so a
//!   restarted agent finds its own. An id is bound to the first spec that was given for it.
//! - **[`Runtime::observe`] is the truth**, and it outlives the agent: labels and annotations given at creation come
//!   back, exits that nobody watched are there with their code. [`Runtime::events`] only nudges.
//! - **Nothing is stopped by an agent's death.** Dropping a runtime leaves its containers running.
//!
//! # Where to start
//!
//! [`Runtime`], then [`SandboxSpec`] and [`ContainerSpec`], then [`RuntimeError`].
#![deny(missing_docs)]

mod attach;
pub mod conformance;
mod container;
mod error;
mod event;
mod exec;
mod id;
mod image;
mod runtime;
mod sandbox;
mod simulated;

pub use attach::{AttachSession, Connection, Duplex};
pub use container::{
    Capability, ContainerSpec, ContainerState, ContainerStats, ContainerStatus, EnvVar, Exit, Mount,
    Propagation, Resources, Security, Stdin, User, reason,
};
pub use error::{Object, RuntimeError};
pub use event::RuntimeEvent;
pub use exec::{ExecRequest, ExecSession, TerminalSize};
pub use id::{ContainerId, SandboxId};
pub use image::{ImageStatus, PullOptions, RegistryAuth};
pub use runtime::{Observed, Runtime, Version};
pub use sandbox::{
    Dns, Network, PodIdentity, PortMapping, Protocol, SandboxSpec, SandboxState, SandboxStatus,
};
pub use simulated::{Behaviour, Failure, Fault, Latency, Outage, Script, SimulatedRuntime, Simulation, Verb};
