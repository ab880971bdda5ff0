//! Processes started inside running containers.

use std::{fmt, future::Future, pin::Pin};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

use crate::RuntimeError;

/// What to run inside a container. Environment, user and working directory are the container's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecRequest {
    /// The executable, looked up in the container's `PATH`, and its arguments.
    pub command: Vec<String>,
    /// Whether the process gets a standard input; else it reads end of file.
    pub stdin: bool,
    /// Runs it on a terminal of this size; standard error is then part of standard output.
    pub terminal: Option<TerminalSize>,
}

/// Size of a terminal in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    /// Characters a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// A process running inside a container. Dropping [`exit`](Self::exit) before it resolved kills the process.
///
/// The process blocks while its output is not read: read both streams to their end, concurrently with the wait.
pub struct ExecSession {
    /// Present if asked for; dropping it ends the process's input.
    pub stdin: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    /// Ends when every process that holds it ended.
    pub stdout: Pin<Box<dyn AsyncRead + Send>>,
    /// Empty on a terminal.
    pub stderr: Pin<Box<dyn AsyncRead + Send>>,
    /// Present on a terminal: changes its size.
    pub resize: Option<mpsc::Sender<TerminalSize>>,
    /// Resolves to the exit code (128 + n when signal n ended it); its output may still be in the streams.
    pub exit: Pin<Box<dyn Future<Output = Result<i32, RuntimeError>> + Send>>,
}

impl fmt::Debug for ExecSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecSession").field("stdin", &self.stdin.is_some()).finish_non_exhaustive()
    }
}
