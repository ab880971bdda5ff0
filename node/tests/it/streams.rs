//! Logs, exec, attach and forwarded ports over TLS, as the API server asks for them.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use futures::{SinkExt, StreamExt};
use orch_node::ServerConfig;
use orch_spdy::{Connection, Event, Headers};
use orch_transport::{Authority, client_config, server_config};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::cluster::{Agent, Cluster, DEADLINE, restarts, state};

type Socket = WebSocketStream<tokio_rustls::client::TlsStream<TcpStream>>;

struct Served {
    cluster: Cluster,
    authority: Authority,
    port: u16,
    _agent: Agent,
}

impl Served {
    async fn start() -> Self {
        let cluster = Cluster::start().await;
        let authority = Authority::open_or_create(cluster.dir.path().join("pki")).unwrap();
        let credentials = authority.issue_server(&["127.0.0.1"]).unwrap();
        let tls = server_config(&credentials, authority.certificate_pem()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let agent =
            cluster.serving(ServerConfig { listener, tls, allowed_names: vec!["orch-apiserver".into()] });
        Self { cluster, authority, port, _agent: agent }
    }

    fn tls(&self, user: Option<&str>) -> rustls::ClientConfig {
        let credentials = user.map(|user| self.authority.issue_client::<&str>(user, &[]).unwrap());
        client_config(self.authority.certificate_pem(), credentials.as_ref()).unwrap()
    }

    fn http(&self, user: Option<&str>) -> reqwest::Client {
        reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls(user))
            .timeout(DEADLINE)
            .build()
            .unwrap()
    }

    fn url(&self, rest: &str) -> String {
        format!("https://127.0.0.1:{}/api/v1/namespaces/default/pods/{rest}", self.port)
    }

