//! Paths that are not about objects: discovery, schemas, health, version, metrics, and what a caller may ask about itself.

mod discovery;
mod health;
mod ontology;
mod openapi;
mod openapi_paths;
mod openapi_proto;
mod openapi_v2;
mod review;
mod token_review;

use std::borrow::Cow;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use orch_api::Status;
use sha2::{Digest as _, Sha256};

pub(crate) use discovery::Discovery;
pub(crate) use openapi::OpenApi;
pub(crate) use review::{answer as answer_review, is_review, review};

use crate::authn::ServiceAccounts;
use crate::respond::json_response;
use crate::server::Server;

/// A document that does not change while the server runs.
pub(crate) struct Document {
    bytes: Bytes,
    etag: String,
}

impl Document {
    fn new(value: &serde_json::Value) -> Self {
        Self::of(value.to_string().into())
    }

    fn of(bytes: Bytes) -> Self {
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02X}")).collect();
        Self { bytes, etag: hash }
    }

    /// The document, or 304 if the client has it.
    fn answer(&self, parts: &Parts, content_type: &str) -> Response<Body> {
        let etag = format!("\"{}\"", self.etag);
        let asked = parts.headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
        let known = asked.is_some_and(|asked| asked.split(',').any(|tag| tag.trim() == etag));
        let body = if known { Body::empty() } else { self.bytes.clone().into() };
        let mut response = json_response(200, content_type, body);
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public"));
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            headers.insert(header::ETAG, etag);
        }
        response
    }
}

/// Whether a path asks how the server is: answered however much others ask.
pub(crate) fn is_health(segments: &[Cow<'_, str>]) -> bool {
    segments.first().is_some_and(|first| matches!(&**first, "livez" | "readyz" | "healthz"))
}

/// Answers a path that is not about objects. A trailing slash is accepted.
///
/// # Errors
/// 404 for paths that there are not, 405 for anything but reading.
pub(crate) async fn serve(
    server: &Server,
    segments: &[Cow<'_, str>],
    parts: &Parts,
) -> Result<Response<Body>, Status> {
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let path = match segments.as_slice() {
        [rest @ .., ""] => rest,
        all => all,
    };
    if matches!(path, ["api" | "apis" | "openapi" | "ontology", ..]) {
        // Kinds that have just been defined are shown. If the store cannot say, what is known is better than nothing.
        let _ = server.registry.cache.catch_up().await;
    }
    let kinds = server.registry.kinds.now();
    let discovery = || kinds.discovery.get_or_init(|| Discovery::new(&kinds));
    let openapi = || kinds.openapi.get_or_init(|| OpenApi::new(&kinds, None));
    if !matches!(parts.method, Method::GET | Method::HEAD) {
        return Err(Status::method_not_allowed());
    }
    match path {
        [] => Ok(paths(server)),
        ["livez" | "healthz", rest @ ..] => health::live(rest, parts),
        ["readyz", rest @ ..] => health::ready(server, rest, parts).await,
        ["version"] => Ok(json_response(200, "application/json", version().into())),
        ["metrics"] => {
            let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            let text = server.metrics.text(&server.registry, &server.fairness);
            Ok(json_response(200, content_type, text.into()))
        }
        ["api" | "apis", rest @ ..] => {
            discovery().answer(path[0], rest, parts).ok_or_else(Status::no_such_path)
        }
        ["openapi", "v2"] => openapi().v2(parts),
        [".well-known", "openid-configuration"] => {
            issuer(server, ServiceAccounts::configuration, "application/json")
        }
        ["openid", "v1", "jwks"] => issuer(server, ServiceAccounts::jwks, "application/jwk-set+json"),
        ["ontology"] => ontology::answer(&kinds, parts),
        ["openapi", "v3", rest @ ..] => openapi().answer(rest, parts).ok_or_else(Status::no_such_path),
        _ => Err(Status::no_such_path()),
    }
}

/// What those who verify service accounts' tokens must know.
fn issuer(
    server: &Server,
    document: fn(&ServiceAccounts) -> serde_json::Value,
    content_type: &str,
) -> Result<Response<Body>, Status> {
    let accounts = server.registry.accounts.as_ref().ok_or_else(Status::no_such_path)?;
    let mut response = json_response(200, content_type, document(accounts).to_string().into());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    Ok(response)
}

fn version() -> String {
    let emulated = (1, 33);
    serde_json::json!({
        "major": emulated.0.to_string(),
        "minor": emulated.1.to_string(),
        "gitVersion": format!("v{}.{}.0+orch-{}", emulated.0, emulated.1, env!("CARGO_PKG_VERSION")),
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "none",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, architecture()),
    })
    .to_string()
}

/// The machine as Go names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn paths(server: &Server) -> Response<Body> {
    let kinds = server.registry.kinds.now();
    let groups = kinds.all().iter().map(|kind| match kind.kind().group {
        "" => format!("/api/{}", kind.kind().version),
        group => format!("/apis/{group}/{}", kind.kind().version),
    });
    let fixed = [
        "/api",
        "/apis",
        "/healthz",
        "/livez",
        "/metrics",
        "/openapi/v2",
        "/ontology",
        "/openapi/v3",
        "/readyz",
        "/version",
    ];
    let issuing = ["/.well-known/openid-configuration", "/openid/v1/jwks"];
    let issuing = issuing.into_iter().filter(|_| server.registry.accounts.is_some());
    let mounted = server.mounts.iter().map(|mount| mount.path);
    let fixed = fixed.into_iter().chain(issuing).chain(mounted);
    let paths: std::collections::BTreeSet<String> = groups.chain(fixed.map(str::to_owned)).collect();
    json_response(200, "application/json", serde_json::json!({"paths": paths}).to_string().into())
}
