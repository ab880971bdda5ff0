//! Group commit on a real etcd: what goes together, and what happens to a group when etcd refuses it, dies or is cut off.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use orch_store::etcd::{EtcdConfig, EtcdStore};
use orch_store::testing::{EtcdServer, Proxy};
use orch_store::{Key, Prefix, ReadAt, Revision, Store, StoreError, Write};

type Outcome = Result<Revision, StoreError>;

fn key(name: impl std::fmt::Display) -> Key {
    Key::new(format!("/test/{name}")).unwrap()
}

/// Creates keys at once, each with the value that `value` gives.
async fn create_all(
    store: &Arc<EtcdStore>,
    names: impl Iterator<Item = usize>,
    value: impl Fn(usize) -> Vec<u8>,
) -> Vec<(Key, Outcome)> {
    let commits = names.map(|n| {
        let (store, write) = (store.clone(), Write::create(key(n), value(n)));
        tokio::spawn(async move { (write.key.clone(), store.commit(&[write]).await) })
    });
    join_all(commits).await.into_iter().map(|commit| commit.unwrap()).collect()
}

async fn etcd_revision(etcd: &EtcdServer) -> i64 {
    let client = etcd_client::Client::connect([etcd.endpoint()], None).await.unwrap();
    client.kv_client().get("any", None).await.unwrap().header().unwrap().revision()
}

async fn stored(etcd: &EtcdServer, key: &Key) -> Vec<u8> {
    let client = etcd_client::Client::connect([etcd.endpoint()], None).await.unwrap();
    client.kv_client().get(key.as_str(), None).await.unwrap().kvs()[0].value().to_vec()
}

#[tokio::test]
async fn commits_that_wait_go_together_and_stay_json() {
    let etcd = EtcdServer::start_fast().await;
    let store = Arc::new(etcd.store().await);
    let before = etcd_revision(&etcd).await;
    for (_, outcome) in create_all(&store, 0..600, |n| format!("{{\"n\":{n}}}").into_bytes()).await {
        outcome.unwrap();
    }
    let transactions = etcd_revision(&etcd).await - before;
    assert!((2..100).contains(&transactions), "{transactions} transactions");
    for n in 0..600 {
        let expected = format!("{{\"n\":{n}}}");
        assert_eq!(stored(&etcd, &key(n)).await.trim_ascii_end(), expected.as_bytes());
    }
}

#[tokio::test]
async fn a_commit_alone_is_stored_as_it_is() {
    let etcd = EtcdServer::start_fast().await;
    let store = etcd.store().await;
    let before = etcd_revision(&etcd).await;
    let created = store.commit(&[Write::create(key("a"), "{}")]).await.unwrap();
    assert_eq!(stored(&etcd, &key("a")).await, b"{}");
    assert_eq!(etcd_revision(&etcd).await, before + 1);
    // All of etcd's revision has been seen.
    assert_eq!(store.revision().await.unwrap(), created);
    // What others put is as recent.
    let theirs = etcd_client::Client::connect([etcd.endpoint()], None).await.unwrap();
    theirs.kv_client().put("/test/b", "{}", None).await.unwrap();
    let entry = store.get(&key("b"), ReadAt::Latest).await.unwrap().unwrap();
    assert_eq!((&entry.value[..], entry.modified), (&b"{}"[..], store.revision().await.unwrap()));
}

#[tokio::test]
async fn what_was_never_a_revision_of_a_key_is_not_taken_for_absent() {
    let etcd = EtcdServer::start_fast().await;
    let store = etcd.store().await;
    for revision in [1, 127, 128, u64::MAX] {
        let error = store.commit(&[Write::update(key("a"), Revision(revision), "")]).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict { current: None, .. }), "{error}");
    }
}

#[tokio::test]
async fn a_group_that_etcd_refuses_is_taken_apart() {
    for limit in [["--max-request-bytes", "8192"], ["--max-txn-ops", "4"]] {
        let etcd = EtcdServer::start_with(&[&limit[..], &["--unsafe-no-fsync"]].concat()).await;
        let store = Arc::new(etcd.store().await);
        for (key, outcome) in create_all(&store, 0..200, |_| vec![b'x'; 1024]).await {
            let revision = outcome.unwrap();
            assert_eq!(store.get(&key, ReadAt::Latest).await.unwrap().unwrap().modified, revision);
        }
    }
}

