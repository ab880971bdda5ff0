//! The API server over TLS, on the embedded store, with the built-in kinds.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets the unexpected fails")]

mod access;
mod bodies;
mod definitions;
mod deletes;
mod discovery;
mod faults;
mod host;
mod lists;
mod local;
mod streams;
mod subresources;
mod views;
mod watches;
mod writes;
