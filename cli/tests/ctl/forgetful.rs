//! A server that has forgotten the revision that a watch is to begin with: what no real one does on demand.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Its lists are of revision 10, 20, ...; a watch from 10 on is answered with 410, and so is one from 20 on, but as an
/// event; one from 30 on tells of a pod. Answers with its kubeconfig.
pub(crate) async fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let lists = Arc::new(AtomicUsize::new(0));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, lists.clone()));
        }
    });
    let context = json!({"cluster": "c", "user": "u"});
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {}}], "contexts": [{"name": "c", "context": context}]});
    kubeconfig.to_string()
}

async fn answer(stream: TcpStream, lists: Arc<AtomicUsize>) {
    let mut stream = BufReader::new(stream);
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") && stream.read_line(&mut request).await.unwrap() > 0 {}
    let path = request.split(' ').nth(1).unwrap_or_default();
    let (code, body) = body(path, &lists);
    let head = format!("HTTP/1.1 {code}\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(format!("{body}\n").as_bytes()).await.unwrap();
    if path.contains("resourceVersion=30") {
        // A watch stays open.
        std::future::pending::<()>().await;
    }
}

fn body(path: &str, lists: &AtomicUsize) -> (&'static str, Value) {
    let expired = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired",
        "message": "too old resource version", "code": 410});
    let pods = json!({"name": "pods", "singularName": "pod", "namespaced": true, "kind": "Pod", "verbs": ["list", "watch"]});
    match path {
        "/api" => ("200 OK", json!({"kind": "APIVersions", "versions": ["v1"]})),
        "/apis" => ("200 OK", json!({"kind": "APIGroupList", "groups": []})),
        "/api/v1" => {
            ("200 OK", json!({"kind": "APIResourceList", "groupVersion": "v1", "resources": [pods]}))
        }
        _ if !path.contains("watch=") => {
            let list = lists.fetch_add(1, Ordering::SeqCst) + 1;
            ("200 OK", table(&format!("listed-{list}"), &format!("{list}0")))
        }
        _ if path.contains("resourceVersion=10") => ("410 Gone", expired),
        _ if path.contains("resourceVersion=20") => ("200 OK", json!({"type": "ERROR", "object": expired})),
        _ => ("200 OK", json!({"type": "ADDED", "object": table("watched", "31")})),
    }
}

fn table(name: &str, revision: &str) -> Value {
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": {"resourceVersion": revision},
        "columnDefinitions": [{"name": "Name", "type": "string", "format": "name", "priority": 0}],
        "rows": [{"cells": [name], "object": {"metadata": {"name": name, "resourceVersion": revision}}}]})
}
