//! A runtime on a host of its own, with an image imported or a registry to pull from.
#![allow(dead_code, clippy::unwrap_used, reason = "shared by test files that each use a part of it")]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use orch_runtime::{ContainerId, ContainerSpec, ExecRequest, Exit, Runtime, SandboxSpec, conformance};
use orch_runtime_containerd::{
    ContainerdRuntime, LoggerCommand,
    testing::{TestHost, build_busybox_layout},
};
use tokio::io::AsyncReadExt as _;

pub(crate) mod registry;

pub(crate) const IMAGE: &str = "localhost/busybox:1";

pub(crate) struct Node {
    pub(crate) runtime: Option<Arc<ContainerdRuntime>>,
    pub(crate) host: TestHost,
    pub(crate) dir: tempfile::TempDir,
}

impl Node {
    /// A node without images.
    pub(crate) async fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let host = TestHost::start(dir.path()).await.unwrap();
        let mut node = Self { runtime: None, host, dir };
        node.connect().await;
        node
    }

    /// A node that has busybox.
    pub(crate) async fn start() -> Self {
        let node = Self::empty().await;
        let layout = node.dir.path().join("busybox.tar");
        build_busybox_layout(&layout, IMAGE).unwrap();
        node.runtime().import_oci_layout(&layout).await.unwrap();
        node
    }

    /// Drops the runtime if there is one, and makes another.
    pub(crate) async fn connect(&mut self) -> Arc<ContainerdRuntime> {
        self.runtime = None;
        let runtime = Arc::new(ContainerdRuntime::connect(self.host.config(logger())).await.unwrap());
        self.runtime = Some(runtime.clone());
        runtime
    }

    pub(crate) fn runtime(&self) -> Arc<ContainerdRuntime> {
        self.runtime.clone().unwrap()
    }

    pub(crate) fn dyn_runtime(&self) -> Arc<dyn Runtime> {
        self.runtime()
    }
}

/// The example of this crate, which cargo builds with the tests.
pub(crate) fn logger() -> LoggerCommand {
    let test = std::env::current_exe().unwrap();
    let binary: PathBuf = test.parent().unwrap().with_file_name("examples").join("log-pipe");
    assert!(
        binary.exists(),
        "{} is missing: run all targets, cargo test -p orch-runtime-containerd",
        binary.display()
    );
    LoggerCommand::new(binary, "log-pipe")
}

/// A pod with a container that runs `sh -c script`; `change` may alter both.
pub(crate) async fn run(
    node: &Node,
    name: &str,
    script: &str,
    change: impl FnOnce(&mut SandboxSpec, &mut ContainerSpec),
) -> ContainerSpec {
    let mut pod = conformance::sandbox(name);
    let mut container = conformance::container(&pod, IMAGE, &["sh", "-c", script]);
    container.log_path = Some(node.dir.path().join(format!("{name}.log")));
    change(&mut pod, &mut container);
    let runtime = node.runtime();
    runtime.ensure_sandbox(&pod).await.unwrap();
    runtime.create_container(&container).await.unwrap();
    runtime.start_container(&container.id).await.unwrap();
    container
}

/// Runs a script to its end; its exit and what it printed, once the log has the script's last word, `done`.
pub(crate) async fn output(
    node: &Node,
    name: &str,
    script: &str,
    change: impl FnOnce(&mut SandboxSpec, &mut ContainerSpec),
) -> (Exit, Vec<String>) {
    let container = run(node, name, &format!("{script}; echo done"), change).await;
    let exit = conformance::exit_of(&*node.runtime(), &container.id).await;
    let lines = eventually("the script's last word in its log", async || {
        let lines = log(container.log_path.as_ref().unwrap());
        (lines.last()? == "done").then_some(lines)
    })
    .await;
    (exit, lines[..lines.len() - 1].to_vec())
}

/// The texts of a log file.
pub(crate) fn log(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default().to_owned()).collect()
}

/// Waits until something is there, which happens without any notice.
pub(crate) async fn eventually<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = check().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Standard output, standard error and exit code of a command in a running container.
pub(crate) async fn exec(node: &Node, id: &ContainerId, command: &[&str]) -> (String, String, i32) {
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    let request = ExecRequest { command, ..ExecRequest::default() };
    let mut session = node.runtime().exec(id, request).await.unwrap();
    let (mut output, mut errors) = (String::new(), String::new());
    let (code, out, err) = tokio::join!(
        session.exit,
        session.stdout.read_to_string(&mut output),
        session.stderr.read_to_string(&mut errors)
    );
    out.unwrap();
    err.unwrap();
    (output, errors, code.unwrap())
}
