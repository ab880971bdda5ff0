//! What is bounded, and what is answered beyond: docs/limits.md as tests, as far as others do not have them.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use orch_transport::client_config;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::host::{DEADLINE, Host, MAPS, client_over, map};

/// A connection on which anything can be said.
async fn connect(host: &Host, protocol: &[u8]) -> TlsStream<TcpStream> {
    let mut tls = client_config(host.authority.certificate_pem(), Some(&host.credentials())).unwrap();
    tls.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(host.address).await.unwrap();
    TlsConnector::from(Arc::new(tls)).connect("localhost".try_into().unwrap(), stream).await.unwrap()
}

/// Reads until the server closes the connection.
async fn until_closed(stream: &mut TlsStream<TcpStream>) {
    let mut bytes = Vec::new();
    // A server that cuts a connection need not say goodbye in TLS.
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut bytes)).await.expect("it stays open").ok();
}

#[tokio::test]
async fn a_body_that_takes_too_long_is_answered_408_and_holds_nothing() {
    let host = Host::start().await;
    for protocol in [&b"h2"[..], b"http/1.1"] {
        let client = client_over(&host.authority, Some(&host.credentials()), &[protocol]);
        let begun = futures::stream::iter([Ok::<_, std::io::Error>(vec![b'{'])]);
        let body = reqwest::Body::wrap_stream(begun.chain(futures::stream::pending()));
        let request = client.post(host.url(MAPS)).header("content-type", "application/json").body(body);
        let mut sending = Box::pin(request.send());
        let reply = loop {
            // The server counts from when it begins to read.
            match tokio::time::timeout(Duration::from_millis(50), &mut sending).await {
                Ok(reply) => break reply.unwrap(),
                Err(_) => host.clock.advance(Duration::from_secs(60)),
            }
        };
        assert_eq!(reply.status(), 408);
        let status: serde_json::Value = reply.json().await.unwrap();
        assert_eq!(status["reason"], "Timeout");
        assert!(status["message"].as_str().unwrap().contains("within 60 s"), "{status}");
    }
    host.post(MAPS, map("a", json!({}))).await.is(201);
}

/// A frame of HTTP/2: its type, flags and payload.
type Frame = (u8, u8, Vec<u8>);

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

async fn send(stream: &mut TlsStream<TcpStream>, (kind, flags, payload): Frame, id: u32) {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let frame = [&length[1..], &[kind, flags], &id.to_be_bytes(), &payload].concat();
    stream.write_all(&frame).await.unwrap();
}

async fn receive(stream: &mut TlsStream<TcpStream>) -> Frame {
    let mut head = [0; 9];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut head)).await.expect("a frame").unwrap();
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).await.unwrap();
    (head[3], head[4], payload)
}

