//! What holds for every configuration.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{World, complete};
use crate::apply::managers::Managers;
use crate::apply::{FieldSet, to_set};

fn container() -> impl Strategy<Value = Value> {
    (
        prop::option::of(0..3u8),
        prop::option::of(prop::collection::vec("[xy]", 0..3)),
        prop::option::of(prop::collection::btree_map("cpu|mem", "[12]", 0..3)),
        prop::option::of(prop::collection::btree_map(
            (80..82u16, prop::bool::ANY),
            prop::option::of("[ab]"),
            1..3,
        )),
    )
        .prop_map(|(image, command, limits, ports)| {
            let mut out = json!({});
            if let Some(image) = image {
                out["image"] = json!(format!("i{image}"));
            }
            if let Some(command) = command {
                out["command"] = json!(command);
            }
            if let Some(limits) = limits {
                out["limits"] = json!(limits);
            }
            if let Some(ports) = ports {
                let port = |((port, udp), name): ((u16, bool), Option<String>)| {
                    let mut item = json!({"port": port});
                    if udp {
                        item["protocol"] = json!("UDP");
                    }
                    if let Some(name) = name {
                        item["name"] = json!(name);
                    }
                    item
                };
                out["ports"] = ports.into_iter().map(port).collect();
            }
            out
        })
}

/// Configurations of the test kind: every sort of field, present or not, with few values so that they meet.
/// No empty set or map lists: as in Kubernetes, nobody owns those.
fn configuration() -> impl Strategy<Value = Value> {
    let containers = prop::collection::btree_map("[abc]", container(), 1..4).prop_shuffle_list();
    (
        prop::option::of(prop::collection::btree_map("[ab]", "[12]", 0..3)),
        prop::option::of(prop::sample::subsequence(vec!["f", "g", "h"], 1..3)),
        prop::option::of(1..3u8),
        prop::option::of(prop::collection::btree_map("[ab]", "[12]", 0..2)),
        prop::option::of(containers),
        prop::option::of(prop::collection::btree_map("[ab]", free(), 0..3)),
    )
        .prop_map(|(labels, finalizers, replicas, selector, containers, free)| {
            let mut out = json!({"metadata": {}, "spec": {}});
            let mut set = |object: &str, field: &str, value: Option<Value>| {
                if let Some(value) = value {
                    out[object][field] = value;
                }
            };
            set("metadata", "labels", labels.map(|v| json!(v)));
            set("metadata", "finalizers", finalizers.map(|v| json!(v)));
            set("spec", "replicas", replicas.map(|v| json!(v)));
            set("spec", "selector", selector.map(|v| json!(v)));
            set("spec", "containers", containers);
            set("spec", "free", free.map(|v| json!(v)));
            out
        })
}

fn free() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!(1)), Just(json!("x")), Just(json!([1, 2])), Just(json!({}))];
    leaf.prop_recursive(2, 6, 2, |inner| {
        prop::collection::btree_map("[pq]", inner, 1..3).prop_map(|fields| json!(fields))
    })
}

trait ShuffleList {
    fn prop_shuffle_list(self) -> BoxedStrategy<Value>;
}

impl<S: Strategy<Value = BTreeMap<String, Value>> + 'static> ShuffleList for S {
    /// The items of a map list, in any order.
    fn prop_shuffle_list(self) -> BoxedStrategy<Value> {
        self.prop_map(|items| {
            let named = |(name, mut item): (String, Value)| {
                item["name"] = json!(name);
                item
            };
            items.into_iter().map(named).collect::<Vec<_>>()
        })
        .prop_shuffle()
        .prop_map(Value::Array)
        .boxed()
    }
}

/// What `manager` owns, with its values: path to text.
fn owned_values(world: &World, manager: &str) -> BTreeMap<String, String> {
    let live = world.live.as_ref().unwrap();
    let managers = Managers::decode(live).unwrap();
    let fields = managers.0.iter().filter(|(m, _)| m.name == manager).map(|(_, o)| &o.fields);
    let fields = fields.fold(FieldSet::default(), |all, f| all.union(f));
    let leaves = leaves_of(world, live);
    // An empty object stops being a leaf when others put something into it.
    let leaves = leaves.into_iter().filter(|(_, value)| value != "{}");
    let owned: BTreeSet<String> = fields.paths().iter().map(ToString::to_string).collect();
    leaves.filter(|(path, _)| owned.contains(path)).collect()
}

