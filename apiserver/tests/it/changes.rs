//! The history as it is served: who changed what, over both stores, through restarts and gaps.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use orch_apiserver::{EncryptedStore, History, HistoryConfig, HistoryRetention, Keyring};
use orch_ontology::Change;
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_store::testing::EtcdServer;
use orch_store::{Key, Store, Write};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::host::{DEADLINE, Host, MAPS, map, revision, text, workload};

const CHANGES: &str = "/apis/orch.dev/v1/changes";

/// What `open` opens, once whoever had it open before has let go of it.
async fn when_free<T, E: std::fmt::Debug>(open: impl Fn() -> Result<T, E>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match open() {
            Ok(opened) => return opened,
            Err(error) => assert!(Instant::now() < deadline, "{error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn history(directory: &Path) -> History {
    let config = HistoryConfig {
        directory: directory.join("history"),
        retention: HistoryRetention::default(),
        keys: Keyring::default(),
    };
    when_free(|| History::open(config.clone())).await
}

/// A server on a store that keeps its history in a directory, without the namespace.
pub(crate) async fn serving(directory: &Path, store: Arc<dyn Store>) -> Host {
    let (kinds, history) = (orch_ontology::KINDS.clone(), history(directory).await);
    Host::configured(tempfile::tempdir().unwrap(), store, kinds, |config| {
        config.history = Some(history);
    })
    .await
}

pub(crate) async fn embedded(directory: &Path) -> Arc<dyn Store> {
    let config = EmbeddedConfig::new(directory.join("store"));
    Arc::new(when_free(|| EmbeddedStore::open(config.clone())).await)
}

pub(crate) async fn host() -> (Host, TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let host = serving(directory.path(), embedded(directory.path()).await).await;
    host.make_namespace("default").await;
    (host, directory)
}

pub(crate) async fn changes(host: &Host, query: &str) -> Vec<Value> {
    let list = host.get(&format!("{CHANGES}?{query}")).await.is(200);
    list["items"].as_array().unwrap().clone()
}

/// Makes the widget `w` in the second of the versions that its kind is served in; it is stored in the first.
pub(crate) async fn make_widget(host: &Host) -> Value {
    let version = |name: &str, storage: bool| {
        json!({"name": name, "served": true, "storage": storage,
            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
    };
    let definition = json!({
        "metadata": {"name": "widgets.example.com"},
        "spec": {"group": "example.com", "scope": "Cluster",
            "names": {"kind": "Widget", "plural": "widgets", "singular": "widget"},
            "versions": [version("v1", true), version("v2", false)]},
    });
    host.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition).await.is(201);
    let widget =
        json!({"apiVersion": "example.com/v2", "kind": "Widget", "metadata": {"name": "w"}, "size": 1});
    host.post("/apis/example.com/v2/widgets", widget).await.is(201)
}

/// `verb kind/name by user` of changes.
fn brief(changes: &[Value]) -> Vec<String> {
    let one = |change: &Value| {
        let object = &change["object"];
        let (verb, user) = (text(&change["verb"]), text(&change["user"]));
        format!("{verb} {}/{} by {user}", text(&object["kind"]), text(&object["name"]))
    };
    changes.iter().map(one).collect()
}

/// What everybody is promised of the history, over any store.
async fn changes_are_told(host: &Host) {
    let workloads = "/apis/orch.dev/v1/namespaces/default/workloads";
    let made = host.post(&format!("{workloads}?reason=the%20sale"), workload("web", 2)).await.is(201);
    let path = format!("{workloads}/web");
    let merge = host.request(Method::PATCH, &path).header("content-type", "application/merge-patch+json");
    let merge = merge.header("impersonate-user", "bob").body(json!({"spec": {"replicas": 3}}).to_string());
    let merged = host.send(merge).await.is(200);
    host.delete(&format!("{path}?reason=it%20is%20over")).await.is(200);

    let all = changes(host, "fieldSelector=object.name=web,object.kind=Workload").await;
    assert_eq!(
        brief(&all),
        ["deleted Workload/web by admin", "updated Workload/web by bob", "created Workload/web by admin"]
    );
    for change in &all {
        let typed: Change = serde_json::from_value(change.clone()).unwrap();
        assert_eq!(serde_json::to_value(typed).unwrap(), *change, "is as its type says");
        let name = text(&change["metadata"]["name"]);
        assert_eq!(host.get(&format!("{CHANGES}/{name}")).await.is(200), *change);
    }
    let [deleted, updated, created] = <[Value; 3]>::try_from(all).unwrap();
    assert_eq!(created["revision"], revision(&made));
    assert_eq!(created["reason"], "the sale");
    assert_eq!((&created["before"], created["after"]["spec"]["replicas"].as_i64()), (&Value::Null, Some(2)));
    assert_eq!(created["after"]["metadata"]["managedFields"], Value::Null);
    assert_eq!((&updated["impersonator"], &updated["agent"]), (&json!("admin"), &json!("tester")));
    assert_eq!(updated["fields"], json!([{"path": "spec.replicas", "before": 2, "after": 3}]));
    assert_eq!(updated["object"]["uid"], merged["metadata"]["uid"]);
    assert_eq!(updated["before"], created["after"]);
    assert_eq!((&deleted["reason"], &deleted["after"]), (&json!("it is over"), &Value::Null));
    assert_eq!(deleted["before"], updated["after"]);

    assert_eq!(brief(&changes(host, "fieldSelector=user=bob").await), ["updated Workload/web by bob"]);
    assert_eq!(changes(host, "fieldSelector=object.group=orch.dev,verb!=deleted").await.len(), 2);
    host.get(&format!("{CHANGES}?fieldSelector=spec.replicas=3")).await.fails(
        400,
        "BadRequest",
        "spec.replicas",
    );
}

#[tokio::test]
async fn changes_in_the_embedded_store_are_told() {
    let (host, _directory) = host().await;
    changes_are_told(&host).await;
}

#[tokio::test]
async fn changes_in_etcd_are_told_by_each_server() {
    let etcd = EtcdServer::start_fast().await;
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let one = serving(directories[0].path(), Arc::new(etcd.store().await)).await;
    let two = serving(directories[1].path(), Arc::new(etcd.store().await)).await;
    one.make_namespace("default").await;
    changes_are_told(&one).await;
    let maps = (0..30).map(|n| {
        let host = if n % 2 == 0 { &one } else { &two };
        host.post(MAPS, map(&format!("m{n}"), json!({"a": "1"})))
    });
    futures::future::join_all(maps).await.into_iter().for_each(|made| drop(made.is(201)));
    let all = changes(&one, "").await;
    assert_eq!(all, changes(&two, "").await, "each has everything, whoever wrote it");
    assert_eq!(all.iter().filter(|change| change["object"]["kind"] == "ConfigMap").count(), 30);
}

#[tokio::test]
async fn pages_go_back_in_time_whatever_happens_meanwhile() {
    let (host, _directory) = host().await;
    for n in 0..7 {
        host.post(MAPS, map(&format!("m{n}"), json!({}))).await.is(201);
    }
    let selector = "fieldSelector=object.kind=ConfigMap";
    let (mut names, mut cont, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let list = host.get(&format!("{CHANGES}?{selector}&limit=3&continue={cont}")).await.is(200);
        let items = list["items"].as_array().unwrap();
        names.extend(items.iter().map(|change| text(&change["object"]["name"]).to_owned()));
        pages += 1;
        cont = text(&list["metadata"]["continue"]).to_owned();
        if cont.is_empty() {
            break;
        }
        host.post(MAPS, map(&format!("later{pages}"), json!({}))).await.is(201);
    }
    assert_eq!((names, pages), ((0..7).rev().map(|n| format!("m{n}")).collect(), 3));
    host.get(&format!("{CHANGES}?continue=nonsense")).await.fails(400, "BadRequest", "continue");
}

#[tokio::test]
async fn changes_can_be_read_and_nothing_else() {
    let (host, _directory) = host().await;
    let change = &changes(&host, "limit=1").await[0];
    let path = format!("{CHANGES}/{}", text(&change["metadata"]["name"]));
    host.delete(&path).await.fails(405, "MethodNotAllowed", "");
    host.delete(CHANGES).await.fails(405, "MethodNotAllowed", "");
    host.put(&path, change.clone()).await.fails(405, "MethodNotAllowed", "");
    host.merge(&path, json!({"user": "nobody"})).await.fails(405, "MethodNotAllowed", "");
    host.post(CHANGES, change.clone()).await.fails(405, "MethodNotAllowed", "");
    host.get(&format!("{CHANGES}?watch=true")).await.fails(405, "MethodNotAllowed", "");
    for name in ["7777777-0", "1", "x-y"] {
        host.get(&format!("{CHANGES}/{name}")).await.fails(404, "NotFound", name);
    }
    let group = host.get("/apis/orch.dev/v1").await.is(200);
    let resource =
        group["resources"].as_array().unwrap().iter().find(|one| one["name"] == "changes").unwrap();
    assert_eq!(resource["verbs"], json!(["get", "list"]));
}

#[tokio::test]
async fn without_a_history_there_are_no_changes() {
    let host = Host::start().await;
    host.get(CHANGES).await.fails(404, "NotFound", "");
}

#[tokio::test]
async fn everybody_sees_the_changes_of_what_they_may_get() {
    let directory = tempfile::tempdir().unwrap();
    let history = history(directory.path()).await;
    let host = Host::guarded_with(|config| config.history = Some(history)).await;
    for name in ["default", "other"] {
        host.make_namespace(name).await;
        host.post(&format!("/api/v1/namespaces/{name}/configmaps"), map("m", json!({}))).await.is(201);
    }
    host.bind("view", "ann", "other").await;
    let see = async |user: &str| {
        let client = host.user(user, &[]);
        let list = host.send(client.get(host.url(CHANGES))).await.is(200);
        list["items"].as_array().unwrap().clone()
    };
    let of_ann = see("ann").await;
    assert!(!of_ann.is_empty() && of_ann.iter().all(|change| change["object"]["namespace"] == "other"));
    assert!(brief(&of_ann).contains(&"created ConfigMap/m by admin".to_owned()));
    assert!(of_ann.iter().all(|change| change["object"]["kind"] != "Secret"));
    assert_eq!(see("nobody").await, Vec::<Value>::new());
    // One that may not be seen is as one that there is not.
    let hidden = &changes(&host, "fieldSelector=object.namespace=default,object.kind=ConfigMap").await[0];
    let path = format!("{CHANGES}/{}", text(&hidden["metadata"]["name"]));
    host.get(&path).await.is(200);
    host.send(host.user("ann", &[]).get(host.url(&path))).await.fails(404, "NotFound", "");
}

#[tokio::test]
async fn a_restart_loses_and_repeats_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut expected = Vec::new();
    for round in 0..3 {
        let host = serving(directory.path(), embedded(directory.path()).await).await;
        if round == 0 {
            host.make_namespace("default").await;
        }
        assert_eq!(changes(&host, "fieldSelector=object.kind=ConfigMap").await, expected);
        host.post(MAPS, map(&format!("m{round}"), json!({}))).await.is(201);
        host.merge(&format!("{MAPS}/m0"), json!({"data": {"round": round.to_string()}})).await.is(200);
        expected = changes(&host, "fieldSelector=object.kind=ConfigMap").await;
        assert_eq!(expected.len(), 2 * (round + 1));
        assert!(expected.iter().all(|change| change["verb"] == "created" || change["before"] != Value::Null));
    }
}

#[tokio::test]
async fn a_history_that_was_lost_is_read_again_from_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let host = serving(directory.path(), embedded(directory.path()).await).await;
    host.make_namespace("default").await;
    host.post(MAPS, map("m", json!({}))).await.is(201);
    drop(host);
    let history = directory.path().join("history");
    for file in std::fs::read_dir(&history).unwrap() {
        let path = file.unwrap().path();
        if path.to_string_lossy().contains("changes-") {
            // As after a crash: the end is torn.
            let content = std::fs::read(&path).unwrap();
            std::fs::write(&path, &content[..content.len() * 2 / 3]).unwrap();
        }
    }
    let host = serving(directory.path(), embedded(directory.path()).await).await;
    let all = changes(&host, "").await;
    assert!(brief(&all).contains(&"created ConfigMap/m by admin".to_owned()), "{:?}", brief(&all));
    assert!(all.iter().all(|change| change["verb"] != "missed"));
}

#[tokio::test]
async fn changes_that_the_store_has_forgotten_leave_a_mark() {
    let directory = tempfile::tempdir().unwrap();
    let store = embedded(directory.path()).await;
    let host = serving(directory.path(), store.clone()).await;
    host.make_namespace("default").await;
    let seen = host.post(MAPS, map("m", json!({"a": "1"}))).await.is(201);
    changes(&host, "").await;
    drop(host);
    // Meanwhile a server without a history writes, and the store forgets.
    let host = Host::start_on(tempfile::tempdir().unwrap(), store.clone()).await;
    let missed = host.merge(&format!("{MAPS}/m"), json!({"data": {"a": "2"}})).await.is(200);
    store.compact(store.revision().await.unwrap()).await.unwrap();
    drop(host);

    let host = serving(directory.path(), store).await;
    host.merge(&format!("{MAPS}/m"), json!({"data": {"a": "3"}})).await.is(200);
    let all = changes(&host, "fieldSelector=object.name=m,object.kind=ConfigMap").await;
    let verbs: Vec<&str> = all.iter().map(|change| text(&change["verb"])).collect();
    assert_eq!(verbs, ["updated", "missed", "created"], "{all:?}");
    assert_eq!(all[0]["before"]["data"]["a"], "2", "what it was is known all the same");
    assert!(all[1]["revision"].as_u64() >= Some(revision(&missed)), "{}", all[1]);
    assert!(
        text(&all[1]["reason"]).contains(&format!("changes after revision {}", revision(&seen))),
        "{}",
        all[1]
    );
    assert_eq!(changes(&host, "fieldSelector=user=admin,verb=missed").await, Vec::<Value>::new());
}

#[tokio::test]
async fn the_history_of_another_store_is_put_aside() {
    let directory = tempfile::tempdir().unwrap();
    let host = serving(directory.path(), embedded(directory.path()).await).await;
    host.make_namespace("default").await;
    for n in 0..20 {
        host.post(MAPS, map(&format!("m{n}"), json!({}))).await.is(201);
    }
    changes(&host, "").await;
    drop(host);
    std::fs::remove_dir_all(directory.path().join("store")).unwrap();
    let host = serving(directory.path(), embedded(directory.path()).await).await;
    assert_eq!(changes(&host, "").await.len(), 1, "the history waits until it knows its store");
    host.make_namespace("default").await;
    let all = changes(&host, "").await;
    let kinds: Vec<&str> = all.iter().map(|change| text(&change["object"]["kind"])).collect();
    assert_eq!(kinds, ["ServiceAccount", "Namespace", ""], "and a mark: {all:?}");
    assert!(directory.path().join("history/aside").is_dir());
}

#[tokio::test]
async fn secrets_are_neither_shown_nor_on_the_disk_as_they_are() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    std::fs::write(&path, "a:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").unwrap();
    let keys = Keyring::read(&path).unwrap();
    let store =
        EncryptedStore::new(embedded(directory.path()).await, keys.clone(), &orch_ontology::KINDS).unwrap();
    let config = HistoryConfig {
        directory: directory.path().join("history"),
        retention: HistoryRetention::default(),
        keys,
    };
    let history = History::open(config).unwrap();
    let kinds = orch_ontology::KINDS.clone();
    let host = Host::configured(tempfile::tempdir().unwrap(), Arc::new(store), kinds, |config| {
        config.history = Some(history);
    })
    .await;
    host.make_namespace("default").await;
    let secrets = "/api/v1/namespaces/default/secrets";
    let secret = |password: &str| json!({"metadata": {"name": "s"}, "stringData": {"password": password, "user": "root"}});
    host.post(secrets, secret("hunter2")).await.is(201);
    host.merge(&format!("{secrets}/s"), secret("hunter3")).await.is(200);
    let all = changes(&host, "fieldSelector=object.kind=Secret").await;
    let told = json!(all).to_string();
    for plain in ["hunter", "aHVudGVy", "cm9vdA=="] {
        assert!(!told.contains(plain), "{told}");
    }
    let fields = all[0]["fields"].as_array().unwrap();
    assert_eq!(fields.iter().map(|field| text(&field["path"])).collect::<Vec<_>>(), ["data.password"]);
    assert_ne!(fields[0]["before"], fields[0]["after"]);
    drop(host);
    for file in std::fs::read_dir(directory.path().join("history")).unwrap() {
        let content = std::fs::read(file.unwrap().path()).unwrap();
        let sealed = content.windows(8).all(|window| window != b"aHVudGVy");
        assert!(sealed, "values are sealed before they are compressed");
    }
}

