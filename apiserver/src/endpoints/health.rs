//! `/livez`, `/readyz`, `/healthz`, each whole, by check (`/readyz/store`), and in words (`?verbose`).

use axum::body::Body;
use http::Response;
use http::request::Parts;
use orch_api::Status;
use orch_store::Revision;

use crate::respond::json_response;
use crate::server::Server;

type Check = (&'static str, Result<(), String>);

/// The process answers: nothing else is asked, because a restart would not mend it.
pub(super) fn live(rest: &[&str], parts: &Parts) -> Result<Response<Body>, Status> {
    report("livez", &[("ping", Ok(()))], rest, parts)
}

/// Requests can be served: the store answers and the cache has been loaded.
pub(super) async fn ready(server: &Server, rest: &[&str], parts: &Parts) -> Result<Response<Body>, Status> {
    let registry = &server.registry;
    let store = registry.store.revision().await.map(drop).map_err(|error| error.to_string());
    let cache = match registry.cache.reached() {
        Revision::ZERO => Err("the watch cache is being loaded".to_owned()),
        _ => Ok(()),
    };
    let stopping =
        if server.stopping.is_cancelled() { Err("the server is stopping".to_owned()) } else { Ok(()) };
    let checks = [("ping", Ok(())), ("store", store), ("watch-cache", cache), ("shutdown", stopping)];
    report("readyz", &checks, rest, parts)
}

fn report(what: &str, checks: &[Check], rest: &[&str], parts: &Parts) -> Result<Response<Body>, Status> {
    let asked = |check: &&Check| rest.is_empty() || rest == [check.0];
    let checks: Vec<&Check> = checks.iter().filter(asked).collect();
    if checks.is_empty() {
        return Err(Status::no_such_path());
    }
    let ok = checks.iter().all(|(_, outcome)| outcome.is_ok());
    let verbose = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
        .any(|(name, _)| name == "verbose");
    let code = if ok { 200 } else { 503 };
    if ok && !verbose {
        return Ok(json_response(code, "text/plain; charset=utf-8", "ok".into()));
    }
    let mut text: String = checks
        .iter()
        .map(|(name, outcome)| match outcome {
            Ok(()) => format!("[+]{name} ok\n"),
            Err(reason) => format!("[-]{name} failed: {reason}\n"),
        })
        .collect();
    text.push_str(&format!("{what} check {}\n", if ok { "passed" } else { "failed" }));
    Ok(json_response(code, "text/plain; charset=utf-8", text.into()))
}
