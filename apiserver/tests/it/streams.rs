//! Streams: requests that go on to the server behind an object.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::body::Body;
use http::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use orch_transport::{Authority, Limits, Peer, client_config, serve, server_config};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::host::{Host, PODS, pod, text};

/// A node's server: says who asked for what, or, asked to upgrade, echoes bytes.
async fn answer(mut request: Request<Body>) -> Result<Response<Body>, Infallible> {
    if request.headers().contains_key(header::UPGRADE) {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
            tokio::io::copy(&mut reader, &mut writer).await
        });
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        let response = response.header(header::CONNECTION, "Upgrade").header(header::UPGRADE, "echo");
        return Ok(response.body(Body::empty()).unwrap());
    }
    let peer = request.extensions().get::<Peer>().unwrap().certificate.as_ref().unwrap().common_name.clone();
    let authorization = request.headers().contains_key(header::AUTHORIZATION);
    let text =
        format!("{} {} by {peer}, authorization passed on: {authorization}", request.method(), request.uri());
    Ok(Response::new(Body::from(text)))
}

struct Node(SocketAddr, JoinHandle<()>);

impl Drop for Node {
    fn drop(&mut self) {
        self.1.abort();
    }
}

impl Node {
    async fn start(authority: &Authority) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let credentials = authority.issue_server(&["127.0.0.1"]).unwrap();
        let tls = server_config(&credentials, authority.certificate_pem()).unwrap();
        let service = axum::Router::new().fallback_service(tower::service_fn(answer));
        Self(address, tokio::spawn(serve(listener, tls, service, Limits::default(), std::future::pending())))
    }
}

async fn with_pod_on(host: &Host, address: SocketAddr) {
    let node = json!({"metadata": {"name": "n1"}});
    host.post("/api/v1/nodes", node).await.is(201);
    let status = json!({"status": {
        "addresses": [{"type": "InternalIP", "address": address.ip().to_string()}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": address.port()}},
    }});
    host.merge("/api/v1/nodes/n1/status", status).await.is(200);
    host.post(PODS, pod("p")).await.is(201);
    let binding = json!({"kind": "Binding", "target": {"kind": "Node", "name": "n1"}});
    host.post(&format!("{PODS}/p/binding"), binding).await.is(201);
}

#[tokio::test]
async fn a_log_is_asked_of_the_node_with_the_server_s_own_certificate() {
    let host = Host::start().await;
    let node = Node::start(&host.authority).await;
    with_pod_on(&host, node.0).await;
    let path = format!("{PODS}/p/log?container=web&follow=true");
    let request = host.request(reqwest::Method::GET, &path).header("authorization", "Bearer mine");
    let reply = host.send(request).await;
    assert_eq!(
        (reply.code, reply.text),
        (200, format!("GET {path} by orch-apiserver, authorization passed on: false"))
    );
}

#[tokio::test]
async fn streams_that_lead_nowhere_say_why() {
    let host = Host::start().await;
    host.get(&format!("{PODS}/none/log")).await.fails(404, "NotFound", "pods \"none\" not found");
    host.post(PODS, pod("early")).await.is(201);
    host.get(&format!("{PODS}/early/log")).await.fails(
        400,
        "BadRequest",
        "pod early does not have a host assigned",
    );
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    with_pod_on(&host, closed).await;
    let message = format!("dial tcp {closed}");
    host.get(&format!("{PODS}/p/log")).await.fails(500, "InternalError", &message);
}

#[tokio::test]
async fn a_node_that_another_authority_vouches_for_gets_nothing() {
    let host = Host::start().await;
    let directory = tempfile::tempdir().unwrap();
    let node = Node::start(&Authority::open_or_create(directory.path()).unwrap()).await;
    with_pod_on(&host, node.0).await;
    host.get(&format!("{PODS}/p/log")).await.fails(500, "InternalError", "certificate");
}

#[tokio::test]
async fn an_upgraded_connection_carries_bytes_both_ways() {
    let host = Host::start().await;
    let node = Node::start(&host.authority).await;
    with_pod_on(&host, node.0).await;
    let credentials = host.authority.issue_client("admin", &["system:masters"]).unwrap();
    let tls = client_config(host.authority.certificate_pem(), Some(&credentials)).unwrap();
    let stream = TcpStream::connect(host.address).await.unwrap();
    let name = "127.0.0.1".try_into().unwrap();
    let stream =
        tokio_rustls::TlsConnector::from(std::sync::Arc::new(tls)).connect(name, stream).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    let request = Request::post(format!("{PODS}/p/exec?command=cat"))
        .header(header::HOST, "localhost")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "echo")
        .body(Body::empty())
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(
        (response.status(), text(&json!(response.headers()["upgrade"].to_str().unwrap()))),
        (StatusCode::SWITCHING_PROTOCOLS, "echo")
    );
    let mut stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    for message in ["hello", "again"] {
        stream.write_all(message.as_bytes()).await.unwrap();
        let mut echo = vec![0; message.len()];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(echo, message.as_bytes());
    }
}
