//! The accept loop: TLS handshake, HTTP, limits, drain.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::{Service, ServiceExt as _};
use tracing::{debug, warn};

use crate::corked::Corked;
use crate::{Peer, PeerCertificate};

/// How much a peer may ask of a connection.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at a time; more wait to be accepted. Of peers that show no certificate nine in ten; more of those are cut after
    /// the handshake.
    pub connections: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long the headers of an HTTP/1.1 request may take; also how long such a connection may idle.
    pub header_timeout: Duration,
    /// The size of a request's headers; larger ones are answered with 431.
    pub header_bytes: usize,
    /// Requests at a time on one HTTP/2 connection.
    pub streams: u32,
    /// How long a silent HTTP/2 peer is waited for before it is asked for a sign of life, and for that sign.
    pub keep_alive: Duration,
    /// How long open requests may go on after the server has been told to stop.
    pub drain: Duration,
}

/// One connection in so many is left for peers that show a certificate: nodes, and who keeps the cluster going.
const RESERVED: usize = 10;

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            handshake_timeout: Duration::from_secs(10),
            header_timeout: Duration::from_secs(90),
            header_bytes: 64 * 1024,
            streams: 1_000,
            keep_alive: Duration::from_secs(30),
            drain: Duration::from_secs(3),
        }
    }
}

/// Serves `service` over TLS on `listener` until `shutdown` completes; then accepts no more, tells peers to finish, and
/// returns once they have or [`Limits::drain`] has passed, when what is left is cut.
///
/// Every request carries a [`Peer`] in its extensions. A failed handshake or a broken connection ends that connection
/// only. The listener's own passing errors (too many open files) are waited out.
pub async fn serve<S, B>(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    service: S,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let drain = limits.drain;
    let permits = Arc::new(Semaphore::new(limits.connections));
    let without_certificate = Semaphore::new(limits.connections - limits.connections / RESERVED);
    let front = Arc::new(Front { tls: TlsAcceptor::from(tls), service, limits, without_certificate });
    let graceful = GracefulShutdown::new();
    let mut connections = tokio::task::JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, address, permit)) = accepted else { break };
        let (front, watcher) = (front.clone(), graceful.watcher());
        connections.spawn(async move {
            front.connection(stream, address, watcher).await;
            drop(permit);
        });
    }
    drop(listener);
    if timeout(drain, graceful.shutdown()).await.is_err() {
        debug!(seconds = drain.as_secs(), "connections left after the drain are cut");
    }
    connections.shutdown().await;
}

/// The next connection, once there is room for one. `None` only if the semaphore were closed, which it never is.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.ok()?;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return Some((stream, address, permit)),
            Err(error) if is_of_one_connection(&error) => {
                debug!(%error, "a connection was gone before it was accepted")
            }
            Err(error) => {
                warn!(%error, "cannot accept connections; trying again");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// What all connections share.
struct Front<S> {
    tls: TlsAcceptor,
    service: S,
    limits: Limits,
    /// Room for connections of peers that show no certificate.
    without_certificate: Semaphore,
}

impl<S, B> Front<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    async fn connection(&self, stream: TcpStream, address: SocketAddr, watcher: Watcher) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%address, %error, "the connection is gone");
            return;
        }
        let stream = match timeout(self.limits.handshake_timeout, self.tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return debug!(%address, %error, "TLS handshake failed"),
            Err(_) => return debug!(%address, "TLS handshake took too long"),
        };
        let peer = Peer { address, certificate: certificate(&stream).map(Arc::new) };
        let room = peer.certificate.is_none().then(|| self.without_certificate.try_acquire());
        let Ok(_room) = room.transpose() else {
            return debug!(%address, "too many connections without a certificate");
        };
        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
        let service = self.service.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            service.clone().oneshot(request)
        });
        let builder = self.builder(http2);
        let outcome = if http2 {
            let corked = Corked::new(stream);
            let connection = builder.serve_connection(TokioIo::new(corked.clone()), service);
            corked.drive(watcher.watch(connection.into_owned())).await
        } else {
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
            watcher.watch(connection.into_owned()).await
        };
        if let Err(error) = outcome {
            debug!(%address, %error, "the connection broke");
        }
    }

    fn builder(&self, http2: bool) -> auto::Builder<TokioExecutor> {
        let (builder, limits) = (auto::Builder::new(TokioExecutor::new()), &self.limits);
        // The handshake has settled the protocol: nothing is read to find out.
        let mut builder = if http2 { builder.http2_only() } else { builder.http1_only() };
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_timeout)
            .max_buf_size(limits.header_bytes.max(8 * 1024));
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(limits.keep_alive)
            .keep_alive_timeout(limits.keep_alive)
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .max_send_buf_size(1 << 20);
        builder
    }
}

fn certificate(stream: &TlsStream<TcpStream>) -> Option<PeerCertificate> {
    PeerCertificate::parse(stream.get_ref().1.peer_certificates()?.first()?)
}
