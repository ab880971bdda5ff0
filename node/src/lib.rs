//! The node agent.

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
pub use layout::Layout;
