//! Trouble with the store: what is said, what is never said, and that it passes.

use std::sync::Arc;

use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_store::testing::{Fault, FaultyStore};
use orch_store::{Expect, Key, ReadAt, Revision, Store as _, StoreError};
use serde_json::json;

use crate::host::{DEADLINE, Host, MAPS, map, text};

type Faulty = Arc<FaultyStore<EmbeddedStore>>;

async fn start() -> (Host, Faulty) {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path().join("store"))).unwrap();
    let store = Arc::new(FaultyStore::new(Arc::new(store)));
    let host = Host::start_on(directory, store.clone()).await;
    host.post("/api/v1/namespaces", json!({"metadata": {"name": "default"}})).await.is(201);
    (host, store)
}

fn lost() -> StoreError {
    StoreError::Unavailable { reason: "the connection was lost".into(), ambiguous: false, source: None }
}

#[tokio::test]
async fn a_write_that_may_have_happened_is_not_called_a_failure_that_did_not() {
    let (host, store) = start().await;
    store.next_commit(Fault::Refuse(lost()));
    host.post(MAPS, map("a", json!({}))).await.fails(503, "ServiceUnavailable", "the connection was lost");
    host.get(&format!("{MAPS}/a")).await.fails(404, "NotFound", "");
    store.next_commit(Fault::LoseAnswer);
    host.post(MAPS, map("a", json!({}))).await.fails(504, "Timeout", "may or may not have happened");
    host.get(&format!("{MAPS}/a")).await.is(200);
}

#[tokio::test]
async fn a_generated_name_that_is_taken_is_replaced_eight_times() {
    let (host, store) = start().await;
    let taken = || {
        Fault::Refuse(StoreError::Conflict {
            index: 0,
            key: Key::new("/registry/core/configmaps/default/taken").unwrap(),
            expect: Expect::Absent,
            current: None,
        })
    };
    let web = json!({"metadata": {"generateName": "web-"}});
    (0..7).for_each(|_| store.next_commit(taken()));
    host.post(MAPS, web.clone()).await.is(201);
    (0..8).for_each(|_| store.next_commit(taken()));
    let reply = host.post(MAPS, web).await;
    let status = reply.is(409);
    let name = text(&status["details"]["name"]);
    assert!(name.len() == 9 && name.starts_with("web-"), "{status:#}");
    assert_eq!(status["details"], json!({"name": name, "kind": "configmaps", "retryAfterSeconds": 1}));
    let why = "already exists, the server was not able to generate a unique name for the object";
    assert_eq!(text(&status["message"]), format!("configmaps {name:?} {why}"));
    assert_eq!(status["reason"], "AlreadyExists");
}

#[tokio::test]
async fn while_the_store_is_down_nothing_old_is_passed_off_as_new() {
    let (host, store) = start().await;
    host.post(MAPS, map("a", json!({}))).await.is(201);
    let mut watch = host.watch(&format!("{MAPS}?watch=1")).await;
    assert_eq!(watch.brief().await, "ADDED a");
    store.set_down(true);
    host.get(&format!("{MAPS}/a")).await.fails(503, "ServiceUnavailable", "");
    host.get(MAPS).await.fails(503, "ServiceUnavailable", "");
    host.post(MAPS, map("b", json!({}))).await.fails(503, "ServiceUnavailable", "");
    let ready = host.get("/readyz").await;
    assert!(ready.code == 503 && ready.text.contains("[-]store failed"), "{}", ready.text);
    host.get("/livez").await.is(200);
    // Who asks for anything, however old, gets it.
    host.get(&format!("{MAPS}/a?resourceVersion=0")).await.is(200);
    store.set_down(false);
    host.post(MAPS, map("b", json!({}))).await.is(201);
    assert_eq!(watch.brief().await, "ADDED b");
    host.get("/readyz").await.is(200);
}

#[tokio::test]
async fn a_cache_that_does_not_catch_up_says_so_instead_of_answering_with_the_past() {
    let (host, store) = start().await;
    store.set_watches_stalled(true);
    host.post(MAPS, map("a", json!({}))).await.is(201);
    host.get(MAPS).await.fails(503, "ServiceUnavailable", "has not caught up");
    // Writes are decided upon what is stored, not upon what is cached.
    host.post(MAPS, map("a", json!({}))).await.fails(409, "AlreadyExists", "");
    host.merge(&format!("{MAPS}/a"), json!({"data": {"x": "1"}})).await.is(200);
    host.merge(&format!("{MAPS}/a"), json!({"data": {"y": "1"}})).await.is(200);
    store.set_watches_stalled(false);
    assert_eq!(host.get(&format!("{MAPS}/a")).await.is(200)["data"], json!({"x": "1", "y": "1"}));
}

