//! What a container's first process reads and writes, and who stands between it and its log.
//!
//! Each container has a directory. In it is the socket on which its logger takes those who attach, and, if it has an input or a
//! terminal, its FIFOs.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use nix::{fcntl::OFlag, sys::stat::Mode, unistd::mkfifo};
use orch_runtime::{ContainerId, ContainerSpec, Stdin};
use tokio::{io::AsyncReadExt as _, process::Command};

use crate::{config::LoggerCommand, core::Core, logger::LoggerConfig};

/// What a task is created with: paths, and URIs of programs. Empty is nothing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct TaskStreams {
    pub(super) stdin: String,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Core {
    /// Where the container's socket and FIFOs are.
    pub(crate) fn streams_dir(&self, id: &ContainerId) -> PathBuf {
        self.config.state_dir.join("streams").join(id.as_str())
    }

    /// Makes what the task is to be connected to. `resumes` says that it is there already, from a start that was interrupted.
    pub(super) async fn task_streams(&self, spec: &ContainerSpec, resumes: bool) -> io::Result<TaskStreams> {
        let Some(log_path) = &spec.log_path else { return Ok(TaskStreams::default()) };
        let dir = self.streams_dir(&spec.id);
        let fifos = is_interactive(spec);
        let config = logger_config(&self.config.logger, log_path, &dir, fifos);
        if !fifos {
            fs::create_dir_all(&dir)?;
            let output = logger_uri(&self.config.logger, &config);
            return Ok(TaskStreams { stdin: String::new(), stdout: output.clone(), stderr: output });
        }
        let streams = fifo_paths(&dir, spec);
        if !resumes {
            self.release_streams(&spec.id);
            fs::create_dir_all(&dir)?;
            for path in [&streams.stdin, &streams.stdout, &streams.stderr] {
                if !path.is_empty() {
                    mkfifo(path.as_str(), Mode::S_IRUSR | Mode::S_IWUSR)?;
                }
            }
            start_logger(&self.config.logger, &config).await?;
        }
        Ok(streams)
    }

    /// Removes the container's socket and FIFOs, and ends a logger that waits for a task that never was.
    pub(super) fn release_streams(&self, id: &ContainerId) {
        let dir = self.streams_dir(id);
        for name in ["stdout", "stderr"] {
            // A stream that was opened and closed again has ended. Nobody reading it is fine, and so is that it does not exist.
            let flags = OFlag::O_NONBLOCK.bits();
            drop(fs::File::options().write(true).custom_flags(flags).open(dir.join(name)));
        }
        let _ = fs::remove_dir_all(dir);
    }
}

/// Shims connect an input, or a terminal, to FIFOs only.
pub(super) fn is_interactive(spec: &ContainerSpec) -> bool {
    spec.terminal || spec.stdin != Stdin::Empty
}

fn fifo_paths(dir: &Path, spec: &ContainerSpec) -> TaskStreams {
    let path = |name: &str, is_wanted: bool| match is_wanted {
        true => dir.join(name).to_string_lossy().into_owned(),
        false => String::new(),
    };
    TaskStreams {
        stdin: path("stdin", spec.stdin != Stdin::Empty),
        stdout: path("stdout", true),
        stderr: path("stderr", !spec.terminal),
    }
}

fn logger_config(logger: &LoggerCommand, path: &Path, dir: &Path, fifos: bool) -> LoggerConfig {
    LoggerConfig {
        path: path.to_owned(),
        max_file_bytes: logger.max_file_bytes,
        max_files: logger.max_files,
        dir: Some(dir.to_owned()),
        fifos,
    }
}

/// Starts the logger as a process that outlives us; returns when it reads.
async fn start_logger(logger: &LoggerCommand, config: &LoggerConfig) -> io::Result<()> {
    let mut child = Command::new(&logger.binary)
        .arg(&logger.subcommand)
        .arg(serde_json::to_string(config)?)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Signals for our process group, like a terminal's interrupt, are not for it.
        .process_group(0)
        .spawn()?;
    let mut ready = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    ready.read_to_end(&mut Vec::new()).await?;
    if let Some(status) = child.try_wait()? {
        return Err(io::Error::other(format!("{} ended at once: {status}", logger.binary.display())));
    }
    // It is ours to bury if it ends before us.
    tokio::spawn(async move { child.wait().await });
    Ok(())
}

/// containerd 1.6 makes arguments of the query in no particular order: one key and its value are two arguments in order.
fn logger_uri(logger: &LoggerCommand, config: &LoggerConfig) -> String {
    let config = serde_json::to_string(config).unwrap_or_default();
    let binary = percent_encode(&logger.binary.to_string_lossy(), "/");
    format!("binary://{binary}?{}={}", percent_encode(&logger.subcommand, ""), percent_encode(&config, ""))
}

fn percent_encode(text: &str, keep: &str) -> String {
    let encode = |byte: u8| match char::from(byte) {
        c if c.is_ascii_alphanumeric() || "-._~".contains(c) || keep.contains(c) => c.to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use orch_runtime::conformance;

    use super::*;

    #[test]
    fn the_loggers_configuration_survives_the_uri() {
        let logger = LoggerCommand::new("/opt/my orchd", "log-pipe");
        let config = logger_config(&logger, "/var/log/ä&b.log".as_ref(), "/state".as_ref(), false);
        let uri = logger_uri(&logger, &config);
        let (binary, query) = uri.split_once('?').unwrap();
        assert_eq!(binary, "binary:///opt/my%20orchd");
        let (subcommand, config) = query.split_once('=').unwrap();
        assert_eq!(subcommand, "log-pipe");
        assert!(config.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)), "{config}");
        assert!(config.contains("%C3%A4%26b.log"), "{config}");
    }

    #[test]
    fn a_terminal_has_one_output_and_an_input_only_if_asked_for() {
        let mut spec = conformance::container(&conformance::sandbox("pod"), "image", &["sh"]);
        assert!(!is_interactive(&spec));
        spec.stdin = Stdin::Once;
        let streams = fifo_paths("/d".as_ref(), &spec);
        assert_eq!(
            [&*streams.stdin, &*streams.stdout, &*streams.stderr],
            ["/d/stdin", "/d/stdout", "/d/stderr"]
        );
        (spec.stdin, spec.terminal) = (Stdin::Empty, true);
        let streams = fifo_paths("/d".as_ref(), &spec);
        assert_eq!([&*streams.stdin, &*streams.stdout, &*streams.stderr], ["", "/d/stdout", ""]);
    }
}
