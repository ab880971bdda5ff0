//! A server that answers as a test says: what no real one does on demand.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// What is answered to a request.
pub(crate) enum Answer {
    /// A body, and the end of the connection.
    Whole(u16, String),
    /// A body that goes on later.
    Open(String),
    /// The beginning of a longer body, and the end of the connection.
    CutOff(String),
    /// A WebSocket that is closed without a word.
    Closed,
}

impl Answer {
    /// An object.
    pub(crate) fn json(body: &Value) -> Self {
        Self::Whole(200, body.to_string())
    }

    /// A failure in the API's form.
    pub(crate) fn status(code: u16, reason: &str, message: &str) -> Self {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
            "message": message, "code": code});
        Self::Whole(code, status.to_string())
    }
}

/// Starts a server that serves pods and secrets, and answers as it is told by method and path, such as `GET /api/v1/...`. Answers with
/// its kubeconfig.
pub(crate) async fn serve(
    answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
) -> tempfile::NamedTempFile {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move { reply(stream, &*answer).await });
        }
    });
    let context = json!({"cluster": "c", "user": "u"});
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {}}], "contexts": [{"name": "c", "context": context}]});
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), kubeconfig.to_string()).unwrap();
    file
}

async fn reply(mut stream: TcpStream, answer: &(dyn Fn(&str) -> Answer + Send + Sync)) {
    let Some(head) = head(&stream).await else { return };
    let asked = head.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let answer = discovery(&asked).unwrap_or_else(|| answer(&asked));
    if matches!(answer, Answer::Closed) {
        #[expect(clippy::result_large_err, reason = "tungstenite's own")]
        let agree = |request: &Request, mut response: Response| {
            let protocol = request.headers()["sec-websocket-protocol"].clone();
            response.headers_mut().insert("sec-websocket-protocol", protocol);
            Ok(response)
        };
        let mut socket = tokio_tungstenite::accept_hdr_async(stream, agree).await.unwrap();
        return socket.close(None).await.unwrap();
    }
    stream.read_exact(&mut vec![0; head.len()]).await.unwrap();
    let (code, body, length) = match &answer {
        Answer::Whole(code, body) => (*code, body, format!("Content-Length: {}\r\n", body.len())),
        Answer::CutOff(body) => (200, body, format!("Content-Length: {}\r\n", body.len() + 1)),
        Answer::Open(body) => (200, body, String::new()),
        Answer::Closed => return,
    };
    let head =
        format!("HTTP/1.1 {code} X\r\nContent-Type: application/json\r\nConnection: close\r\n{length}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    if matches!(answer, Answer::Open(_)) {
        std::future::pending::<()>().await;
    }
}

/// A request's head, which is left to be read.
async fn head(stream: &TcpStream) -> Option<String> {
    let mut bytes = vec![0; 16 << 10];
    loop {
        let peeked = stream.peek(&mut bytes).await.unwrap();
        let text = String::from_utf8_lossy(&bytes[..peeked]);
        if let Some(end) = text.find("\r\n\r\n") {
            return Some(text[..end + 4].to_owned());
        }
        if peeked == 0 {
            return None;
        }
        tokio::task::yield_now().await;
    }
}

fn discovery(asked: &str) -> Option<Answer> {
    let kind = |plural: &str, singular: &str, kind: &str| {
        json!({"name": plural, "singularName": singular, "namespaced": true, "kind": kind,
            "verbs": ["get", "list", "watch", "delete"]})
    };
    let mut resources = vec![kind("pods", "pod", "Pod"), kind("secrets", "secret", "Secret")];
    resources.extend(["exec", "log"].map(|sub| kind(&format!("pods/{sub}"), "", "Pod")));
    Some(Answer::json(&match asked {
        "GET /api" => json!({"kind": "APIVersions", "versions": ["v1"]}),
        "GET /apis" => json!({"kind": "APIGroupList", "groups": []}),
        "GET /api/v1" => json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": resources}),
        _ => return None,
    }))
}

/// A table of pods.
pub(crate) fn table(names: &[&str], revision: &str) -> Value {
    let row = |name: &&str| json!({"cells": [name], "object": {"metadata": {"name": name, "resourceVersion": revision}}});
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": revision},
        "columnDefinitions": [{"name": "Name", "type": "string", "format": "name", "priority": 0}],
        "rows": names.iter().map(row).collect::<Vec<_>>()})
}

/// A list of pods of these names.
pub(crate) fn list(pods: &[Value], revision: &str) -> Value {
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": revision}, "items": pods})
}

/// A pod that runs.
pub(crate) fn pod(name: &str) -> Value {
    json!({"kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default", "uid": format!("uid-{name}"), "resourceVersion": "5"},
        "spec": {"containers": [{"name": "main"}]}, "status": {"phase": "Running"}})
}
