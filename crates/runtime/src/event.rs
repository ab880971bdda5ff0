//! Nudges.

use crate::ContainerId;

/// A hint that [`observe`](crate::Runtime::observe) would say something new.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RuntimeEvent {
    /// Anything may have changed: the stream has just begun, or events were missed.
    Resync,
    /// The container's process ended; by now `observe` shows it as exited.
    ContainerExited {
        /// Which.
        id: ContainerId,
        /// As in [`Exit::code`](crate::Exit::code).
        exit_code: i32,
    },
    /// The kernel killed a process of the container for lack of memory; an exit may follow.
    OutOfMemory {
        /// Which.
        id: ContainerId,
    },
}