/// All leaves of an object with their values: what comparing with nothing adds.
fn leaves_of(world: &World, object: &Value) -> BTreeMap<String, String> {
    let set = to_set::field_set(world.schema.root(), object).unwrap();
    let value =
        |path: &crate::apply::Path| lookup(object, &path.0).map(ToString::to_string).unwrap_or_default();
    set.leaves().paths().iter().map(|p| (p.to_string(), value(p))).collect()
}

fn lookup<'v>(value: &'v Value, path: &[crate::apply::PathElement]) -> Option<&'v Value> {
    use crate::apply::PathElement;
    path.iter().try_fold(value, |value, step| match step {
        PathElement::Field(name) => value.get(name),
        PathElement::Value(item) => value.as_array()?.iter().find(|v| **v == item.0),
        PathElement::Key(key) => value.as_array()?.iter().find(|item| {
            key.iter().all(|(k, v)| match item.get(k) {
                Some(found) => *found == v.0,
                None => v.0 == json!("TCP"),
            })
        }),
        PathElement::Index(_) => None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn applying_twice_changes_nothing_more(first in configuration(), second in configuration()) {
        let mut world = World::new();
        world.apply("one", first).force("two", second.clone());
        let once = world.live.clone();
        let again = world.try_apply("two", second, false).unwrap();
        prop_assert!(!again.changed);
        prop_assert_eq!(world.live, once);
    }

    #[test]
    fn what_is_applied_is_there_and_owned(first in configuration(), second in configuration()) {
        let mut world = World::new();
        world.apply("one", first).force("two", second.clone());
        let wanted = leaves_of(&world, &second);
        let live = leaves_of(&world, world.live.as_ref().unwrap());
        let owned = world.owned("two");
        for (path, value) in wanted.iter().filter(|(_, value)| *value != "{}") {
            prop_assert_eq!(live.get(path), Some(value), "{}", path);
            prop_assert!(owned.contains(path), "{} is not owned", path);
        }
    }

    #[test]
    fn what_others_own_is_kept_unless_forced(first in configuration(), second in configuration(), third in configuration()) {
        let mut world = World::new();
        world.apply("one", first);
        if world.try_apply("two", second, false).is_ok() {
            let before = owned_values(&world, "one");
            if world.try_apply("two", third, false).is_ok() {
                prop_assert_eq!(owned_values(&world, "one"), before);
            }
        }
    }

    #[test]
    fn what_nobody_owns_is_never_lost(unowned in configuration(), first in configuration(), second in configuration()) {
        let mut world = World::new();
        world.live = Some(complete(unowned));
        let before = leaves_of(&world, world.live.as_ref().unwrap());
        world.force("one", first.clone()).force("one", second.clone());
        let after = leaves_of(&world, world.live.as_ref().unwrap());
        let mut touched = leaves_of(&world, &first);
        touched.extend(leaves_of(&world, &second));
        for path in before.keys() {
            let is_parent = after.keys().any(|p| p.starts_with(path.as_str()));
            let below_touched = touched.keys().any(|t| path.starts_with(t.as_str()) || t.starts_with(path.as_str()));
            prop_assert!(is_parent || below_touched, "{} is lost", path);
        }
    }

    #[test]
    fn what_only_one_manager_applied_goes_with_it(config in configuration()) {
        let mut world = World::new();
        world.apply("one", config).apply("one", json!({}));
        prop_assert_eq!(world.body(), json!({}));
    }

    #[test]
    fn a_write_owns_exactly_what_differs(first in configuration(), second in configuration()) {
        let mut world = World::new();
        world.put("one", first.clone()).put("two", second.clone());
        let (before, after) = (leaves_of(&world, &complete(first)), leaves_of(&world, &complete(second)));
        let (one, two) = (world.owned("one"), world.owned("two"));
        for (path, value) in &after {
            let is_identity = path == ".apiVersion" || path == ".kind" || value == "[]" || path == ".metadata";
            if is_identity || value == "{}" || before.get(path).is_some_and(|b| b == "{}" || b == "[]") {
                continue;
            }
            let changed = before.get(path) != Some(value);
            prop_assert_eq!(two.contains(path), changed, "{} {}", path, value);
            prop_assert_eq!(one.contains(path), !changed, "{} {}", path, value);
        }
    }

    #[test]
    fn records_are_read_back_as_they_are_written(config in configuration()) {
        let mut world = World::new();
        world.apply("one", config);
        let managers = Managers::decode(world.live.as_ref().unwrap()).unwrap();
        for owned in managers.0.values() {
            prop_assert_eq!(&FieldSet::from_json(&owned.fields.to_json()).unwrap(), &owned.fields);
        }
    }
}
