//! The truth: containerd's containers and tasks, our sandboxes.

use std::collections::BTreeMap;

use containerd_client::{
    services::v1::{ListContainersRequest, ListTasksRequest},
    types::v1::{Process, Status},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use orch_runtime::{ContainerState, ContainerStats, ContainerStatus, Observed, RuntimeError};

use crate::{
    connection::{Answer, error},
    container::ContainerRecord,
    core::Core,
};

impl Core {
    pub(crate) async fn observe(&self) -> Result<Observed, RuntimeError> {
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
            .try_filter_map(|status| std::future::ready(Ok(status)))
            .try_collect()
            .await?;
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
        &self,
        record: ContainerRecord,
        task: Option<&Process>,
    ) -> Result<Option<ContainerStatus>, RuntimeError> {
        let status = task.map(Process::status);
        let state = match (record.run.exit, status, record.run.started_at) {
            (Some(exit), ..) => ContainerState::Exited(exit),
            (None, Some(Status::Running | Status::Paused | Status::Pausing), Some(started_at)) => {
                ContainerState::Running { started_at }
            }
            (None, None, None) | (None, Some(Status::Created), _) => ContainerState::Created,
            (None, Some(Status::Stopped) | None, _) => match self.settle(&record.fixed.spec.id).await? {
                Some(exit) => ContainerState::Exited(exit),
                // It was removed, or its task appeared since.
                None => match self.record(&record.fixed.spec.id).await? {
                    None => return Ok(None),
                    Some(again) => again
                        .run
                        .started_at
                        .map_or(ContainerState::Created, |started_at| ContainerState::Running { started_at }),
                },
            },
            (None, Some(_), _) => ContainerState::Unknown,
        };
        let spec = record.fixed.spec;
        Ok(Some(ContainerStatus {
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
        }))
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
