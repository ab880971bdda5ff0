//! What is bounded, and what is answered beyond: docs/limits.md as tests, as far as others do not have them.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use orch_transport::client_config;
use reqwest::Method;
use serde_json::{Value, json};
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
        let status: Value = reply.json().await.unwrap();
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
async fn finalizers_and_owners_are_bounded_in_number() {
    let host = Host::start().await;
    let finalizers = |count: usize| (0..count).map(|n| format!("a.b/{n}")).collect::<Value>();
    let owner = |n| json!({"apiVersion": "v1", "kind": "A", "name": "a", "uid": format!("{n}")});
    let owners = |count: usize| (0..count).map(owner).collect::<Value>();
    // The last of each are as many as a body holds: compared one by one with each other, they would take minutes.
    for (field, few, many) in [
        ("finalizers", finalizers(1_000), [finalizers(1_001), finalizers(200_000)]),
        ("ownerReferences", owners(1_000), [owners(1_001), owners(45_000)]),
    ] {
        let object = |value| json!({"metadata": {"name": field.to_lowercase(), field: value}});
        for many in many {
            let reply = host.post(MAPS, object(many)).await;
            assert!(reply.text.len() < 1_000, "{field}: {} bytes", reply.text.len());
            reply.fails(422, "Invalid", "must have at most 1000 items");
        }
        host.post(MAPS, object(few)).await.is(201);
    }
}

/// A server with a kind whose schema keeps what it does not know only below `spec.free`.
async fn with_things() -> Host {
    let host = Host::start().await;
    let free = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let schema =
        json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {"free": free}}}});
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
    });
    host.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).await.is(201);
    host
}

const THINGS: &str = "/apis/example.com/v1/things";

#[tokio::test]
async fn of_very_many_strange_fields_a_few_are_told() {
    let host = with_things().await;
    let fields = |count: usize, name: &dyn Fn(usize) -> String| {
        (0..count).map(|n| (name(n), json!(1))).collect::<serde_json::Map<_, _>>()
    };
    let mut strange = json!(fields(200_000, &|n| format!("datas{n}")));
    strange["metadata"] = json!({"name": "a"});
    let refused = host.post(MAPS, strange).await;
    assert!(refused.text.len() < 30_000, "{} bytes", refused.text.len());
    refused.fails(400, "BadRequest", "and 199900 more");
    // What is dropped with a warning is told in as many headers as every client takes.
    let spec = fields(400, &|n| format!("{n}-{}", "x".repeat(200)));
    let made = host.post(THINGS, json!({"metadata": {"name": "a"}, "spec": spec})).await;
    let warnings: Vec<usize> = made.headers.get_all("warning").iter().map(|value| value.len()).collect();
    assert!(warnings.len() > 10 && warnings.iter().sum::<usize>() <= 4096, "{warnings:?}");
    assert_eq!(made.is(201)["spec"], json!({}));
}

#[tokio::test]
async fn objects_nest_a_hundred_levels_however_they_are_written() {
    let host = with_things().await;
    let nested = |levels: usize| (0..levels).fold(json!(1), |below, _| json!({"a": below}));
    let thing = |name: &str, levels: usize| {
        json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": name},
            "spec": {"free": nested(levels - 2)}})
    };
    let deepest = host.post(THINGS, thing("a", 100)).await.is(201);
    host.post(THINGS, thing("b", 101)).await.fails(422, "Invalid", "spec: Forbidden: may not nest deeper");
    host.apply(&format!("{THINGS}/b"), "x", thing("b", 101)).await.fails(422, "Invalid", "100 levels");
    let path = format!("{THINGS}/a");
    host.put(&path, thing("a", 101)).await.fails(422, "Invalid", "100 levels");
    host.merge(&path, json!({"spec": {"free": nested(99)}})).await.fails(422, "Invalid", "100 levels");
    let inside = format!("/spec/free{}", "/a".repeat(97));
    let patch = json!([{"op": "add", "path": format!("{inside}/b"), "value": {}}]);
    assert_eq!(host.patch(&path, "application/json-patch+json", patch).await.code, 422);
    let patch = json!([
        {"op": "add", "path": "/spec/free/b", "value": {"c": {}}},
        {"op": "move", "from": "/spec/free/a", "path": "/spec/free/b/c/a"}]);
    host.patch(&path, "application/json-patch+json", patch).await.fails(422, "Invalid", "100 levels");
    host.merge(&path, json!({"metadata": {"labels": {"x": "y"}}})).await.is(200);
    // A parser that stops at 128 levels reads what is there, wherever it is.
    assert_eq!(host.get(THINGS).await.is(200)["items"][0]["spec"], deepest["spec"]);
    let event = host.watch(&format!("{THINGS}?watch=1")).await.next().await.unwrap();
    assert_eq!(event["object"]["spec"], deepest["spec"]);
    host.delete(&path).await.is(200);
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
