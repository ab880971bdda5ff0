//! The agent against a real API server and store, with simulated containers.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod cluster;
mod containerd;
mod failures;
mod lifecycle;
mod node;
mod sources;
mod streams;
