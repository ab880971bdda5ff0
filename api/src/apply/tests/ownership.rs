//! Who owns what, and what follows from it.

use serde_json::{Value, json};

use super::World;
use crate::apply::{ApplyError, FieldSet, Path};

fn replicas(n: u32) -> Value {
    json!({"spec": {"replicas": n}})
}

#[test]
fn an_applier_owns_the_leaves_items_and_entries_it_names() {
    let mut world = World::new();
    world.apply(
        "m",
        json!({
            "metadata": {"name": "w", "labels": {"a": "b"}},
            "spec": {
                "replicas": 1, "selector": {"a": "b"}, "args": ["x"], "free": {"a": {"b": 1}},
                "containers": [{"name": "c", "ports": [{"port": 80}], "command": ["x"]}],
            },
        }),
    );
    assert_eq!(
        world.owned("m"),
        [
            ".metadata.labels.a",
            ".spec.args",
            ".spec.replicas",
            ".spec.selector",
            ".spec.containers[name=\"c\"]",
            ".spec.containers[name=\"c\"].command",
            ".spec.containers[name=\"c\"].name",
            ".spec.containers[name=\"c\"].ports[port=80,protocol=\"TCP\"]",
            ".spec.containers[name=\"c\"].ports[port=80,protocol=\"TCP\"].port",
            ".spec.free.a",
            ".spec.free.a.b",
        ]
    );
}

