//! [`Term`] and [`Fenced`]: a leader that is none any more writes nothing any more.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use orch_api::{Client, Request, Status, Verb, WatchStream};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The time of one leadership. Clones are of the same.
#[derive(Debug, Clone)]
pub struct Term {
    over: CancellationToken,
    /// Until when nobody else can be leader.
    until: Arc<Mutex<Option<Instant>>>,
}

impl Term {
    pub(super) fn begin(over: CancellationToken, until: Instant) -> Self {
        Self { over, until: Arc::new(Mutex::new(Some(until))) }
    }

    /// Cancelled when work has to end.
    pub fn token(&self) -> &CancellationToken {
        &self.over
    }

    /// Whether nobody else can be leader yet. May still be so while work ends.
    pub fn holds(&self) -> bool {
        self.until.lock().is_some_and(|until| Instant::now() < until)
    }

    pub(super) fn extend(&self, until: Instant) {
        *self.until.lock() = Some(until);
    }

    pub(super) fn lose(&self) {
        *self.until.lock() = None;
        self.over.cancel();
    }
}

/// A client that writes only while the term holds. Reads go on.
pub struct Fenced {
    client: Arc<dyn Client>,
    term: Term,
}

impl Fenced {
    /// Fences a client.
    pub fn new(client: Arc<dyn Client>, term: Term) -> Self {
        Self { client, term }
    }
}

#[async_trait]
impl Client for Fenced {
    async fn send(&self, request: Request) -> Result<Bytes, Status> {
        let reads = matches!(request.verb, Verb::Get | Verb::List | Verb::Watch);
        if !reads && !self.term.holds() {
            return Err(Status::unavailable("this instance leads no more: nothing was written"));
        }
        self.client.send(request).await
    }

    async fn watch(&self, request: Request) -> Result<WatchStream, Status> {
        self.client.watch(request).await
    }
}
