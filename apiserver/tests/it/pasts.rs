//! Objects as they were at a revision: `get` with `resourceVersionMatch=Exact`, by the rule by which plans bring them back.

use serde_json::{Value, json};

use crate::changes::{changes, embedded, host, make_widget, serving};
use crate::host::{Host, MAPS, Reply, map, revision, text};

async fn at(host: &Host, path: &str, revision: u64) -> Reply {
    host.get(&format!("{path}?resourceVersion={revision}&resourceVersionMatch=Exact")).await
}

/// What a plan says that is to bring ConfigMap `m` back to what it was.
async fn brought_back(host: &Host, revision: u64) -> Reply {
    let target = json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "m"});
    let changes = json!([{"rollback": {"target": target, "revision": revision}}]);
    host.post(
        "/apis/orch.dev/v1/plans",
        json!({"metadata": {"generateName": "p-"}, "spec": {"changes": changes}}),
    )
    .await
}

#[tokio::test]
async fn an_object_is_read_as_it_was() {
    let (host, _directory) = host().await;
    let m = format!("{MAPS}/m");
    let before = host.post(MAPS, map("other", json!({}))).await.is(201);
    let first = host.post(MAPS, map("m", json!({"a": "1"}))).await.is(201);
    let between = host.post(MAPS, map("another", json!({}))).await.is(201);
    let second = host.merge(&m, json!({"data": {"a": "2"}})).await.is(200);
    let last = host.post(MAPS, map("last", json!({}))).await.is(201);
    for (then, expected) in [(&first, "1"), (&between, "1"), (&second, "2"), (&last, "2")] {
        let was = at(&host, &m, revision(then)).await.is(200);
        assert_eq!((text(&was["kind"]), text(&was["data"]["a"])), ("ConfigMap", expected));
        assert_eq!(was["metadata"].get("managedFields"), None);
    }
    let absent = format!("configmaps \"m\" was not there at revision {}", revision(&before));
    at(&host, &m, revision(&before)).await.fails(404, "NotFound", &absent);
    at(&host, &format!("{MAPS}/never"), revision(&last)).await.fails(404, "NotFound", "was not there");
    host.delete(&m).await.is(200);
    assert_eq!(at(&host, &m, revision(&first)).await.is(200)["data"]["a"], "1", "what is gone was there");
    let gone = host.store.revision().await.unwrap().0;
    at(&host, &m, gone).await.fails(404, "NotFound", &format!("was not there at revision {gone}"));
}

#[tokio::test]
async fn what_is_not_certain_is_neither_shown_nor_brought_back() {
    let directory = tempfile::tempdir().unwrap();
    let store = embedded(directory.path()).await;
    let m = format!("{MAPS}/m");
    // Before the history begins.
    let host = Host::start_on(tempfile::tempdir().unwrap(), store.clone()).await;
    host.make_namespace("default").await;
    let first = host.post(MAPS, map("m", json!({"a": "1"}))).await.is(201);
    host.post(MAPS, map("other", json!({}))).await.is(201);
    store.compact(store.revision().await.unwrap()).await.unwrap();
    drop(host);
    let host = serving(directory.path(), store.clone()).await;
    assert_eq!(at(&host, &m, revision(&first)).await.is(200)["data"]["a"], "1", "it has not changed since");
    let second = host.merge(&m, json!({"data": {"a": "2"}})).await.is(200);
    changes(&host, "").await;
    drop(host);
    // Meanwhile a server without a history writes, and the store forgets.
    let host = Host::start_on(tempfile::tempdir().unwrap(), store.clone()).await;
    let missed = host.merge(&m, json!({"data": {"a": "3"}})).await.is(200);
    host.post(MAPS, map("more", json!({}))).await.is(201);
    let until = store.revision().await.unwrap();
    store.compact(until).await.unwrap();
    drop(host);
    let host = serving(directory.path(), store).await;
    host.merge(&m, json!({"data": {"a": "4"}})).await.is(200);

    let begins = format!("it begins at revision {}", revision(&second));
    let gap = format!("the changes after revision {} and up to {until} were not recorded", revision(&second));
    for (then, missing) in [(&first, begins), (&missed, gap)] {
        let then = revision(then);
        let what =
            |it: &str| format!("the history does not know what {it} was at revision {then}: {missing}");
        at(&host, &m, then).await.fails(410, "Expired", &what("configmaps \"m\""));
        brought_back(&host, then).await.fails(422, "Invalid", &what("it"));
    }
    for (then, expected) in [(revision(&second), "2"), (until.0, "3")] {
        assert_eq!(at(&host, &m, then).await.is(200)["data"]["a"], expected, "at {then}");
        let plan = brought_back(&host, then).await.is(201);
        assert_eq!(plan["status"]["changes"][0]["fields"][0]["after"], expected, "{plan}");
    }
}

