//! [`Mount`]: another front door on the same port, such as the Model Context Protocol's at `/mcp`.
//!
//! A mount is reached like any path that is not about objects: its caller is known, and may reach it if a role says so. It
//! is handed the request and a [`Caller`], through whom it reaches the API as that caller and in no other way.
//!
//! A mount may be open to strangers instead, who prove to it what they have to prove in a way of its own, such as the signature
//! of what they send. It then reaches the API as a user of its own, and never as who comes.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use futures::future::BoxFuture;
use http::{Request, Response};
use orch_transport::Peer;
use parking_lot::Mutex;

use crate::authn::Identity;
use crate::fairness::Leave;
use crate::pipeline;
use crate::server::Server;

/// The largest body that strangers may send.
pub(crate) const MAX_STRANGERS_BODY_BYTES: usize = 1024 * 1024;
/// How long that may take to arrive. Shorter than for those who are known, because a seat is kept meanwhile.
pub(crate) const STRANGERS_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Something else that is served at a path and below it.
#[derive(Clone)]
pub struct Mount {
    /// The path, such as `/mcp`.
    pub path: &'static str,
    /// Who may come.
    pub visitors: Visitors,
    /// What answers.
    pub serve: Serve,
}

/// Who may come to a [`Mount`].
#[derive(Clone, Debug)]
pub enum Visitors {
    /// Callers who are known and whom a role lets come. Their bodies, limited as those of other requests, are read before the
    /// mount is asked, and each caller may have it work on so many requests at a time
    /// ([`FlowLimits::visits_per_caller`](crate::FlowLimits::visits_per_caller); see [`Visit`]).
    Known,
    /// Everybody. What proves who they are, and whether it does, is the mount's business: the server looks at none of their
    /// credentials. They share the seats of callers without credentials, and their bodies, of 1 MiB and 10 s at most, are read
    /// before the mount is asked.
    Strangers {
        /// As whom the mount reaches the API.
        acting_as: Identity,
    },
}

/// What answers the requests of a [`Mount`].
pub type Serve = Arc<dyn Fn(Caller, Request<Body>) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

/// Who sent a request to a [`Mount`], and the API as they reach it. Of strangers: the mount's own user.
#[derive(Clone)]
pub struct Caller {
    server: Arc<Server>,
    identity: Identity,
    /// Who acts as `identity`, if that is somebody else.
    impersonator: Option<Identity>,
    peer: Option<Peer>,
}

impl Caller {
    pub(crate) fn new(
        server: Arc<Server>,
        (identity, impersonator): (Identity, Option<Identity>),
        peer: Option<Peer>,
    ) -> Self {
        Self { server, identity, impersonator, peer }
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Sends a request through the pipeline behind authentication: authorized, admitted and audited like every other.
    pub async fn send(&self, mut request: Request<Body>) -> Response<Body> {
        if let Some(peer) = &self.peer {
            request.extensions_mut().insert(peer.clone());
        }
        let caller = (self.identity.clone(), self.impersonator.clone());
        pipeline::handle_as(self.server.clone(), caller, request).await
    }
}

/// That a mount works on a request of a known caller. It is among the request's extensions, and lasts until the request has been
/// answered and every clone of it is gone: a mount that answers before it has done what was asked for keeps one as long as that
/// takes.
#[derive(Clone)]
pub struct Visit(Arc<Mutex<Option<Leave>>>);

impl Visit {
    pub(crate) fn new(leave: Leave) -> Self {
        Self(Arc::new(Mutex::new(Some(leave))))
    }

    /// Ends it: what is left of the request costs no more than the stream of its answer, which is counted as such.
    pub fn end(&self) {
        drop(self.0.lock().take());
    }
}

impl Mount {
    fn has(&self, path: &str) -> bool {
        path.strip_prefix(self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl Server {
    /// The mount for known callers that a path belongs to.
    pub(crate) fn mount(&self, path: &str) -> Option<&Mount> {
        let mut mounts = self.mounts.iter().filter(|mount| matches!(mount.visitors, Visitors::Known));
        mounts.find(|mount| mount.has(path))
    }

    /// The mount for strangers that a path belongs to, as it has been sent, and as whom that mount reaches the API.
    pub(crate) fn open_mount(&self, path: &str) -> Option<(&Mount, &Identity)> {
        self.mounts.iter().find_map(|mount| match &mount.visitors {
            Visitors::Strangers { acting_as } => Some((mount, acting_as)).filter(|_| mount.has(path)),
            Visitors::Known => None,
        })
    }
}
