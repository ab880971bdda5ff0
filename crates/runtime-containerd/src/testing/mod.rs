//! What tests and the quickstart need: an image without a registry, and a host of their own.

mod busybox;
mod host;

pub use busybox::build_busybox_layout;
pub use host::TestHost;
