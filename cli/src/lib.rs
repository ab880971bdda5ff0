//! Orch's two programs: `orchctl`, the client, and `orchd`, the server. Both are here as libraries, so that tests can run them
//! in their own process; the `main`s in `bin/` do nothing else.

pub mod ctl;
pub mod orchd;
