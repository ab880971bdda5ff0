//! `GET` and `POST …/portforward`: connections to ports of the pod, many over one.
//!
//! Two protocols say the same in different words: Kubernetes' channels ([`Channels`]) and SPDY ([`Tunnel`]). Each turns messages
//! into what the client asks for, and what became of it into messages, without I/O; [`forward`] carries it out.

mod channels;
mod forward;
mod tunnel;

use axum::{
    body::Body,
    extract::{
        FromRequestParts as _, Path, Request, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code},
    },
    response::Response,
};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::{HeaderMap, StatusCode, header};
use hyper_util::rt::TokioIo;
use orch_api::Status;
use orch_runtime::Connection;
use tokio_util::codec::{BytesCodec, FramedRead, FramedWrite};

use self::{channels::Channels, forward::Protocol, tunnel::Tunnel};
use super::{Failure, Server, pairs};
use crate::agent::chain;

/// SPDY inside of WebSocket messages, which kubectl prefers, and one channel for each port and its errors.
const PROTOCOLS: [&str; 2] = ["SPDY/3.1+portforward.k8s.io", "v4.channel.k8s.io"];
/// What is spoken over SPDY.
const PORTFORWARD: &str = "portforward.k8s.io";
const PROTOCOL_VERSION: &str = "x-stream-protocol-version";
/// No client sends as much at once.
const LONGEST_MESSAGE_BYTES: usize = 4 << 20;

pub(super) async fn portforward(
    State(server): State<Server>,
    Path((namespace, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Failure> {
    let pod = server.pod(&namespace, &name)?;
    let target = Target { server, name, uid: pod.metadata.uid.clone() };
    if target.server.seen(&target.uid).ready_sandbox().is_none() {
        let phase = pod.status.phase.map_or_else(|| "Unknown".into(), |phase| format!("{phase:?}"));
        let message = format!("unable to forward port because pod is not running. Current status={phase}");
        return Err(Status::bad_request(message).into());
    }
    if is_spdy(request.headers()) {
        return Ok(upgrade_to_spdy(target, request)?);
    }
    upgrade_to_websocket(target, request).await
}

/// The pod, and how to reach it.
struct Target {
    server: Server,
    name: String,
    uid: String,
}

impl Target {
    /// A connection to a port, or why there is none, as kubelet says it.
    async fn connect(&self, port: u16) -> Result<Connection, String> {
        let sandbox = self.server.seen(&self.uid).ready_sandbox().map(|sandbox| sandbox.id.clone());
        let connected = match sandbox {
            Some(sandbox) => {
                let connected = self.server.shared.runtime.connect(&sandbox, port).await;
                connected.map_err(|error| chain(&error))
            }
            None => Err("pod is not running".to_owned()),
        };
        let Self { name, uid, .. } = self;
        connected.map_err(|why| format!("error forwarding port {port} to pod {name}, uid {uid}: {why}"))
    }
}

async fn upgrade_to_websocket(target: Target, request: Request) -> Result<Response, Failure> {
    let (mut parts, _) = request.into_parts();
    let upgrade = WebSocketUpgrade::from_request_parts(&mut parts, &()).await.map_err(|_| {
        Status::bad_request(format!(
            "portforward is served over WebSocket, with sub-protocol {}, and over SPDY/3.1",
            PROTOCOLS.join(" or ")
        ))
    })?;
    let upgrade = upgrade.protocols(PROTOCOLS).max_message_size(LONGEST_MESSAGE_BYTES);
    let chosen = upgrade.selected_protocol().and_then(|chosen| chosen.to_str().ok());
    match chosen {
        Some(chosen) if chosen == PROTOCOLS[0] => {
            Ok(upgrade.on_upgrade(|socket| over_websocket(target, Tunnel::new(), socket)))
        }
        Some(_) => {
            let channels = Channels::new(&pairs(parts.uri.query()))?;
            Ok(upgrade.on_upgrade(|socket| over_websocket(target, channels, socket)))
        }
        None => {
            let served = PROTOCOLS.join(", ");
            let message = format!("none of the sub-protocols asked for is served, which are: {served}");
            Err(Status::bad_request(message).into())
        }
    }
}

async fn over_websocket(target: Target, protocol: impl Protocol, socket: WebSocket) {
    let (mut sink, stream) = socket.split();
    let messages = stream.filter_map(async |message| match message {
        Ok(Message::Binary(bytes)) => Some(Some(bytes)),
        Ok(Message::Close(_)) | Err(_) => Some(None),
        Ok(_) => None,
    });
    let messages = messages.take_while(|message| std::future::ready(message.is_some()));
    let messages = messages.filter_map(std::future::ready);
    let output =
        (&mut sink).with(|bytes: Bytes| std::future::ready(Ok::<_, axum::Error>(Message::Binary(bytes))));
    forward::serve(target, protocol, messages, output).await;
    // A client that is gone needs no farewell.
    let normal = CloseFrame { code: close_code::NORMAL, reason: Utf8Bytes::default() };
    let _ = sink.send(Message::Close(Some(normal))).await;
    // Who said farewell first waits for the answer, which goes out with this.
    let _ = sink.close().await;
}

/// Whether a connection is to become SPDY, as clients before WebSockets ask for it.
fn is_spdy(headers: &HeaderMap) -> bool {
    let upgrade = headers.get(header::UPGRADE).and_then(|upgrade| upgrade.to_str().ok());
    upgrade.is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("SPDY/3.1"))
}

fn upgrade_to_spdy(target: Target, mut request: Request) -> Result<Response, Status> {
    let versions = request.headers().get_all(PROTOCOL_VERSION).iter();
    let mut versions = versions.filter_map(|version| version.to_str().ok()).flat_map(|all| all.split(','));
    if !versions.any(|version| version.trim() == PORTFORWARD) {
        let message = format!("unable to negotiate protocol: the server speaks {PORTFORWARD}");
        return Err(Status::bad_request(message));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let stream = match upgrade.await {
            Ok(stream) => TokioIo::new(stream),
            Err(error) => return tracing::debug!(%error, "a client went away before it was upgraded"),
        };
        let (reading, writing) = tokio::io::split(stream);
        let messages = FramedRead::new(reading, BytesCodec::new());
        let messages = messages.take_while(|read| std::future::ready(read.is_ok()));
        let messages = messages.filter_map(async |read| read.ok().map(bytes::BytesMut::freeze));
        forward::serve(target, Tunnel::new(), messages, FramedWrite::new(writing, BytesCodec::new())).await;
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "SPDY/3.1")
        .header(PROTOCOL_VERSION, PORTFORWARD)
        .body(Body::empty())
        .map_err(Status::internal)
}
