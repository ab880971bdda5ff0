//! `orchd up` for one test.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::{Run, Spawned, binary, kubectl_path};
use crate::wait::eventually;

/// The image that [`Orchd::real`] has: busybox under all its names.
pub const IMAGE: &str = "localhost/orch/busybox:1";

/// How long `orchd` may take from SIGTERM to its end.
const STOP: Duration = Duration::from_secs(5);

/// A running `orchd up` and its data directory. Dropped, it is reset: containers, networks and files are removed.
#[derive(Debug)]
pub struct Orchd {
    process: Child,
    args: Vec<String>,
    directory: tempfile::TempDir,
}

impl Orchd {
    /// Starts `orchd up` on a new data directory and a free port, and waits until it is ready.
    pub fn start(args: &[&str]) -> Self {
        Self::start_in(tempfile::Builder::new().prefix("orch-test-").tempdir().unwrap(), args)
    }

    /// Starts one that trusts and is trusted by the clients of another: with a copy of its keys.
    pub fn join(other: &Self, args: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("orch-test-").tempdir().unwrap();
        let (from, to) = (other.data_dir().join("pki"), directory.path().join("pki"));
        std::fs::create_dir(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
        Self::start_in(directory, args)
    }

    fn start_in(directory: tempfile::TempDir, args: &[&str]) -> Self {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let process = up(directory.path(), &args);
        Self { process, args, directory }
    }

    /// Starts one on the simulated runtime.
    pub fn simulated(nodes: u32) -> Self {
        Self::start(&["--runtime", "simulated", "--simulate-nodes", &nodes.to_string()])
    }

    /// Starts one with real containers, on a containerd of its own, which has [`IMAGE`].
    pub fn real() -> Self {
        let orch = Self::start(&["--containerd", "private", "--pod-cidr", &pod_cidr()]);
        let tar = orch.data_dir().join("busybox.tar");
        let maker = Path::new(env!("CARGO_MANIFEST_DIR")).join("../hack/busybox-image");
        Run::new(Command::new(maker).arg(&tar).arg(IMAGE), "").ok();
        let (tar, dir) = (tar.to_string_lossy(), orch.data_dir().to_string_lossy());
        orch.orchd(&["image", "import", &tar, "--data-dir", &dir]).ok();
        orch
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        self.directory.path()
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data_dir().join("admin.kubeconfig")
    }

    /// Where it serves, as `host:port`. Another one after each start.
    pub fn address(&self) -> String {
        let kubeconfig = std::fs::read_to_string(self.kubeconfig()).unwrap();
        let server =
            kubeconfig.lines().find_map(|line| line.trim().strip_prefix("server: https://")).unwrap();
        server.trim_matches('"').to_owned()
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Runs `orchctl` as the administrator.
    pub fn orchctl(&self, args: &[&str]) -> Run {
        self.orchctl_with(args, "")
    }

    /// Runs `orchctl` as the administrator, with something on its standard input.
    pub fn orchctl_with(&self, args: &[&str], input: &str) -> Run {
        Run::new(Command::new(binary("orchctl")).args(args).env("KUBECONFIG", self.kubeconfig()), input)
    }

    /// Runs another command of `orchd`.
    pub fn orchd(&self, args: &[&str]) -> Run {
        Run::new(Command::new(binary("orchd")).args(args), "")
    }

    /// Runs a real `kubectl` as the administrator.
    pub fn kubectl(&self, args: &[&str]) -> Run {
        self.kubectl_with(args, "")
    }

    /// Runs a real `kubectl` as the administrator, with something on its standard input.
    pub fn kubectl_with(&self, args: &[&str], input: &str) -> Run {
        Run::new(&mut self.kubectl_command(args), input)
    }

    /// Runs a real `kubectl` as the administrator, with a variable in its environment.
    pub fn kubectl_env(&self, args: &[&str], name: &str, value: &str) -> Run {
        Run::new(self.kubectl_command(args).env(name, value), "")
    }

    /// Starts a real `kubectl` that goes on until it is dropped, such as a watch.
    pub fn kubectl_spawn(&self, args: &[&str]) -> Spawned {
        Spawned::new(&mut self.kubectl_command(args))
    }

    /// Starts an `orchctl` that goes on until it is dropped, such as a watch.
    pub fn orchctl_spawn(&self, args: &[&str]) -> Spawned {
        Spawned::new(Command::new(binary("orchctl")).args(args).env("KUBECONFIG", self.kubeconfig()))
    }

    /// Runs any Kubernetes client as the administrator, with something on its standard input and variables in its environment.
    pub fn run(&self, client: &Path, args: &[&str], input: &str, environment: &[(&str, &str)]) -> Run {
        Run::new(self.command(client, args).envs(environment.iter().copied()), input)
    }

    fn kubectl_command(&self, args: &[&str]) -> Command {
        self.command(&kubectl_path(), args)
    }

    fn command(&self, client: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(client);
        command.args(args).env("KUBECONFIG", self.kubeconfig()).env("HOME", self.data_dir());
        command
    }

    /// Ends it as an operator would, and checks that it ends in time.
    pub fn stop(&mut self) {
        signal(&self.process, Signal::SIGTERM);
        eventually("orchd to stop", STOP, || self.process.try_wait().unwrap().is_some());
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Starts it again on the same data directory, after [`Orchd::stop`] or [`Orchd::kill`].
    pub fn start_again(&mut self) {
        self.process = up(self.directory.path(), &self.args);
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.data_dir().join("orchd.log")).unwrap_or_default()
    }
}

impl Drop for Orchd {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(60).collect();
            eprintln!("── the end of orchd's log\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
        drop(self.process.kill());
        drop(self.process.wait());
        let mut reset = Command::new(binary("orchd"));
        let run = Run::new(reset.args(["reset", "--yes", "--data-dir"]).arg(self.data_dir()), "");
        if run.code != Some(0) {
            eprintln!("orchd reset failed: {}", run.stderr);
        }
    }
}

/// Each test's pods get addresses of their own, because they share this machine's network.
fn pod_cidr() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let third = (std::process::id() % 50) as u8 * 5 + NEXT.fetch_add(1, Ordering::Relaxed) % 5;
    format!("{}/24", Ipv4Addr::new(10, 93, third, 0))
}

fn up(directory: &Path, args: &[String]) -> Child {
    let log = File::options().create(true).append(true).open(directory.join("orchd.log")).unwrap();
    let mut process = Command::new(binary("orchd"))
        .args(["up", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(directory)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let stdout = process.stdout.take().unwrap();
    assert!(is_ready(stdout), "orchd ended before it was ready:\n{}", read(directory));
    process
}

/// Reads until the ready line, which is the last.
fn is_ready(stdout: ChildStdout) -> bool {
    BufReader::new(stdout).lines().map_while(Result::ok).any(|line| line.starts_with("ready"))
}

fn read(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("orchd.log")).unwrap_or_default()
}

fn signal(process: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(process.id()).unwrap());
    kill(pid, signal).unwrap();
}
