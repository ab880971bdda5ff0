//! Commits that wait together. A backend may carry them out together; nobody may see it.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::future::join_all;

use super::{Scope, read_to};
use crate::{Entry, Key, Op, ReadAt, Revision, StoreError, Write};

/// How many commits are made at once.
const COMMITS: usize = 200;

/// Commits all at once: every second one believes what is wrong. Returns those that succeeded, in order.
async fn commit_at_once(scope: &Scope) -> Vec<(Revision, String)> {
    let commits = (0..COMMITS).map(|n| {
        let (scope, name) = (scope.clone(), format!("{n:03}"));
        tokio::spawn(async move {
            let write = match n % 2 {
                0 => Write::create(scope.key(&name), name.clone()),
                _ => Write::update(scope.key(&name), Revision(1_000), name.clone()),
            };
            (scope.store.commit(&[write]).await, name)
        })
    });
    let mut succeeded = Vec::new();
    for (n, commit) in join_all(commits).await.into_iter().enumerate() {
        match (n % 2, commit.unwrap()) {
            (0, (Ok(revision), name)) => succeeded.push((revision, name)),
            (1, (Err(StoreError::Conflict { index: 0, key, current: None, .. }), name)) => {
                assert_eq!(key, scope.key(&name));
            }
            (_, (outcome, name)) => panic!("{name}: {outcome:?}"),
        }
    }
    succeeded.sort();
    succeeded
}

pub(super) async fn commits_at_once_fail_alone_and_have_a_revision_each(scope: Scope) {
    let before = scope.revision().await;
    let mut watch = scope.watch(before).await;
    let succeeded = commit_at_once(&scope).await;
    assert_eq!(succeeded.len(), COMMITS / 2);
    assert!(succeeded[0].0 > before && succeeded.is_sorted_by(|(a, _), (b, _)| a < b));
    let (last, _) = *succeeded.last().unwrap();
    let seen = read_to(&mut watch, last).await.into_iter().map(|(revision, change)| (revision, change.key));
    let expected: Vec<_> = succeeded.iter().map(|(revision, name)| (*revision, scope.key(name))).collect();
    assert_eq!(seen.collect::<Vec<_>>(), expected);
    for (revision, name) in &succeeded {
        let entry = scope.get(name).await.unwrap();
        assert_eq!(
            (entry.created, entry.modified, &entry.value[..]),
            (*revision, *revision, name.as_bytes())
        );
        scope.commit(Write::update(entry.key, entry.modified, "next")).await;
    }
}

pub(super) async fn a_watch_resumes_between_commits_at_once(scope: Scope) {
    let succeeded = commit_at_once(&scope).await;
    // There must be something to read after the last, too.
    let last = scope.create("last", "1").await;
    for (done, (revision, _)) in succeeded.iter().enumerate() {
        let mut watch = scope.watch(*revision).await;
        let rest = read_to(&mut watch, last).await;
        let rest: Vec<_> = rest.into_iter().map(|(revision, change)| (revision, change.key)).collect();
        let expected = succeeded[done + 1..].iter().map(|(revision, name)| (*revision, scope.key(name)));
        let expected = expected.chain([(last, scope.key("last"))]);
        assert_eq!(rest, expected.collect::<Vec<_>>(), "after {revision}");
    }
}

/// What there is at some moment: of each key, its value and the revision that put it.
type State = BTreeMap<Key, (Bytes, Revision)>;

fn state(entries: Vec<Entry>) -> State {
    entries.into_iter().map(|entry| (entry.key, (entry.value, entry.modified))).collect()
}

/// Creates, updates and deletes, again and again at once. Returns every revision made, in order, with what there was then.
async fn churn_at_once(scope: &Scope) -> Vec<(Revision, State)> {
    let mut state = State::new();
    let mut history = Vec::new();
    for round in 0..4 {
        let commits = (0..48).map(|n| {
            let (scope, key) = (scope.clone(), scope.key(&format!("{:02}", (n * 7 + round) % 60)));
            let value = Bytes::from(format!("{round}"));
            let write = match state.get(&key) {
                None => Write::create(key, value),
                Some((_, at)) if n % 5 == 0 => Write::delete(key, *at),
                Some((_, at)) => Write::update(key, *at, value),
            };
            tokio::spawn(async move { (scope.commit(write.clone()).await, write) })
        });
        let mut done: Vec<_> = join_all(commits).await.into_iter().map(|commit| commit.unwrap()).collect();
        done.sort_by_key(|(revision, _)| *revision);
        for (revision, write) in done {
            match write.op {
                Op::Put(value) => state.insert(write.key, (value, revision)),
                Op::Delete => state.remove(&write.key),
                Op::Keep => None,
            };
            history.push((revision, state.clone()));
        }
    }
    history
}

