//! The program between a container and its log file.
//!
//! A shim starts it with the container's standard output as descriptor 3, standard error as 4, and 5 to close when it is ready; it
//! lives as long as they are open, whatever happens to the agent. So no line is lost, and no container blocks, while
//! the agent restarts. It is one thread with two buffers.
//!
//! Format: Kubernetes' CRI log format, `<RFC 3339 time with nanoseconds> <stream> <F|P> <text>`; a line longer than
//! [`LONGEST_LINE_BYTES`] is written in parts, all but the last tagged `P`. docs/decisions/0003-container-logs.md says why it is so.

mod file;
mod lines;

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd as _, RawFd},
    path::PathBuf,
};

use jiff::Timestamp;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{SigSet, Signal},
};
use serde::{Deserialize, Serialize};

use self::{file::Log, lines::Lines};

/// As in containerd's CRI plugin and Docker.
pub const LONGEST_LINE_BYTES: usize = 16 << 10;

/// What the logger is told, as JSON, in its last argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggerConfig {
    /// The log file, appended to.
    pub path: PathBuf,
    /// Rotated when larger.
    pub max_file_bytes: u64,
    /// Files kept, the current one included.
    pub max_files: u32,
}

/// Logs until the container's streams end; to be called by the program named in
/// [`LoggerCommand`](crate::LoggerCommand) with the argument after its subcommand, before it starts any thread.
///
/// A full disk loses lines, never stops the container, and is noted in the log when there is space again.
pub fn run(config: &str) -> io::Result<()> {
    let config: LoggerConfig = serde_json::from_str(config)?;
    // The shim sends SIGTERM when it is done with the container, with the last lines perhaps still in the pipe.
    let mut stopping = SigSet::empty();
    stopping.add(Signal::SIGTERM);
    stopping.add(Signal::SIGINT);
    stopping.thread_block()?;
    let streams = [adopt(3)?, adopt(4)?];
    let mut log = Log::open(config);
    nix::unistd::close(5)?;
    copy(streams, &mut log)
}

/// Takes over an inherited descriptor, by way of `/proc`, which needs no unsafe code.
fn adopt(descriptor: RawFd) -> io::Result<File> {
    let file = File::open(format!("/proc/self/fd/{descriptor}"))?;
    nix::unistd::close(descriptor)?;
    Ok(file)
}

fn copy(streams: [File; 2], log: &mut Log) -> io::Result<()> {
    let mut sources: Vec<Source> = streams.into_iter().zip(["stdout", "stderr"]).map(Source::new).collect();
    let mut chunk = vec![0; 4 * LONGEST_LINE_BYTES];
    let mut text = Vec::new();
    while !sources.is_empty() {
        let readable = wait(&sources)?;
        for (source, _) in sources.iter_mut().zip(readable).filter(|(_, readable)| *readable) {
            let bytes = source.file.read(&mut chunk)?;
            source.ended = bytes == 0;
            source.lines.push(chunk.get(..bytes).unwrap_or_default(), Timestamp::now(), &mut text);
            if source.ended {
                source.lines.end(Timestamp::now(), &mut text);
            }
            log.append(&text);
            text.clear();
        }
        sources.retain(|source| !source.ended);
    }
    Ok(())
}

struct Source {
    file: File,
    lines: Lines,
    ended: bool,
}

impl Source {
    fn new((file, name): (File, &'static str)) -> Self {
        Self { file, lines: Lines::new(name), ended: false }
    }
}

/// Blocks until something can be read or has ended, and says what.
fn wait(sources: &[Source]) -> io::Result<Vec<bool>> {
    let mut polled: Vec<PollFd<'_>> =
        sources.iter().map(|source| PollFd::new(source.file.as_fd(), PollFlags::POLLIN)).collect();
    match poll(&mut polled, PollTimeout::NONE) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(polled.iter().map(|fd| fd.any().unwrap_or(false)).collect())
}
