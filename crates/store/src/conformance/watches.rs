use futures::future::join_all;

use super::{Scope, next_changes, read_to, within};
use crate::{Change, ChangeKind, Key, Prefix, ReadAt, Revision, StoreError, Write};

/// What a change is, briefly: its revision, the last segment of its key, what was put, what was before.
fn brief((revision, change): &(Revision, Change)) -> String {
    let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
    let name = change.key.as_str().rsplit('/').next().unwrap();
    let previous = change.previous.as_ref().map_or_else(String::new, |entry| text(&entry.value));
    match &change.kind {
        ChangeKind::Put(entry) => {
            assert_eq!((entry.modified, &entry.key), (*revision, &change.key));
            assert_eq!(change.previous.is_none(), entry.created == entry.modified);
            format!("{name}:{previous}>{}", text(&entry.value))
        }
        ChangeKind::Delete => format!("{name}:{previous}>"),
    }
}

async fn history(scope: &Scope) -> Vec<Revision> {
    let a = scope.create("a", "1").await;
    let b = scope.create("b", "2").await;
    let a2 = scope.update("a", a, "3").await;
    let gone = scope.delete("b", b).await;
    let back = scope.create("b", "4").await;
    let gone2 = scope.delete("a", a2).await;
    vec![a, b, a2, gone, back, gone2]
}

const HISTORY: [&str; 6] = ["a:>1", "b:>2", "a:1>3", "b:2>", "b:>4", "a:3>"];

pub(super) async fn a_watch_delivers_what_came_after_in_order_once(scope: Scope) {
    let before = scope.revision().await;
    let revisions = history(&scope).await;
    for start in 0..=revisions.len() {
        let after = if start == 0 { before } else { revisions[start - 1] };
        let mut watch = scope.watch(after).await;
        let last = scope.commit(Write::create(scope.key(&format!("last{start}")), "x")).await;
        let changes = read_to(&mut watch, last).await;
        let seen: Vec<_> = changes.iter().map(brief).take(HISTORY.len() - start).collect();
        assert_eq!(seen, HISTORY[start..], "after {after}");
        let at: Vec<_> = changes.iter().map(|(revision, _)| *revision).take(seen.len()).collect();
        assert_eq!(at, revisions[start..]);
        assert_eq!(changes.len(), HISTORY.len() + 1);
    }
}

pub(super) async fn a_watch_delivers_what_comes(scope: Scope) {
    let mut watch = scope.watch(scope.revision().await).await;
    let created = scope.create("a", "1").await;
    let batch = next_changes(&mut watch).await;
    assert_eq!(batch.revision, created);
    let expected = ChangeKind::Put(scope.entry("a", "1", created, created));
    assert_eq!(batch.changes, [Change { key: scope.key("a"), kind: expected, previous: None }]);
    let deleted = scope.delete("a", created).await;
    assert_eq!(next_changes(&mut watch).await.revision, deleted);
}

pub(super) async fn the_changes_of_a_commit_arrive_together(scope: Scope) {
    let mut watch = scope.watch(scope.revision().await).await;
    for round in 0..20 {
        let writes: Vec<_> = (0..100)
            .map(|n| Write::create(scope.key(&format!("{round:02}/{n:03}")), vec![b'x'; 10_000]))
            .collect();
        let revision = scope.store.commit(&writes).await.unwrap();
        let batch = next_changes(&mut watch).await;
        assert_eq!(batch.revision, revision);
        let mut keys: Vec<Key> = batch.changes.into_iter().map(|change| change.key).collect();
        keys.sort();
        assert_eq!(keys, writes.into_iter().map(|write| write.key).collect::<Vec<_>>());
    }
}

pub(super) async fn a_change_tells_what_was_before(scope: Scope) {
    let first = scope.create("a", "1").await;
    let second = scope.update("a", first, "2").await;
    let deleted = scope.delete("a", second).await;
    let mut watch = scope.watch(first).await;
    let changes = read_to(&mut watch, deleted).await;
    let previous: Vec<_> = changes.into_iter().map(|(_, change)| change.previous).collect();
    let expected = [scope.entry("a", "1", first, first), scope.entry("a", "2", first, second)];
    assert_eq!(previous, expected.map(Some));
}

