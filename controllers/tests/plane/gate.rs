//! A gate between the controllers and the server: as long as it is shut, some of their requests don't get through.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use orch_api::{Client, Request, Status, WatchStream};
use tokio::sync::watch;

/// What becomes of a request, told by its user and itself, as long as the gate is shut. None: it gets through.
pub(crate) type Gatekeeper = fn(&str, &Request) -> Option<Meanwhile>;

/// What becomes of a request that does not get through.
pub(crate) enum Meanwhile {
    /// It waits until the gate opens.
    Wait,
    /// It fails.
    Fail(Status),
}

/// A client on this side of the gate.
pub(super) struct Gated {
    pub(super) client: Arc<dyn Client>,
    pub(super) user: String,
    pub(super) keeper: Gatekeeper,
    pub(super) open: watch::Receiver<bool>,
}

impl Gated {
    async fn pass(&self, request: &Request) -> Result<(), Status> {
        let mut open = self.open.clone();
        let is_open = *open.borrow_and_update();
        match (self.keeper)(&self.user, request) {
            Some(Meanwhile::Wait) => drop(open.wait_for(|open| *open).await),
            Some(Meanwhile::Fail(status)) if !is_open => return Err(status),
            _ => {}
        }
        Ok(())
    }
}

#[async_trait]
impl Client for Gated {
    async fn send(&self, request: Request) -> Result<Bytes, Status> {
        self.pass(&request).await?;
        self.client.send(request).await
    }

    async fn watch(&self, request: Request) -> Result<WatchStream, Status> {
        self.pass(&request).await?;
        self.client.watch(request).await
    }
}
