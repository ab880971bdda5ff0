//! Starting a container: its task, in the sandbox's shim.

use containerd_client::services::v1::{CreateTaskRequest, StartRequest};
use jiff::Timestamp;
use orch_runtime::{ContainerId, Exit, RuntimeError, reason};

use super::{not_found, record::ContainerRecord, record::Run};
use crate::{
    config::LoggerCommand,
    connection::{error, is_local},
    core::Core,
    logger::LoggerConfig,
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
        let rootfs = self.rootfs(id.as_str()).await.map_err(|error| Status::aborted(error.to_string()))?;
        let output = record.fixed.spec.log_path.as_ref().map(|path| logger_uri(&self.config.logger, path));
        let create = CreateTaskRequest {
            container_id: id.to_string(),
            rootfs,
            stdout: output.clone().unwrap_or_default(),
            stderr: output.unwrap_or_default(),
            options: Some(self.runtime_options()),
            ..CreateTaskRequest::default()
        };
        self.create_task(record, create).await?;
        let run = Run { started_at: Some(Timestamp::now()), exit: None };
        let start =
            self.connection.request(StartRequest { container_id: id.to_string(), exec_id: String::new() });
        let mut tasks = self.connection.tasks();
        let (saved, started) = tokio::join!(self.save_run(id, &run), tasks.start(start));
        saved.map_err(|error| Status::aborted(error.to_string()))?;
        started.map(drop)
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

/// containerd 1.6 makes arguments of the query in no particular order: one key and its value are two arguments in order.
fn logger_uri(logger: &LoggerCommand, path: &std::path::Path) -> String {
    let config = LoggerConfig {
        path: path.to_owned(),
        max_file_bytes: logger.max_file_bytes,
        max_files: logger.max_files,
    };
    let config = serde_json::to_string(&config).unwrap_or_default();
    let binary = percent_encode(&logger.binary.to_string_lossy(), "/");
    format!("binary://{binary}?{}={}", percent_encode(&logger.subcommand, ""), percent_encode(&config, ""))
}

fn percent_encode(text: &str, keep: &str) -> String {
    let encode = |byte: u8| match char::from(byte) {
        c if c.is_ascii_alphanumeric() || "-._~".contains(c) || keep.contains(c) => c.to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loggers_configuration_survives_the_uri() {
        let logger = LoggerCommand::new("/opt/my orchd", "log-pipe");
        let uri = logger_uri(&logger, "/var/log/ä&b.log".as_ref());
        let (binary, query) = uri.split_once('?').unwrap();
        assert_eq!(binary, "binary:///opt/my%20orchd");
        let (subcommand, config) = query.split_once('=').unwrap();
        assert_eq!(subcommand, "log-pipe");
        assert!(config.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~%".contains(&b)), "{config}");
        assert!(config.contains("%C3%A4%26b.log"), "{config}");
    }
}