#[test]
fn fields_that_a_manager_no_longer_applies_go() {
    let mut world = World::new();
    world
        .apply(
            "m",
            json!({
                "metadata": {"labels": {"a": "1", "b": "2"}},
                "spec": {"replicas": 1, "paused": true, "strategy": {"type": "A"},
                    "containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]},
            }),
        )
        .apply(
            "m",
            json!({
                "metadata": {"labels": {"b": "2"}},
                "spec": {"paused": true, "containers": [{"name": "b"}]},
            }),
        );
    assert_eq!(
        world.body(),
        json!({"metadata": {"labels": {"b": "2"}}, "spec": {"paused": true, "containers": [{"name": "b"}]}})
    );
    world.apply("m", json!({}));
    assert_eq!(world.body(), json!({}));
    assert_eq!(world.entries(), Vec::<String>::new());
}

#[test]
fn what_others_own_or_nobody_owns_stays() {
    let mut world = World::new();
    world.put("", json!({"metadata": {"managedFields": []}, "spec": {"paused": true}}));
    world
        .apply("one", json!({"spec": {"replicas": 1, "containers": [{"name": "a", "image": "x"}]}}))
        .apply("two", json!({"spec": {"replicas": 1, "containers": [{"name": "a"}]}}))
        .apply("one", json!({"spec": {}}));
    assert_eq!(world.body(), json!({"spec": {"paused": true, "replicas": 1, "containers": [{"name": "a"}]}}));
}

#[test]
fn who_owns_an_empty_object_keeps_it_when_others_take_out_what_they_put_in() {
    let mut world = World::new();
    world
        .apply("one", json!({"metadata": {"labels": {}}, "spec": {"free": {"emptyDir": {}}}}))
        .apply(
            "two",
            json!({"metadata": {"labels": {"a": "b"}}, "spec": {"free": {"emptyDir": {"size": 1}}}}),
        )
        .apply("two", json!({}));
    assert_eq!(world.body(), json!({"metadata": {"labels": {}}, "spec": {"free": {"emptyDir": {}}}}));
    assert_eq!(world.owned("one"), [".metadata.labels", ".spec.free.emptyDir"]);
    world.apply("one", json!({}));
    assert_eq!(world.body(), json!({}));
}

#[test]
fn the_same_value_is_owned_together_without_conflict() {
    let mut world = World::new();
    world.apply("one", replicas(3)).apply("two", replicas(3));
    assert_eq!(world.owned("one"), [".spec.replicas"]);
    assert_eq!(world.owned("two"), [".spec.replicas"]);
    assert_eq!(
        world.conflict("one", replicas(4)),
        "Apply failed with 1 conflict: conflict with \"two\": .spec.replicas"
    );
}

#[test]
fn another_value_conflicts_and_force_takes_it_over() {
    let mut world = World::new();
    world.apply("one", json!({"spec": {"replicas": 3, "containers": [{"name": "web", "image": "a"}]}}));
    let other = json!({"spec": {"replicas": 5, "containers": [{"name": "web", "image": "b"}]}});
    let before = world.body();
    assert_eq!(
        world.conflict("two", other.clone()),
        "Apply failed with 2 conflicts: conflicts with \"one\":\n- .spec.replicas\n- .spec.containers[name=\"web\"].image"
    );
    assert_eq!(world.body(), before);
    world.force("two", other.clone());
    assert_eq!(world.body(), other);
    assert_eq!(world.owned("one"), [".spec.containers[name=\"web\"]", ".spec.containers[name=\"web\"].name"]);
}

#[test]
fn conflicts_are_told_as_kubernetes_tells_them() {
    let mut world = World::new();
    world.put(
        "kubectl-edit",
        json!({"metadata": {}, "spec": {"containers": [{"name": "web", "image": "a"}]}}),
    );
    let applied = json!({"spec": {"containers": [{"name": "web", "image": "b"}]}});
    let Err(ApplyError::Conflict(conflict)) = world.try_apply("m", applied, false) else {
        panic!("no conflict")
    };
    assert_eq!(
        conflict.to_string(),
        "Apply failed with 1 conflict: conflict with \"kubectl-edit\" using v1: .spec.containers[name=\"web\"].image"
    );
    let causes = conflict.causes();
    assert_eq!(causes.len(), 1);
    assert_eq!(causes[0].reason, "FieldManagerConflict");
    assert_eq!(causes[0].message, "conflict with \"kubectl-edit\" using v1");
    assert_eq!(causes[0].field, ".spec.containers[name=\"web\"].image");
}

#[test]
fn an_update_owns_what_it_changes_and_takes_it_from_appliers() {
    let mut world = World::new();
    world.apply("one", json!({"spec": {"replicas": 1, "paused": true, "args": ["a"]}}));
    world.put("editor", json!({"metadata": {}, "spec": {"replicas": 2, "paused": true}}));
    assert_eq!(world.owned("editor"), [".spec.replicas"]);
    assert_eq!(world.owned("one"), [".spec.paused"]);
    world.apply("one", json!({"spec": {"paused": true}}));
    assert_eq!(world.body(), json!({"spec": {"replicas": 2, "paused": true}}));
    assert_eq!(
        world.conflict("one", replicas(3)),
        "Apply failed with 1 conflict: conflict with \"editor\" using v1: .spec.replicas"
    );
}

#[test]
fn a_created_object_is_owned_by_its_creator() {
    let mut world = World::new();
    world.put(
        "creator",
        json!({"metadata": {"name": "w", "resourceVersion": "3", "labels": {"a": "b"}}, "spec": {"args": ["x"]}}),
    );
    assert_eq!(world.owned("creator"), [".spec", ".metadata.labels", ".metadata.labels.a", ".spec.args"]);
    world.put(
        "",
        json!({"metadata": {"name": "w", "labels": {"a": "b"}}, "spec": {"args": ["x"], "replicas": 1}}),
    );
    assert_eq!(world.entries(), ["creator Update - 00:01Z", "unknown Update - 00:02Z"]);
}

#[test]
fn an_update_without_a_change_leaves_the_record_alone() {
    let mut world = World::new();
    world.put("creator", json!({"metadata": {"name": "w"}, "spec": {"replicas": 1}}));
    let entries = world.entries();
    world.put("other", json!({"metadata": {"name": "w", "resourceVersion": "9"}, "spec": {"replicas": 1}}));
    assert_eq!(world.entries(), entries);
}

#[test]
fn objects_without_a_record_are_tracked_from_the_first_apply_on() {
    let mut world = World::new();
    world.put("m", json!({"metadata": {"managedFields": [{}]}, "spec": {"replicas": 1}}));
    assert_eq!(world.entries(), ["m Update - 00:01Z"], "creation is tracked");
    world.put("m", json!({"metadata": {"managedFields": []}, "spec": {"replicas": 1}}));
    assert_eq!(world.entries(), Vec::<String>::new(), "an empty list ends the tracking");
    world.put("m", json!({"metadata": {}, "spec": {"replicas": 2}}));
    assert_eq!(world.entries(), Vec::<String>::new(), "and updates do not start it again");
    assert_eq!(
        world.conflict("applier", replicas(5)),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .spec.replicas"
    );
    world.apply("applier", json!({"spec": {"replicas": 2, "paused": true}}));
    assert_eq!(world.owned("before-first-apply"), [".spec", ".spec.replicas"]);
    assert_eq!(world.owned("applier"), [".spec.paused", ".spec.replicas"]);
}

#[test]
fn status_belongs_to_the_status_subresource() {
    let mut world = World::new();
    world.apply("user", json!({"spec": {"replicas": 1}, "status": {"ready": 7}}));
    assert_eq!(world.body(), replicas(1), "status is not applied to the object itself");
    world.subresource = "status";
    world.reset = FieldSet::of([Path::fields(["spec"])]);
    world.put("controller", json!({"metadata": {}, "spec": {"replicas": 9}, "status": {"ready": 1}}));
    assert_eq!(world.owned("controller"), [".status", ".status.ready"]);
    assert_eq!(world.entries(), ["user Apply - 00:01Z", "controller Update status 00:02Z"]);
    assert_eq!(
        world.conflict("other", json!({"status": {"ready": 2}})),
        "Apply failed with 1 conflict: conflict with \"controller\" with subresource \"status\" using v1: .status.ready"
    );
}

#[test]
fn entries_are_sorted_and_times_move_only_with_changes() {
    let mut world = World::new();
    world
        .apply("z", replicas(1))
        .put("u", json!({"metadata": {}, "spec": {"replicas": 1, "paused": true}}))
        .apply("a", json!({"spec": {"args": ["x"]}}));
    let expected = ["z Apply - 00:01Z", "a Apply - 00:03Z", "u Update - 00:02Z"];
    assert_eq!(world.entries(), expected);
    let again = world.try_apply("z", replicas(1), false).unwrap();
    assert!(!again.changed);
    assert_eq!(world.entries(), expected);
    assert!(world.try_apply("b", replicas(1), false).unwrap().changed, "a new owner is a change");
}

#[test]
fn the_oldest_updates_are_merged_when_there_are_too_many() {
    let mut world = World::new();
    let labels = |n: usize| -> Value {
        let labels: serde_json::Map<_, _> = (0..n).map(|i| (format!("l{i:02}"), json!("x"))).collect();
        json!({"metadata": {"labels": labels}})
    };
    for n in 1..=13 {
        world.put(&format!("m{n:02}"), labels(n));
    }
    let entries = world.entries();
    assert_eq!(entries.len(), 10);
    assert_eq!(entries[..2], ["ancient-changes Update - 00:04Z", "m05 Update - 00:05Z"]);
    assert_eq!(
        world.owned("ancient-changes"),
        [
            ".metadata.labels",
            ".metadata.labels.l00",
            ".metadata.labels.l01",
            ".metadata.labels.l02",
            ".metadata.labels.l03"
        ]
    );
}

#[test]
fn kubectl_may_take_over_what_it_applied_from_the_client_side() {
    let last = json!({"apiVersion": "v1", "kind": "Widget", "spec": {"replicas": 1}}).to_string();
    let annotations = json!({"kubectl.kubernetes.io/last-applied-configuration": last});
    let object = json!({"metadata": {"annotations": annotations}, "spec": {"replicas": 1, "paused": true}});
    let mut world = World::new();
    world.put("kubectl-client-side-apply", object);
    assert!(world.conflict("other", replicas(2)).contains("kubectl-client-side-apply"));
    assert_eq!(
        world.conflict("kubectl", json!({"spec": {"replicas": 2, "paused": false}})),
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .spec.paused"
    );
    world.apply("kubectl", replicas(2));
    let body = world.body();
    assert_eq!(body["spec"], json!({"replicas": 2, "paused": true}));
    let annotation = body["metadata"]["annotations"].as_object().unwrap().values().next().unwrap();
    let annotation: Value = serde_json::from_str(annotation.as_str().unwrap()).unwrap();
    assert_eq!(annotation["spec"], json!({"replicas": 2}));
}

#[test]
fn a_list_that_has_become_atomic_is_owned_as_a_whole() {
    let mut world = World::new();
    world.apply("m", json!({"spec": {"containers": [{"name": "a", "image": "x"}]}}));
    let document = json!({"type": "object", "properties": {
        "apiVersion": {"type": "string"}, "kind": {"type": "string"},
        "metadata": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "spec": {"type": "object", "properties": {"containers": {"type": "array", "items": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
    }});
    world.schema = crate::Schema::compile(&document).unwrap();
    world.apply("n", json!({"spec": {"containers": [{"name": "a", "image": "x"}]}}));
    assert_eq!(world.owned("m"), [".spec.containers"]);
    world.apply("m", json!({})).apply("n", json!({}));
    assert_eq!(world.body(), json!({}));
}
