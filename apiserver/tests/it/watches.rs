//! watch: from a revision, from now, with selectors, to the end.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use orch_api::INITIAL_EVENTS_END;
use orch_transport::client_config;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::host::{DEADLINE, Host, MAPS, PODS, map, pod, revision, text};

#[tokio::test]
async fn a_watch_begins_with_what_is_there_and_goes_on_with_what_happens() {
    let host = Host::start().await;
    let made = host.post(MAPS, map("a", json!({}))).await.is(201);
    let mut watch = host.watch(&format!("{MAPS}?watch=true")).await;
    assert_eq!(watch.next().await.unwrap(), json!({"type": "ADDED", "object": made}));
    let changed = host.merge(&format!("{MAPS}/a"), json!({"data": {"x": "1"}})).await.is(200);
    assert_eq!(watch.next().await.unwrap(), json!({"type": "MODIFIED", "object": changed}));
    host.delete(&format!("{MAPS}/a")).await.is(200);
    let gone = watch.next().await.unwrap();
    assert_eq!((text(&gone["type"]), &gone["object"]["data"]), ("DELETED", &json!({"x": "1"})));
    assert_eq!(revision(&gone["object"]), host.store.revision().await.unwrap().0);
    host.post(MAPS, map("b", json!({}))).await.is(201);
    assert_eq!(watch.brief().await, "ADDED b");
}

