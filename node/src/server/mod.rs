//! The agent's HTTPS server: the streams of the node's pods, at the same paths as the API server's, which passes them on.
//!
//! Nobody but the API server may connect: whether a person may read a log or run a command is decided there.

mod attach;
mod channels;
mod containers;
mod conversation;
mod exec;
mod log;
mod portforward;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Json, Response},
    routing::get,
};
use orch_api::{Resource as _, Status};
use orch_controller_runtime::{Cache, ObjectKey};
use orch_ontology::Pod;
use orch_transport::{Limits, Peer};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    agent::{ServerConfig, Shared},
    plan::Seen,
};

/// What requests are answered from.
#[derive(Clone)]
pub(crate) struct Server {
    shared: Arc<Shared>,
    pods: Arc<Cache<Pod>>,
    seen: watch::Receiver<Arc<BTreeMap<String, Seen>>>,
}

/// A failure as the API tells it.
struct Failure(Status);

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self(status)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let code = StatusCode::from_u16(self.0.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (code, Json(self.0)).into_response()
    }
}

impl Server {
    pub(crate) fn new(
        shared: Arc<Shared>,
        pods: Arc<Cache<Pod>>,
        seen: watch::Receiver<Arc<BTreeMap<String, Seen>>>,
    ) -> Self {
        Self { shared, pods, seen }
    }

    pub(crate) async fn run(self, config: ServerConfig, cancel: CancellationToken) {
        let allowed: Arc<[String]> = config.allowed_names.into();
        let router = self.router().layer(middleware::from_fn_with_state(allowed, only_allowed));
        orch_transport::serve(config.listener, config.tls, router, Limits::default(), cancel.cancelled())
            .await;
    }

    fn router(self) -> Router {
        Router::new()
            .route("/api/v1/namespaces/{namespace}/pods/{name}/log", get(log::log))
            .route("/api/v1/namespaces/{namespace}/pods/{name}/exec", get(exec::exec).post(exec::exec))
            .route(
                "/api/v1/namespaces/{namespace}/pods/{name}/attach",
                get(attach::attach).post(attach::attach),
            )
            .route(
                "/api/v1/namespaces/{namespace}/pods/{name}/portforward",
                get(portforward::portforward).post(portforward::portforward),
            )
            .fallback(|| async { Failure(Status::no_such_path()) })
            .with_state(self)
    }

    fn pod(&self, namespace: &str, name: &str) -> Result<Arc<Pod>, Failure> {
        let pod = self.pods.get(&ObjectKey::new(namespace, name));
        pod.ok_or_else(|| Failure(Status::not_found(&Pod::KIND, name)))
    }

    fn seen(&self, uid: &str) -> Seen {
        self.seen.borrow().get(uid).cloned().unwrap_or_default()
    }
}

async fn only_allowed(State(allowed): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    let certificate = request.extensions().get::<Peer>().and_then(|peer| peer.certificate.clone());
    match certificate {
        None => Failure(Status::unauthorized()).into_response(),
        Some(certificate) if allowed.contains(&certificate.common_name) => next.run(request).await,
        Some(certificate) => {
            let why = format!("user {:?} may not connect to a node", certificate.common_name);
            Failure(Status::failure(orch_api::Reason::Forbidden, why)).into_response()
        }
    }
}

/// The pairs of a query, decoded, in order.
fn pairs(query: Option<&str>) -> Vec<(String, String)> {
    serde_urlencoded::from_str(query.unwrap_or_default()).unwrap_or_default()
}