pub(super) async fn every_revision_of_commits_at_once_can_be_read(scope: Scope) {
    for (revision, expected) in churn_at_once(&scope).await {
        let at = ReadAt::Exactly(revision);
        let all = scope.store.list(&scope.prefix(), at, None, 0).await.unwrap();
        assert_eq!((all.revision, all.more, all.remaining), (revision, None, 0));
        assert_eq!(state(all.entries), expected, "at {revision}");
        for name in ["00", "07", "59"] {
            let entry = scope.get_at(name, at).await.unwrap().map(|entry| (entry.value, entry.modified));
            assert_eq!(entry.as_ref(), expected.get(&scope.key(name)), "{name} at {revision}");
        }
        let (mut paged, mut from) = (Vec::new(), None);
        loop {
            let page = scope.store.list(&scope.prefix(), at, from.as_ref(), 7).await.unwrap();
            paged.extend(page.entries);
            let total = paged.len() as u64 + page.remaining;
            assert_eq!((page.revision, total), (revision, expected.len() as u64));
            from = page.more;
            if from.is_none() {
                break;
            }
        }
        assert!(paged.is_sorted_by(|a, b| a.key < b.key));
        assert_eq!(state(paged), expected, "in pages at {revision}");
    }
}

pub(super) async fn compaction_between_commits_at_once_keeps_what_comes_after(scope: Scope) {
    let history = churn_at_once(&scope).await;
    let last = scope.create("last", "1").await;
    for (index, (revision, expected)) in history.iter().enumerate().step_by(16) {
        scope.store.compact(*revision).await.unwrap();
        let page = scope.store.list(&scope.prefix(), ReadAt::Exactly(*revision), None, 0).await.unwrap();
        assert_eq!(state(page.entries), *expected, "at {revision}");
        let mut watch = scope.watch(*revision).await;
        let rest = read_to(&mut watch, last).await.into_iter().map(|(revision, _)| revision);
        let expected = history[index + 1..].iter().map(|(revision, _)| *revision).chain([last]);
        assert_eq!(rest.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "after {revision}");
    }
}

pub(super) async fn a_commit_at_once_with_others_is_still_all_or_nothing(scope: Scope) {
    let mut watch = scope.watch(scope.revision().await).await;
    let taken = scope.create("taken", "1").await;
    let commits = (0..60).map(|n| {
        let scope = scope.clone();
        tokio::spawn(async move {
            let key = |part: &str| scope.key(&format!("{n:02}{part}"));
            let mut writes = vec![Write::create(key("a"), "1"), Write::create(key("b"), "2")];
            if n % 3 == 0 {
                writes.push(Write::create(scope.key("taken"), "2"));
            }
            scope.store.commit(&writes).await
        })
    });
    let mut revisions = Vec::new();
    for (n, commit) in join_all(commits).await.into_iter().enumerate() {
        let (a, b) = (scope.get(&format!("{n:02}a")).await, scope.get(&format!("{n:02}b")).await);
        match commit.unwrap() {
            Ok(revision) => {
                assert_eq!([a, b].map(|entry| entry.unwrap().modified), [revision; 2]);
                revisions.push(revision);
            }
            Err(StoreError::Conflict { index: 2, .. }) if n % 3 == 0 => assert_eq!((a, b), (None, None)),
            Err(error) => panic!("{error}"),
        }
    }
    revisions.sort();
    assert_eq!(revisions.len(), 40);
    let last = *revisions.last().unwrap();
    let seen: Vec<_> = read_to(&mut watch, last).await.into_iter().map(|(revision, _)| revision).collect();
    let twice = revisions.iter().flat_map(|revision| [*revision; 2]);
    assert_eq!(seen, std::iter::once(taken).chain(twice).collect::<Vec<_>>());
}

pub(super) async fn a_commit_nobody_waits_for_takes_no_other_with_it(scope: Scope) {
    let start = |n: usize| {
        let (scope, name) = (scope.clone(), format!("{n:03}"));
        tokio::spawn(async move { scope.store.commit(&[Write::create(scope.key(&name), "1")]).await })
    };
    let commits: Vec<_> = (0..COMMITS).map(start).collect();
    tokio::task::yield_now().await;
    commits.iter().step_by(2).for_each(|commit| commit.abort());
    for (n, commit) in commits.into_iter().enumerate() {
        match commit.await {
            Ok(outcome) => {
                let found = scope.get(&format!("{n:03}")).await.map(|entry| entry.modified);
                assert_eq!(found, Some(outcome.unwrap()));
            }
            Err(error) => assert!(error.is_cancelled() && n % 2 == 0),
        }
    }
}

pub(super) async fn every_value_comes_back_as_it_was_put(scope: Scope) {
    let values = ["", "{}", "{}\n", " \t\n\r", "{} \t\n\r", "    ", "\r\r\r\r", "\u{0} \u{7f}", "   \r\n  "];
    for round in 0..8 {
        let commits = values.into_iter().enumerate().map(|(n, value)| {
            let (scope, key) = (scope.clone(), scope.key(&format!("{round}/{n}")));
            tokio::spawn(async move { scope.store.commit(&[Write::create(key, value)]).await })
        });
        for commit in join_all(commits).await {
            commit.unwrap().unwrap();
        }
        for (n, value) in values.iter().enumerate() {
            assert_eq!(scope.get(&format!("{round}/{n}")).await.unwrap().value, *value);
        }
    }
}
