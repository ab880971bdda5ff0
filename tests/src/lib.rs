//! The test kit: Orch's processes, real etcd and real kubectl, started for one test and stopped with it.
//!
//! [`Orchd`] is `orchd up` as a user runs it: the binary, on its own data directory and port. [`Run`] is one command
//! line and what came of it, [`Spawned`] one that goes on. [`eventually`] waits for a condition with a deadline; nothing else here waits.
//!
//! It deliberately has no fakes. What a test needs and the machine lacks fails the test, with a hint.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what goes wrong in a test kit fails the test")]

mod command;
mod orchd;
mod wait;

pub use command::{Run, Spawned, binary, client, kubectl_path};
pub use orch_gitops::testing::GitServer;
pub use orchd::{IMAGE, Orchd};
pub use wait::{eventually, wait_for};

use orch_store::testing::EtcdServer;

/// Starts a real etcd and waits until it serves.
pub fn start_etcd() -> EtcdServer {
    tokio::runtime::Runtime::new().unwrap().block_on(EtcdServer::start())
}
