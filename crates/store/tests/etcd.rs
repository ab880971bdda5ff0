//! The etcd backend, on a real etcd: conformance, and what only it does.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use orch_store::etcd::{EtcdConfig, EtcdStore, Progress};
use orch_store::testing::{EtcdServer, Proxy};
use orch_store::{
    ChangeKind, Entry, Key, Prefix, ReadAt, Revision, Store, StoreError, Watch, Write, conformance,
};

const DEADLINE: Duration = Duration::from_secs(30);

fn key(name: impl std::fmt::Display) -> Key {
    Key::new(format!("/test/{name}")).unwrap()
}

async fn store(config: EtcdConfig) -> EtcdStore {
    EtcdStore::connect(config).await.unwrap()
}

async fn create(store: &impl Store, name: impl std::fmt::Display) -> Revision {
    store.commit(&[Write::create(key(name), "value")]).await.unwrap()
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap()
}

/// Reads until `revision` is reached; what was created by then, in the order that it came.
async fn created_until(watch: &mut Watch, revision: Revision) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut reached = Revision::ZERO;
    while reached < revision {
        let batch = within(watch.next()).await.unwrap().unwrap();
        reached = batch.revision;
        for change in batch.changes {
            let ChangeKind::Put(entry) = change.kind else { panic!("{change:?}") };
            assert_eq!((change.previous, entry.modified), (None, reached));
            entries.push(entry);
        }
    }
    entries
}

fn names(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| entry.key.as_str().trim_start_matches("/test/").to_owned()).collect()
}

