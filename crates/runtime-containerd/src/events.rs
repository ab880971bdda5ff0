//! Following containerd's events, so that exits are recorded and noticed at once.
//!
//! containerd answers a subscription only with its first event, so one of our own is published until it comes back; only then is
//! it certain that nothing is missed, and everything that stopped before is settled.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use containerd_client::{
    events::{TaskExit, TaskOom},
    services::v1::{PublishRequest, SubscribeRequest},
    types::Envelope,
    types::v1::Status,
};
use orch_runtime::{ContainerId, RuntimeError, RuntimeEvent};
use prost::Message as _;
use prost_types::Any;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::{connection::Answer, connection::error, core::Core};

const PROBE_TOPIC: &str = "/orch/probe";
/// Between probes, until the first comes back; 7 ms on an idle machine.
const PROBE_EVERY: Duration = Duration::from_millis(10);
/// Between attempts to subscribe again; containerd is restarting.
const RETRY: Duration = Duration::from_millis(200);

/// Follows events until cancelled or the runtime is gone.
pub(crate) async fn follow(core: Weak<Core>, stop: CancellationToken) {
    let following = async {
        while let Some(core) = core.upgrade() {
            if let Err(error) = core.follow_once().await {
                tracing::debug!(%error, "containerd's events ended");
            }
            core.send(RuntimeEvent::Resync);
            drop(core);
            tokio::time::sleep(RETRY).await;
        }
    };
    tokio::select! {
        () = following => {}
        () = stop.cancelled() => {}
    }
}

impl Core {
    /// One subscription, from its start to its end.
    async fn follow_once(self: &Arc<Self>) -> Result<(), RuntimeError> {
        let mut events = self.subscribe().await?;
        self.settle_all().await?;
        self.send(RuntimeEvent::Resync);
        while let Some(envelope) = events.message().await.map_err(|status| error("follow events", status))? {
            self.handle(envelope);
        }
        Ok(())
    }

    async fn subscribe(&self) -> Result<Streaming<Envelope>, RuntimeError> {
        let namespace = &self.connection.namespace;
        let filters = ["/tasks/exit", "/tasks/oom", PROBE_TOPIC]
            .map(|topic| format!("namespace==\"{namespace}\",topic==\"{topic}\""));
        let request = self.connection.waiting(SubscribeRequest { filters: filters.into() });
        let mut client = self.connection.events();
        let subscribed = client.subscribe(request);
        tokio::pin!(subscribed);
        loop {
            tokio::select! {
                events = &mut subscribed => return events.done("subscribe to events"),
                probed = self.probe() => probed?,
            }
        }
    }

    async fn probe(&self) -> Result<(), RuntimeError> {
        let event = Some(Any { type_url: PROBE_TOPIC.into(), value: Vec::new() });
        let request = self.connection.request(PublishRequest { topic: PROBE_TOPIC.into(), event });
        self.connection.events().publish(request).await.done("publish probe")?;
        tokio::time::sleep(PROBE_EVERY).await;
        Ok(())
    }

    fn handle(self: &Arc<Self>, envelope: Envelope) {
        let Some(event) = envelope.event else { return };
        match envelope.topic.as_str() {
            "/tasks/exit" => {
                let Ok(exit) = TaskExit::decode(event.value.as_slice()) else { return };
                // The others are processes that `exec` started.
                if exit.id == exit.container_id
                    && let Ok(id) = ContainerId::new(exit.container_id)
                {
                    let core = self.clone();
                    tokio::spawn(async move { core.note_exit(id).await });
                }
            }
            "/tasks/oom" => {
                let Ok(oom) = TaskOom::decode(event.value.as_slice()) else { return };
                if let Ok(id) = ContainerId::new(oom.container_id) {
                    self.send(RuntimeEvent::OutOfMemory { id });
                }
            }
            _ => {}
        }
    }

    /// Records an exit, then tells of it.
    async fn note_exit(self: &Arc<Self>, id: ContainerId) {
        match self.settle(&id).await {
            Ok(Some(exit)) => self.send(RuntimeEvent::ContainerExited { id, exit_code: exit.code }),
            Ok(None) => match self.task(&id).await {
                // Its shim is slow to say so.
                Ok(Some(task)) if task.status() == Status::Unknown => self.resync_soon(),
                _ => {}
            },
            Err(error) => self.not_settled(&id, &error),
        }
    }

    fn not_settled(self: &Arc<Self>, id: &ContainerId, error: &RuntimeError) {
        tracing::warn!(%id, %error, "an exit could not be recorded yet");
        self.resync_soon();
    }

    /// Records what stopped while nobody followed.
    async fn settle_all(self: &Arc<Self>) -> Result<(), RuntimeError> {
        for (id, task) in self.tasks().await? {
            if task.status() == Status::Stopped
                && let Ok(id) = ContainerId::new(id)
                && let Err(error) = self.settle(&id).await
            {
                self.not_settled(&id, &error);
            }
        }
        Ok(())
    }

    /// Whether the container runs, now.
    pub(crate) async fn is_running(&self, id: &ContainerId) -> Result<bool, RuntimeError> {
        Ok(self.task(id).await?.is_some_and(|task| task.status() == Status::Running))
    }
}
