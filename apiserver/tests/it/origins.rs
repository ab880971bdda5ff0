//! Who made a change is stored with it, over both stores.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use orch_store::testing::EtcdServer;
use orch_store::{ChangeKind, Key, Prefix, ReadAt, Revision, Store, Write};
use reqwest::Method;
use serde_json::{Value, json};

use crate::host::{Host, MAPS, map, revision};

const KEY: &str = "/registry/core/configmaps/default/m";

/// The lines of what is stored.
fn lines(value: &[u8]) -> Vec<Value> {
    value.split(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect()
}

async fn stored(store: &dyn Store, key: &str) -> Vec<Value> {
    let entry = store.get(&Key::new(key).unwrap(), ReadAt::Latest).await.unwrap().unwrap();
    lines(&entry.value)
}

/// The records of deletions that there are.
async fn records(store: &dyn Store) -> Vec<Value> {
    let page = store.list(&Prefix::new("/deletions").unwrap(), ReadAt::Latest, None, 0).await.unwrap();
    page.entries.iter().flat_map(|entry| lines(&entry.value)).collect()
}

/// What everybody is promised of writes on any store.
async fn writes_say_who_made_them(host: &Host) {
    let store = &*host.store;
    let at = "2026-01-01T00:00:00Z".parse::<jiff::Timestamp>().unwrap().as_millisecond();
    host.post(&format!("{MAPS}?reason=to%20try%20it"), map("m", json!({"a": "1"}))).await.is(201);
    let [object, origin] = <[Value; 2]>::try_from(stored(store, KEY).await).unwrap();
    assert_eq!((&object["data"], &object["kind"]), (&json!({"a": "1"}), &json!("ConfigMap")));
    assert_eq!(origin, json!({"at": at, "user": "admin", "agent": "tester", "reason": "to try it"}));

    let path = format!("{MAPS}/m");
    let merge = host.request(Method::PATCH, &path).header("content-type", "application/merge-patch+json");
    let merge = merge.header("impersonate-user", "bob").body(json!({"data": {"a": "2"}}).to_string());
    let merged = host.send(merge).await.is(200);
    assert_eq!(host.get(&path).await.is(200), merged, "readers see nothing of it");
    let origin = stored(store, KEY).await.pop().unwrap();
    assert_eq!(origin, json!({"at": at, "user": "bob", "impersonator": "admin", "agent": "tester"}));

    let from = Revision(revision(&merged));
    host.delete(&format!("{path}?reason=done")).await.is(200);
    let expected = json!({"at": at, "user": "admin", "agent": "tester", "reason": "done"});
    assert_eq!(records(store).await, std::slice::from_ref(&expected));
    let mut watch = store.watch(&Prefix::all(), from).await.unwrap();
    let batch = watch.next().await.unwrap().unwrap();
    let (gone, record) = (&batch.changes[0], &batch.changes[1]);
    assert_eq!((gone.key.as_str(), &gone.kind), (KEY, &ChangeKind::Delete), "{batch:?}");
    let record = match &record.kind {
        ChangeKind::Put(record) => lines(&record.value),
        ChangeKind::Delete => Vec::new(),
    };
    assert_eq!(record, [expected], "in the commit of the deletion");
}

#[tokio::test]
async fn writes_to_the_embedded_store_say_who_made_them() {
    writes_say_who_made_them(&Host::start().await).await;
}

#[tokio::test]
async fn writes_to_etcd_say_who_made_them() {
    let etcd = EtcdServer::start_fast().await;
    let host = Host::start_on(tempfile::tempdir().unwrap(), Arc::new(etcd.store().await)).await;
    host.make_namespace("default").await;
    writes_say_who_made_them(&host).await;
    // Commits that go to etcd together are told apart by white space behind their values.
    let maps = (0..40).map(|n| host.post(MAPS, map(&format!("m{n}"), json!({"a": "1"}))));
    futures::future::join_all(maps).await.into_iter().for_each(|made| drop(made.is(201)));
    for n in 0..40 {
        let stored = stored(&*host.store, &format!("/registry/core/configmaps/default/m{n}")).await;
        assert_eq!((stored.len(), &stored[1]["user"]), (2, &json!("admin")));
    }
}

#[tokio::test]
async fn records_of_deletions_go_after_a_while_without_a_trace() {
    let host = Host::start().await;
    for name in ["a", "b"] {
        host.post(MAPS, map(name, json!({}))).await.is(201);
        host.delete(&format!("{MAPS}/{name}")).await.is(200);
    }
    assert_eq!(records(&*host.store).await.len(), 2);
    let mut passed = Duration::ZERO;
    while !records(&*host.store).await.is_empty() {
        assert!(passed < Duration::from_secs(30 * 60), "{passed:?}");
        host.clock.advance(Duration::from_secs(30));
        passed += Duration::from_secs(30);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(passed >= Duration::from_secs(60), "{passed:?}");
}

#[tokio::test]
async fn objects_from_before_are_read_and_changed_like_others() {
    let host = Host::start().await;
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "m", "namespace": "default", "uid": "u", "creationTimestamp": "2025-01-01T00:00:00Z"},
        "data": {"a": "1"},
    });
    host.store.commit(&[Write::create(Key::new(KEY).unwrap(), object.to_string())]).await.unwrap();
    assert_eq!(host.get(&format!("{MAPS}/m")).await.is(200)["data"], json!({"a": "1"}));
    host.merge(&format!("{MAPS}/m"), json!({"data": {"a": "2"}})).await.is(200);
    assert_eq!(stored(&*host.store, KEY).await.len(), 2);
}

#[tokio::test]
async fn kinds_that_are_not_recorded_cost_nothing() {
    let host = Host::start().await;
    let leases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
    host.post(leases, json!({"metadata": {"name": "l"}})).await.is(201);
    let stored = stored(&*host.store, "/registry/coordination.k8s.io/leases/default/l").await;
    assert_eq!(stored.len(), 1, "{stored:?}");
    host.delete(&format!("{leases}/l")).await.is(200);
    assert!(records(&*host.store).await.is_empty());
}