#[tokio::test]
async fn a_lost_connection_is_nothing_that_watchers_notice() {
    let (host, store) = start().await;
    let from = host.store.revision().await.unwrap();
    let mut watch = host.watch(&format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    for n in 0..5 {
        host.post(MAPS, map(&format!("m{n}"), json!({}))).await.is(201);
        store.cut_watches(lost());
    }
    for n in 0..5 {
        assert_eq!(watch.brief().await, format!("ADDED m{n}"));
    }
    host.post(MAPS, map("last", json!({}))).await.is(201);
    assert_eq!(watch.brief().await, "ADDED last");
}

#[tokio::test]
async fn lost_history_ends_watches_with_410_and_the_cache_loads_again() {
    let (host, store) = start().await;
    let from = host.store.revision().await.unwrap();
    host.post(MAPS, map("kept", json!({}))).await.is(201);
    host.post(MAPS, map("gone", json!({}))).await.is(201);
    let mut watch = host.watch(&format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    assert_eq!((watch.brief().await, watch.brief().await), ("ADDED kept".into(), "ADDED gone".into()));
    store.set_watches_stalled(true);
    host.delete(&format!("{MAPS}/gone")).await.is(200);
    host.post(MAPS, map("new", json!({}))).await.is(201);
    store.cut_watches(StoreError::Compacted { asked: from, oldest: Revision(from.0 + 3) });
    store.set_watches_stalled(false);
    let error = watch.next().await.unwrap();
    assert_eq!((text(&error["type"]), &error["object"]["code"]), ("ERROR", &json!(410)));
    assert_eq!(watch.brief().await, "end");
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let list = loop {
        let reply = host.get(MAPS).await;
        assert!(reply.code == 200 || tokio::time::Instant::now() < deadline, "{}", reply.text);
        if reply.code == 200 {
            break reply.is(200);
        }
    };
    let names: Vec<&str> =
        list["items"].as_array().unwrap().iter().map(|item| text(&item["metadata"]["name"])).collect();
    assert_eq!(names, ["kept", "new"]);
    let mut late = host.watch(&format!("{MAPS}?watch=1&resourceVersion={from}")).await;
    assert_eq!(late.next().await.unwrap()["object"]["code"], 410);
}

#[tokio::test]
async fn no_change_is_told_twice_when_the_kind_that_it_defines_cannot_be_read() {
    let (host, store) = start().await;
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let mut watch = host.watch(&format!("{definitions}?watch=1")).await;
    store.next_list(StoreError::Invalid { reason: "damaged".into() });
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster", "names": {"plural": "things", "kind": "Thing"},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object"}}}]},
    });
    host.post(definitions, definition).await.is(201);
    let mut events = vec![watch.brief().await];
    while let Some(event) = events.last().filter(|event| *event != "end") {
        assert!(["ADDED things.example.com", "ERROR "].contains(&event.as_str()), "{events:?}");
        events.push(watch.brief().await);
    }
    // Once the cache has loaded again, the kind is there.
    host.get(definitions).await.is(200);
    host.get("/apis/example.com/v1/things").await.is(200);
}

#[tokio::test]
async fn history_is_compacted_after_a_while_and_what_is_there_stays() {
    let (host, store) = start().await;
    host.post(MAPS, map("a", json!({}))).await.is(201);
    let old = host.store.revision().await.unwrap();
    host.post(MAPS, map("b", json!({}))).await.is(201);
    let deadline = tokio::time::Instant::now() + DEADLINE;
    // Each step wakes the compactor, which looks at the store and sleeps again.
    while store
        .get(&"/registry/core/configmaps/default/a".parse().unwrap(), ReadAt::Exactly(old))
        .await
        .is_ok()
    {
        assert!(tokio::time::Instant::now() < deadline);
        host.clock.advance(std::time::Duration::from_secs(300));
        host.get("/livez").await.is(200);
    }
    assert_eq!(host.get(MAPS).await.is(200)["items"].as_array().unwrap().len(), 2);
    let page = host.get(&format!("{MAPS}?resourceVersion={old}&resourceVersionMatch=Exact")).await;
    page.fails(410, "Expired", "");
}

#[tokio::test]
async fn a_panic_is_one_failed_request() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path().join("store"))).unwrap();
    let mut kinds = orch_ontology::KINDS.clone();
    for entry in kinds.iter_mut().filter(|entry| entry.kind.name == "Node") {
        entry.admit = Arc::new(|node, _| match node["metadata"]["name"].as_str() {
            Some("bad") => panic!("a mistake in a kind"),
            _ => Ok(()),
        });
    }
    let host = Host::serving(directory, Arc::new(store), kinds).await;
    let node = |name: &str| json!({"metadata": {"name": name}});
    host.post("/api/v1/nodes", node("bad")).await.fails(
        500,
        "InternalError",
        "the request failed unexpectedly",
    );
    host.post("/api/v1/nodes", node("good")).await.is(201);
}

#[tokio::test]
async fn a_dry_run_is_of_what_is_there_and_not_of_what_was() {
    let (host, store) = start().await;
    let path = format!("{MAPS}/a");
    let first = host.post(MAPS, map("a", json!({"x": "1"}))).await.is(201);
    host.get(&path).await.is(200);
    store.set_watches_stalled(true);
    let written = json!({"data": {"y": "2"}});
    let now = host.merge(&path, written).await.is(200);
    let tried = host.merge(&format!("{path}?dryRun=All"), json!({"data": {"z": "3"}})).await.is(200);
    assert_eq!(tried["data"], json!({"x": "1", "y": "2", "z": "3"}));
    let refused = host.put(&format!("{path}?dryRun=All"), first).await;
    refused.fails(409, "Conflict", "the object has been modified");
    host.delete(&path).await.is(200);
    host.delete(&format!("{path}?dryRun=All")).await.fails(404, "NotFound", "");
    store.set_watches_stalled(false);
    assert_eq!(now["data"], json!({"x": "1", "y": "2"}));
}
