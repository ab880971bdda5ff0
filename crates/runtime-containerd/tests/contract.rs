//! containerd keeps the contract: real containers, pulled from a real registry.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod host;

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use host::{Node, registry::Registry};
use orch_runtime::{Runtime, conformance::Harness};

struct Real {
    node: Node,
    registry: Registry,
}

impl Real {
    async fn start() -> Self {
        let registry = Registry::start();
        registry.push("busybox:1", None);
        Self { node: Node::empty().await, registry }
    }
}

#[async_trait]
impl Harness for Real {
    fn runtime(&self) -> Arc<dyn Runtime> {
        self.node.dyn_runtime()
    }
    async fn restarted(&mut self) -> Arc<dyn Runtime> {
        self.node.connect().await
    }
    fn image(&self) -> String {
        format!("{}/busybox:1", self.registry.address)
    }
    fn missing_image(&self) -> String {
        format!("{}/no-such-image:1", self.registry.address)
    }
    fn log_dir(&self) -> PathBuf {
        self.node.dir.path().to_owned()
    }
}

orch_runtime::conformance_tests!(Real::start().await);
