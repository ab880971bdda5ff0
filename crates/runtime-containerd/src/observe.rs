//! The truth: containerd's containers and tasks, our sandboxes.

use std::{collections::BTreeMap, sync::Arc};

use containerd_client::{
    services::v1::{ListContainersRequest, ListTasksRequest},
    types::v1::{Process, Status},
};
use futures::{StreamExt as _, stream};
use orch_runtime::{ContainerState, ContainerStats, ContainerStatus, Observed, RuntimeError};

use crate::{
    connection::{Answer, error},
    container::ContainerRecord,
    core::Core,
};

impl Core {
    pub(crate) async fn observe(self: &Arc<Self>) -> Result<Observed, RuntimeError> {
        // Containers before tasks: one whose task is missing is looked at again, one whose task is new is not listed.
        let records = self.records().await?;
        let tasks = self.tasks().await?;
        const AT_ONCE: usize = 8;
        let mut containers: Vec<ContainerStatus> = stream::iter(records)
            .map(|record| {
                let task = tasks.get(record.id().as_str());
                async move { self.status(record, task).await }
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await;
        containers.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Observed { sandboxes: self.sandboxes.statuses(), containers })
    }

    /// All containers of ours. Streamed: their list may be larger than a message.
    async fn records(&self) -> Result<Vec<ContainerRecord>, RuntimeError> {
        let failed = |status| error("list containers", status);
        let request = self.connection.request(ListContainersRequest { filters: Vec::new() });
        let mut containers =
            self.connection.containers().list_stream(request).await.done("list containers")?;
        let mut records = Vec::new();
        while let Some(message) = containers.message().await.map_err(failed)? {
            records.extend(message.container.as_ref().and_then(ContainerRecord::read));
        }
        Ok(records)
    }

    /// Every task by its container's id.
    pub(crate) async fn tasks(&self) -> Result<BTreeMap<String, Process>, RuntimeError> {
        let request = self.connection.request(ListTasksRequest { filter: String::new() });
        let tasks = self.connection.tasks().list(request).await.done("list tasks")?.tasks;
        Ok(tasks.into_iter().map(|task| (task.id.clone(), task)).collect())
    }

    /// `None` if it was removed meanwhile.
    async fn status(
        self: &Arc<Self>,
        record: ContainerRecord,
        task: Option<&Process>,
    ) -> Option<ContainerStatus> {
        let state = self.state(&record, task.map(Process::status)).await?;
        let spec = record.fixed.spec;
        Some(ContainerStatus {
            id: spec.id,
            sandbox: spec.sandbox,
            name: spec.name,
            attempt: spec.attempt,
            labels: spec.labels,
            annotations: spec.annotations,
            image: spec.image,
            image_digest: record.fixed.image_digest,
            image_id: record.fixed.image_id,
            log_path: spec.log_path,
            created_at: record.created_at,
            state,
        })
    }

    /// How a container is; `None` if it was removed meanwhile.
    async fn state(
        self: &Arc<Self>,
        record: &ContainerRecord,
        status: Option<Status>,
    ) -> Option<ContainerState> {
        match (&record.run.exit, status) {
            (Some(exit), _) => Some(ContainerState::Exited(exit.clone())),
            (None, Some(Status::Created)) => Some(ContainerState::Created),
            (None, Some(Status::Running | Status::Paused | Status::Pausing)) => Some(running(record)),
            (None, None) if record.run.started_at.is_none() => Some(ContainerState::Created),
            (None, Some(Status::Unknown)) => Some(self.unclear(record)),
            (None, Some(Status::Stopped) | None) => self.settled(record).await,
        }
    }

    async fn settled(self: &Arc<Self>, record: &ContainerRecord) -> Option<ContainerState> {
        let id = record.id();
        let again = match self.settle(id).await {
            Ok(Some(exit)) => return Some(ContainerState::Exited(exit)),
            // It was removed, or its task appeared since.
            Ok(None) => self.record(id).await,
            Err(error) => Err(error),
        };
        match again {
            Ok(again) => again.map(|again| as_recorded(&again)),
            Err(error) => {
                tracing::warn!(%id, %error, "how the container is could not be found out yet");
                Some(self.unclear(record))
            }
        }
    }

    /// A shim that answers slowly or not at all is no end of its containers: until more is known, they are as they were.
    fn unclear(self: &Arc<Self>, record: &ContainerRecord) -> ContainerState {
        self.resync_soon();
        as_recorded(record)
    }

    pub(crate) async fn stats(&self) -> Result<Vec<ContainerStats>, RuntimeError> {
        let records = self.records().await?;
        let tasks = self.tasks().await?;
        let running = records.into_iter().filter(|record| {
            tasks.get(record.id().as_str()).is_some_and(|task| task.status() == Status::Running)
        });
        let mut stats: Vec<ContainerStats> = running
            .filter_map(|record| self.cgroups.stats(record.id().clone(), &record.fixed.cgroup))
            .collect();
        stats.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(stats)
    }
}

/// How a container without an exit is as far as its record says.
fn as_recorded(record: &ContainerRecord) -> ContainerState {
    if record.run.started_at.is_some() { running(record) } else { ContainerState::Created }
}

fn running(record: &ContainerRecord) -> ContainerState {
    ContainerState::Running { started_at: record.run.started_at.unwrap_or(record.created_at) }
}
