//! The node agent: runs the pods that are bound to its node, and reports what becomes of them.
//!
//! It compares the pods that the API has for the node with what the runtime has, and acts: sandboxes, images, containers,
//! volumes. It reports pods' statuses, registers the node and renews its lease, and serves logs and exec to the API server.
//!
//! It deliberately places no pods (the scheduler binds them), talks to no other component but the API, knows containers only as
//! an [`orch_runtime::Runtime`], and keeps no state of its own: what must survive it is written on what it made.
//!
//! # Invariants
//!
//! - **A decision is a pure function.** `plan::plan` turns a world and the time into actions, `status::pod_status` the same world
//!   into a status. Everything else carries them out.
//! - **The runtime is the truth.** Restart counts, last states and back-offs are read from the runs that are there, so an
//!   agent that is killed and started again disturbs no container and loses no exit.
//! - **At most one action at a time for a container, and one for its pod**; what one did is observed before the next is decided.
//! - **Nothing of an unknown pod is touched** before the API has listed all pods and the runtime was seen.
//! - **Nothing is removed before the API knows how it ended.**
//! - **Nothing polls.** A change of a pod, of what it refers to, of the runtime, or a time that a plan named wakes the loop.
//!
//! # Where to start
//!
//! [`NodeAgent`], then `plan/mod.rs` and `plan/run.rs`, `status/mod.rs`, `agent/core.rs` (the loop) and `agent/execute.rs` (the
//! effects). `plan/tests.rs` reads as the specification.
#![deny(missing_docs)]

mod agent;
mod layout;
mod logs;
mod plan;
mod server;
mod spec;
mod status;
#[cfg(test)]
mod testing;
mod volumes;

pub use agent::{Config, Machine, NodeAgent, ServerConfig};
use layout::Layout;
pub use volumes::remove_data;
