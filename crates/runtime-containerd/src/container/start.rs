//! Starting a container: its task, in the sandbox's shim.

use containerd_client::services::v1::{CreateTaskRequest, StartRequest};
use jiff::Timestamp;
use orch_runtime::{ContainerId, Exit, RuntimeError, reason};

use super::{not_found, record::ContainerRecord, record::Run, streams::is_interactive};
use crate::{
    connection::{error, is_local},
    core::Core,
};
use tonic::{Code, Status};

/// Kubernetes' code for a process that could not be started.
const START_ERROR_CODE: i32 = 128;

impl Core {
    pub(crate) async fn start_container(&self, id: &ContainerId) -> Result<(), RuntimeError> {
        let _changing = self.container_locks.lock(id).await;
        let record = self.record(id).await?.ok_or_else(|| not_found(id))?;
        if record.run.exit.is_some() {
            return Ok(());
        }
        if record.run.started_at.is_some() && self.is_started_or_lost(id).await? {
            return Ok(());
        }
        let _starting =
            self.starts.acquire().await.map_err(|error| RuntimeError::failed("start container", error))?;
        match self.launch(&record).await {
            Ok(()) => Ok(()),
            Err(status) if is_refusal(&status) => Err(self.note_start_error(&record, &status).await?),
            Err(status) => {
                // Whatever is half there would be in the way of the next try.
                self.delete_task(id, &record.fixed.spec.sandbox).await?;
                self.release_streams(id);
                Err(error("start container", status))
            }
        }
    }

    /// A task that exists but was not started is what an interrupted start leaves: go on with it.
    async fn is_started_or_lost(&self, id: &ContainerId) -> Result<bool, RuntimeError> {
        let task = self.task(id).await?;
        Ok(task.is_none_or(|task| task.status() != containerd_client::types::v1::Status::Created))
    }

    async fn launch(&self, record: &ContainerRecord) -> Result<(), Status> {
        let id = record.id();
        let spec = &record.fixed.spec;
        let failed = |error: &dyn std::fmt::Display| Status::aborted(error.to_string());
        let rootfs = self.rootfs(id.as_str()).await.map_err(|error| failed(&error))?;
        let resumes = is_interactive(spec) && self.task(id).await.map_err(|error| failed(&error))?.is_some();
        let streams = self.task_streams(spec, resumes).await;
        let streams = streams.map_err(|error| failed(&format!("prepare its streams: {error}")))?;
        let create = CreateTaskRequest {
            container_id: id.to_string(),
            rootfs,
            stdin: streams.stdin,
            stdout: streams.stdout,
            stderr: streams.stderr,
            terminal: spec.terminal,
            options: Some(self.runtime_options()),
            ..CreateTaskRequest::default()
        };
        self.create_task(record, create).await?;
        let run = Run { started_at: Some(Timestamp::now()), exit: None };
        let start =
            self.connection.request(StartRequest { container_id: id.to_string(), exec_id: String::new() });
        // On the disk before: otherwise a crash in between would have it run twice.
        self.save_run(id, &run).await.map_err(|error| failed(&error))?;
        self.connection.tasks().start(start).await.map(drop)
    }

    async fn create_task(&self, record: &ContainerRecord, create: CreateTaskRequest) -> Result<(), Status> {
        let _shim = self.shim_locks.lock(&record.fixed.spec.sandbox).await;
        let mut tasks = self.connection.tasks();
        for last in [false, true] {
            match tasks.create(self.connection.request(create.clone())).await {
                Ok(_) => return Ok(()),
                Err(status) if status.code() == Code::AlreadyExists => return Ok(()),
                // The shim of the sandbox's earlier containers was just leaving.
                Err(status) if !last && is_shim_leaving(&status) => {
                    tracing::debug!(id = %record.id(), %status, "shim was leaving, starting another");
                }
                Err(status) => return Err(status),
            }
        }
        Ok(())
    }

    /// The container can never run: that is its end.
    async fn note_start_error(
        &self,
        record: &ContainerRecord,
        status: &Status,
    ) -> Result<RuntimeError, RuntimeError> {
        let message = status.message().to_owned();
        let exit = Exit {
            started_at: None,
            finished_at: Timestamp::now(),
            code: START_ERROR_CODE,
            reason: reason::START_ERROR.into(),
            message: message.clone(),
        };
        self.save_run(record.id(), &Run { started_at: None, exit: Some(exit) }).await?;
        self.delete_task(record.id(), &record.fixed.spec.sandbox).await?;
        self.release_streams(record.id());
        Ok(RuntimeError::StartFailed { id: record.id().to_string(), message })
    }
}

/// The OCI runtime said no, as opposed to containerd or the shim being in trouble.
pub(crate) fn is_refusal(status: &Status) -> bool {
    let message = status.message();
    !is_local(status)
        && ["OCI runtime", "no such file", "executable file not found"].iter().any(|m| message.contains(m))
}

fn is_shim_leaving(status: &Status) -> bool {
    let message = status.message();
    !is_local(status)
        && ["ttrpc: closed", "connection refused", "connection reset"].iter().any(|m| message.contains(m))
}
