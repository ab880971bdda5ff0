//! Servers on loopback, each connection of which is served by a process of git's or of OpenSSH's. They end with the test.

mod http;
mod process;
mod ssh;

pub(crate) use http::{Authority, HttpServer};
pub(crate) use process::{Silent, daemon};
pub(crate) use ssh::{SshServer, key, public};
