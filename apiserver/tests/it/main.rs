//! The API server over TLS, on the embedded store, with the built-in kinds.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets the unexpected fails")]

mod access;
mod accounts;
mod applies;
mod attacks;
mod audit;
mod bodies;
mod changes;
mod definitions;
mod deletes;
mod discovery;
mod encryption;
mod expiry;
mod fairness;
mod faults;
mod forms;
mod host;
mod impersonation;
mod limits;
mod lists;
mod local;
mod mounts;
mod oidc;
mod origins;
mod pasts;
mod plans;
mod policies;
mod relations;
mod streams;
mod subresources;
mod tokens;
mod views;
mod watches;
mod writes;
