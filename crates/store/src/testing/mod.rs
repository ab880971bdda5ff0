//! For tests of what stands above a store: a store with faults, a real etcd, and a connection that can be cut.

#![expect(clippy::unwrap_used, clippy::panic, reason = "for tests: a panic is their verdict")]

mod etcd_server;
mod faulty;
mod proxy;

pub use etcd_server::EtcdServer;
pub use faulty::{Fault, FaultyStore};
pub use proxy::Proxy;
