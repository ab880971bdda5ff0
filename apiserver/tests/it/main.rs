//! The API server over TLS, on the embedded store, with the built-in kinds.

mod access;
mod bodies;
mod deletes;
mod discovery;
mod host;
mod lists;
mod local;
mod streams;
mod views;
mod watches;
mod writes;
