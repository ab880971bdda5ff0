use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;

use super::Scope;
use crate::{Entry, Key, Page, Prefix, ReadAt, Revision, StoreError, Write};

pub(super) async fn a_read_sees_the_moment_that_it_asks_for(scope: Scope) {
    let before = scope.revision().await;
    let created = scope.create("a", "1").await;
    let updated = scope.update("a", created, "2").await;
    let deleted = scope.delete("a", updated).await;
    let other = scope.create("b", "1").await;
    let first = Some(scope.entry("a", "1", created, created));
    let second = Some(scope.entry("a", "2", created, updated));
    for (at, expected) in
        [(before, &None), (created, &first), (updated, &second), (deleted, &None), (other, &None)]
    {
        assert_eq!(scope.get_at("a", ReadAt::Exactly(at)).await.unwrap(), *expected, "{at}");
        let page = scope.store.list(&scope.prefix(), ReadAt::Exactly(at), None, 0).await.unwrap();
        let listed = page.entries.into_iter().find(|entry| entry.key == scope.key("a"));
        assert_eq!((listed, page.revision), (expected.clone(), at));
    }
    assert_eq!(scope.get_at("a", ReadAt::AtLeast(other)).await.unwrap(), None);
    let page = scope.store.list(&scope.prefix(), ReadAt::AtLeast(other), None, 0).await.unwrap();
    assert_eq!(page.entries, [scope.entry("b", "1", other, other)]);
    assert!(page.revision >= other);
}

pub(super) async fn the_future_cannot_be_read(scope: Scope) {
    let now = scope.create("a", "1").await;
    let ahead = Revision(now.0 + 1_000_000);
    for at in [ReadAt::Exactly(ahead), ReadAt::AtLeast(ahead)] {
        let get = scope.get_at("a", at).await.unwrap_err();
        let list = scope.store.list(&scope.prefix(), at, None, 1).await.unwrap_err();
        for error in [get, list] {
            let StoreError::Future { asked, current } = error else { panic!("{error}") };
            assert!(asked == ahead && current >= now && current < ahead);
        }
    }
}

fn names(page: &Page, below: &str) -> Vec<String> {
    page.entries.iter().map(|entry| entry.key.as_str().strip_prefix(below).unwrap().to_owned()).collect()
}

pub(super) async fn a_list_is_in_order_and_stays_below_its_prefix(scope: Scope) {
    for name in ["pods/b", "pods/a/x", "podsx/c", "pods/a", "pod", "pods0", "pods.d/a", "pods/ä"] {
        scope.create(name, "1").await;
    }
    let pods = Prefix::new(scope.key("pods").as_str()).unwrap();
    let page = scope.store.list(&pods, ReadAt::Latest, None, 0).await.unwrap();
    assert_eq!(names(&page, pods.as_str()), ["a", "a/x", "b", "ä"]);
    assert_eq!((page.more, page.remaining), (None, 0));
    let none = Prefix::new(scope.key("nothing").as_str()).unwrap();
    let page = scope.store.list(&none, ReadAt::Latest, None, 5).await.unwrap();
    assert_eq!((page.entries.len(), page.more, page.remaining), (0, None, 0));
    assert!(page.revision >= scope.revision().await);
}

pub(super) async fn a_list_goes_on_where_it_stopped(scope: Scope) {
    for name in ["a", "b", "c", "d", "e"] {
        scope.create(name, "1").await;
    }
    let list = async |from: Option<&Key>, limit| {
        let page = scope.store.list(&scope.prefix(), ReadAt::Latest, from, limit).await.unwrap();
        (names(&page, scope.prefix().as_str()).concat(), page.more, page.remaining)
    };
    assert_eq!(list(None, 2).await, ("ab".into(), Some(scope.key("b")), 3));
    assert_eq!(list(Some(&scope.key("b")), 2).await, ("cd".into(), Some(scope.key("d")), 1));
    assert_eq!(list(Some(&scope.key("d")), 2).await, ("e".into(), None, 0));
    assert_eq!(list(Some(&scope.key("c")), 0).await, ("de".into(), None, 0));
    assert_eq!(list(None, 5).await, ("abcde".into(), None, 0));
    assert_eq!(list(Some(&scope.key("bb")), 1).await, ("c".into(), Some(scope.key("c")), 2));
    assert_eq!(list(Some(&scope.key("e")), 1).await, (String::new(), None, 0));
    let (before, after) = (Key::new("/a").unwrap(), Key::new("/z").unwrap());
    assert_eq!(list(Some(&before), 1).await.0, "a");
    assert_eq!(list(Some(&after), 1).await, (String::new(), None, 0));
}

pub(super) async fn ten_thousand_keys_are_listed_at_one_revision_while_others_write(scope: Scope) {
    const KEYS: usize = 10_000;
    let name = |n: usize| format!("{n:05}");
    let numbers: Vec<usize> = (0..KEYS).collect();
    for chunks in numbers.chunks(1000) {
        let commits = chunks.chunks(100).map(|chunk| {
            let writes: Vec<_> = chunk.iter().map(|n| Write::create(scope.key(&name(*n)), "old")).collect();
            let scope = scope.clone();
            async move { scope.store.commit(&writes).await.unwrap() }
        });
        join_all(commits).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..4).map(|n| tokio::spawn(churn(scope.clone(), n, stop.clone()))).collect();
    let mut page = scope.store.list(&scope.prefix(), ReadAt::Latest, None, 700).await.unwrap();
    let at = page.revision;
    let mut listed: Vec<Entry> = Vec::new();
    loop {
        listed.append(&mut page.entries);
        // Nothing of what is written meanwhile may show.
        scope.commit(Write::create(scope.key(&format!("{}new", listed.len())), "new")).await;
        let Some(more) = page.more else { break };
        page = scope.store.list(&scope.prefix(), ReadAt::Exactly(at), Some(&more), 700).await.unwrap();
        assert_eq!(page.revision, at);
    }
    stop.store(true, Ordering::Relaxed);
    join_all(writers).await.into_iter().for_each(|writer| writer.unwrap());
    let original: Vec<_> = listed.iter().filter(|entry| !entry.key.as_str().contains("churn")).collect();
    assert_eq!(original.len(), KEYS);
    assert!(listed.is_sorted_by(|a, b| a.key < b.key));
    assert!(listed.iter().all(|entry| entry.modified <= at));
}

/// Creates, updates and deletes keys until it is told to stop.
async fn churn(scope: Scope, writer: usize, stop: Arc<AtomicBool>) {
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let name = format!("churn-{writer}-{n}");
        let created = scope.create(&name, "1").await;
        let updated = scope.update(&name, created, "2").await;
        scope.delete(&name, updated).await;
    }
}
