//! Taking part in what a container's first process reads and writes, and in the network of a sandbox.

use std::{fmt, pin::Pin};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

use crate::TerminalSize;

/// A part in a running container's input and output. Dropping it changes nothing for the process, except for
/// [`stdin`](Self::stdin).
///
/// The outputs begin with what is written after the call, and end when the container has ended. A reader that falls too far
/// behind gets an error in place of the rest: a container never waits for those who watch it, and its log has everything.
/// Read both at the same time.
pub struct AttachSession {
    /// Present if it was asked for, and the container has an input that nobody has ended. Dropping it, or shutting it down, ends
    /// the input of a container with [`Stdin::Once`](crate::Stdin::Once) and no terminal, and of no other.
    pub stdin: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    /// Standard output, or all that a terminal shows.
    pub stdout: Pin<Box<dyn AsyncRead + Send>>,
    /// Empty with a terminal.
    pub stderr: Pin<Box<dyn AsyncRead + Send>>,
    /// Present with a terminal: changes its size.
    pub resize: Option<mpsc::Sender<TerminalSize>>,
}

impl fmt::Debug for AttachSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AttachSession").field("stdin", &self.stdin.is_some()).finish_non_exhaustive()
    }
}

/// A stream of bytes in both directions, each of which ends by itself.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection to a port of a sandbox. Shutting it down ends one direction, dropping it both.
pub type Connection = Box<dyn Duplex>;
