//! The accept loop, driven over real connections.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected fails")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use orch_transport::{Authority, Credentials, Limits, Peer, client_config, kubeconfig, serve, server_config};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const DEADLINE: Duration = Duration::from_secs(30);

struct Server {
    authority: Authority,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    _directory: TempDir,
}

/// Says who asks and over which version of HTTP; `/slow` never answers.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/slow" {
        std::future::pending::<()>().await;
    }
    let peer = request.extensions().get::<Peer>().unwrap();
    let name = peer.certificate.as_ref().map_or("nobody".to_owned(), |certificate| {
        format!("{} of {}", certificate.common_name, certificate.organizations.join(" and "))
    });
    Ok(Response::new(Full::from(format!("{name} over {:?}", request.version()))))
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(directory.path()).unwrap();
        let credentials = authority.issue_server(&["localhost", "127.0.0.1", "::1"]).unwrap();
        let tls = server_config(&credentials, authority.certificate_pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(serve(listener, tls, tower::service_fn(answer), limits, async {
            // A dropped sender stops the server too.
            let _ = stopped.await;
        }));
        Self { authority, address, stop: Some(stop), serving, _directory: directory }
    }

    async fn connect(
        &self,
        credentials: Option<&Credentials>,
        protocol: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut tls = client_config(self.authority.certificate_pem(), credentials).unwrap();
        tls.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(tls)).connect("127.0.0.1".try_into().unwrap(), stream).await
    }

    /// Sends one HTTP/1.1 request and reads until the server closes.
    async fn ask(&self, credentials: Option<&Credentials>, request: &str) -> String {
        let mut stream = self.connect(credentials, "http/1.1").await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        read_all(&mut stream).await
    }
}

async fn read_all(stream: &mut TlsStream<TcpStream>) -> String {
    let mut bytes = Vec::new();
    // A server that cuts a connection need not say goodbye in TLS.
    let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

const GET: &str = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn the_peer_is_who_its_certificate_says() {
    let server = Server::start(Limits::default()).await;
    let alice = server.authority.issue_client("alice", &["dev"]).unwrap();
    let reply = server.ask(Some(&alice), GET).await;
    assert!(reply.ends_with("alice of dev over HTTP/1.1"), "{reply}");
    let reply = server.ask(None, GET).await;
    assert!(reply.ends_with("nobody over HTTP/1.1"), "{reply}");
}

#[tokio::test]
async fn http2_is_spoken_to_those_who_offer_it() {
    let server = Server::start(Limits::default()).await;
    let mut tls = client_config(server.authority.certificate_pem(), None).unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap();
    let reply =
        client.get(format!("https://{}/", server.address)).send().await.unwrap().text().await.unwrap();
    assert_eq!(reply, "nobody over HTTP/2.0");
}

#[tokio::test]
async fn a_certificate_of_a_stranger_or_a_server_of_one_is_refused() {
    let server = Server::start(Limits::default()).await;
    let directory = tempfile::tempdir().unwrap();
    let stranger = Authority::open_or_create(directory.path()).unwrap();
    let forged = stranger.issue_client("admin", &["system:masters"]).unwrap();
    if let Ok(mut stream) = server.connect(Some(&forged), "http/1.1").await {
        // In TLS 1.3 the client has finished before the server looks at the certificate.
        let _ = stream.write_all(GET.as_bytes()).await;
        assert_eq!(read_all(&mut stream).await, "");
    }
    let tls = client_config(stranger.certificate_pem(), None).unwrap();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let error = TlsConnector::from(Arc::new(tls)).connect("127.0.0.1".try_into().unwrap(), stream).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("invalid peer certificate"), "{error}");
}

#[tokio::test]
async fn headers_and_patience_are_bounded() {
    let limits = Limits {
        header_bytes: 8 << 10,
        header_timeout: Duration::from_millis(200),
        handshake_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let server = Server::start(limits).await;
    let large = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {}\r\n\r\n", "x".repeat(20 << 10));
    let reply = server.ask(None, &large).await;
    assert!(reply.starts_with("HTTP/1.1 431"), "{reply}");
    assert_eq!(server.ask(None, "GET / HTTP/1.1\r\nhost: ").await, "");
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut byte = [0];
    assert_eq!(tokio::time::timeout(DEADLINE, silent.read(&mut byte)).await.unwrap().unwrap_or(0), 0);
}

/// Reads what the server sends over HTTP/2 until there is a question for a sign of life. None if the connection ends first.
async fn ping(stream: &mut TlsStream<TcpStream>) -> Option<[u8; 8]> {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        stream.read_exact(&mut payload).await.ok()?;
        if (head[3], head[4]) == (PING, 0) {
            return payload.try_into().ok();
        }
    }
}

const PING: u8 = 6;
const ACK: u8 = 1;

