//! Volumes on the disk.

mod atomic;
mod host;
mod tmpfs;

pub use self::host::remove_data;
pub(crate) use self::{
    atomic::{File, Payload},
    host::{VolumeError, pods_on_disk, remove_logs, set_up, tear_down},
};
