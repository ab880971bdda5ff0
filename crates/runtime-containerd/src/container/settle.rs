//! From a stopped task to a recorded exit.

use containerd_client::{
    services::v1::DeleteTaskRequest,
    types::v1::{Process, Status},
};
use jiff::Timestamp;
use orch_runtime::{ContainerId, Exit, RuntimeError, SandboxId, reason};

use super::record::{ContainerRecord, Run, timestamp};
use crate::{connection::Answer, core::Core};

/// What Kubernetes shows when nobody knows how a process ended.
const LOST_CODE: i32 = 255;

impl Core {
    /// Records the exit of a container whose task stopped or was lost, then deletes the task. `None` if it has not ended.
    pub(crate) async fn settle(&self, id: &ContainerId) -> Result<Option<Exit>, RuntimeError> {
        let _changing = self.container_locks.lock(id).await;
        let Some(record) = self.record(id).await? else { return Ok(None) };
        let task = self.task(id).await?;
        let stopped = task.as_ref().filter(|task| task.status() == Status::Stopped);
        if let Some(exit) = record.run.exit.clone() {
            if stopped.is_some() {
                self.delete_task(id, &record.fixed.spec.sandbox).await?;
            }
            return Ok(Some(exit));
        }
        let exit = match (stopped, record.run.started_at) {
            (Some(task), started_at) => self.exit_of(&record, started_at, task),
            (None, Some(started_at)) if task.is_none() => lost(started_at),
            _ => return Ok(None),
        };
        let run = Run { exit: Some(exit.clone()), ..record.run.clone() };
        self.save_run(id, &run).await?;
        if stopped.is_some() {
            self.delete_task(id, &record.fixed.spec.sandbox).await?;
        }
        Ok(Some(exit))
    }

    fn exit_of(&self, record: &ContainerRecord, started_at: Option<Timestamp>, task: &Process) -> Exit {
        let code = i32::try_from(task.exit_status).unwrap_or(LOST_CODE);
        let reason = match code {
            0 => reason::COMPLETED,
            // The cgroup lives until the task is deleted, so this is known even if nobody watched.
            _ if self.cgroups.ran_out_of_memory(&record.fixed.cgroup) => reason::OOM_KILLED,
            _ => reason::ERROR,
        };
        let finished_at = task.exited_at.as_ref().map_or_else(Timestamp::now, timestamp);
        // The kernel's clock and ours may differ by a little.
        let started_at = started_at.map(|started_at| started_at.min(finished_at));
        Exit { started_at, finished_at, code, reason: reason.into(), message: String::new() }
    }

    /// Deletes a task that does not run. With the last task of a sandbox its shim goes.
    pub(super) async fn delete_task(
        &self,
        id: &ContainerId,
        sandbox: &SandboxId,
    ) -> Result<(), RuntimeError> {
        let _shim = self.shim_locks.lock(sandbox).await;
        let request = self.connection.request(DeleteTaskRequest { container_id: id.to_string() });
        self.connection.tasks().delete(request).await.found("delete task").map(drop)
    }
}

fn lost(started_at: Timestamp) -> Exit {
    Exit {
        started_at: Some(started_at),
        finished_at: Timestamp::now(),
        code: LOST_CODE,
        reason: reason::UNKNOWN.into(),
        message: "the container's process is gone and nobody knows how it ended".into(),
    }
}