#[tokio::test]
async fn a_commit_that_etcd_refuses_takes_no_other_with_it() {
    let etcd = EtcdServer::start_with(&["--max-request-bytes", "8192", "--unsafe-no-fsync"]).await;
    let store = Arc::new(etcd.store().await);
    let size = |n| if n % 10 == 7 { 9000 } else { 10 };
    for (n, (key, outcome)) in
        create_all(&store, 0..100, |n| vec![b'x'; size(n)]).await.into_iter().enumerate()
    {
        let found = store.get(&key, ReadAt::Latest).await.unwrap();
        match outcome {
            Ok(revision) if n % 10 != 7 => assert_eq!(found.unwrap().modified, revision),
            Err(StoreError::TooLarge { unit: "bytes", .. }) if n % 10 == 7 => assert_eq!(found, None),
            outcome => panic!("{n}: {outcome:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_many_write_is_in_one_commit_of_a_group() {
    let etcd = EtcdServer::start_fast().await;
    let store = Arc::new(etcd.store().await);
    // Every commit shares one key with another, and none may be refused for it.
    let commits = (0..200).map(|n: usize| {
        let store = store.clone();
        let writes = [Write::create(key(format!("shared-{}", n / 2)), ""), Write::create(key(n), "")];
        tokio::spawn(async move { store.commit(&writes).await })
    });
    let outcomes: Vec<_> = join_all(commits).await.into_iter().map(|commit| commit.unwrap()).collect();
    for pair in outcomes.chunks(2) {
        let conflicts = pair.iter().filter(|outcome| {
            matches!(outcome, Err(StoreError::Conflict { index: 0, current: Some(_), .. }))
        });
        assert_eq!(
            (conflicts.count(), pair.iter().filter(|outcome| outcome.is_ok()).count()),
            (1, 1),
            "{pair:?}"
        );
    }
}

/// What is there, and that a watch has delivered every bit of it, once.
async fn seen_by_a_watch(store: &EtcdStore, start: Revision) -> HashMap<Key, Revision> {
    let told = store.revision().await.unwrap();
    let mut watch = store.watch(&Prefix::all(), start).await.unwrap();
    let (mut seen, mut reached) = (HashMap::new(), start);
    while reached < told {
        let batch =
            tokio::time::timeout(Duration::from_secs(30), watch.next()).await.unwrap().unwrap().unwrap();
        reached = batch.revision;
        for change in batch.changes {
            assert_eq!(seen.insert(change.key, reached), None, "delivered twice");
        }
    }
    let page = store.list(&Prefix::all(), ReadAt::Exactly(told), None, 0).await.unwrap();
    let found: HashMap<_, _> = page.entries.into_iter().map(|entry| (entry.key, entry.modified)).collect();
    assert_eq!(seen, found);
    found
}

/// What was told is what is. Returns how many were told that they succeeded, and that nobody knows.
fn check(outcomes: Vec<(Key, Outcome)>, found: &HashMap<Key, Revision>) -> (usize, usize) {
    let (mut succeeded, mut unknown) = (0, 0);
    for (key, outcome) in outcomes {
        match outcome {
            Ok(revision) => {
                assert_eq!(found.get(&key), Some(&revision), "{key}");
                succeeded += 1;
            }
            Err(StoreError::Unavailable { ambiguous: true, .. }) => unknown += 1,
            Err(StoreError::Unavailable { .. }) => assert_eq!(found.get(&key), None, "{key}"),
            Err(error) => panic!("{key}: {error}"),
        }
    }
    (succeeded, unknown)
}

/// Creates keys by 64 writers until told to stop, and goes on after failures.
fn write_on(
    store: &Arc<EtcdStore>,
    stop: &tokio::sync::watch::Sender<bool>,
) -> Vec<tokio::task::JoinHandle<Vec<(Key, Outcome)>>> {
    let writer = |writer: usize| {
        let (store, stop) = (store.clone(), stop.subscribe());
        tokio::spawn(async move {
            let mut outcomes = Vec::new();
            while !*stop.borrow() {
                let key = key(format!("{writer}/{}", outcomes.len()));
                outcomes.push((key.clone(), store.commit(&[Write::create(key, "value")]).await));
            }
            outcomes
        })
    };
    (0..64).map(writer).collect()
}

/// Waits until the store has so many keys.
async fn until_there_are(keys: u64, store: &EtcdStore) {
    let counted = async {
        while store.list(&Prefix::all(), ReadAt::Latest, None, 1).await.unwrap().remaining < keys {}
    };
    tokio::time::timeout(Duration::from_secs(30), counted).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_etcd_leaves_nothing_untold() {
    let mut etcd = EtcdServer::start().await;
    let config = EtcdConfig { request_timeout: Duration::from_secs(1), ..etcd.config() };
    let store = Arc::new(EtcdStore::connect(config).await.unwrap());
    let start = store.revision().await.unwrap();
    let stop = tokio::sync::watch::Sender::new(false);
    let writers = write_on(&store, &stop);
    for round in 1..=3 {
        // In the middle of it.
        until_there_are(round * 300, &store).await;
        etcd.kill();
        etcd.resume().await;
    }
    stop.send_replace(true);
    let outcomes: Vec<_> = join_all(writers).await.into_iter().flat_map(|writer| writer.unwrap()).collect();
    let found = seen_by_a_watch(&store, start).await;
    let (succeeded, unknown) = check(outcomes, &found);
    // What etcd has is told as done, or as unknown where it died before it answered.
    assert!(succeeded > 300 && succeeded + unknown >= 900, "{succeeded} succeeded, {unknown} unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_whose_answer_is_lost_is_of_unknown_fate_to_all_its_members() {
    let etcd = EtcdServer::start_fast().await;
    let proxy = Proxy::start(etcd.address()).await;
    let far = Arc::new(EtcdStore::connect(EtcdConfig::new([proxy.endpoint()])).await.unwrap());
    let near = etcd.store().await;
    let start = near.revision().await.unwrap();
    let stop = tokio::sync::watch::Sender::new(false);
    let writers = write_on(&far, &stop);
    for round in 1..=20 {
        until_there_are(round * 200, &near).await;
        proxy.cut();
    }
    stop.send_replace(true);
    let outcomes: Vec<_> = join_all(writers).await.into_iter().flat_map(|writer| writer.unwrap()).collect();
    let found = seen_by_a_watch(&near, start).await;
    let (succeeded, unknown) = check(outcomes, &found);
    assert!(succeeded > 2000 && unknown > 0, "{succeeded} succeeded, {unknown} unknown");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_etcd_commits_fail_in_time_however_many_wait() {
    let mut etcd = EtcdServer::start().await;
    let config = EtcdConfig { request_timeout: Duration::from_millis(300), ..etcd.config() };
    let store = Arc::new(EtcdStore::connect(config).await.unwrap());
    etcd.kill();
    let start = std::time::Instant::now();
    for (_, outcome) in create_all(&store, 0..6000, |_| Vec::new()).await {
        assert!(matches!(outcome, Err(StoreError::Unavailable { .. })), "{outcome:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    etcd.resume().await;
    let names = (10_000..10_200).collect::<Vec<_>>();
    let mut left = names.clone();
    tokio::time::timeout(Duration::from_secs(30), async {
        while !left.is_empty() {
            let outcomes = create_all(&store, left.iter().copied(), |_| Vec::new()).await;
            let failed = outcomes.iter().map(|(_, o)| matches!(o, Err(StoreError::Unavailable { .. })));
            left = left.into_iter().zip(failed).filter(|(_, failed)| *failed).map(|(n, _)| n).collect();
        }
    })
    .await
    .unwrap();
    let page = store.list(&Prefix::all(), ReadAt::Latest, None, 0).await.unwrap();
    assert!(names.into_iter().all(|n| page.entries.iter().any(|entry| entry.key == key(n))));
}
