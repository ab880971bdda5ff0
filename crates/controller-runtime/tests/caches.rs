//! Caches over a real API server, through a connection that breaks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use orch_api::{Api, Metadata, Params, Resource as _};
use orch_controller_runtime::{Cache, Index, ObjectKey, Reflector, SystemClock};
use orch_ontology::ConfigMap;
use support::{Faulty, Server, context, soon};
use tokio_util::sync::CancellationToken;

fn config(name: &str, team: &str) -> ConfigMap {
    let mut metadata = Metadata::named("default".to_owned(), name);
    metadata.labels.insert("team".into(), team.into());
    ConfigMap { metadata, ..ConfigMap::default() }
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::new("default", name)
}

async fn until<K: orch_controller_runtime::Cached>(
    cache: &Cache<K>,
    what: &str,
    there: impl Fn(&Cache<K>) -> bool,
) {
    let mut changes = cache.changes();
    let wait = async {
        while !there(cache) {
            assert!(changes.changed().await);
        }
    };
    soon(what, wait).await;
}

struct Setup {
    _server: Server,
    client: Arc<Faulty>,
    api: Api<ConfigMap>,
    cache: Arc<Cache<ConfigMap>>,
    _cancel: tokio_util::sync::DropGuard,
}

async fn setup() -> Setup {
    let server = Server::start().await;
    let client = Faulty::new(server.client());
    let api = Api::namespaced(server.client(), "default");
    api.create(&config("first", "a")).await.unwrap();
    let cancel = CancellationToken::new();
    let cache = Reflector::new(client.clone(), Arc::new(SystemClock)).spawn(cancel.clone());
    soon("the first list", cache.synced()).await;
    Setup { _server: server, client, api, cache, _cancel: cancel.drop_guard() }
}

#[tokio::test]
async fn a_cache_follows_what_is_made_changed_and_deleted() {
    let Setup { api, cache, client, .. } = &setup().await;
    assert!(cache.get(&key("first")).is_some());
    api.create(&config("second", "b")).await.unwrap();
    until(cache, "the new object", |cache| cache.len() == 2).await;
    api.delete("first", Params::default()).await.unwrap();
    until(cache, "the deletion", |cache| cache.get(&key("first")).is_none()).await;
    assert_eq!(client.lists.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_broken_watch_is_taken_up_where_it_broke_off_without_another_list() {
    let Setup { api, cache, client, .. } = &setup().await;
    until(cache, "a watch", |_| client.watches.load(Ordering::SeqCst) == 1).await;
    for round in 0..3 {
        client.cut_watches();
        api.create(&config(&format!("in-round-{round}"), "a")).await.unwrap();
        until(cache, "what was made meanwhile", |cache| cache.len() == round + 2).await;
    }
    assert_eq!(client.lists.load(Ordering::SeqCst), 1);
    assert!(client.watches.load(Ordering::SeqCst) > 3);
}

#[tokio::test]
async fn when_the_revision_is_too_old_it_lists_again_and_tells_only_the_difference() {
    let Setup { api, cache, client, .. } = &setup().await;
    api.create(&config("second", "b")).await.unwrap();
    until(cache, "the new object", |cache| cache.len() == 2).await;
    let told = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let record = told.clone();
    cache.subscribe(move |change| {
        let sign = match (change.old, change.new) {
            (None, _) => "+",
            (_, None) => "-",
            _ => "~",
        };
        record.lock().push(format!("{sign}{}", change.key.name));
    });
    assert_eq!(std::mem::take(&mut *told.lock()), ["+first", "+second"], "what is there is told first");
    client.expired.store(1, Ordering::SeqCst);
    client.cut_watches();
    until(cache, "another list", |_| client.lists.load(Ordering::SeqCst) == 2).await;
    api.delete("first", Params::default()).await.unwrap();
    until(cache, "the deletion", |cache| cache.get(&key("first")).is_none()).await;
    assert_eq!(*told.lock(), ["-first"], "what is as it was is not told again");
}

#[tokio::test]
async fn an_index_finds_objects_and_follows_their_changes() {
    const BY_TEAM: Index<ConfigMap> = Index {
        name: "team",
        values: |config| config.metadata.labels.get("team").cloned().into_iter().collect(),
    };
    let Setup { api, cache, .. } = &setup().await;
    let names = |team: &str| -> Vec<String> {
        cache.select(&BY_TEAM, team).iter().map(|config| config.metadata.name.clone()).collect()
    };
    assert_eq!(names("a"), ["first"]);
    api.create(&config("second", "a")).await.unwrap();
    until(cache, "the new object", |cache| cache.len() == 2).await;
    assert_eq!(names("a"), ["first", "second"]);
    let patch = orch_api::Patch::Merge(serde_json::json!({"metadata": {"labels": {"team": "b"}}}));
    api.patch("first", &patch, Params::default()).await.unwrap();
    until(cache, "the new label", |_| names("b") == ["first"]).await;
    assert_eq!(names("a"), ["second"]);
    api.delete("second", Params::default()).await.unwrap();
    until(cache, "the deletion", |_| names("a").is_empty()).await;
}

#[tokio::test]
async fn a_selection_holds_only_what_it_selects() {
    let server = Server::start().await;
    let api = Api::namespaced(server.client(), "default");
    for (name, team) in [("first", "a"), ("second", "b")] {
        api.create(&config(name, team)).await.unwrap();
    }
    let cancel = CancellationToken::new();
    let reflector = Reflector::<ConfigMap>::new(server.client(), Arc::new(SystemClock)).labels("team=a");
    let cache = reflector.spawn(cancel.clone());
    soon("the first list", cache.synced()).await;
    assert_eq!(cache.len(), 1);
    let patch = orch_api::Patch::Merge(serde_json::json!({"metadata": {"labels": {"team": "b"}}}));
    api.patch("first", &patch, Params::default()).await.unwrap();
    until(&cache, "the object to leave", |cache| cache.is_empty()).await;
    cancel.cancel();
}

#[tokio::test]
async fn who_learns_late_that_a_kind_is_gone_leaves_alone_what_is_followed_since() {
    let (server, cancel) = (Server::start().await, CancellationToken::new());
    let (caches, kind) = (context(server.client(), &cancel).caches, ConfigMap::KIND);
    let first = caches.partial(kind);
    caches.forget_partial(&kind, &first);
    let second = caches.partial(kind);
    assert!(!Arc::ptr_eq(&first, &second));
    caches.forget_partial(&kind, &first);
    assert!(Arc::ptr_eq(&second, &caches.partial(kind)));
}
