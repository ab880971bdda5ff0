//! The program between a container and its log file.
//!
//! A shim starts it with the container's standard output as descriptor 3, standard error as 4, and 5 to close when it is ready. For
//! a container that has an input or a terminal, which shims only connect to FIFOs, the agent starts it, and it closes its standard
//! output when it is ready. It lives as long as its streams are open, whatever happens to the agent. So no line is lost, and no
//! container blocks, while the agent restarts. It is one thread with two buffers, and one for each who is attached.
//!
//! Format: Kubernetes' CRI log format, `<RFC 3339 time with nanoseconds> <stream> <F|P> <text>`; a line longer than
//! [`LONGEST_LINE_BYTES`] is written in parts, all but the last tagged `P`. docs/decisions/0003-container-logs.md says why it is so.

pub(crate) mod audience;
mod file;
mod lines;

use std::{
    fs::File,
    io::{self, Read as _},
    os::{
        fd::{AsFd as _, RawFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use nix::{
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{SigSet, Signal},
};
use serde::{Deserialize, Serialize};

use self::{
    audience::{Audience, STDERR, STDOUT},
    file::Log,
    lines::Lines,
};

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
    /// Where those who attach find its socket, and with `fifos` the streams.
    #[serde(default)]
    pub dir: Option<PathBuf>,
    /// Whether the streams are FIFOs, `stdout` and `stderr` in that directory, the second only if it is there.
    #[serde(default)]
    pub fifos: bool,
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
    let fifos = config.dir.as_ref().filter(|_| config.fifos);
    let (streams, ready) = match fifos {
        Some(dir) => (open_fifos(dir)?, 1),
        None => (vec![adopt(3)?, adopt(4)?], 5),
    };
    // A container must not stop because nobody can attach to it.
    let audience = config.dir.as_deref().and_then(|dir| Audience::open(dir).ok()).unwrap_or_default();
    let mut log = Log::open(config);
    nix::unistd::close(ready)?;
    copy(streams, &mut log, audience)
}

/// Opens the FIFOs, whether somebody writes to them yet or not. They end when those who did have closed them.
fn open_fifos(dir: &Path) -> io::Result<Vec<File>> {
    let open = |name: &str| {
        let mut options = File::options();
        options.read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(dir.join(name))
    };
    let stdout = open("stdout")?;
    match open("stderr") {
        Ok(stderr) => Ok(vec![stdout, stderr]),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![stdout]),
        Err(error) => Err(error),
    }
}

/// Takes over an inherited descriptor, by way of `/proc`, which needs no unsafe code.
fn adopt(descriptor: RawFd) -> io::Result<File> {
    let file = File::open(format!("/proc/self/fd/{descriptor}"))?;
    nix::unistd::close(descriptor)?;
    Ok(file)
}

fn copy(streams: Vec<File>, log: &mut Log, mut audience: Audience) -> io::Result<()> {
    let names = [("stdout", STDOUT), ("stderr", STDERR)];
    let mut sources: Vec<Source> = streams.into_iter().zip(names).map(Source::new).collect();
    let mut chunk = vec![0; 4 * LONGEST_LINE_BYTES];
    let mut text = Vec::new();
    while !sources.is_empty() {
        let readable = wait(&sources, &mut audience)?;
        for (source, _) in sources.iter_mut().zip(readable).filter(|(_, readable)| *readable) {
            let bytes = match source.file.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                read => read?,
            };
            let read = chunk.get(..bytes).unwrap_or_default();
            source.ended = bytes == 0;
            source.lines.push(read, Timestamp::now(), &mut text);
            if source.ended {
                source.lines.end(Timestamp::now(), &mut text);
            }
            log.append(&text);
            text.clear();
            audience.tell(source.number, read);
        }
        sources.retain(|source| !source.ended);
    }
    audience.dismiss();
    Ok(())
}

struct Source {
    file: File,
    /// To those who are attached.
    number: u8,
    lines: Lines,
    ended: bool,
}

impl Source {
    fn new((file, (name, number)): (File, (&'static str, u8))) -> Self {
        Self { file, number, lines: Lines::new(name), ended: false }
    }
}

/// Blocks until something can be read or has ended, and says what. Who came to attach before it was written is there by then.
fn wait(sources: &[Source], audience: &mut Audience) -> io::Result<Vec<bool>> {
    let output = sources.iter().map(|source| PollFd::new(source.file.as_fd(), PollFlags::POLLIN));
    let mut polled: Vec<PollFd<'_>> = output.chain(audience.polled()).collect();
    match poll(&mut polled, PollTimeout::NONE) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut ready: Vec<bool> = polled.iter().map(|fd| fd.any().unwrap_or(false)).collect();
    drop(polled);
    if ready.split_off(sources.len()).contains(&true) {
        audience.attend();
    }
    Ok(ready)
}
