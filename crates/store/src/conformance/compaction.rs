use super::{Scope, next, read_to};
use crate::{ReadAt, Revision, StoreError};

fn compacted(error: StoreError) -> (Revision, Revision) {
    match error {
        StoreError::Compacted { asked, oldest } => (asked, oldest),
        error => panic!("not compacted: {error}"),
    }
}

pub(super) async fn the_compacted_past_cannot_be_read(scope: Scope) {
    let first = scope.create("a", "1").await;
    let second = scope.update("a", first, "2").await;
    let third = scope.update("a", second, "3").await;
    scope.store.compact(second).await.unwrap();
    let error = scope.get_at("a", ReadAt::Exactly(first)).await.unwrap_err();
    assert_eq!(compacted(error), (first, second));
    let error = scope.store.list(&scope.prefix(), ReadAt::Exactly(first), None, 1).await.unwrap_err();
    assert_eq!(compacted(error), (first, second));
    let at = async |at| scope.get_at("a", ReadAt::Exactly(at)).await.unwrap();
    assert_eq!(at(second).await, Some(scope.entry("a", "2", first, second)));
    assert_eq!(at(third).await, Some(scope.entry("a", "3", first, third)));
    let least = scope.get_at("a", ReadAt::AtLeast(first)).await.unwrap();
    assert_eq!(least, Some(scope.entry("a", "3", first, third)));
}

pub(super) async fn the_compacted_past_cannot_be_watched(scope: Scope) {
    let first = scope.create("a", "1").await;
    let deleted = scope.delete("a", first).await;
    let third = scope.create("b", "1").await;
    scope.store.compact(deleted).await.unwrap();
    // Neither at once, nor by a change left out.
    for after in [first, Revision(1)] {
        let error = match scope.store.watch(&scope.prefix(), after).await {
            Ok(mut watch) => next(&mut watch).await.unwrap_err(),
            Err(error) => error,
        };
        assert_eq!(compacted(error), (after, deleted));
    }
    let mut watch = scope.watch(deleted).await;
    let changes = read_to(&mut watch, third).await;
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].1.key, scope.key("b"));
}

pub(super) async fn the_present_survives_compaction(scope: Scope) {
    let a = scope.create("a", "1").await;
    let b = scope.create("b", "1").await;
    let a = (a, scope.update("a", a, "2").await);
    let gone = scope.delete("b", b).await;
    let mut watch = scope.watch(gone).await;
    scope.store.compact(gone).await.unwrap();
    assert_eq!(scope.get("a").await, Some(scope.entry("a", "2", a.0, a.1)));
    assert_eq!(scope.get("b").await, None);
    let page = scope.store.list(&scope.prefix(), ReadAt::Exactly(gone), None, 0).await.unwrap();
    assert_eq!(page.entries, [scope.entry("a", "2", a.0, a.1)]);
    let again = scope.create("b", "3").await;
    assert_eq!(read_to(&mut watch, again).await.len(), 1);
}

pub(super) async fn compaction_can_be_repeated_but_not_reach_ahead(scope: Scope) {
    let first = scope.create("a", "1").await;
    let second = scope.update("a", first, "2").await;
    scope.store.compact(second).await.unwrap();
    scope.store.compact(second).await.unwrap();
    scope.store.compact(first).await.unwrap();
    let ahead = Revision(second.0 + 1_000_000);
    let error = scope.store.compact(ahead).await.unwrap_err();
    assert!(matches!(error, StoreError::Future { asked, current } if asked == ahead && current >= second));
    assert_eq!(scope.get("a").await.map(|entry| entry.modified), Some(second));
}
