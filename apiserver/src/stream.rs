//! Subresources that are streams: the request goes on, as it is, to the server behind the object.

use std::sync::Arc;

use axum::body::Body;
use http::{HeaderName, Request, Response, StatusCode, Uri, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use orch_api::{Action, Backend, Reason, Status};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tracing::debug;

use crate::registry::Call;
use crate::server::Server;

/// How long the server behind an object may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Headers that are about one connection, and credentials that are for this server only.
const NOT_FORWARDED: [HeaderName; 7] = [
    header::AUTHORIZATION,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
];

/// Passes the request on, and the answer back; an upgraded connection is joined byte by byte until either end closes.
///
/// # Errors
/// 404 if there is no such object, 400 if nobody serves it yet, 429 if the caller has too much open, 500 if its server cannot be
/// reached, 503 if this server has no way to any.
pub(crate) async fn forward(
    server: &Arc<Server>,
    call: &Call,
    request: Request<Body>,
) -> Result<Response<Body>, Status> {
    let open = Arc::new(server.fairness.long_running(&call.identity)?);
    let tls =
        server.backend.clone().ok_or_else(|| Status::unavailable("this server does not serve streams"))?;
    let address = address(server, call).await?;
    let stream = connect(&address, tls).await?;
    let failed = |error: &dyn std::fmt::Display| bad_gateway(format!("error proxying to {address}: {error}"));
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let carried = open.clone();
    tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            debug!(%error, "a connection to a backend broke");
        }
        drop(carried);
    });
    let (outgoing, upgrade) = outgoing(request, &address)?;
    let mut response = sender.send_request(outgoing).await.map_err(|error| failed(&error))?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let backend = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            if let Err(error) = join(upgrade, backend).await {
                debug!(%error, "an upgraded stream ended");
            }
            drop(open);
        });
    }
    Ok(response.map(Body::new))
}

/// The `host:port` of the server behind the object.
async fn address(server: &Server, call: &Call) -> Result<String, Status> {
    let Some(Action::Stream(backend)) = call.action().map(|subresource| &subresource.action) else {
        return Err(Status::no_such_path());
    };
    server.registry.cache.catch_up().await?;
    let object = call.kind.window.get(&call.key()?);
    let object = object.ok_or_else(|| Status::not_found(call.kind.kind(), call.name()))?;
    let object: Value = object.value().map_err(Status::internal)?;
    serving(server, call, backend, &object)
}

fn serving(server: &Server, call: &Call, backend: &Backend, object: &Value) -> Result<String, Status> {
    let name = object.pointer(backend.name).and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        let (singular, name) = (call.kind.kind().singular, call.name());
        return Err(Status::bad_request(format!("{singular} {name} does not have a host assigned")));
    }
    let kinds = server.registry.kinds.now();
    let kind = kinds.of(&backend.kind).ok_or_else(|| Status::internal("the backend's kind is not served"))?;
    let found =
        kind.window.get(&kind.key(None, name)?).ok_or_else(|| Status::not_found(&backend.kind, name))?;
    let found: Value = found.value().map_err(Status::internal)?;
    (backend.address)(&found).ok_or_else(|| {
        Status::unavailable(format!("{} {name} does not say where it serves streams", backend.kind.singular))
    })
}

async fn connect(address: &str, tls: Arc<rustls::ClientConfig>) -> Result<TlsStream<TcpStream>, Status> {
    let failed = |error: &dyn std::fmt::Display| {
        bad_gateway(format!("error dialing backend: dial tcp {address}: {error}"))
    };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(&error))?;
    let connecting = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(tls).connect(name, stream).await
    };
    match timeout(CONNECT_TIMEOUT, connecting).await {
        Ok(connected) => connected.map_err(|error| failed(&error)),
        Err(_) => Err(failed(&"i/o timeout")),
    }
}

/// The request as it goes on: the same path, query, body and upgrade, without what was meant for this server.
fn outgoing(
    mut request: Request<Body>,
    address: &str,
) -> Result<(Request<Body>, hyper::upgrade::OnUpgrade), Status> {
    let upgrade = hyper::upgrade::on(&mut request);
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut outgoing = Request::builder()
        .method(request.method().clone())
        .uri(path.parse::<Uri>().map_err(Status::internal)?);
    for (name, value) in request.headers() {
        if !NOT_FORWARDED.contains(name) {
            outgoing = outgoing.header(name, value);
        }
    }
    let outgoing =
        outgoing.header(header::HOST, address).body(request.into_body()).map_err(Status::internal)?;
    Ok((outgoing, upgrade))
}

async fn join(client: hyper::upgrade::OnUpgrade, backend: hyper::upgrade::OnUpgrade) -> std::io::Result<()> {
    let (client, backend) = tokio::try_join!(client, backend).map_err(std::io::Error::other)?;
    tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(backend)).await.map(drop)
}

fn bad_gateway(message: String) -> Status {
    // Kubernetes has no reason of its own for it: an internal error with the dialer's words.
    Status::failure(Reason::InternalError, message)
}
