//! Stopping a container.

use std::time::Duration;

use containerd_client::{
    services::v1::{KillRequest, WaitRequest},
    types::v1::Status,
};
use orch_runtime::{ContainerId, RuntimeError};
use tonic::Code;

use crate::{
    connection::{Answer, error},
    core::Core,
};

pub(super) const SIGKILL: u32 = 9;

impl Core {
    pub(crate) async fn stop_container(&self, id: &ContainerId, grace: Duration) -> Result<(), RuntimeError> {
        // No lock is held while it waits, so a second call can be more impatient than the first.
        let Some(record) = self.record(id).await? else { return Ok(()) };
        let Some(task) = self.task(id).await? else { return Ok(()) };
        if task.status() == Status::Created {
            return Ok(());
        }
        if task.status() != Status::Stopped {
            let exited = self.wait(id);
            tokio::pin!(exited);
            let mut graceful = false;
            if !grace.is_zero() {
                self.signal(id, record.fixed.stop_signal, false).await?;
                graceful = match tokio::time::timeout(grace, &mut exited).await {
                    Ok(exited) => exited.map(|()| true)?,
                    Err(_) => false,
                };
            }
            if !graceful {
                self.signal(id, SIGKILL, true).await?;
                exited.await?;
            }
        }
        self.settle(id).await.map(drop)
    }

    /// Resolves when the container's first process has ended.
    pub(super) async fn wait(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let request =
            self.connection.waiting(WaitRequest { container_id: id.to_string(), exec_id: String::new() });
        self.connection.tasks().wait(request).await.found("wait for container").map(drop)
    }

    /// Signals one process or all of the container. That it has just ended is fine.
    pub(super) async fn signal(&self, id: &ContainerId, signal: u32, all: bool) -> Result<(), RuntimeError> {
        let kill = KillRequest { container_id: id.to_string(), exec_id: String::new(), signal, all };
        match self.connection.tasks().kill(self.connection.request(kill)).await {
            Ok(_) => Ok(()),
            Err(status) if status.code() == Code::NotFound => Ok(()),
            Err(status) if status.message().contains("process already finished") => Ok(()),
            Err(status) => Err(error("signal container", status)),
        }
    }
}