#[tokio::test]
async fn a_watch_resumes_after_a_revision_without_a_gap() {
    let host = Host::start().await;
    let list = host.get(MAPS).await.is(200);
    let from = text(&list["metadata"]["resourceVersion"]);
    for name in ["a", "b", "c"] {
        host.post(MAPS, map(name, json!({}))).await.is(201);
    }
    let mut watch = host.watch(&format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    let mut last = String::new();
    for expected in ["ADDED a", "ADDED b", "ADDED c"] {
        let event = watch.next().await.unwrap();
        assert_eq!(
            format!("{} {}", text(&event["type"]), text(&event["object"]["metadata"]["name"])),
            expected
        );
        if expected == "ADDED b" {
            last = text(&event["object"]["metadata"]["resourceVersion"]).to_owned();
        }
    }
    let mut resumed = host.watch(&format!("{MAPS}?watch=1&resourceVersion={last}")).await;
    assert_eq!(resumed.brief().await, "ADDED c");
}

#[tokio::test]
async fn the_old_paths_of_watches_are_served() {
    let host = Host::start().await;
    host.post(MAPS, map("a", json!({}))).await.is(201);
    host.post(MAPS, map("b", json!({}))).await.is(201);
    let old = |path: &str| path.replace("/api/v1/", "/api/v1/watch/");
    let mut of_one = host.watch(&old(&format!("{MAPS}/b"))).await;
    assert_eq!(of_one.brief().await, "ADDED b");
    let mut of_all = host.watch("/api/v1/watch/configmaps?fieldSelector=metadata.namespace%3Ddefault").await;
    assert_eq!([of_all.brief().await, of_all.brief().await], ["ADDED a", "ADDED b"]);
    host.merge(&format!("{MAPS}/a"), json!({"data": {"x": "1"}})).await.is(200);
    host.delete(&format!("{MAPS}/b")).await.is(200);
    assert_eq!(of_one.brief().await, "DELETED b");
    assert_eq!(of_all.brief().await, "MODIFIED a");
    let mut of_namespaces = host.watch("/api/v1/watch/namespaces/default").await;
    assert_eq!(of_namespaces.brief().await, "ADDED default");
    host.post(&old(MAPS), map("c", json!({}))).await.fails(405, "MethodNotAllowed", "");
    host.get(&old(&format!("{PODS}/p/status"))).await.fails(404, "NotFound", "");
    host.get("/api/v1/watch/nonsense").await.fails(404, "NotFound", "");
}

#[tokio::test]
async fn an_object_that_enters_or_leaves_the_selection_is_added_or_deleted() {
    let host = Host::start().await;
    let from = host.store.revision().await.unwrap();
    let mut watch =
        host.watch(&format!("{MAPS}?watch=1&resourceVersion={from}&labelSelector=on%3Dyes")).await;
    let label = |value: &str| json!({"metadata": {"labels": {"on": value}}});
    host.post(MAPS, map("a", json!({}))).await.is(201);
    host.merge(&format!("{MAPS}/a"), label("yes")).await.is(200);
    assert_eq!(watch.brief().await, "ADDED a");
    let left = host.merge(&format!("{MAPS}/a"), label("no")).await.is(200);
    let event = watch.next().await.unwrap();
    // As it was when it was last seen, at the revision at which it left.
    assert_eq!(
        (text(&event["type"]), &event["object"]["metadata"]["labels"]["on"]),
        ("DELETED", &json!("yes"))
    );
    assert_eq!(revision(&event["object"]), revision(&left));
    host.delete(&format!("{MAPS}/a")).await.is(200);
    let mut other = map("b", json!({}));
    other["metadata"]["labels"] = json!({"on": "yes"});
    host.post(MAPS, other).await.is(201);
    assert_eq!(watch.brief().await, "ADDED b");
}

#[tokio::test]
async fn a_node_sees_its_own_pods_only() {
    let host = Host::start().await;
    let from = host.store.revision().await.unwrap();
    let query = |node: &str| {
        format!("/api/v1/pods?watch=1&resourceVersion={from}&fieldSelector=spec.nodeName%3D{node}")
    };
    let (mut one, mut two) = (host.watch(&query("n1")).await, host.watch(&query("n2")).await);
    for (name, node) in [("a", "n1"), ("b", "n2"), ("c", "n1")] {
        host.post(PODS, pod(name)).await.is(201);
        let binding = json!({"kind": "Binding", "target": {"kind": "Node", "name": node}});
        host.post(&format!("{PODS}/{name}/binding"), binding).await.is(201);
    }
    assert_eq!((one.brief().await, one.brief().await), ("ADDED a".into(), "ADDED c".into()));
    assert_eq!(two.brief().await, "ADDED b");
    host.delete(&format!("{PODS}/b?gracePeriodSeconds=0")).await.is(200);
    assert_eq!(two.brief().await, "DELETED b");
    let mut late = host.watch(&query("n1")).await;
    assert_eq!((late.brief().await, late.brief().await), ("ADDED a".into(), "ADDED c".into()));
}

#[tokio::test]
async fn a_single_object_is_watched_by_its_path() {
    let host = Host::start().await;
    host.post(MAPS, map("a", json!({}))).await.is(201);
    host.post(MAPS, map("b", json!({}))).await.is(201);
    let mut watch = host.watch(&format!("{MAPS}/b?watch=true")).await;
    assert_eq!(watch.brief().await, "ADDED b");
}

#[tokio::test]
async fn initial_events_end_with_a_marked_bookmark() {
    let host = Host::start().await;
    host.post(MAPS, map("a", json!({}))).await.is(201);
    let query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let mut watch = host.watch(&format!("{MAPS}?{query}")).await;
    assert_eq!(watch.brief().await, "ADDED a");
    let bookmark = watch.next().await.unwrap();
    assert_eq!(text(&bookmark["type"]), "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["annotations"][INITIAL_EVENTS_END], "true");
    assert_eq!(revision(&bookmark["object"]), host.store.revision().await.unwrap().0);
    host.post(MAPS, map("b", json!({}))).await.is(201);
    assert_eq!(watch.brief().await, "ADDED b");
    for query in ["watch=1&sendInitialEvents=true", "watch=1&resourceVersionMatch=NotOlderThan"] {
        host.get(&format!("{MAPS}?{query}")).await.fails(422, "Invalid", "ListOptions.meta.k8s.io");
    }
    for query in ["watch=1&resourceVersion=x", "watch=1&fieldSelector=spec.nothing%3D1"] {
        host.get(&format!("{MAPS}?{query}")).await.fails(400, "BadRequest", "");
    }
    // Whoever wants no bookmarks gets the objects without one. Whatever does not say no, says yes.
    let query = "watch=perhaps&sendInitialEvents=&resourceVersionMatch=NotOlderThan";
    let mut watch = host.watch(&format!("{MAPS}?{query}")).await;
    assert_eq!((watch.brief().await, watch.brief().await), ("ADDED a".into(), "ADDED b".into()));
    host.post(MAPS, map("c", json!({}))).await.is(201);
    assert_eq!(watch.brief().await, "ADDED c");
}

#[tokio::test]
async fn who_wants_no_initial_events_gets_what_comes_later() {
    let host = Host::start().await;
    host.post(MAPS, map("a", json!({}))).await.is(201);
    host.get(MAPS).await.is(200);
    for (number, version) in ["", "&resourceVersion=0"].into_iter().enumerate() {
        let query = format!("watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan{version}");
        let mut watch = host.watch(&format!("{MAPS}?{query}")).await;
        host.post(MAPS, map(&format!("b{number}"), json!({}))).await.is(201);
        assert_eq!(watch.brief().await, format!("ADDED b{number}"), "{version}");
        host.get(MAPS).await.is(200);
    }
}

#[tokio::test]
async fn a_quiet_watch_gets_bookmarks_and_ends_when_its_time_is_up() {
    let host = Host::start().await;
    let from = host.store.revision().await.unwrap();
    let query = format!("watch=1&allowWatchBookmarks=true&timeoutSeconds=100&resourceVersion={from}");
    let mut watch = host.watch(&format!("{MAPS}?{query}")).await;
    // Something else happens: the watch learns by bookmark that it has missed nothing.
    host.post(PODS, pod("p")).await.is(201);
    host.clock.advance(Duration::from_secs(60));
    let bookmark = watch.next().await.unwrap();
    assert_eq!((text(&bookmark["type"]), text(&bookmark["object"]["kind"])), ("BOOKMARK", "ConfigMap"));
    assert_eq!(revision(&bookmark["object"]), host.store.revision().await.unwrap().0);
    host.clock.advance(Duration::from_secs(60));
    assert_eq!(watch.brief().await, "end");
}

#[tokio::test]
async fn a_watch_from_before_the_kept_history_is_gone() {
    let host = Host::start().await;
    let from = host.store.revision().await.unwrap();
    let mut quiet = host.watch(&format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    // More changes than any ring keeps, while nobody reads.
    host.post(MAPS, map("a", json!({}))).await.is(201);
    let big = "x".repeat(900_000);
    for n in 0..40 {
        host.merge(&format!("{MAPS}/a"), json!({"data": {"big": format!("{n}{big}")}})).await.is(200);
    }
    let mut late = host.watch(&format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    let event = late.next().await.unwrap();
    assert_eq!((text(&event["type"]), &event["object"]["code"]), ("ERROR", &json!(410)));
    assert!(text(&event["object"]["message"]).starts_with("too old resource version"), "{event}");
    assert_eq!(late.brief().await, "end");
    loop {
        let event = quiet.next().await.unwrap();
        if text(&event["type"]) == "ERROR" {
            assert_eq!(
                (&event["object"]["code"], text(&event["object"]["reason"])),
                (&json!(410), "Expired")
            );
            break;
        }
        // What was on its way before is whole and in order.
        assert!(matches!(text(&event["type"]), "ADDED" | "MODIFIED"));
    }
    assert_eq!(quiet.brief().await, "end");
}

#[tokio::test]
async fn a_thousand_watchers_see_every_change_once_and_in_order() {
    let host = Host::start().await;
    let from = host.store.revision().await.unwrap();
    let client = host.api.local_client(orch_apiserver::Identity::new("test", ["system:masters"]));
    let request = || orch_api::Request {
        verb: orch_api::Verb::Watch,
        target: orch_api::Target::parse(MAPS.trim_start_matches('/').split('/')).unwrap(),
        params: orch_api::Params { resource_version: Some(from.to_string()), ..Default::default() },
        body: None,
    };
    let mut watchers = Vec::new();
    for _ in 0..1_000 {
        watchers.push(client.watch(request()).await.unwrap());
    }
    for n in 0..10 {
        host.post(MAPS, map(&format!("m{n}"), json!({}))).await.is(201);
    }
    let mut shared: Option<bytes::Bytes> = None;
    for watcher in &mut watchers {
        for n in 0..10 {
            let event =
                tokio::time::timeout(crate::host::DEADLINE, futures::StreamExt::next(watcher)).await.unwrap();
            let event = event.unwrap().unwrap();
            let object: serde_json::Value = serde_json::from_slice(&event.object).unwrap();
            assert_eq!(text(&object["metadata"]["name"]), format!("m{n}"));
            if n == 0 {
                // Serialized once: everybody holds the same bytes.
                let held = shared.get_or_insert_with(|| event.object.clone());
                assert_eq!(held.as_ptr(), event.object.as_ptr());
            }
        }
    }
}

#[tokio::test]
async fn watches_end_when_the_server_stops() {
    let host = Host::start().await;
    let mut watch = host.watch(&format!("{MAPS}?watch=1")).await;
    host.api.stop();
    assert_eq!(watch.brief().await, "end");
    assert_eq!(host.get("/readyz").await.code, 503);
}

#[tokio::test]
async fn a_watch_travels_over_a_websocket() {
    let host = Host::start().await;
    host.post(MAPS, map("a", json!({}))).await.is(201);
    let mut tls = client_config(host.authority.certificate_pem(), Some(&host.credentials())).unwrap();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(host.address).await.unwrap();
    let name = "localhost".try_into().unwrap();
    let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await.unwrap();
    let url = format!("wss://localhost{MAPS}?watch=true&resourceVersion=0");
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    let mut next = async || {
        let message = tokio::time::timeout(DEADLINE, socket.next()).await.unwrap().unwrap().unwrap();
        let event: Value = serde_json::from_str(message.to_text().unwrap()).unwrap_or_default();
        let close = if message.is_close() { "close" } else { "" };
        format!("{close}{} {}", text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    };
    assert_eq!(next().await, "ADDED a");
    host.post(MAPS, map("b", json!({}))).await.is(201);
    assert_eq!(next().await, "ADDED b");
    host.delete(&format!("{MAPS}/a")).await.is(200);
    assert_eq!(next().await, "DELETED a");
    host.api.stop();
    assert_eq!(next().await, "close ");
}