pub(super) async fn a_watch_stays_below_its_prefix(scope: Scope) {
    let pods = Prefix::new(scope.key("pods").as_str()).unwrap();
    let mut watch = scope.store.watch(&pods, scope.revision().await).await.unwrap();
    scope.create("podsx/a", "1").await;
    scope.create("pods", "1").await;
    let both = [Write::create(scope.key("pods/a"), "1"), Write::create(scope.key("pods0/a"), "1")];
    let last = scope.store.commit(&both).await.unwrap();
    let seen: Vec<_> = read_to(&mut watch, last).await.into_iter().map(|(_, change)| change.key).collect();
    assert_eq!(seen, [scope.key("pods/a")]);
}

pub(super) async fn a_watch_resumes_where_another_stopped(scope: Scope) {
    let before = scope.revision().await;
    history(&scope).await;
    let mut seen = Vec::new();
    let mut position = before;
    while seen.len() < HISTORY.len() {
        let mut watch = scope.watch(position).await;
        let batch = next_changes(&mut watch).await;
        position = batch.revision;
        seen.extend(batch.changes.into_iter().map(|change| brief(&(position, change))));
    }
    assert_eq!(seen, HISTORY);
}

pub(super) async fn a_slow_watch_hinders_nobody_and_misses_nothing(scope: Scope) {
    let before = scope.revision().await;
    let mut slow = scope.watch(before).await;
    let mut fast = scope.watch(before).await;
    let mut expected = Vec::new();
    for round in 0..20 {
        let commits = (0..50).map(|n| {
            let key = scope.key(&format!("{round}/{n}"));
            let write = Write::create(key.clone(), vec![b'x'; 4096]);
            let store = scope.store.clone();
            async move { (store.commit(&[write]).await.unwrap(), key) }
        });
        expected.extend(join_all(commits).await);
        expected.sort();
        // Read by one while the other reads nothing.
        let last = expected.last().unwrap().0;
        assert_eq!(read_to(&mut fast, last).await.len(), 50);
    }
    let changes = read_to(&mut slow, expected.last().unwrap().0).await;
    let seen: Vec<_> = changes.into_iter().map(|(revision, change)| (revision, change.key)).collect();
    assert_eq!(seen, expected);
}

pub(super) async fn a_watch_reaches_every_revision_told(scope: Scope) {
    let other = Scope { root: format!("{}-other", scope.root), ..scope.clone() };
    let mut idle = scope.watch(scope.revision().await).await;
    let mut elsewhere = other.watch(scope.revision().await).await;
    for n in 0..20 {
        other.create(&n.to_string(), "1").await;
        let told = scope.revision().await;
        assert_eq!(read_to(&mut idle, told).await, []);
        assert_eq!(read_to(&mut elsewhere, told).await.len(), 1);
    }
}

pub(super) async fn a_list_and_a_watch_fit_together(scope: Scope) {
    let writer = scope.clone();
    let writing = tokio::spawn(async move {
        for n in 0..200 {
            writer.create(&format!("{n:03}"), "1").await;
        }
        writer.revision().await
    });
    let page = loop {
        let page = scope.store.list(&scope.prefix(), ReadAt::Latest, None, 0).await.unwrap();
        if !page.entries.is_empty() {
            break page;
        }
    };
    let mut watch = scope.watch(page.revision).await;
    let last = writing.await.unwrap();
    let mut seen: Vec<Key> = page.entries.into_iter().map(|entry| entry.key).collect();
    // The last change may be all that tells of the end: ask again, which every open watch must reach.
    let told = scope.revision().await;
    assert!(told >= last);
    if told > page.revision {
        let changes = within("the changes after the list", read_to(&mut watch, told)).await;
        seen.extend(changes.into_iter().map(|(_, change)| change.key));
    }
    let expected: Vec<_> = (0..200).map(|n| scope.key(&format!("{n:03}"))).collect();
    assert_eq!(seen, expected);
}

pub(super) async fn the_future_cannot_be_watched(scope: Scope) {
    let now = scope.create("a", "1").await;
    let ahead = Revision(now.0 + 1_000_000);
    let Err(error) = scope.store.watch(&scope.prefix(), ahead).await else { panic!("the watch opened") };
    let StoreError::Future { asked, current } = error else { panic!("{error}") };
    assert!(asked == ahead && current >= now && current < ahead);
}
