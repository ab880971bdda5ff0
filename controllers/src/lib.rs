//! Every controller of the system, and the one list of them.
//!
//! A controller compares what should be with what is and writes what is missing; it talks to nobody but the API. Most are
//! planners: a pure function from a world to a plan. Start reading at [`workload`], then [`run`].
#![deny(missing_docs)]

pub mod garbage;
pub mod namespace;
pub mod service_account;
pub mod workload;
