//! Logs and exec over TLS, as the API server asks for them.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use futures::{SinkExt, StreamExt};
use orch_node::ServerConfig;
use orch_transport::{Authority, client_config, server_config};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest},
};

use crate::cluster::{Agent, Cluster, DEADLINE, restarts, state};

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

    async fn exec(
        &self,
        query: &str,
    ) -> anyhow::Result<WebSocketStream<tokio_rustls::client::TlsStream<TcpStream>>> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let name = ServerName::try_from("127.0.0.1")?;
        let stream =
            TlsConnector::from(Arc::new(self.tls(Some("orch-apiserver")))).connect(name, stream).await?;
        let mut request =
            self.url(&format!("web/exec?{query}")).replace("https", "wss").into_client_request()?;
        request.headers_mut().insert("sec-websocket-protocol", "v5.channel.k8s.io".parse()?);
        let (socket, answer) = tokio_tungstenite::client_async(request, stream).await?;
        anyhow::ensure!(answer.headers()["sec-websocket-protocol"] == "v5.channel.k8s.io");
        Ok(socket)
    }

    /// Sends the input and its end, and answers with what came on standard output, and the last word.
    async fn converse(&self, query: &str, input: &[u8]) -> anyhow::Result<(String, Value)> {
        let mut socket = self.exec(query).await?;
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
        ("two/attach", 404, "the server could not find the requested resource"),
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
