//! The program between a container and its log file.
//!
//! A shim starts it with the container's standard output as descriptor 3, standard error as 4, and 5 to close when it is ready; it
//! lives as long as they are open, whatever happens to the agent. So no line is lost, and no container blocks, while
//! the agent restarts. It is one thread with two buffers.
//!
//! Format: Kubernetes' CRI log format, `<RFC 3339 time with nanoseconds> <stream> <F|P> <text>`; a line longer than
//! [`LONGEST_LINE_BYTES`] is written in parts, all but the last tagged `P`. docs/decisions/0003-container-logs.md says why it is so.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::fd::{AsFd, RawFd},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{SigSet, Signal},
};
use serde::{Deserialize, Serialize};

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
        Self { file, lines: Lines { stream: name, partial: Vec::new() }, ended: false }
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

/// Cuts one stream into CRI lines.
struct Lines {
    stream: &'static str,
    partial: Vec<u8>,
}

impl Lines {
    fn push(&mut self, mut bytes: &[u8], now: Timestamp, text: &mut Vec<u8>) {
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (line, rest) = bytes.split_at(end);
            self.part(line, now, text);
            self.write('F', now, text);
            bytes = rest.get(1..).unwrap_or_default();
        }
        self.part(bytes, now, text);
    }

    /// More of the current line; writes what is too long to be kept.
    fn part(&mut self, mut bytes: &[u8], now: Timestamp, text: &mut Vec<u8>) {
        while self.partial.len() + bytes.len() > LONGEST_LINE_BYTES {
            let (head, rest) = bytes.split_at(LONGEST_LINE_BYTES - self.partial.len());
            self.partial.extend_from_slice(head);
            self.write('P', now, text);
            bytes = rest;
        }
        self.partial.extend_from_slice(bytes);
    }

    fn end(&mut self, now: Timestamp, text: &mut Vec<u8>) {
        if !self.partial.is_empty() {
            self.write('F', now, text);
        }
    }

    fn write(&mut self, tag: char, now: Timestamp, text: &mut Vec<u8>) {
        text.extend_from_slice(format!("{now:.9} {} {tag} ", self.stream).as_bytes());
        text.append(&mut self.partial);
        text.push(b'\n');
    }
}

/// The file, its rotation, and what was lost.
struct Log {
    config: LoggerConfig,
    file: io::Result<File>,
    size_bytes: u64,
    lost_bytes: u64,
}

impl Log {
    fn open(config: LoggerConfig) -> Self {
        let file = open(&config.path);
        let size_bytes =
            file.as_ref().ok().and_then(|file| file.metadata().ok()).map_or(0, |data| data.len());
        Self { config, file, size_bytes, lost_bytes: 0 }
    }

    /// Never fails: a container must not stop because its log cannot be written.
    fn append(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        if self.size_bytes > 0 && self.size_bytes + text.len() as u64 > self.config.max_file_bytes {
            self.rotate();
        }
        if self.file.is_err() {
            self.file = open(&self.config.path);
        }
        match self.write(text) {
            Ok(()) => self.size_bytes += text.len() as u64,
            Err(_) => self.lost_bytes += text.len() as u64,
        }
    }

    fn write(&mut self, text: &[u8]) -> io::Result<()> {
        let Ok(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        if self.lost_bytes > 0 {
            let note = format!("{:.9} stderr F [{} bytes of log lost]\n", Timestamp::now(), self.lost_bytes);
            file.write_all(note.as_bytes())?;
            self.lost_bytes = 0;
        }
        file.write_all(text)
    }

    /// `0.log` becomes `0.log.1`, that becomes `0.log.2`, the oldest goes.
    fn rotate(&mut self) {
        let numbered = |n: u32| {
            let mut name = self.config.path.clone().into_os_string();
            if n > 0 {
                name.push(format!(".{n}"));
            }
            PathBuf::from(name)
        };
        if self.config.max_files < 2 {
            let _ = std::fs::remove_file(&self.config.path);
        }
        for n in (1..self.config.max_files).rev() {
            let _ = std::fs::rename(numbered(n - 1), numbered(n));
        }
        self.file = open(&self.config.path);
        self.size_bytes = 0;
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(chunks: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut text) = (Lines { stream: "stdout", partial: vec![] }, vec![]);
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        chunks.iter().for_each(|chunk| lines.push(chunk, now, &mut text));
        lines.end(now, &mut text);
        let prefix = "2026-01-01T00:00:00.000000000Z stdout ";
        let text = String::from_utf8(text).unwrap();
        text.lines().map(|line| line.strip_prefix(prefix).unwrap().to_owned()).collect()
    }

    #[test]
    fn lines_are_found_across_reads() {
        assert_eq!(texts(&[b"on", b"e\ntwo\n\nth", b"ree"]), ["F one", "F two", "F ", "F three"]);
        assert_eq!(texts(&[]), [""; 0]);
    }

    #[test]
    fn long_lines_are_written_in_parts() {
        let long = vec![b'x'; 2 * LONGEST_LINE_BYTES + 1];
        let parts = texts(&[&long, b"\nshort\n"]);
        let lengths: Vec<(char, usize)> =
            parts.iter().map(|part| (part.chars().next().unwrap(), part.len() - 2)).collect();
        assert_eq!(lengths, [('P', LONGEST_LINE_BYTES), ('P', LONGEST_LINE_BYTES), ('F', 1), ('F', 5)]);
        let exact = vec![b'x'; LONGEST_LINE_BYTES];
        assert_eq!(texts(&[&exact, b"\n"]).len(), 1);
    }

    fn log(dir: &Path, max_file_bytes: u64) -> Log {
        Log::open(LoggerConfig { path: dir.join("0.log"), max_file_bytes, max_files: 3 })
    }

    #[test]
    fn files_are_rotated_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = log(dir.path(), 10);
        for n in 0..5 {
            log.append(format!("line {n}\n").as_bytes());
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(
            (read("0.log"), read("0.log.1"), read("0.log.2")),
            ("line 4\n".into(), "line 3\n".into(), "line 2\n".into())
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn what_could_not_be_written_is_noted_later() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("not-yet");
        let mut log = log(&inner, 1000);
        log.append(b"lost\n");
        std::fs::create_dir(&inner).unwrap();
        log.append(b"kept\n");
        let text = std::fs::read_to_string(inner.join("0.log")).unwrap();
        assert!(text.contains("[5 bytes of log lost]\nkept\n"), "{text}");
    }
}
