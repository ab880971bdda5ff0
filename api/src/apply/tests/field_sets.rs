//! Sets of fields and their wire form.

use serde_json::{Value, json};

use crate::apply::FieldSet;

fn set(fields: Value) -> FieldSet {
    FieldSet::from_json(&fields).unwrap()
}

#[test]
fn field_sets_are_written_as_kubernetes_writes_them() {
    let wire = json!({
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
        "f:spec": {
            "f:containers": {
                "k:{\"name\":\"web\"}": {".": {}, "f:image": {}, "f:ports": {
                    "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}},
                }},
            },
            "f:finalizers": {"v:\"a\"": {}, "v:3": {}, "i:0": {}},
            "f:replicas": {},
        },
    });
    let fields = set(wire.clone());
    assert_eq!(fields.to_json(), wire);
    assert_eq!(
        fields.paths().iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            ".metadata.labels",
            ".metadata.labels.app",
            ".spec.replicas",
            ".spec.containers[name=\"web\"]",
            ".spec.containers[name=\"web\"].image",
            ".spec.containers[name=\"web\"].ports[containerPort=80,protocol=\"TCP\"]",
            ".spec.containers[name=\"web\"].ports[containerPort=80,protocol=\"TCP\"].containerPort",
            ".spec.finalizers[=3]",
            ".spec.finalizers[=\"a\"]",
            ".spec.finalizers[0]",
        ]
    );
}

#[test]
fn steps_of_an_unknown_kind_are_dropped_and_malformed_ones_refused() {
    assert_eq!(set(json!({"f:a": {}, "x:b": {}})), set(json!({"f:a": {}})));
    for bad in [json!([]), json!({"nocolon": {}}), json!({"k:{": {}}), json!({"v:": {}}), json!({"i:x": {}})]
    {
        assert!(FieldSet::from_json(&bad).is_err(), "{bad}");
    }
}

#[test]
fn differences_of_parents_and_children() {
    let both = set(json!({"f:a": {".": {}, "f:b": {}}}));
    let parent = set(json!({"f:a": {}}));
    let child = set(json!({"f:a": {"f:b": {}}}));
    assert_eq!(both.difference(&parent), child);
    assert_eq!(both.difference(&child), parent);
    assert_eq!(child.difference(&parent), child);
    assert_eq!(parent.difference(&child), parent);
    assert_eq!(both.recursive_difference(&parent), FieldSet::default());
    assert_eq!(child.recursive_difference(&parent), FieldSet::default());
    assert_eq!(parent.union(&child), both);
    assert_eq!(both.intersection(&child), child);
    assert_eq!(both.leaves(), child);
    assert_eq!((both.len(), child.len(), FieldSet::default().is_empty()), (2, 1, true));
}
