//! Containers for Orch, by containerd's native gRPC API.
//!
//! [`ContainerdRuntime`] implements [`orch_runtime::Runtime`]. It is the only crate that sees containerd's messages. It uses content,
//! images, snapshots, diff, leases, containers, tasks and events, all of which containerd 1.6 has; pulling and unpacking
//! are done here. [`PrivateContainerd`] brings a containerd of our own where there is none to use.
//!
//! It deliberately is not a CRI client (containerd's CRI plugin is not needed and makes a pause container for each pod), and knows
//! nothing about pods beyond what a sandbox is.
//!
//! # Invariants
//!
//! - Everything survives this process: containers, logs (a process for each container, [`logger`]), namespaces (bind mounts),
//!   addresses (CNI results on disk), exits (see `container/record.rs`).
//! - What was given is written down before it is asked for, so that removing a sandbox always knows what to give back.
//! - Locks are taken in one order: sandbox, container, shim.
//!
//! # Where to start
//!
//! `runtime.rs` lists the verbs; `sandbox/mod.rs` and `container/` carry them out; `image/mod.rs` is about images.
#![deny(missing_docs)]

mod attach;
mod cgroups;
mod config;
mod connection;
mod container;
mod core;
mod events;
mod exec;
mod image;
mod keyed;
pub mod logger;
mod namespaces;
mod network;
mod observe;
mod private;
mod runtime;
mod sandbox;
pub mod testing;

pub use config::{ContainerdConfig, LoggerCommand, Registries};
pub use image::LayoutError;
pub use network::{NetworkConfig, NetworkPlugins};
pub use private::{PrivateContainerd, PrivateContainerdError};
pub use runtime::ContainerdRuntime;
