//! WebSockets to a subresource.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::header::{AUTHORIZATION, USER_AGENT};
use http_body_util::BodyExt as _;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use orch_api::{Status, Target};
use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::http::{CONNECT_TIMEOUT, KEEP_ALIVE, Way, failure};
use crate::{HttpClient, Local, unreachable};

/// What a connection within the process holds.
const LOCAL_BYTES: usize = 32 << 10;
/// Who has not answered for so long is not there.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2 * KEEP_ALIVE.as_secs());

/// A byte stream, with or without TLS.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) type Socket = WebSocketStream<Box<dyn Io>>;

impl HttpClient {
    /// A WebSocket that speaks this sub-protocol.
    pub(crate) async fn websocket(
        &self,
        target: &Target,
        query: &[(&'static str, &str)],
        protocol: &str,
    ) -> Result<Socket, Status> {
        let url = reqwest::Url::parse_with_params(&self.url(target)?, query)
            .map_err(|error| Status::bad_request(format!("{} is not an address: {error}", self.server())))?;
        let stream = self.dial(&url).await?;
        let mut request = ClientRequestBuilder::new(websocket_uri(&url)?)
            .with_sub_protocol(protocol)
            .with_header(USER_AGENT.as_str(), self.agent());
        if let Some(authorization) = self.authorization().await?
            && let Ok(value) = authorization.to_str()
        {
            request = request.with_header(AUTHORIZATION.as_str(), value);
        }
        let (socket, response) = tokio_tungstenite::client_async(request, stream)
            .await
            .map_err(|error| refused(self.server(), error))?;
        match response.headers().get("sec-websocket-protocol").map(|chosen| chosen.as_bytes()) {
            Some(chosen) if chosen == protocol.as_bytes() => Ok(socket),
            _ => Err(Status::internal(format!("the server does not speak {protocol}"))),
        }
    }

    async fn dial(&self, url: &reqwest::Url) -> Result<Box<dyn Io>, Status> {
        let (tls, name) = match &self.way {
            Way::Network(tls, name) => (tls.clone(), name.clone()),
            Way::Local(server) => return Ok(Box::new(dial_local(server.clone()))),
        };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let dialling = async {
            let tcp = TcpStream::connect((host.as_str(), port)).await?;
            tcp.set_nodelay(true)?;
            keep_alive(&tcp)?;
            if url.scheme() == "http" {
                return Ok::<Box<dyn Io>, io::Error>(Box::new(tcp));
            }
            let name =
                ServerName::try_from(name.unwrap_or_else(|| host.clone())).map_err(io::Error::other)?;
            Ok(Box::new(TlsConnector::from(tls).connect(name, tcp).await?))
        };
        let dialled = tokio::time::timeout(CONNECT_TIMEOUT, dialling).await;
        let dialled = dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        dialled.map_err(|error| unreachable::status(self.server(), &error))
    }
}

/// Has the kernel ask the other end's whether it is there, while nothing is sent.
fn keep_alive(tcp: &TcpStream) -> io::Result<()> {
    let often = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE / 3).with_retries(3);
    SockRef::from(tcp).set_tcp_keepalive(&often)
}

/// Questions to the other end whether it is there. It answers each as soon as it reads it.
pub(crate) fn pings() -> impl Stream<Item = Message> + Send + Unpin {
    let clock = tokio::time::interval_at(tokio::time::Instant::now() + KEEP_ALIVE, KEEP_ALIVE);
    Box::pin(futures::stream::unfold(clock, |mut clock| async move {
        clock.tick().await;
        Some((Message::Ping(Bytes::new()), clock))
    }))
}

/// What is said of a server that has not been heard for [`PATIENCE`].
pub(crate) fn silent(server: &str) -> Status {
    let seconds = PATIENCE.as_secs();
    Status::unavailable(format!("the connection to {server} broke off: no answer for {seconds} s"))
}

/// The other end of a connection that the server in this process serves, for as long as this one is open.
fn dial_local(server: Local) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(LOCAL_BYTES);
    let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let answer = server(request.map(|body| reqwest::Body::wrap_stream(body.into_data_stream())));
        async move { Ok::<_, Infallible>(refused_at_once(answer.await).await) }
    });
    tokio::spawn(async move {
        let connection = http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a connection within the process broke");
        }
    });
    ours
}

/// A refusal with its length, as whoever waits for a WebSocket reads it; anything else as it is.
async fn refused_at_once(answer: http::Response<reqwest::Body>) -> http::Response<reqwest::Body> {
    if answer.status().is_informational() {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    http::Response::from_parts(parts, body.into())
}

fn websocket_uri(url: &reqwest::Url) -> Result<http::Uri, Status> {
    let text = url.as_str().replacen("http", "ws", 1);
    text.parse().map_err(|error| Status::bad_request(format!("{text} is not an address: {error}")))
}

fn refused(server: &str, error: Error) -> Status {
    match error {
        Error::Http(response) => {
            let code = response.status().as_u16();
            failure(code, response.into_body().unwrap_or_default().as_slice())
        }
        error => unreachable::status(server, &error),
    }
}
