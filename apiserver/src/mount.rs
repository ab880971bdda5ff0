//! [`Mount`]: another front door on the same port, such as the Model Context Protocol's at `/mcp`.
//!
//! A mount is reached like any path that is not about objects: its caller is known, and may reach it if a role says so. It
//! is handed the request and a [`Caller`], through whom it reaches the API as that caller and in no other way.

use std::sync::Arc;

use axum::body::Body;
use futures::future::BoxFuture;
use http::{Request, Response};
use orch_transport::Peer;

use crate::authn::Identity;
use crate::pipeline;
use crate::server::Server;

/// Something else that is served at a path and below it.
#[derive(Clone)]
pub struct Mount {
    /// The path, such as `/mcp`.
    pub path: &'static str,
    /// What answers. Bodies are not limited before it.
    pub serve: Serve,
}

/// What answers the requests of a [`Mount`].
pub type Serve = Arc<dyn Fn(Caller, Request<Body>) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

/// Who sent a request to a [`Mount`], and the API as they reach it.
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

impl Server {
    /// The mount that a path belongs to.
    pub(crate) fn mount(&self, path: &str) -> Option<&Mount> {
        self.mounts.iter().find(|mount| {
            let below = path.strip_prefix(mount.path);
            below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}
