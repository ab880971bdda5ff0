//! What patches are for: the difference of two objects, applied to the first, makes the second.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use orch_api::patch::{json_patch, merge_patch, strategic_merge_patch};
use orch_api::{Quantity, Schema};
use orch_ontology::KINDS;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

static POD: LazyLock<&'static Schema> =
    LazyLock::new(|| &*KINDS.iter().find(|entry| entry.kind.name == "Pod").unwrap().schema);

/// Any JSON without nulls, which a merge patch cannot set.
fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-3..3i64).prop_map(Value::from),
        "[ab~/]{0,2}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[abc~/]{0,2}", inner, 0..4).prop_map(|fields| json!(fields)),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[abc~/]{0,2}", document(), 0..4).prop_map(|fields| json!(fields))
}

/// RFC 7386's difference.
fn difference(a: &Value, b: &Value) -> Value {
    let (Some(from), Some(to)) = (a.as_object(), b.as_object()) else { return b.clone() };
    let mut patch = Map::new();
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in to.iter().filter(|(name, value)| from.get(*name) != Some(value)) {
        // What is no object is replaced by an object as it is, empty ones included.
        let before = from.get(name).unwrap_or(&Value::Null);
        patch.insert(name.clone(), difference(before, value));
    }
    Value::Object(patch)
}

/// A pod with labels, containers with ports, and finalizers, few of each so that they meet.
fn pod() -> impl Strategy<Value = Value> {
    let port = (80..83u16, prop::option::of("[xy]"));
    let ports = prop::collection::btree_map(port.0, port.1, 0..3).prop_map(|ports| {
        let port = |(number, name): (u16, Option<String>)| match name {
            Some(name) => json!({"containerPort": number, "name": name, "protocol": "TCP"}),
            None => json!({"containerPort": number, "protocol": "TCP"}),
        };
        ports.into_iter().map(port).collect::<Value>()
    });
    let container = ("[ij]", ports, prop::collection::vec("[ab]", 0..3));
    let containers = prop::collection::btree_map("[abc]", container, 1..4);
    let named = containers.prop_map(|containers| {
        let make = |(name, (image, ports, args))| json!({"name": name, "image": image, "ports": ports, "args": args});
        containers.into_iter().map(make).collect::<Vec<_>>()
    });
    let labels = prop::collection::btree_map("[ab]", "[12]", 0..3);
    let finalizers = prop::sample::subsequence(vec!["x/f", "x/g", "x/h"], 0..=3).prop_shuffle();
    (named.prop_shuffle(), labels, finalizers).prop_map(|(containers, labels, finalizers)| {
        json!({"metadata": {"name": "p", "labels": labels, "finalizers": finalizers}, "spec": {"containers": containers}})
    })
}

/// kubectl's difference: lists that have a key are told item by item, and in which order they are.
fn strategic(a: &Value, b: &Value) -> Value {
    let mut patch = Map::new();
    let (from, to) = (a.as_object().unwrap(), b.as_object().unwrap());
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in to {
        let before = from.get(name);
        match (name.as_str(), before) {
            _ if before == Some(value) => {}
            ("containers", Some(before)) => keyed(&mut patch, name, "name", before, value),
            ("ports", Some(before)) => keyed(&mut patch, name, "containerPort", before, value),
            ("finalizers", Some(before)) => set(&mut patch, name, before, value),
            (_, Some(Value::Object(_))) if value.is_object() => {
                patch.insert(name.clone(), strategic(before.unwrap(), value));
            }
            _ => drop(patch.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(patch)
}

fn keyed(patch: &mut Map<String, Value>, name: &str, key: &str, from: &Value, to: &Value) {
    let (from, to) = (from.as_array().unwrap(), to.as_array().unwrap());
    let find = |items: &[Value], item: &Value| items.iter().find(|other| other[key] == item[key]).cloned();
    let mut items: Vec<Value> = Vec::new();
    for item in from.iter().filter(|item| find(to, item).is_none()) {
        items.push(json!({key: item[key], "$patch": "delete"}));
    }
    for item in to {
        match find(from, item) {
            Some(before) if before == *item => {}
            Some(before) => {
                let mut changed = strategic(&before, item);
                changed[key] = item[key].clone();
                items.push(changed);
            }
            None => items.push(item.clone()),
        }
    }
    let order = to.iter().map(|item| json!({key: item[key]})).collect();
    patch.insert(format!("$setElementOrder/{name}"), order);
    patch.insert(name.to_owned(), items.into());
}

fn set(patch: &mut Map<String, Value>, name: &str, from: &Value, to: &Value) {
    let (from, to) = (from.as_array().unwrap(), to.as_array().unwrap());
    let gone: Vec<_> = from.iter().filter(|value| !to.contains(value)).cloned().collect();
    let fresh: Vec<_> = to.iter().filter(|value| !from.contains(value)).cloned().collect();
    patch.insert(format!("$deleteFromPrimitiveList/{name}"), gone.into());
    patch.insert(format!("$setElementOrder/{name}"), to.clone().into());
    patch.insert(name.to_owned(), fresh.into());
}

proptest! {
    #[test]
    fn a_json_patch_makes_what_it_was_made_from(a in document(), b in document()) {
        let patch = serde_json::to_value(json_patch::diff(&a, &b)).unwrap();
        prop_assert_eq!(json_patch(&a, &patch).unwrap(), b);
    }

    #[test]
    fn a_merge_patch_makes_what_it_was_made_from_and_only_once(a in object(), b in object()) {
        let patch = difference(&a, &b);
        let made = merge_patch(&a, &patch).unwrap();
        prop_assert_eq!(&made, &b);
        prop_assert_eq!(merge_patch(&made, &patch).unwrap(), b);
    }

    #[test]
    fn a_strategic_merge_patch_makes_what_it_was_made_from_and_only_once(a in pod(), b in pod()) {
        let patch = strategic(&a, &b);
        let made = strategic_merge_patch(&POD, &a, &patch).unwrap();
        prop_assert_eq!(&made, &b, "by {}", patch);
        prop_assert_eq!(strategic_merge_patch(&POD, &made, &patch).unwrap(), b);
    }

    #[test]
    fn a_strategic_merge_patch_leaves_what_it_does_not_name(a in pod(), label in "[ab]") {
        let patch = json!({"metadata": {"labels": {&label: null}}});
        let mut made = strategic_merge_patch(&POD, &a, &patch).unwrap();
        let mut expected = a.clone();
        expected["metadata"]["labels"].as_object_mut().unwrap().remove(&label);
        prop_assert_eq!(&made, &expected);
        made["spec"]["containers"] = json!([]);
        let names = |pod: &Value| pod["metadata"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        prop_assert_eq!(names(&made), names(&a));
    }

    /// Comparing is a total order that adding keeps, whatever the notation.
    #[test]
    fn quantities_are_ordered(a in -1000..1000i64, b in -1000..1000i64, c in 0..1000i64) {
        let read = |text: String| text.parse::<Quantity>().unwrap();
        let (x, y, z) = (read(format!("{a}m")), read(format!("{}u", b * 1000)), read(format!("{c}e-3")));
        prop_assert_eq!(x.cmp(&y), a.cmp(&b));
        prop_assert_eq!(y.cmp(&x), b.cmp(&a));
        prop_assert_eq!(x == y, a == b);
        prop_assert_eq!(x.checked_add(z).unwrap().cmp(&y.checked_add(z).unwrap()), a.cmp(&b));
        prop_assert!(x.checked_add(z).unwrap() >= x);
    }
}
