//! The Model Context Protocol at `/mcp`: for AI agents, with the rights of whoever they act as.

use std::net::IpAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::body::Body;
use futures::FutureExt as _;
use http::{Request, Response, StatusCode};
use orch_apiserver::{Caller, Identity, Mount, Visit, Visitors};
use orch_mcp::{Door, DoorOptions, Known, Mcp, OnListening, Options};
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
}

impl Default for McpConfig {
    fn default() -> Self {
        Self { enabled: true, exec: false, hosts: Vec::new() }
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
    // Pages in browsers are let in from nowhere: what asks for them in advance has no credentials to show.
    let door = DoorOptions { hosts, origins: Vec::new() };
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
    if let Some(visit) = request.extensions().get::<Visit>().cloned() {
        request.extensions_mut().insert(OnListening::new(move || visit.end()));
    }
    door.serve(&who, request).await.map(Body::new)
}

/// Who somebody is, in one text: no two identities have the same.
fn named(identity: &Identity) -> String {
    let lists = [("", &identity.groups)]
        .into_iter()
        .chain(identity.extra.iter().map(|(key, values)| (key.as_str(), values)));
    let lists = lists.flat_map(|(key, values)| {
        let many = values.len().to_string();
        [key.to_owned(), many].into_iter().chain(values.iter().cloned())
    });
    let parts = [identity.user.clone(), identity.uid.clone()].into_iter().chain(lists);
    parts.map(|part| format!("{}:{part}", part.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_identities_have_the_same_name() {
        let of = |groups: &[&str], extra: &[(&str, &[&str])]| {
            let mut identity = Identity::new("ann", groups.iter().copied());
            identity.extra = extra
                .iter()
                .map(|(key, values)| ((*key).to_owned(), values.iter().map(ToString::to_string).collect()))
                .collect();
            named(&identity)
        };
        let names = [
            of(&[], &[]),
            of(&["a"], &[]),
            of(&["a", "b"], &[]),
            of(&["ab"], &[]),
            of(&[], &[("a", &[])]),
            of(&[], &[("a", &["b"])]),
            of(&[], &[("a", &["b", "c"])]),
            of(&[], &[("a", &["b"]), ("c", &[])]),
        ];
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
    }
}
