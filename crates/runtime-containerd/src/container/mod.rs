//! Containers: containerd's container (what), snapshot (files) and task (process).

mod create;
mod process;
mod record;
mod remove;
mod settle;
mod spec;
mod start;
mod stop;
mod streams;
mod user;

use containerd_client::{
    services::v1::{
        Container, GetContainerRequest, GetRequest, ListContainersRequest, UpdateContainerRequest,
    },
    types::v1::Process,
};
use orch_runtime::{ContainerId, Object, RuntimeError, SandboxId};

use self::record::{Run, SANDBOX_LABEL};
pub(crate) use self::{create::oci_state_dir, record::ContainerRecord, start::is_refusal, user::Accounts};
use crate::{connection::Answer, core::Core};

impl Core {
    /// containerd's container of ours.
    pub(crate) async fn container(&self, id: &ContainerId) -> Result<Option<Container>, RuntimeError> {
        let request = self.connection.request(GetContainerRequest { id: id.to_string() });
        let found = self.connection.containers().get(request).await.found("get container")?;
        Ok(found.and_then(|answer| answer.container))
    }

    pub(crate) async fn record(&self, id: &ContainerId) -> Result<Option<ContainerRecord>, RuntimeError> {
        Ok(self.container(id).await?.as_ref().and_then(ContainerRecord::read))
    }

    /// The container's first process, as its shim sees it.
    pub(crate) async fn task(&self, id: &ContainerId) -> Result<Option<Process>, RuntimeError> {
        let request =
            self.connection.request(GetRequest { container_id: id.to_string(), exec_id: String::new() });
        let found = self.connection.tasks().get(request).await.found("get task")?;
        Ok(found.and_then(|answer| answer.process))
    }

    pub(crate) async fn containers_of(&self, sandbox: &SandboxId) -> Result<Vec<ContainerId>, RuntimeError> {
        let filters = vec![format!("labels.\"{SANDBOX_LABEL}\"=={sandbox}")];
        let request = self.connection.request(ListContainersRequest { filters });
        let containers = self.connection.containers().list(request).await.done("list containers")?.containers;
        containers.into_iter().map(|container| ContainerId::new(container.id)).collect()
    }

    /// Records how far a container has come.
    async fn save_run(&self, id: &ContainerId, run: &Run) -> Result<(), RuntimeError> {
        let extensions = [(record::RUN.to_owned(), record::encode(record::RUN, run))].into();
        let container = Container { id: id.to_string(), extensions, ..Container::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec![format!("extensions.{}", record::RUN)] });
        let request =
            self.connection.request(UpdateContainerRequest { container: Some(container), update_mask });
        self.connection.containers().update(request).await.done("record container state").map(drop)
    }
}

pub(crate) fn not_found(id: &ContainerId) -> RuntimeError {
    RuntimeError::NotFound { object: Object::Container, id: id.to_string() }
}
