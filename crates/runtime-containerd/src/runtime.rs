//! The public face: a [`Runtime`] over containerd.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use containerd_client::services::v1::{CreateNamespaceRequest, Namespace};
use futures::{StreamExt as _, stream::BoxStream};
use orch_runtime::{
    AttachSession, Connection as Connected, ContainerId, ContainerSpec, ContainerStats, ExecRequest,
    ExecSession, ImageStatus, Observed, PullOptions, Runtime, RuntimeError, RuntimeEvent, SandboxId,
    SandboxSpec, SandboxStatus, Version,
};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    config::ContainerdConfig,
    connection::{Answer, Connection},
    core::Core,
    events,
    image::LayoutError,
    network::Network,
};

/// Runs containers with containerd (1.6 or later) over its native gRPC API. Needs root.
///
/// Dropping it stops following events and nothing else: a later one with the same configuration finds everything.
pub struct ContainerdRuntime {
    core: Arc<Core>,
    _following: DropGuard,
}

impl ContainerdRuntime {
    /// Connects, makes the containerd namespace, and begins to follow events.
    ///
    /// Fails with `Unavailable` if containerd does not answer, `InvalidSpec` for what is wrong in the configuration.
    pub async fn connect(config: ContainerdConfig) -> Result<Self, RuntimeError> {
        // The registry client needs one; whoever was first is right.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let connection = Connection::new(&config.socket, &config.namespace)?;
        let namespace = Namespace { name: config.namespace.clone(), ..Namespace::default() };
        let request = connection.request(CreateNamespaceRequest { namespace: Some(namespace) });
        connection.namespaces().create(request).await.fresh("create namespace")?;
        let core = Arc::new(Core::new(config, connection).await?);
        let stop = CancellationToken::new();
        tokio::spawn(events::follow(Arc::downgrade(&core), stop.clone()));
        Ok(Self { core, _following: stop.drop_guard() })
    }

    /// Imports every named image of an OCI layout: a directory, or a tar file, which may be gzipped. It needs no registry.
    ///
    /// An image's name is the annotation `io.containerd.image.name` of its entry in `index.json`.
    pub async fn import_oci_layout(&self, path: impl AsRef<Path>) -> Result<Vec<ImageStatus>, LayoutError> {
        self.core.images.import(path.as_ref()).await
    }

    /// Removes the network that all sandboxes share, once the last of them is gone: the bridge and its masquerading rule.
    /// Can be repeated; a runtime that connects later makes them again.
    pub async fn remove_network(&self) -> Result<(), RuntimeError> {
        Network::remove(&self.core.config.network).await
    }
}

#[async_trait]
impl Runtime for ContainerdRuntime {
    async fn version(&self) -> Result<Version, RuntimeError> {
        let connection = &self.core.connection;
        let answer = connection.version().version(connection.request(())).await.done("ask for version")?;
        let version = answer.version.split(['~', '+']).next().unwrap_or_default().to_owned();
        Ok(Version { name: "containerd".into(), version })
    }

    async fn ensure_sandbox(&self, spec: &SandboxSpec) -> Result<SandboxStatus, RuntimeError> {
        self.core.ensure_sandbox(spec).await
    }

    async fn remove_sandbox(&self, id: &SandboxId) -> Result<(), RuntimeError> {
        self.core.remove_sandbox(id).await
    }

    async fn create_container(&self, spec: &ContainerSpec) -> Result<(), RuntimeError> {
        self.core.create_container(spec).await
    }

    async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.core.start_container(id).await
    }

    async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        self.core.stop_container(id, grace).await
    }

    async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        self.core.remove_container(id).await
    }

    async fn exec(&self, id: &ContainerId, request: ExecRequest) -> Result<ExecSession, RuntimeError> {
        self.core.exec(id, request).await
    }

    async fn attach(&self, id: &ContainerId, stdin: bool) -> Result<AttachSession, RuntimeError> {
        self.core.attach(id, stdin).await
    }

    async fn connect(&self, id: &SandboxId, port: u16) -> Result<Connected, RuntimeError> {
        self.core.connect(id, port).await
    }

    async fn image_status(&self, image: &str) -> Result<Option<ImageStatus>, RuntimeError> {
        self.core.images.status(image).await
    }

    async fn pull_image(&self, image: &str, options: &PullOptions) -> Result<ImageStatus, RuntimeError> {
        self.core.images.pull(image, options).await
    }

    async fn list_images(&self) -> Result<Vec<ImageStatus>, RuntimeError> {
        self.core.images.list().await
    }

    async fn remove_image(&self, image: &str) -> Result<(), RuntimeError> {
        self.core.images.remove(image).await
    }

    async fn observe(&self) -> Result<Observed, RuntimeError> {
        self.core.observe().await
    }

    fn events(&self) -> BoxStream<'static, RuntimeEvent> {
        let changes = BroadcastStream::new(self.core.events.subscribe()).map(|event| match event {
            Ok(event) => event,
            Err(BroadcastStreamRecvError::Lagged(_)) => RuntimeEvent::Resync,
        });
        // Following may not have begun yet; another Resync comes when it does.
        futures::stream::iter([RuntimeEvent::Resync]).chain(changes).boxed()
    }

    async fn stats(&self) -> Result<Vec<ContainerStats>, RuntimeError> {
        self.core.stats().await
    }
}
