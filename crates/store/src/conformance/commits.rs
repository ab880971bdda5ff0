use bytes::Bytes;

use super::Scope;
use crate::{Entry, Expect, Op, Revision, StoreError, Write};

pub(super) async fn a_created_key_is_found(scope: Scope) {
    assert_eq!(scope.get("a").await, None);
    let before = scope.revision().await;
    let created = scope.create("a", "1").await;
    assert!(created > before && before > Revision::ZERO);
    assert_eq!(scope.get("a").await, Some(scope.entry("a", "1", created, created)));
    let empty = scope.create("empty", "").await;
    assert_eq!(scope.get("empty").await, Some(scope.entry("empty", "", empty, empty)));
}

pub(super) async fn an_update_keeps_when_it_was_created(scope: Scope) {
    let created = scope.create("a", "1").await;
    let modified = scope.update("a", created, "2").await;
    assert!(modified > created);
    assert_eq!(scope.get("a").await, Some(scope.entry("a", "2", created, modified)));
}

pub(super) async fn a_deleted_key_is_gone_and_can_be_created_anew(scope: Scope) {
    let first = scope.create("a", "1").await;
    let deleted = scope.delete("a", first).await;
    assert!(deleted > first);
    assert_eq!(scope.get("a").await, None);
    let second = scope.create("a", "2").await;
    assert!(second > deleted);
    assert_eq!(scope.get("a").await, Some(scope.entry("a", "2", second, second)));
}

fn conflict(error: StoreError) -> (usize, String, Expect, Option<Entry>) {
    match error {
        StoreError::Conflict { index, key, expect, current } => {
            (index, key.to_string(), expect, current.map(|entry| *entry))
        }
        error => panic!("not a conflict: {error}"),
    }
}

pub(super) async fn a_wrong_belief_is_a_conflict_that_tells_the_truth(scope: Scope) {
    let (key, name) = (scope.key("a"), scope.key("a").to_string());
    let absent = scope.refused(&[Write::update(key.clone(), Revision(1), "x")]).await;
    assert_eq!(conflict(absent), (0, name.clone(), Expect::At(Revision(1)), None));
    let absent = scope.refused(&[Write::delete(key.clone(), Revision(1))]).await;
    assert_eq!(conflict(absent), (0, name.clone(), Expect::At(Revision(1)), None));

    let first = scope.create("a", "1").await;
    let second = scope.update("a", first, "2").await;
    let current = Some(scope.entry("a", "2", first, second));
    let exists = scope.refused(&[Write::create(key.clone(), "x")]).await;
    assert_eq!(conflict(exists), (0, name.clone(), Expect::Absent, current.clone()));
    for write in [Write::update(key.clone(), first, "x"), Write::delete(key.clone(), first)] {
        let stale = scope.refused(&[write]).await;
        assert_eq!(conflict(stale), (0, name.clone(), Expect::At(first), current.clone()));
    }
    assert_eq!(scope.get("a").await, current);
}

pub(super) async fn several_keys_are_written_at_one_revision(scope: Scope) {
    let a = scope.create("a", "1").await;
    let b = scope.create("b", "1").await;
    let writes = [
        Write::update(scope.key("a"), a, "2"),
        Write::delete(scope.key("b"), b),
        Write::create(scope.key("c"), "1"),
    ];
    let revision = scope.store.commit(&writes).await.unwrap();
    assert!(revision > b);
    assert_eq!(scope.get("a").await, Some(scope.entry("a", "2", a, revision)));
    assert_eq!(scope.get("b").await, None);
    assert_eq!(scope.get("c").await, Some(scope.entry("c", "1", revision, revision)));
}

pub(super) async fn one_wrong_belief_stops_the_whole_commit(scope: Scope) {
    let a = scope.create("a", "1").await;
    let writes = [
        Write::create(scope.key("new"), "x"),
        Write::delete(scope.key("a"), a),
        Write::update(scope.key("missing"), a, "x"),
        Write::create(scope.key("a2"), "x"),
        Write::update(scope.key("missing2"), a, "x"),
    ];
    let before = scope.revision().await;
    let (index, key, expect, current) = conflict(scope.refused(&writes).await);
    assert_eq!((index, key, expect, current), (2, scope.key("missing").to_string(), Expect::At(a), None));
    assert_eq!(scope.get("new").await, None);
    assert_eq!(scope.get("a").await, Some(scope.entry("a", "1", a, a)));
    assert_eq!(scope.revision().await, before);
}

