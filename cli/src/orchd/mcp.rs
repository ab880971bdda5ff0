//! The Model Context Protocol at `/mcp`: for AI agents, with the rights of whoever they act as.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::body::Body;
use futures::FutureExt as _;
use http::{Request, Response, StatusCode};
use orch_apiserver::{Caller, Identity, Mount, Visitors};
use orch_mcp::{Door, DoorOptions, Known, Mcp, Options};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::callers;
use super::certificates::server_names;

/// The Model Context Protocol at `/mcp`, for AI agents. What they may do is what whoever they act as may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct McpConfig {
    /// Whether it is served.
    pub enabled: bool,
    /// Whether agents may run commands in containers, if their roles let them.
    pub exec: bool,
    /// Further names that the server is reached by. Requests sent to others are refused; those of its certificate are known.
    pub hosts: Vec<String>,
    /// The origins that pages in browsers may come from, such as `https://console.example.com`; none unless given.
    pub origins: Vec<String>,
}

impl Default for McpConfig {
    fn default() -> Self {
        Self { enabled: true, exec: false, hosts: Vec::new(), origins: Vec::new() }
    }
}

/// What is served at `/mcp`; nothing if that is not wanted.
pub(crate) fn mounts(
    config: &McpConfig,
    addresses: &[IpAddr],
    stop: &CancellationToken,
) -> Result<Vec<Mount>> {
    if !config.enabled {
        return Ok(Vec::new());
    }
    let hosts = server_names(addresses).into_iter().chain(config.hosts.iter().cloned()).collect();
    let door = DoorOptions { hosts, origins: config.origins.clone() };
    let (options, known) = (Options { exec: config.exec }, Arc::new(Known::default()));
    let door = Door::new(move || Mcp::of_callers(options, known.clone()), &door, stop.clone());
    let door = Arc::new(door.context("the Model Context Protocol cannot be served")?);
    let serve = move |caller: Caller, request: Request<Body>| {
        let door = door.clone();
        async move { visit(&door, caller, request).await }.boxed()
    };
    Ok(vec![Mount { path: "/mcp", visitors: Visitors::Known, serve: Arc::new(serve) }])
}

async fn visit(door: &Door<Mcp>, caller: Caller, mut request: Request<Body>) -> Response<Body> {
    let who = named(caller.identity());
    match callers::client(caller) {
        Ok(client) => drop(request.extensions_mut().insert(client)),
        Err(error) => {
            error!(%error, "a caller of /mcp cannot be served");
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return response;
        }
    }
    door.serve(&who, request).await.map(Body::new)
}

/// Who somebody is, in one text: no two identities have the same.
fn named(identity: &Identity) -> String {
    [&identity.user, &identity.uid]
        .into_iter()
        .chain(&identity.groups)
        .map(|part| format!("{}:{part}", part.len()))
        .collect()
}