#[tokio::test]
async fn what_has_not_changed_since_needs_no_record() {
    let (host, _directory) = host().await;
    let event = json!({
        "metadata": {"name": "e"}, "regarding": {"kind": "Pod", "namespace": "default", "name": "web"},
        "reason": "Tested", "action": "Test", "type": "Normal", "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "tester", "reportingInstance": "t",
    });
    let events = "/apis/events.k8s.io/v1/namespaces/default/events";
    let first = host.post(events, event).await.is(201);
    let e = format!("{events}/e");
    assert_eq!(at(&host, &e, revision(&first)).await.is(200)["reason"], "Tested");
    host.merge(&e, json!({"metadata": {"labels": {"seen": "again"}}})).await.is(200);
    let why = "changes of this kind are not recorded";
    at(&host, &e, revision(&first)).await.fails(410, "Expired", why);
}

#[tokio::test]
async fn secrets_of_the_past_are_hashes() {
    let (host, _directory) = host().await;
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"password": "hunter2"}});
    let first = host.post(secrets, secret).await.is(201);
    let s = format!("{secrets}/s");
    let now = at(&host, &s, revision(&first)).await.is(200);
    host.merge(&s, json!({"stringData": {"password": "other"}})).await.is(200);
    let then = at(&host, &s, revision(&first)).await.is(200);
    assert!(text(&then["data"]["password"]).starts_with("hidden:"), "{then}");
    assert_eq!(now["data"], then["data"], "also while it is as it was");
}

#[tokio::test]
async fn the_past_is_in_the_version_that_is_asked_for() {
    let (host, _directory) = host().await;
    let (first, w) = (make_widget(&host).await, "/apis/example.com/v2/widgets/w");
    host.merge(w, json!({"size": 2})).await.is(200);
    let then = at(&host, w, revision(&first)).await.is(200);
    assert_eq!((&then["apiVersion"], &then["size"]), (&json!("example.com/v2"), &json!(1)));
}

#[tokio::test]
async fn what_cannot_be_asked_of_the_past_is_refused() {
    let (host, _directory) = host().await;
    let m = format!("{MAPS}/m");
    host.post(MAPS, map("m", json!({}))).await.is(201);
    let refused: [(&str, u16, &str, &str); 4] = [
        ("resourceVersionMatch=Exact", 422, "Invalid", "forbidden unless resourceVersion is provided"),
        ("resourceVersion=0&resourceVersionMatch=Exact", 422, "Invalid", "forbidden for resourceVersion"),
        ("resourceVersion=1&resourceVersionMatch=Perhaps", 422, "Invalid", "supported values"),
        ("resourceVersion=7777777&resourceVersionMatch=Exact", 504, "Timeout", "Too large resource version"),
    ];
    for (query, code, reason, why) in refused {
        host.get(&format!("{m}?{query}")).await.fails(code, reason, why);
    }
    host.get(&format!("{m}?resourceVersion=1&resourceVersionMatch=NotOlderThan")).await.is(200);
    let without = Host::start().await;
    let made: Value = without.post(MAPS, map("m", json!({}))).await.is(201);
    at(&without, &m, revision(&made)).await.fails(410, "Expired", "this server keeps none");
}