pub(super) async fn a_commit_can_state_that_a_key_is_absent(scope: Scope) {
    let absent = |name| Write { key: scope.key(name), expect: Expect::Absent, op: Op::Delete };
    let a = scope.store.commit(&[absent("tomb"), Write::create(scope.key("a"), "1")]).await.unwrap();
    assert_eq!(scope.get("a").await, Some(scope.entry("a", "1", a, a)));
    let refused = scope.refused(&[Write::create(scope.key("b"), "1"), absent("a")]).await;
    assert_eq!(conflict(refused).0, 1);
    assert_eq!(scope.get("b").await, None);
}

pub(super) async fn a_commit_can_state_what_it_leaves_alone(scope: Scope) {
    let a = scope.create("a", "1").await;
    let kept = |at| Write::keep(scope.key("a"), at);
    let absent = Write::keep(scope.key("nothing"), None);
    let writes = [kept(Some(a)), absent.clone(), Write::create(scope.key("b"), "1")];
    let b = scope.store.commit(&writes).await.unwrap();
    assert_eq!(scope.get("a").await, Some(scope.entry("a", "1", a, a)));
    assert_eq!(scope.get("nothing").await, None);
    assert_eq!(scope.store.commit(&[kept(Some(a)), absent]).await.unwrap(), b);

    let c = Write::create(scope.key("c"), "1");
    for wrong in [kept(Some(b)), kept(None), Write::keep(scope.key("nothing"), Some(a))] {
        let (expect, name) = (wrong.expect, wrong.key.to_string());
        let (index, key, told, _) = conflict(scope.refused(&[c.clone(), wrong]).await);
        assert_eq!((index, key, told), (1, name, expect));
    }
    assert_eq!((scope.get("c").await, scope.revision().await), (None, b));
}

pub(super) async fn a_commit_that_changes_nothing_makes_no_revision(scope: Scope) {
    let before = scope.create("a", "1").await;
    assert_eq!(scope.store.commit(&[]).await.unwrap(), before);
    let absent = Write { key: scope.key("b"), expect: Expect::Absent, op: Op::Delete };
    assert_eq!(scope.store.commit(&[absent]).await.unwrap(), before);
    assert_eq!(scope.revision().await, before);
}

pub(super) async fn writing_a_key_twice_is_invalid(scope: Scope) {
    let key = scope.key("a");
    let error = scope.refused(&[Write::create(key.clone(), "1"), Write::create(key, "2")]).await;
    assert!(matches!(error, StoreError::Invalid { .. }), "{error}");
    assert_eq!(scope.get("a").await, None);
}

pub(super) async fn a_large_value_is_kept_and_a_larger_one_refused(scope: Scope) {
    let limit = scope.store.limits().bytes;
    let value = Bytes::from(vec![b'x'; limit - 4096]);
    let large = scope.commit(Write::create(scope.key("a"), value.clone())).await;
    assert_eq!(scope.get("a").await.unwrap().value, value);
    let error = scope.refused(&[Write::update(scope.key("a"), large, vec![b'x'; limit + 1])]).await;
    let StoreError::TooLarge { unit: "bytes", size, limit: told } = error else { panic!("{error}") };
    assert!(size > limit && told == limit);
    assert_eq!(scope.get("a").await.unwrap().modified, large);
}

pub(super) async fn too_many_writes_are_refused(scope: Scope) {
    let limit = scope.store.limits().writes;
    let writes: Vec<_> = (0..=limit).map(|n| Write::create(scope.key(&n.to_string()), "x")).collect();
    let error = scope.refused(&writes).await;
    assert!(matches!(error, StoreError::TooLarge { unit: "writes", .. }), "{error}");
    scope.store.commit(&writes[..limit]).await.unwrap();
    // As many conflicts as there may be writes.
    assert_eq!(conflict(scope.refused(&writes[..limit]).await).0, 0);
}
