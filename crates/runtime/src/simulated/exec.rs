//! Simulated processes inside simulated containers.

use std::{io::Cursor, time::Duration};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::program::Program;
use crate::{ExecRequest, ExecSession, RuntimeError};

/// Bytes of output that wait for a reader.
const PIPE_BYTES: usize = 64 << 10;

pub(super) fn session(request: &ExecRequest, program: Program) -> ExecSession {
    let (stdin, mut input) = tokio::io::duplex(PIPE_BYTES);
    let (mut output, stdout) = tokio::io::duplex(PIPE_BYTES);
    let reads_input = request.stdin;
    // A task of its own: like a process, it goes on while nobody waits for it.
    let process = tokio::spawn(async move {
        for line in &program.output {
            output.write_all(format!("{line}\n").as_bytes()).await.ok();
        }
        if program.copies_input && reads_input {
            let mut copied = Vec::new();
            input.read_to_end(&mut copied).await.ok();
            output.write_all(&copied).await.ok();
        }
        tokio::time::sleep(program.ends_after.unwrap_or(Duration::MAX)).await;
        program.code
    });
    let process = AbortOnDrop(process);
    ExecSession {
        stdin: request.stdin.then(|| Box::pin(stdin) as _),
        stdout: Box::pin(stdout),
        stderr: Box::pin(Cursor::new(Vec::new())),
        resize: request.terminal.map(|_| tokio::sync::mpsc::channel(1).0),
        exit: Box::pin(async move {
            let mut process = process;
            (&mut process.0).await.map_err(|error| RuntimeError::failed("exec", error))
        }),
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<i32>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
