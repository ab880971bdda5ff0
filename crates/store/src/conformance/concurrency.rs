use futures::future::join_all;

use super::{Scope, read_to};
use crate::{ChangeKind, Revision, StoreError, Write};

pub(super) async fn one_of_many_writers_wins_each_revision(scope: Scope) {
    let mut at = scope.create("a", "0").await;
    for _ in 0..10 {
        let writers = (0..32).map(|n: u32| {
            let (scope, write) = (scope.clone(), Write::update(scope.key("a"), at, n.to_string()));
            tokio::spawn(async move { scope.store.commit(&[write]).await.map(|revision| (n, revision)) })
        });
        let mut winners = Vec::new();
        for outcome in join_all(writers).await {
            match outcome.unwrap() {
                Ok(winner) => winners.push(winner),
                Err(StoreError::Conflict { current, .. }) => assert!(current.unwrap().modified > at),
                Err(error) => panic!("{error}"),
            }
        }
        let [(winner, revision)] = winners[..] else { panic!("{winners:?}") };
        let entry = scope.get("a").await.unwrap();
        assert_eq!((entry.modified, &entry.value[..]), (revision, winner.to_string().as_bytes()));
        at = revision;
    }
}

pub(super) async fn counters_lose_no_increment(scope: Scope) {
    scope.create("a", "0").await;
    let before = scope.revision().await;
    let writers = (0..8).map(|_| tokio::spawn(increment(scope.clone(), 25)));
    let mut revisions = Vec::new();
    for writer in join_all(writers).await {
        let of_one = writer.unwrap();
        assert!(of_one.is_sorted_by(|a, b| a < b));
        revisions.extend(of_one);
    }
    assert_eq!(&scope.get("a").await.unwrap().value[..], b"200");
    revisions.sort();
    revisions.dedup();
    assert_eq!(revisions.len(), 200);
    assert!(revisions[0] > before);
}

/// Adds one, `times` times, each time until it succeeds.
async fn increment(scope: Scope, times: usize) -> Vec<Revision> {
    let mut revisions = Vec::new();
    while revisions.len() < times {
        let entry = scope.get("a").await.unwrap();
        let count: u64 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
        let write = Write::update(entry.key, entry.modified, (count + 1).to_string());
        match scope.store.commit(&[write]).await {
            Ok(revision) => revisions.push(revision),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    revisions
}

pub(super) async fn watches_agree_with_the_commits_acknowledged(scope: Scope) {
    let mut watch = scope.watch(scope.revision().await).await;
    let writers = (0..8).map(|writer| {
        let scope = scope.clone();
        tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for n in 0..50 {
                let key = scope.key(&format!("{writer}/{n}"));
                acknowledged.push((scope.commit(Write::create(key.clone(), "1")).await, key));
            }
            acknowledged
        })
    });
    let mut acknowledged: Vec<_> =
        join_all(writers).await.into_iter().flat_map(|writer| writer.unwrap()).collect();
    acknowledged.sort();
    let last = acknowledged.last().unwrap().0;
    let changes = read_to(&mut watch, last).await;
    assert!(changes.iter().all(|(_, change)| matches!(change.kind, ChangeKind::Put(_))));
    let seen: Vec<_> = changes.into_iter().map(|(revision, change)| (revision, change.key)).collect();
    assert_eq!(seen, acknowledged);
}
