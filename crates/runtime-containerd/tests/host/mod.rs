//! A runtime on a host of its own, with an image imported or a registry to pull from.
#![allow(dead_code, clippy::unwrap_used, reason = "shared by test files that each use a part of it")]

use std::{path::PathBuf, sync::Arc};

use orch_runtime::Runtime;
use orch_runtime_containerd::{
    ContainerdRuntime, LoggerCommand,
    testing::{TestHost, build_busybox_layout},
};

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
