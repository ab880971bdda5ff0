//! Removing a container and everything that it has.

use containerd_client::{
    services::v1::{
        Container, DeleteContainerRequest,
        snapshots::{ListSnapshotsRequest, RemoveSnapshotRequest},
    },
    types::v1::Status,
};
use orch_runtime::{ContainerId, RuntimeError, SandboxId};

use super::{record::SANDBOX_LABEL, stop::SIGKILL};
use crate::{connection::Answer, core::Core};

impl Core {
    pub(crate) async fn remove_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let _changing = self.container_locks.lock(id).await;
        if let Some(container) = self.container(id).await? {
            if let Some(task) = self.task(id).await? {
                if task.status() != Status::Stopped {
                    self.signal(id, SIGKILL, true).await?;
                    self.wait(id).await?;
                }
                self.delete_task(id, &sandbox_of(&container)?).await?;
            }
            let delete = self.connection.request(DeleteContainerRequest { id: id.to_string() });
            self.connection.containers().delete(delete).await.found("delete container")?;
        }
        self.release_streams(id);
        // What an agent that died in the middle of an exec left.
        let _ = std::fs::remove_dir_all(self.config.state_dir.join("exec").join(id.as_str()));
        self.remove_snapshot(id.as_str()).await
    }

    async fn remove_snapshot(&self, key: &str) -> Result<(), RuntimeError> {
        let message = RemoveSnapshotRequest { snapshotter: self.snapshotter.clone(), key: key.to_owned() };
        let removed = self.connection.snapshots().remove(self.connection.request(message)).await;
        removed.found("remove snapshot").map(drop)
    }

    /// Snapshots without a container: what a creation that was interrupted leaves.
    pub(crate) async fn remove_snapshots_of(&self, sandbox: &SandboxId) -> Result<(), RuntimeError> {
        let filters = vec![format!("labels.\"{SANDBOX_LABEL}\"=={sandbox}")];
        let request =
            self.connection.request(ListSnapshotsRequest { snapshotter: self.snapshotter.clone(), filters });
        let mut snapshots = self.connection.snapshots().list(request).await.done("list snapshots")?;
        while let Some(page) =
            snapshots.message().await.map_err(|status| crate::connection::error("list snapshots", status))?
        {
            for info in page.info {
                self.remove_snapshot(&info.name).await?;
            }
        }
        Ok(())
    }
}

/// By its label, so that a record which cannot be read is no obstacle.
fn sandbox_of(container: &Container) -> Result<SandboxId, RuntimeError> {
    SandboxId::new(container.labels.get(SANDBOX_LABEL).cloned().unwrap_or_default())
}
