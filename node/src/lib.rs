//! The node agent.

mod layout;
mod logs;
mod spec;
#[cfg(test)]
mod testing;
mod volumes;

pub use layout::Layout;