fn numbers(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms() {
    let etcd = EtcdServer::start_fast().await;
    conformance::run(Arc::new(etcd.store().await)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_below_a_prefix() {
    let etcd = EtcdServer::start_fast().await;
    let config = EtcdConfig { prefix: "/mine".into(), ..EtcdConfig::new([etcd.endpoint()]) };
    conformance::run(Arc::new(store(config).await)).await;
    let all = etcd.store().await.list(&Prefix::all(), ReadAt::Latest, None, 0).await.unwrap();
    assert!(all.entries.iter().all(|entry| entry.key.as_str().starts_with("/mine/conformance/")));
}

#[tokio::test]
async fn what_others_write_is_not_seen_but_passed() {
    let etcd = EtcdServer::start_fast().await;
    let other = etcd.store().await;
    let config = EtcdConfig { prefix: "/mine".into(), ..EtcdConfig::new([etcd.endpoint()]) };
    let mine = store(config).await;
    let mut watch = mine.watch(&Prefix::all(), mine.revision().await.unwrap()).await.unwrap();
    for n in 0..10 {
        let foreign = create(&other, n).await;
        let told = mine.revision().await.unwrap();
        assert!(told >= foreign);
        assert_eq!(created_until(&mut watch, told).await, []);
    }
    let own = create(&mine, "own").await;
    assert_eq!(names(&created_until(&mut watch, own).await), ["own"]);
    assert_eq!(mine.list(&Prefix::all(), ReadAt::Latest, None, 0).await.unwrap().entries.len(), 1);
    // Keys that are no keys of ours.
    let theirs = etcd_client::Client::connect([etcd.endpoint()], None).await.unwrap();
    for name in ["/mine/a//b", "/mine/b/", "/mine"] {
        theirs.kv_client().put(name, "", None).await.unwrap();
    }
    let page = mine.list(&Prefix::all(), ReadAt::Latest, None, 1).await.unwrap();
    assert_eq!(names(&page.entries), ["own"]);
}

#[tokio::test]
async fn a_quiet_watch_asks_for_progress_where_it_can_be_trusted() {
    let etcd = EtcdServer::start_fast().await;
    let config = EtcdConfig { progress: Some(Progress::Requested), ..EtcdConfig::new([etcd.endpoint()]) };
    let store = store(config).await;
    let start = store.revision().await.unwrap();
    let mut quiet = store.watch(&Prefix::new("/quiet").unwrap(), start).await.unwrap();
    for n in 0..10 {
        create(&store, n).await;
        let told = store.revision().await.unwrap();
        assert_eq!(created_until(&mut quiet, told).await, []);
    }
}

#[tokio::test]
async fn a_revision_cut_into_fragments_arrives_whole() {
    let etcd = EtcdServer::start_fast().await;
    let store = etcd.store().await;
    let start = store.revision().await.unwrap();
    let mut expected = Vec::new();
    for round in 0..10 {
        let names: Vec<_> = (0..100).map(|n| key(format!("{round}/{n}"))).collect();
        let writes: Vec<_> = names.iter().map(|key| Write::create(key.clone(), vec![b'x'; 12_000])).collect();
        expected.push((store.commit(&writes).await.unwrap(), names));
    }
    // All are sent at once, 12 MB, in fragments of about 2 MB.
    let watch = store.watch(&Prefix::all(), start).await.unwrap();
    let batches: Vec<_> = within(watch.take(10).collect()).await;
    let seen: Vec<_> = batches
        .into_iter()
        .map(|batch| batch.unwrap())
        .map(|batch| (batch.revision, batch.changes.into_iter().map(|change| change.key).collect::<Vec<_>>()))
        .collect();
    assert_eq!(seen, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_survives_the_death_of_etcd() {
    let mut etcd = EtcdServer::start().await;
    let store = Arc::new(etcd.store().await);
    let mut watch = store.watch(&Prefix::all(), store.revision().await.unwrap()).await.unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        for n in 0..20 {
            acknowledged.push((create(&*store, format!("{round}-{n}")).await, key(format!("{round}-{n}"))));
        }
        etcd.kill();
        etcd.resume().await;
    }
    let last = create(&*store, "last").await;
    acknowledged.push((last, key("last")));
    let seen = created_until(&mut watch, last).await;
    let seen: Vec<_> = seen.into_iter().map(|entry| (entry.modified, entry.key)).collect();
    assert_eq!(seen, acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_survives_lost_connections() {
    let etcd = EtcdServer::start_fast().await;
    let proxy = Proxy::start(etcd.address()).await;
    let far = store(EtcdConfig::new([proxy.endpoint()])).await;
    let near = Arc::new(etcd.store().await);
    let mut watch = far.watch(&Prefix::all(), near.revision().await.unwrap()).await.unwrap();
    let writer = near.clone();
    let writing = tokio::spawn(async move {
        let mut last = Revision::ZERO;
        for n in 0..1000 {
            let value = vec![b'x'; 20_000];
            last = writer.commit(&[Write::create(key(n), value)]).await.unwrap();
        }
        last
    });
    // Cut it in the middle of whatever is being sent, again and again.
    let mut seen = Vec::new();
    while seen.len() < 1000 {
        let batch = within(watch.next()).await.unwrap().unwrap();
        seen.extend(batch.changes.into_iter().map(|change| change.key));
        if seen.len() % 50 == 0 {
            proxy.cut();
        }
    }
    assert_eq!(seen, (0..1000).map(key).collect::<Vec<_>>());
    let last = writing.await.unwrap();
    // And while nobody can reach it.
    proxy.close();
    for n in 1000..1010 {
        create(&*near, n).await;
    }
    proxy.open();
    let told = far.revision().await.unwrap();
    assert!(told > last);
    assert_eq!(names(&created_until(&mut watch, told).await), numbers(1000..1010));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_not_repeated_and_says_so() {
    let etcd = EtcdServer::start_fast().await;
    let proxy = Proxy::start(etcd.address()).await;
    let far = Arc::new(store(EtcdConfig::new([proxy.endpoint()])).await);
    let near = etcd.store().await;
    let mut ambiguous = 0;
    for round in 0..20 {
        let commits: Vec<_> = (0..32)
            .map(|n| {
                let (far, name) = (far.clone(), format!("{round}-{n}"));
                tokio::spawn(async move { (far.commit(&[Write::create(key(&name), "")]).await, name) })
            })
            .collect();
        tokio::task::yield_now().await;
        proxy.cut();
        for commit in commits {
            let (outcome, name) = commit.await.unwrap();
            let found = near.get(&key(&name), ReadAt::Latest).await.unwrap();
            match outcome {
                Ok(revision) => assert_eq!(found.unwrap().modified, revision),
                Err(StoreError::Unavailable { ambiguous: true, .. }) => ambiguous += 1,
                Err(StoreError::Unavailable { ambiguous: false, .. }) => assert_eq!(found, None),
                // It was created by nobody else: a commit that was repeated would find itself.
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(ambiguous > 0, "no answer was lost");
}

#[tokio::test]
async fn an_etcd_that_is_gone_is_unavailable_in_time_and_comes_back() {
    let mut etcd = EtcdServer::start().await;
    let config =
        EtcdConfig { request_timeout: Duration::from_millis(300), ..EtcdConfig::new([etcd.endpoint()]) };
    let store = store(config.clone()).await;
    create(&store, "a").await;
    etcd.kill();
    // The first request may be the one that finds the connection dead.
    store.revision().await.unwrap_err();
    let error = within(store.commit(&[Write::create(key("b"), "")])).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { ambiguous: false, .. }), "{error}");
    let error = within(EtcdStore::connect(config)).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { ambiguous: false, .. }), "{error}");
    etcd.resume().await;
    within(async {
        while let Err(error) = store.revision().await {
            assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
        }
    })
    .await;
    assert!(store.get(&key("b"), ReadAt::Latest).await.unwrap().is_none());
}

#[tokio::test]
async fn a_member_that_is_gone_does_no_harm() {
    let etcd = EtcdServer::start_fast().await;
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let store = store(EtcdConfig::new([format!("http://{gone}"), etcd.endpoint().to_owned()])).await;
    let mut watch = store.watch(&Prefix::all(), store.revision().await.unwrap()).await.unwrap();
    let mut last = Revision::ZERO;
    for n in 0..50 {
        last = create(&store, n).await;
    }
    assert_eq!(names(&created_until(&mut watch, last).await), numbers(0..50));
}

#[tokio::test]
async fn a_watch_whose_next_changes_are_compacted_while_it_is_away_is_told() {
    let etcd = EtcdServer::start_fast().await;
    let proxy = Proxy::start(etcd.address()).await;
    let far = store(EtcdConfig::new([proxy.endpoint()])).await;
    let near = etcd.store().await;
    let start = create(&near, "a").await;
    let mut watch = far.watch(&Prefix::all(), start).await.unwrap();
    proxy.close();
    let deleted = near.commit(&[Write::delete(key("a"), start)]).await.unwrap();
    near.compact(deleted).await.unwrap();
    proxy.open();
    let error = within(watch.next()).await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Compacted { asked, oldest } if asked == start && oldest == deleted));
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_watch_of_an_etcd_that_has_gone_back_in_time_is_told() {
    let (etcd, restored) = (EtcdServer::start_fast().await, EtcdServer::start_fast().await);
    let proxy = Proxy::start(etcd.address()).await;
    let far = store(EtcdConfig::new([proxy.endpoint()])).await;
    let near = etcd.store().await;
    for n in 0..10 {
        create(&near, n).await;
    }
    let reached = near.revision().await.unwrap();
    let mut watch = far.watch(&Prefix::all(), reached).await.unwrap();
    // As it was before, by a backup of long ago.
    let current = create(&restored.store().await, "a").await;
    assert!(current < reached);
    proxy.forward_to(restored.address());
    proxy.cut();
    let error = within(watch.next()).await.unwrap().unwrap_err();
    assert!(
        matches!(error, StoreError::Future { asked, current: told } if asked == reached && told == current),
        "{error}"
    );
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn closing_ends_watches_also_without_a_connection() {
    let mut etcd = EtcdServer::start_fast().await;
    let store = etcd.store().await;
    let mut connected = store.watch(&Prefix::all(), store.revision().await.unwrap()).await.unwrap();
    let config =
        EtcdConfig { request_timeout: Duration::from_millis(300), ..EtcdConfig::new([etcd.endpoint()]) };
    let other = EtcdStore::connect(config).await.unwrap();
    let mut lost = other.watch(&Prefix::all(), other.revision().await.unwrap()).await.unwrap();
    drop(store);
    assert!(within(connected.next()).await.is_none());
    etcd.kill();
    drop(other);
    assert!(within(lost.next()).await.is_none());
}
