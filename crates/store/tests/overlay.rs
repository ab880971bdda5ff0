//! What would become of a store: it conforms over both backends, and can be made true.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_store::testing::EtcdServer;
use orch_store::{Expect, Key, Op, Overlay, Prefix, ReadAt, Revision, Store, StoreError, Write, conformance};

fn key(name: &str) -> Key {
    Key::new(format!("/test/{name}")).unwrap()
}

fn embedded(directory: &tempfile::TempDir) -> Arc<dyn Store> {
    Arc::new(EmbeddedStore::open(EmbeddedConfig::new(directory.path())).unwrap())
}

async fn create(store: &dyn Store, name: &str) -> Revision {
    store.commit(&[Write::create(key(name), name.to_owned())]).await.unwrap()
}

async fn over(store: Arc<dyn Store>) -> Arc<Overlay> {
    let start = store.revision().await.unwrap();
    Arc::new(Overlay::new(store, start))
}

#[tokio::test(flavor = "multi_thread")]
async fn over_an_embedded_store_it_conforms() {
    let directory = tempfile::tempdir().unwrap();
    conformance::run_unfollowed(over(embedded(&directory)).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_an_etcd_it_conforms() {
    let etcd = EtcdServer::start_fast().await;
    conformance::run_unfollowed(over(Arc::new(etcd.store().await)).await).await;
}

#[tokio::test]
async fn lists_show_what_is_below_and_what_is_staged_page_by_page() {
    let directory = tempfile::tempdir().unwrap();
    let store = embedded(&directory);
    for n in 0..40 {
        create(&*store, &format!("{n:02}")).await;
    }
    let overlay = over(store.clone()).await;
    for n in (0..40).step_by(3) {
        let at = overlay.get(&key(&format!("{n:02}")), ReadAt::Latest).await.unwrap().unwrap().modified;
        overlay.commit(&[Write::delete(key(&format!("{n:02}")), at)]).await.unwrap();
        create(&*overlay, &format!("{n:02}x")).await;
    }
    // Written after the overlay began: not in it.
    create(&*store, "late").await;
    let expected: Vec<String> =
        (0..40).map(|n| if n % 3 == 0 { format!("{n:02}x") } else { format!("{n:02}") }).collect();
    for limit in [0, 1, 3, 7, 39, 40, 41] {
        let (mut names, mut from) = (Vec::new(), None::<Key>);
        loop {
            let prefix = Prefix::new("/test").unwrap();
            let page = overlay.list(&prefix, ReadAt::Latest, from.as_ref(), limit).await.unwrap();
            names.extend(page.entries.iter().map(|entry| entry.key.as_str()["/test/".len()..].to_owned()));
            assert_eq!(names.len() as u64 + page.remaining, 40, "by {limit}");
            from = page.more;
            if from.is_none() {
                break;
            }
        }
        assert_eq!(names, expected, "by {limit}");
    }
}

#[tokio::test]
async fn what_was_in_between_can_be_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let store = embedded(&directory);
    let start = create(&*store, "a").await;
    let overlay = over(store).await;
    let mut at = vec![start];
    for n in 0..100 {
        let value = format!("{n:02}");
        at.push(overlay.commit(&[Write::update(key("a"), at[n], value)]).await.unwrap());
    }
    assert_eq!(overlay.bytes().await, 1 + 100 * 2, "all that it has been");
    overlay.forget().await;
    assert_eq!(overlay.bytes().await, 1 + 2, "as it was and as it is");
    let value = async |at: ReadAt| overlay.get(&key("a"), at).await.map(|entry| entry.unwrap().value);
    assert_eq!(value(ReadAt::Exactly(start)).await.unwrap(), "a");
    assert_eq!(value(ReadAt::Exactly(at[100])).await.unwrap(), "99");
    assert!(matches!(value(ReadAt::Exactly(at[50])).await, Err(StoreError::Compacted { .. })));
    let next = overlay.commit(&[Write::update(key("a"), at[100], "x")]).await.unwrap();
    let news = overlay.commits_after(at[100]).await;
    assert_eq!((news.len(), news[0].revision), (1, next));
    assert_eq!(news[0].changes[0].previous.as_ref().unwrap().value, "99");
    let writes = overlay.writes(|before, after| before == after).await;
    assert_eq!(writes, [Write::update(key("a"), start, "x")]);
}

#[tokio::test]
async fn what_was_staged_is_committed_below_if_nothing_that_was_read_has_moved() {
    let directory = tempfile::tempdir().unwrap();
    let store = embedded(&directory);
    let [read, changed, deleted, same] = ["read", "changed", "deleted", "same"].map(key);
    let mut at = Vec::new();
    for name in ["read", "changed", "deleted", "same"] {
        at.push(create(&*store, name).await);
    }
    let overlay = over(store.clone()).await;
    overlay.get(&read, ReadAt::Latest).await.unwrap();
    let staged = overlay.commit(&[Write::update(changed.clone(), at[1], "1")]).await.unwrap();
    overlay.commit(&[Write::update(changed.clone(), staged, "2")]).await.unwrap();
    overlay.commit(&[Write::delete(deleted.clone(), at[2])]).await.unwrap();
    let away = overlay.commit(&[Write::update(same.clone(), at[3], "other")]).await.unwrap();
    overlay.commit(&[Write::update(same.clone(), away, "same, but for this")]).await.unwrap();
    let new = create(&*overlay, "new").await;
    let brief = create(&*overlay, "brief").await;
    overlay.commit(&[Write::delete(key("brief"), brief)]).await.unwrap();
    assert!(new > staged && store.get(&changed, ReadAt::Latest).await.unwrap().unwrap().modified == at[1]);

    let mut writes = overlay.writes(|before, after| after.starts_with(before)).await;
    writes.sort_by(|a, b| a.key.cmp(&b.key));
    let expected = [
        Write::keep(key("brief"), None),
        Write { key: changed.clone(), expect: Expect::At(at[1]), op: Op::Put("2".into()) },
        Write::delete(deleted.clone(), at[2]),
        Write::create(key("new"), "new"),
        Write::keep(read.clone(), Some(at[0])),
        Write::keep(same, Some(at[3])),
    ];
    assert_eq!(writes, expected);

    let moved = store.commit(&[Write::update(read.clone(), at[0], "moved")]).await.unwrap();
    let refused = store.commit(&writes).await.unwrap_err();
    assert!(matches!(refused, StoreError::Conflict { key, .. } if key == read));
    writes[4] = Write::keep(read, Some(moved));
    store.commit(&writes).await.unwrap();
    assert_eq!(store.get(&changed, ReadAt::Latest).await.unwrap().unwrap().value, "2");
    assert_eq!(store.get(&deleted, ReadAt::Latest).await.unwrap(), None);
}