#[tokio::test]
async fn an_object_of_many_versions_and_of_many_forms_is_told_once() {
    let (host, _directory) = host().await;
    let event = json!({
        "metadata": {"name": "e"}, "regarding": {"kind": "Pod", "namespace": "default", "name": "web"},
        "reason": "Tested", "action": "Test", "type": "Normal", "eventTime": "2026-01-01T00:00:00.000000Z",
        "reportingController": "tester", "reportingInstance": "t",
    });
    host.post("/apis/events.k8s.io/v1/namespaces/default/events", event).await.is(201);
    assert_eq!(changes(&host, "fieldSelector=object.kind=Event").await, Vec::<Value>::new(), "not recorded");
    make_widget(&host).await;
    let all = changes(&host, "fieldSelector=object.kind=Widget").await;
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0]["object"]["apiVersion"], "example.com/v1", "as it is stored");
}

#[tokio::test]
async fn objects_that_others_stored_without_saying_who_are_told_of() {
    let (host, _directory) = host().await;
    let object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "default"}});
    let key = Key::new("/registry/core/configmaps/default/m").unwrap();
    host.store.commit(&[Write::create(key, object.to_string())]).await.unwrap();
    let all = changes(&host, "fieldSelector=object.kind=ConfigMap").await;
    assert_eq!(brief(&all), ["created ConfigMap/m by "]);
    assert_eq!(all[0]["time"], "2026-01-01T00:00:00.000000Z", "when it was seen");
}

#[tokio::test]
async fn tables_show_changes_as_people_read_them() {
    let (host, _directory) = host().await;
    host.post(&format!("{MAPS}?reason=try"), map("m", json!({}))).await.is(201);
    host.clock.advance(Duration::from_secs(120));
    let request = host.request(Method::GET, &format!("{CHANGES}?limit=1"));
    let table =
        host.send(request.header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")).await.is(200);
    let cells = table["rows"][0]["cells"].as_array().unwrap();
    let name = text(&cells[0]).to_owned();
    let expected =
        json!([name, "created", "default", "configmap/m", "admin", null, "tester", null, "try", "2m"]);
    assert_eq!(json!(cells), expected);
}
