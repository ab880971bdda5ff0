//! The node agent.

mod layout;
mod logs;
mod plan;
mod spec;
mod status;
#[cfg(test)]
mod testing;
mod volumes;

pub use layout::Layout;