/// Curl 7.88 forgets an answer if its stream is reset while it still sends, although with `NO_ERROR`.
#[tokio::test]
async fn who_is_refused_before_the_body_is_read_may_send_it_and_is_not_reset() {
    let host = Host::start().await;
    let mut tls = client_config(host.authority.certificate_pem(), None).unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(host.address).await.unwrap();
    let stream = TlsConnector::from(Arc::new(tls)).connect("localhost".try_into().unwrap(), stream);
    let mut stream = stream.await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    send(&mut stream, (SETTINGS, 0, Vec::new()), 0).await;
    // HPACK: `:method POST` and `:scheme https` by index, then `:path` and `:authority` as text.
    let text = |name: u8, text: &str| [&[name, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let headers = [vec![0x83, 0x87], text(4, MAPS), text(1, "localhost")].concat();
    send(&mut stream, (HEADERS, END_HEADERS, headers), 1).await;
    loop {
        let (kind, flags, payload) = receive(&mut stream).await;
        assert_ne!(kind, RST_STREAM, "reset before the answer: {payload:?}");
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            break;
        }
    }
    // The server has answered whatever was asked before the ping, with the reset if there is one.
    for (round, flags) in [0, END_STREAM].into_iter().enumerate() {
        send(&mut stream, (DATA, flags, b"{}".to_vec()), 1).await;
        send(&mut stream, (PING, 0, vec![u8::try_from(round).unwrap(); 8]), 0).await;
        loop {
            let (kind, flags, payload) = receive(&mut stream).await;
            assert_ne!(kind, RST_STREAM, "reset in round {round}: {payload:?}");
            if kind == PING && flags & ACK != 0 {
                break;
            }
        }
    }
}

#[tokio::test]
async fn headers_and_urls_are_bounded_in_size_and_number() {
    let host = Host::start().await;
    let http1 = client_over(&host.authority, Some(&host.credentials()), &[b"http/1.1"]);
    let mut many = http1.get(host.url(MAPS));
    for number in 0..101 {
        many = many.header(format!("x-{number}"), "1");
    }
    assert_eq!(many.send().await.unwrap().status(), 431);
    let mut stream = connect(&host, b"http/1.1").await;
    let line = format!("GET {MAPS}?labelSelector={} HTTP/1.1\r\nhost: localhost\r\n\r\n", "x".repeat(70_000));
    stream.write_all(line.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert!(head == *b"HTTP/1.1 414" || head == *b"HTTP/1.1 431", "{}", head.escape_ascii());
    // As long as a URL can be, and with the other headers too long.
    let long = host.url(&format!("{MAPS}?labelSelector={}", "x".repeat(65_400)));
    assert_eq!(host.admin.get(&long).send().await.unwrap().status(), 431);
    // What is long and within the limits is read: and is no selector.
    let path = format!("{MAPS}?labelSelector={}", "x".repeat(30_000));
    host.get(&path).await.fails(400, "BadRequest", "must be no more than 63");
}

#[tokio::test]
async fn names_labels_and_patches_are_bounded() {
    let host = Host::start().await;
    let long = "x".repeat(254);
    host.post(MAPS, map(&long, json!({}))).await.fails(422, "Invalid", "no more than 253");
    host.post(MAPS, map(&long[..253], json!({}))).await.is(201);
    for (key, value) in [("a", &long[..64]), (&long[..64], "a")] {
        let mut labelled = map("a", json!({}));
        labelled["metadata"]["labels"] = json!({key: value});
        host.post(MAPS, labelled).await.fails(422, "Invalid", "63");
    }
    host.post(MAPS, map("a", json!({}))).await.is(201);
    let operations = vec![json!({"op": "test", "path": "/kind", "value": "ConfigMap"}); 10_001];
    let patch = host.patch(&format!("{MAPS}/a"), "application/json-patch+json", json!(operations)).await;
    patch.fails(413, "RequestEntityTooLarge", "10000");
}

#[tokio::test]
async fn a_pattern_that_would_need_too_much_memory_is_refused() {
    let host = Host::start().await;
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "a": {"type": "string", "pattern": "((a{1000}){1000}){1000}"}}}}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
    });
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    host.post(path, definition).await.fails(422, "Invalid", "size limit");
}

#[tokio::test]
async fn malformed_frames_end_their_connection_and_nothing_else() {
    let host = Host::start().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    for frames in [
        &b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..],
        // SETTINGS of a wrong length; DATA of a stream that was never opened; CONTINUATION of nothing.
        b"\x00\x00\x05\x04\x00\x00\x00\x00\x00hello",
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x07x",
        b"\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x09\x04\x00\x00\x00\x01x",
    ] {
        let mut stream = connect(&host, b"h2").await;
        stream.write_all(preface).await.unwrap();
        stream.write_all(frames).await.unwrap();
        until_closed(&mut stream).await;
    }
    let mut stream = connect(&host, b"http/1.1").await;
    let upgrade = format!(
        "GET {MAPS}?watch=1 HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(upgrade.as_bytes()).await.unwrap();
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    // An opcode that there is not, with all reserved bits.
    stream.write_all(b"\xff\x85abcdefghi").await.unwrap();
    until_closed(&mut stream).await;
    host.send(host.request(Method::GET, MAPS)).await.is(200);
}
