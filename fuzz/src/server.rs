//! Requests to a whole API server in the process: the pipeline from the path to the answer.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::Request;
use orch_api::{Api, Resource as _, Status};
use orch_apiserver::{ApiServer, Config, Identity, Tokens};
use orch_controller_runtime::SystemClock;
use orch_ontology::{ConfigMap, KINDS, Namespace};
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use serde_json::json;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of the body of a failure.
const LARGEST_FAILURE: usize = 1 << 20;

struct Host {
    runtime: Runtime,
    router: Router,
    _api: ApiServer,
    _directory: tempfile::TempDir,
}

static HOST: LazyLock<Host> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (api, router) = runtime.block_on(async {
        let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path())).unwrap();
        let tokens = Tokens::parse("fuzz,fuzz,1,\"system:masters\"").unwrap();
        let config = Config { tokens, ..Config::new(Arc::new(store), KINDS.clone(), Arc::new(SystemClock)) };
        let api = ApiServer::start(config).unwrap();
        let client = api.local_client(Identity::new("fuzz", ["system:masters"]));
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
        Api::all(client.clone()).create(&namespace).await.unwrap();
        let map = json!({"metadata": {"name": "a", "namespace": "default"}, "data": {"a": "b"}});
        let map: ConfigMap = serde_json::from_value(map).unwrap();
        assert_eq!(Api::all(client).create(&map).await.unwrap().metadata().name, "a");
        let router = api.router();
        (api, router)
    });
    Host { runtime, router, _api: api, _directory: directory }
});

/// Every answer is one that a client can do something about. Bodies of watches have no end and are not read.
fn ask(request: http::request::Builder, body: Vec<u8>) {
    let Ok(request) = request.header("authorization", "Bearer fuzz").body(Body::from(body)) else { return };
    let line = format!("{} {} {:?}", request.method(), request.uri(), request.headers().get("content-type"));
    let answer = HOST.router.clone().oneshot(request);
    let answer = HOST.runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await });
    let answer = answer.unwrap_or_else(|_| panic!("no answer to {line}")).unwrap();
    let (head, body) = answer.into_parts();
    if head.status.is_server_error() {
        let body = HOST.runtime.block_on(axum::body::to_bytes(body, LARGEST_FAILURE)).unwrap();
        let status: Status = serde_json::from_slice(&body).unwrap();
        assert!(is_of_the_future(&status), "{} to {line}: {status:?}", head.status);
    }
}

/// The one failure that is the client's doing: it asked for a revision that has not been, and the server waited for it.
fn is_of_the_future(status: &Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.reason == "ResourceVersionTooLarge")
}

/// A method, a space, and a path with its query. Nothing is changed.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((method, path)) = text.split_once(' ') else { return };
    let glue = if path.contains('?') { '&' } else { '?' };
    let path = match method {
        "GET" => path.to_owned(),
        _ => format!("{path}{glue}dryRun=All"),
    };
    ask(Request::builder().method(method).uri(path), Vec::new());
}

/// A line with a method, a path and a media type, `---`, and a body. Nothing is changed.
pub fn body(data: &[u8]) {
    let Some(at) = data.windows(5).position(|window| window == b"\n---\n") else { return };
    let (Ok(head), body) = (std::str::from_utf8(&data[..at]), &data[at + 5..]) else { return };
    let mut words = head.split_whitespace();
    let (Some(method), Some(path), Some(media_type)) = (words.next(), words.next(), words.next()) else {
        return;
    };
    let glue = if path.contains('?') { '&' } else { '?' };
    let request = Request::builder().method(method).uri(format!("{path}{glue}dryRun=All"));
    ask(request.header("content-type", media_type), body.to_vec());
}