#[tokio::test]
async fn a_silent_peer_over_http2_is_asked_for_a_sign_of_life_and_cut_without_one() {
    let server = Server::start(Limits { keep_alive: Duration::from_millis(500), ..Limits::default() }).await;
    let begin = async || {
        let mut stream = server.connect(None, "h2").await.unwrap();
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        stream.write_all(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings].concat()).await.unwrap();
        stream
    };
    let within =
        async |stream: &mut TlsStream<TcpStream>| tokio::time::timeout(DEADLINE, ping(stream)).await.unwrap();
    let mut silent = begin().await;
    assert!(within(&mut silent).await.is_some(), "it is not asked");
    assert_eq!(within(&mut silent).await, None, "it is not cut");
    let mut living = begin().await;
    for round in 0..3 {
        let asked = within(&mut living).await;
        let asked = asked.unwrap_or_else(|| panic!("one that answers is cut in round {round}"));
        let answer = [&[0, 0, 8, PING, ACK, 0, 0, 0, 0][..], &asked].concat();
        living.write_all(&answer).await.unwrap();
    }
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_one_to_end() {
    let server = Server::start(Limits { connections: 1, ..Limits::default() }).await;
    let first = server.connect(None, "http/1.1").await.unwrap();
    let mut second = Box::pin(server.ask(None, GET));
    let waited = tokio::time::timeout(Duration::from_millis(200), &mut second).await;
    assert!(waited.is_err(), "{waited:?}");
    drop(first);
    assert!(tokio::time::timeout(DEADLINE, second).await.unwrap().ends_with("HTTP/1.1"));
}

#[tokio::test]
async fn who_shows_no_certificate_leaves_room_for_who_does() {
    let server = Server::start(Limits { connections: 10, ..Limits::default() }).await;
    let mut strangers = Vec::new();
    for _ in 0..9 {
        let mut stranger = server.connect(None, "http/1.1").await.unwrap();
        stranger.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        stranger.read_exact(&mut [0]).await.unwrap();
        strangers.push(stranger);
    }
    let mut one_more = server.connect(None, "http/1.1").await.unwrap();
    // It may be cut before it has said anything.
    drop(one_more.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await);
    let read = tokio::time::timeout(DEADLINE, one_more.read(&mut [0])).await.unwrap();
    assert!(!matches!(read, Ok(1)), "it is served");
    let credentials = server.authority.issue_client("node", &["dev"]).unwrap();
    assert!(server.ask(Some(&credentials), GET).await.ends_with("HTTP/1.1"));
}

#[tokio::test]
async fn more_requests_on_one_connection_than_allowed_wait_for_one_to_end() {
    let server = Server::start(Limits { streams: 2, ..Limits::default() }).await;
    let mut tls = client_config(server.authority.certificate_pem(), None).unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).build().unwrap();
    let get = |path: &str| client.get(format!("https://{}{path}", server.address)).send();
    // The first request makes the connection, and learns what the server allows.
    get("/").await.unwrap();
    let slow = [tokio::spawn(get("/slow")), tokio::spawn(get("/slow"))];
    let mut third = Box::pin(async {
        tokio::task::yield_now().await;
        get("/").await
    });
    let waited = tokio::time::timeout(Duration::from_millis(300), &mut third).await;
    assert!(waited.is_err(), "{waited:?}");
    slow.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(tokio::time::timeout(DEADLINE, third).await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn a_stop_lets_idle_connections_go_at_once_and_cuts_the_rest_after_the_drain() {
    for (path, drain) in [("/", DEADLINE), ("/slow", Duration::from_millis(200))] {
        let mut server = Server::start(Limits { drain, ..Limits::default() }).await;
        let mut stream = server.connect(None, "http/1.1").await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).await.unwrap();
        let mut first = [0];
        if path == "/" {
            stream.read_exact(&mut first).await.unwrap();
        } else {
            // The request has arrived once another one, sent later, has been answered.
            server.ask(None, GET).await;
        }
        drop(server.stop.take());
        tokio::time::timeout(DEADLINE, &mut server.serving).await.unwrap().unwrap();
        read_all(&mut stream).await;
        assert!(TcpStream::connect(server.address).await.is_err());
    }
}

#[test]
fn a_kubeconfig_embeds_what_it_needs() {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::open_or_create(directory.path()).unwrap();
    let admin = authority.issue_client("orch-admin", &["system:masters"]).unwrap();
    let text = kubeconfig("https://127.0.0.1:6443", authority.certificate_pem(), "orch-admin", &admin);
    for part in
        ["server: https://127.0.0.1:6443\n", "current-context: orch\n", "client-key-data: LS0tLS1CRUdJTi"]
    {
        assert!(text.contains(part), "{text}");
    }
}