    async fn get(&self, rest: &str) -> (u16, String) {
        let answer = self.http(Some("orch-apiserver")).get(self.url(rest)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The message of a refusal.
    async fn refused(&self, rest: &str) -> (u16, String) {
        let (code, body) = self.get(rest).await;
        let status: Value = serde_json::from_str(&body).unwrap_or_else(|_| panic!("{body}"));
        (code, status["message"].as_str().unwrap().to_owned())
    }

    async fn exec(&self, query: &str) -> anyhow::Result<Socket> {
        self.socket(&format!("web/exec?{query}"), "v5.channel.k8s.io").await
    }

    async fn socket(&self, rest: &str, protocol: &'static str) -> anyhow::Result<Socket> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let name = ServerName::try_from("127.0.0.1")?;
        let stream =
            TlsConnector::from(Arc::new(self.tls(Some("orch-apiserver")))).connect(name, stream).await?;
        let mut request = self.url(rest).replace("https", "wss").into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse()?);
        let (socket, answer) = tokio_tungstenite::client_async(request, stream).await?;
        anyhow::ensure!(answer.headers()["sec-websocket-protocol"] == protocol);
        Ok(socket)
    }

    /// Sends the input and its end, and answers with what came on standard output, and the last word.
    async fn converse(&self, query: &str, input: &[u8]) -> anyhow::Result<(String, Value)> {
        self.converse_with(&format!("web/exec?{query}"), input).await
    }

    async fn converse_with(&self, rest: &str, input: &[u8]) -> anyhow::Result<(String, Value)> {
        let mut socket = self.socket(rest, "v5.channel.k8s.io").await?;
        if !input.is_empty() {
            socket.send(Message::Binary([&[0], input].concat().into())).await?;
            socket.send(Message::Binary(vec![255, 0].into())).await?;
        }
        let (mut output, mut last) = (Vec::new(), Value::Null);
        while let Some(message) = tokio::time::timeout(DEADLINE, socket.next()).await? {
            match message? {
                Message::Binary(data) => match data.split_first().context("an empty message")? {
                    (1, data) => output.extend_from_slice(data),
                    (3, data) => last = serde_json::from_slice(data)?,
                    other => anyhow::bail!("{other:?}"),
                },
                Message::Close(_) => break,
                _ => {}
            }
        }
        Ok((String::from_utf8(output)?, last))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_api_server_may_connect() {
    let served = Served::start().await;
    served.cluster.pod("web", json!({})).await;
    served.cluster.until_running("web").await;
    for (user, code) in [(None, 401), (Some("somebody"), 403), (Some("orch-apiserver"), 200)] {
        let answer = served.http(user).get(served.url("web/log")).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), code, "{user:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_are_read_followed_and_remembered() {
    let served = Served::start().await;
    let main = json!({"command": ["sh", "-c", "echo one; echo two; exit 1"]});
    served.cluster.pod("web", main).await;
    served
        .cluster
        .until("web", "backing off", |pod| state(pod) == "CrashLoopBackOff" && restarts(pod) == 1)
        .await;
    assert_eq!(served.get("web/log?container=main").await, (200, "one\ntwo\n".into()));
    assert_eq!(served.get("web/log?tailLines=1").await, (200, "two\n".into()));
    assert_eq!(served.get("web/log?previous=true").await, (200, "one\ntwo\n".into()));
    // What has ended has been followed to its end.
    assert_eq!(served.get("web/log?follow=true").await, (200, "one\ntwo\n".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn following_ends_with_the_container() {
    let served = Served::start().await;
    let main = json!({"command": ["sh", "-c", "echo begun; sleep 1000"]});
    let pod = served.cluster.pod_with("web", main, json!({"restartPolicy": "Never"})).await;
    served.cluster.until_running("web").await;
    let request = served.http(Some("orch-apiserver")).get(served.url("web/log?follow=true")).send();
    let mut answer = request.await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "begun\n");
    let id = orch_runtime::ContainerId::of_pod(&pod.metadata.uid, "main", 0);
    served.cluster.runtime.kill(&id, 1);
    assert_eq!(answer.chunk().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_say_what_to_do() {
    let served = Served::start().await;
    let two = json!({"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]});
    served.cluster.pod_with("two", json!({}), two).await;
    served.cluster.pod("stuck", json!({"imagePullPolicy": "Never"})).await;
    served.cluster.until("stuck", "waiting", |pod| state(pod) == "ErrImageNeverPull").await;
    served.cluster.until("two", "running", crate::cluster::ready).await;
    for (path, code, message) in [
        ("none/log", 404, "pods \"none\" not found"),
        ("two/log", 400, "a container name must be specified for pod two, choose one of: [a b]"),
        ("two/log?container=c", 400, "container c is not valid for pod two"),
        (
            "two/log?container=a&previous=true",
            400,
            "previous terminated container \"a\" in pod \"two\" not found",
        ),
        ("stuck/log", 400, "container \"main\" in pod \"stuck\" is waiting to start: ErrImageNeverPull"),
        ("two/exec?container=a", 400, "you must specify at least 1 command for the container"),
        ("stuck/exec?command=x&stdout=true", 404, "container not found (\"main\")"),
        (
            "two/attach?stdout=true",
            400,
            "a container name must be specified for pod two, choose one of: [a b]",
        ),
        ("two/attach?container=a", 400, "you must specify at least 1 of stdin, stdout, stderr"),
        ("stuck/attach?stdout=true", 404, "container main not found in pod stuck_default"),
        (
            "two/portforward?ports=80",
            400,
            "portforward is served over WebSocket, with sub-protocol SPDY/3.1+portforward.k8s.io or v4.channel.k8s.io, \
             and over SPDY/3.1",
        ),
        ("none/portforward?ports=80", 404, "pods \"none\" not found"),
        ("two/other", 404, "the server could not find the requested resource"),
    ] {
        assert_eq!(served.refused(path).await, (code, message.into()), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_executed() {
    let served = Served::start().await;
    served.cluster.pod("web", json!({})).await;
    served.cluster.until_running("web").await;
    let (output, last) =
        served.converse("command=echo&command=a%20b&stdout=true&stderr=true", b"").await.unwrap();
    assert_eq!((output.as_str(), last["status"].as_str()), ("a b\n", Some("Success")));
    let (output, _) =
        served.converse("command=cat&stdin=true&stdout=true", b"through and back").await.unwrap();
    assert_eq!(output, "through and back");
    let (_, last) = served.converse("command=sh&command=-c&command=exit%203&stdout=true", b"").await.unwrap();
    assert_eq!(last["reason"], "NonZeroExitCode");
    assert_eq!(last["details"]["causes"], json!([{"reason": "ExitCode", "message": "3"}]));
    let (_, last) = served.converse("command=/nonexistent&stdout=true", b"").await.unwrap();
    assert_eq!(last["status"], "Failure");
    assert!(last["message"].as_str().unwrap().contains("no such file"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_ends_with_its_client() {
    let served = Served::start().await;
    served.cluster.pod("web", json!({})).await;
    served.cluster.until_running("web").await;
    let mut socket = served.exec("command=sleep&command=1000&stdout=true").await.unwrap();
    socket.close(None).await.unwrap();
    // The server closes its side too, so it noticed.
    let closed = async { while socket.next().await.is_some_and(|message| message.is_ok()) {} };
    tokio::time::timeout(Duration::from_secs(10), closed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_containers_own_process_is_attached_to() {
    let served = Served::start().await;
    let main = json!({"command": ["cat"], "stdin": true, "stdinOnce": true});
    served.cluster.pod_with("web", main, json!({"restartPolicy": "Never"})).await;
    served.cluster.until_running("web").await;
    let said = served.converse_with("web/attach?stdin=true&stdout=true&stderr=true", b"one\ntwo\n").await;
    let (output, last) = said.unwrap();
    assert_eq!((output.as_str(), last["status"].as_str()), ("one\ntwo\n", Some("Success")));
    served
        .cluster
        .until("web", "complete", |pod| pod.status.phase == Some(orch_ontology::PodPhase::Succeeded))
        .await;
    assert_eq!(served.get("web/log").await, (200, "one\ntwo\n".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_nothing_more_to_say_leaves_a_container_that_others_speak_to() {
    let served = Served::start().await;
    served.cluster.pod("web", json!({"command": ["cat"], "stdin": true})).await;
    served.cluster.until_running("web").await;
    let mut looking_on = served.socket("web/attach?stdout=true", "v5.channel.k8s.io").await.unwrap();
    let (_, last) = served.converse_with("web/attach?stdin=true&stdout=true", b"hello\n").await.unwrap();
    assert_eq!(last["status"], "Success");
    let heard = tokio::time::timeout(DEADLINE, looking_on.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(heard.into_data(), &b"\x01hello\n"[..]);
    served.cluster.until_running("web").await;
}

/// The next message that is not a ping.
async fn next(socket: &mut Socket) -> Option<Vec<u8>> {
    loop {
        match tokio::time::timeout(DEADLINE, socket.next()).await.unwrap()?.ok()? {
            Message::Binary(data) => return Some(data.to_vec()),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_forwarded_over_channels() {
    let served = Served::start().await;
    served.cluster.pod("web", json!({})).await;
    let deaf = served.cluster.pod("deaf", json!({"command": ["sleep", "1000"]})).await;
    served.cluster.until_running("web").await;
    served.cluster.until_running("deaf").await;
    let mut socket = served.socket("web/portforward?ports=80,8080", "v4.channel.k8s.io").await.unwrap();
    for expected in [[0, 80, 0], [1, 80, 0], [2, 0x90, 0x1f], [3, 0x90, 0x1f]] {
        assert_eq!(next(&mut socket).await.unwrap(), expected);
    }
    for said in [&b"\x02to 8080"[..], b"\x00to 80"] {
        socket.send(Message::Binary(said.to_vec().into())).await.unwrap();
        assert_eq!(next(&mut socket).await.unwrap(), said);
    }

    let mut socket = served.socket("deaf/portforward?ports=80", "v4.channel.k8s.io").await.unwrap();
    assert_eq!(next(&mut socket).await.unwrap(), [0, 80, 0]);
    assert_eq!(next(&mut socket).await.unwrap(), [1, 80, 0]);
    let uid = &deaf.metadata.uid;
    let why = format!(
        "\x01error forwarding port 80 to pod deaf, uid {uid}: failed to connect to localhost:80 inside namespace {uid}-0, \
         IPv4: connection refused"
    );
    assert_eq!(String::from_utf8(next(&mut socket).await.unwrap()).unwrap(), why);
    assert_eq!(next(&mut socket).await, None);
    let mut leaving = served.socket("web/portforward?ports=80", "v4.channel.k8s.io").await.unwrap();
    leaving.close(None).await.unwrap();
    let farewell = async {
        loop {
            if let Message::Close(_) = leaving.next().await.expect("an answer").expect("a farewell") {
                break;
            }
        }
    };
    tokio::time::timeout(DEADLINE, farewell).await.unwrap();
    let unasked = served.socket("web/portforward", "v4.channel.k8s.io").await.unwrap_err();
    assert!(unasked.to_string().contains("400"), "{unasked}");
}

/// A client of the tunnel.
struct Tunnel {
    socket: Socket,
    spdy: Connection,
}

impl Tunnel {
    async fn to(served: &Served, pod: &str) -> Self {
        let socket =
            served.socket(&format!("{pod}/portforward"), "SPDY/3.1+portforward.k8s.io").await.unwrap();
        Self { socket, spdy: Connection::client() }
    }

    /// Opens the two streams of a connection to a port.
    fn open(&mut self, port: &str, request: &str) -> (u32, u32) {
        let mut open = |kind, ends| {
            let headers = Headers::from([("streamType", kind), ("port", port), ("requestID", request)]);
            self.spdy.open(&headers, ends).unwrap()
        };
        (open("error", true), open("data", false))
    }

    async fn flush(&mut self) {
        let output = self.spdy.take_output();
        self.socket.send(Message::Binary(output)).await.unwrap();
    }

    /// All that comes on a stream, to its end.
    async fn all_of(&mut self, wanted: u32) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let message = next(&mut self.socket).await.unwrap_or_else(|| panic!("it ended"));
            for event in self.spdy.receive(&message).unwrap() {
                match event {
                    Event::Data { stream, data, ends } if stream == wanted => {
                        all.extend_from_slice(&data);
                        if ends {
                            return all;
                        }
                    }
                    Event::Reset { stream, .. } => panic!("stream {stream} was reset"),
                    _ => {}
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_are_forwarded_through_a_tunnel() {
    let served = Served::start().await;
    served.cluster.pod("web", json!({})).await;
    served.cluster.pod("deaf", json!({"command": ["sleep", "1000"]})).await;
    served.cluster.until_running("web").await;
    served.cluster.until_running("deaf").await;
    let mut tunnel = Tunnel::to(&served, "web").await;
    let (_, first) = tunnel.open("80", "0");
    let (_, second) = tunnel.open("8080", "1");
    tunnel.spdy.send(first, b"one", true);
    tunnel.spdy.send(second, b"another", true);
    tunnel.flush().await;
    // Each direction ends by itself: what was said before its end comes back.
    let mut heard = std::collections::BTreeMap::from([(first, Vec::new()), (second, Vec::new())]);
    while heard.values().flatten().count() < "oneanother".len() {
        let message = next(&mut tunnel.socket).await.expect("more");
        for event in tunnel.spdy.receive(&message).unwrap() {
            if let Event::Data { stream, data, .. } = event {
                heard.get_mut(&stream).into_iter().for_each(|heard| heard.extend_from_slice(&data));
            }
        }
    }
    assert_eq!(heard, [(first, b"one".to_vec()), (second, b"another".to_vec())].into());

    let mut refused = Tunnel::to(&served, "deaf").await;
    let (errors, _) = refused.open("80", "0");
    refused.flush().await;
    let why = String::from_utf8(refused.all_of(errors).await).unwrap();
    assert!(
        why.starts_with("error forwarding port 80 to pod deaf, uid ") && why.ends_with("refused"),
        "{why}"
    );

    // Who breaks the protocol is told so and let go, and nobody else notices.
    refused.socket.send(Message::Binary(vec![0x80, 2, 0, 1, 0, 0, 0, 0].into())).await.unwrap();
    assert_eq!(next(&mut refused.socket).await.unwrap()[..4], [0x80, 3, 0, 7]);
    assert_eq!(next(&mut refused.socket).await, None);
    let (_, third) = tunnel.open("80", "2");
    tunnel.spdy.send(third, b"still here", true);
    tunnel.flush().await;
    assert_eq!(tunnel.all_of(third).await, b"still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_listen_is_held_back_and_misses_nothing() {
    const MUCH: usize = 24 << 20;
    let served = Served::start().await;
    served.cluster.pod("web", json!({})).await;
    served.cluster.until_running("web").await;
    let mut tunnel = Tunnel::to(&served, "web").await;
    let (_, stream) = tunnel.open("80", "0");
    tunnel.flush().await;
    let mut spdy = tunnel.spdy;
    let (mut sink, mut messages) = tunnel.socket.split();
    let block = vec![b'x'; 64 << 10];
    let mut sent = 0;
    let all = async {
        while sent < MUCH {
            spdy.send(stream, &block, false);
            sink.send(Message::Binary(spdy.take_output())).await.unwrap();
            sent += block.len();
        }
    };
    // It cannot end: the echo has nowhere to go.
    tokio::time::timeout(Duration::from_secs(2), all).await.unwrap_err();
    assert!(sent < MUCH, "{sent} bytes were taken");
    let mut heard = 0;
    let receiving = async {
        while heard < sent {
            let Some(Ok(Message::Binary(bytes))) = messages.next().await else { continue };
            for event in spdy.receive(&bytes).unwrap() {
                if let Event::Data { stream: heard_on, data, .. } = event {
                    assert!(heard_on == stream && data.iter().all(|byte| *byte == b'x'));
                    heard += data.len();
                }
            }
        }
    };
    tokio::time::timeout(DEADLINE, receiving).await.unwrap();
}
