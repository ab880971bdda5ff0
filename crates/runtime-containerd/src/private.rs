//! A containerd of our own.

use std::{
    fs,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{process::Command, sync::watch};

use crate::connection::Connection;

/// Longest that containerd may take to serve after its start; 25 ms on an idle machine.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Longest that one that serves may take to answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// Longest that it may take to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// A containerd with its own root, state, socket and configuration, all in one directory, beside any that the machine has.
///
/// It outlives us, and the containers outlive it: dropping this stops nothing. Starting again in the same directory finds
/// the running one by its pid file and socket.
pub struct PrivateContainerd {
    dir: PathBuf,
    pid: Pid,
    /// Turns true when the process that we started ended.
    exited: watch::Receiver<bool>,
}

/// Why there is no private containerd.
#[derive(Debug, thiserror::Error)]
pub enum PrivateContainerdError {
    /// Its directory cannot be used: check permissions and space.
    #[error("cannot use {}: {source}", path.display())]
    Directory {
        /// What could not be read or written.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The program cannot be run: install containerd.
    #[error("cannot run containerd: {0} (is the package `containerd` installed?)")]
    Program(#[source] std::io::Error),
    /// It ran and does not serve.
    #[error("containerd does not serve on {}: {reason}; see {}", socket.display(), log.display())]
    NotServing {
        /// Where it should.
        socket: PathBuf,
        /// Its log.
        log: PathBuf,
        /// What is known.
        reason: String,
    },
}

impl PrivateContainerd {
    /// Starts containerd in this directory, which must be on a file system that overlayfs or at least plain copies can use, or finds
    /// the one that runs there; returns when it serves.
    pub async fn start(dir: impl Into<PathBuf>) -> Result<Self, PrivateContainerdError> {
        let dir = dir.into();
        if let Some(pid) = running(&dir) {
            tracing::info!(%pid, dir = %dir.display(), "found our containerd running");
            let mut containerd = Self { dir, pid, exited: watch_other(pid) };
            // Perhaps it is only just starting. A second one in the same directory would do harm.
            containerd.wait_until_serving().await?;
            return Ok(containerd);
        }
        let (pid, exited) = spawn(&dir)?;
        let mut containerd = Self { dir, pid, exited };
        containerd.wait_until_serving().await?;
        Ok(containerd)
    }

    /// Where it serves.
    pub fn socket(&self) -> PathBuf {
        socket(&self.dir)
    }

    /// Its process.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Resolves when it ended, which it should not: start again then; the containers are running on.
    pub async fn exited(&self) {
        let mut exited = self.exited.clone();
        // An error means that the watching task is gone, which it is only after the exit.
        let _ = exited.wait_for(|exited| *exited).await;
    }

    /// Stops it. Containers run on, and are found by the next one started in this directory.
    pub async fn stop(self) {
        if kill(self.pid, Signal::SIGTERM) != Err(Errno::ESRCH)
            && tokio::time::timeout(STOP_DEADLINE, self.exited()).await.is_err()
        {
            let _ = kill(self.pid, Signal::SIGKILL);
            self.exited().await;
        }
        let _ = fs::remove_file(self.dir.join(PID_FILE));
    }

    async fn wait_until_serving(&mut self) -> Result<(), PrivateContainerdError> {
        let attempts = async {
            // Its socket appears without any notice that could be waited for.
            while !serves(&self.dir).await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let mut exited = self.exited.clone();
        let reason = tokio::select! {
            () = attempts => return Ok(()),
            _ = exited.wait_for(|exited| *exited) => "it ended".to_owned(),
            () = tokio::time::sleep(START_DEADLINE) => format!("not within {} s", START_DEADLINE.as_secs()),
        };
        Err(PrivateContainerdError::NotServing {
            socket: self.socket(),
            log: self.dir.join(LOG_FILE),
            reason,
        })
    }
}

const PID_FILE: &str = "containerd.pid";
const LOG_FILE: &str = "containerd.log";
const CONFIG_FILE: &str = "config.toml";

fn socket(dir: &Path) -> PathBuf {
    dir.join("containerd.sock")
}

fn config(dir: &Path) -> String {
    let quote = |name: &str| serde_json::Value::from(dir.join(name).to_string_lossy()).to_string();
    format!(
        "version = 2\nroot = {root}\nstate = {state}\n\
         disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.snapshotter.v1.aufs\", \
         \"io.containerd.snapshotter.v1.btrfs\", \"io.containerd.snapshotter.v1.devmapper\", \
         \"io.containerd.snapshotter.v1.zfs\", \"io.containerd.internal.v1.opt\", \
         \"io.containerd.tracing.processor.v1.otlp\"]\n\
         [grpc]\naddress = {socket}\n[ttrpc]\naddress = {ttrpc}\n",
        root = quote("root"),
        state = quote("state"),
        socket = quote("containerd.sock"),
        ttrpc = quote("containerd.sock.ttrpc"),
    )
}

fn spawn(dir: &Path) -> Result<(Pid, watch::Receiver<bool>), PrivateContainerdError> {
    let at = |path: PathBuf| move |source| PrivateContainerdError::Directory { path, source };
    fs::create_dir_all(dir).map_err(at(dir.to_owned()))?;
    let config_file = dir.join(CONFIG_FILE);
    fs::write(&config_file, config(dir)).map_err(at(config_file.clone()))?;
    let log_file = dir.join(LOG_FILE);
    let log = fs::File::options().append(true).create(true).open(&log_file).map_err(at(log_file.clone()))?;
    let errors = log.try_clone().map_err(at(log_file))?;
    let mut child = Command::new("containerd")
        .arg("-c")
        .arg(&config_file)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        // Signals for our process group, like a terminal's interrupt, are not for it.
        .process_group(0)
        .spawn()
        .map_err(PrivateContainerdError::Program)?;
    let ended_at_once = || PrivateContainerdError::Program(std::io::Error::other("it ended at once"));
    let pid = child.id().and_then(process).ok_or_else(ended_at_once)?;
    let pid_file = dir.join(PID_FILE);
    fs::write(&pid_file, pid.to_string()).map_err(at(pid_file))?;
    let (ended, exited) = watch::channel(false);
    tokio::spawn(async move {
        let status = child.wait().await;
        tracing::info!(%pid, ?status, "containerd ended");
        ended.send_replace(true);
    });
    Ok((pid, exited))
}

/// One process, and never what `kill` takes for a group (0, negative) or init.
fn process(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().filter(|pid| *pid > 1).map(Pid::from_raw)
}

/// The process of the pid file if it is still the containerd of this directory.
fn running(dir: &Path) -> Option<Pid> {
    let pid = fs::read_to_string(dir.join(PID_FILE)).ok()?.trim().parse().ok().and_then(process)?;
    let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let config_file = dir.join(CONFIG_FILE);
    let ours =
        command.split(|byte| *byte == 0).any(|word| word == config_file.as_os_str().as_encoded_bytes());
    ours.then_some(pid)
}

async fn serves(dir: &Path) -> bool {
    let Ok(connection) = Connection::new(&socket(dir), "orch") else { return false };
    let mut version = connection.version();
    let answer = tokio::time::timeout(ANSWER_DEADLINE, version.version(connection.request(())));
    matches!(answer.await, Ok(Ok(_)))
}

/// Follows a process that is not our child, by a thread that sleeps until it ends.
fn watch_other(pid: Pid) -> watch::Receiver<bool> {
    let (ended, exited) = watch::channel(false);
    let descriptor = rustix::process::Pid::from_raw(pid.as_raw())
        .and_then(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok());
    let wait = move || {
        // Without a descriptor it is gone already.
        if let Some(descriptor) = descriptor {
            let mut polled = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
            while poll(&mut polled, PollTimeout::NONE) == Err(Errno::EINTR) {}
        }
        ended.send_replace(true);
    };
    if let Err(error) = std::thread::Builder::new().name("containerd-exit".into()).spawn(wait) {
        tracing::warn!(%pid, %error, "cannot follow containerd");
    }
    exited
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `kill` takes 0 and negative numbers for groups, and −1 for everybody.
    #[test]
    fn only_one_ordinary_process_is_ever_signalled() {
        assert_eq!([0, 1, u32::MAX, 1 << 31].map(process), [None; 4]);
        assert_eq!(process(4711), Some(Pid::from_raw(4711)));
    }

    #[test]
    fn a_pid_file_of_another_program_is_not_ours() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["-1", "0", "nonsense", &std::process::id().to_string()] {
            fs::write(dir.path().join(PID_FILE), text).unwrap();
            assert_eq!(running(dir.path()), None, "{text}");
        }
    }
}
