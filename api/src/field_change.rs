//! [`FieldChange`]: how an object differs from what it was, field by field. Pure.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::FieldPath;
use crate::json_path::is_word;
use crate::plan::Free;

/// A field that differs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldChange {
    /// Where it is: `spec.replicas`, `spec.containers[name="web"].image`, `spec.ports[0].port`, `metadata.labels["app.example.com/name"]`. An
    /// item of a list is named by the field that tells it from the others, or counted from 0; a key that is no word is quoted as in JSON.
    /// `orchctl get -o jsonpath` and the `fields` of MCP's tools read it.
    pub path: String,
    /// What it was; absent if it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Free>")]
    pub before: Option<Value>,
    /// What it becomes; absent if it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Free>")]
    pub after: Option<Value>,
}

/// What the server writes by itself and nobody asks about.
const BOOKKEEPING: [&str; 6] = [
    "metadata.managedFields",
    "metadata.resourceVersion",
    "metadata.generation",
    "metadata.uid",
    "metadata.creationTimestamp",
    "metadata.selfLink",
];
/// The fields that tell the items of a list apart, if they do in both lists.
const ITEM_KEYS: [&str; 4] = ["name", "type", "uid", "key"];

impl FieldChange {
    /// Whether the field is one of the status: of what is seen rather than of what is wanted.
    pub fn is_status(&self) -> bool {
        self.path.strip_prefix("status").is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

/// The fields in which an object differs from what it was, in order of their names and of the items of lists; without those that the
/// server keeps for itself. An object that comes or goes, and one within another, is told field by field.
///
/// Lists of objects are compared item by item: by the field that tells their items apart, or by their places if none does. Items
/// that come or go are told as a whole, as are lists of texts and numbers, and lists that come or go. Of a list in which nothing but
/// the order of its items differs, that is told: `before` and `after` are what the items are told apart by.
///
/// Cost: both objects.
pub fn field_changes(before: Option<&Value>, after: Option<&Value>) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    compare(&FieldPath::root(), before, after, &mut changes);
    changes
}

fn compare(path: &FieldPath, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<FieldChange>) {
    if before == after || BOOKKEEPING.contains(&path.as_str()) {
        return;
    }
    match (before, after) {
        (Some(Value::Array(one)), Some(Value::Array(two))) if are_objects(one) && are_objects(two) => {
            items(path, one, two, changes);
        }
        (None | Some(Value::Object(_)), None | Some(Value::Object(_))) if has_fields(before, after) => {
            fields(path, before.and_then(Value::as_object), after.and_then(Value::as_object), changes);
        }
        _ => changes.push(change(path, before.cloned(), after.cloned())),
    }
}

fn fields(
    path: &FieldPath,
    before: Option<&Map<String, Value>>,
    after: Option<&Map<String, Value>>,
    changes: &mut Vec<FieldChange>,
) {
    let names: BTreeSet<&String> = [before, after].into_iter().flatten().flat_map(Map::keys).collect();
    for name in names {
        let below = if is_word(name) { path.child(name) } else { path.key(&quoted(name)) };
        let [before, after] = [before, after].map(|fields| fields.and_then(|fields| fields.get(name)));
        compare(&below, before, after, changes);
    }
}

fn items(path: &FieldPath, before: &[Value], after: &[Value], changes: &mut Vec<FieldChange>) {
    let Some(key) = ITEM_KEYS.into_iter().find(|key| tells_apart(before, key) && tells_apart(after, key))
    else {
        for place in 0..before.len().max(after.len()) {
            item(&path.index(place), before.get(place), after.get(place), changes);
        }
        return;
    };
    let (one, two) = (by_name(before, key), by_name(after, key));
    let added = after.iter().filter(|item| !one.contains_key(text(item, key)));
    for name in before.iter().chain(added).map(|item| text(item, key)) {
        let (before, after) = (one.get(name).copied(), two.get(name).copied());
        item(&path.key(&format!("{key}={}", quoted(name))), before, after, changes);
    }
    let order = |items: &[Value]| items.iter().map(|item| item[key].clone()).collect::<Vec<_>>();
    let same = one.keys().eq(two.keys());
    let (one, two) = (order(before), order(after));
    if one != two && same {
        changes.push(change(path, Some(one.into()), Some(two.into())));
    }
}

/// The items by what they are told apart by.
fn by_name<'v>(items: &'v [Value], key: &str) -> BTreeMap<&'v str, &'v Value> {
    items.iter().map(|item| (text(item, key), item)).collect()
}

fn item(path: &FieldPath, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<FieldChange>) {
    match (before, after) {
        (Some(_), Some(_)) => compare(path, before, after, changes),
        _ => changes.push(change(path, before.cloned(), after.cloned())),
    }
}

fn change(path: &FieldPath, before: Option<Value>, after: Option<Value>) -> FieldChange {
    FieldChange { path: path.as_str().to_owned(), before, after }
}

/// Whether there is anything inside to be told one by one.
fn has_fields(before: Option<&Value>, after: Option<&Value>) -> bool {
    let fields = [before, after].into_iter().flatten().filter_map(Value::as_object);
    fields.into_iter().any(|fields| !fields.is_empty())
}

fn are_objects(items: &[Value]) -> bool {
    items.iter().all(Value::is_object)
}

fn text<'v>(item: &'v Value, key: &str) -> &'v str {
    item.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether all items have a text of their own in a field.
fn tells_apart(items: &[Value], key: &str) -> bool {
    let names: BTreeSet<&str> = items.iter().map(|item| text(item, key)).collect();
    names.len() == items.len() && !names.contains("")
}

/// As JSON writes it, so that it can hold anything.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::JsonPath;

    fn changes(before: Value, after: Value) -> Vec<(String, Option<Value>, Option<Value>)> {
        told(Some(&before), Some(&after))
    }

    fn told(before: Option<&Value>, after: Option<&Value>) -> Vec<(String, Option<Value>, Option<Value>)> {
        let changes = field_changes(before, after).into_iter();
        changes.map(|change| (change.path, change.before, change.after)).collect()
    }

    #[test]
    fn fields_that_differ_are_found_where_they_are() {
        let before = json!({
            "metadata": {"labels": {"a.b/c": "1", "gone": "x"}, "resourceVersion": "1", "managedFields": [1], "uid": "1"},
            "spec": {"replicas": 2, "args": ["a"], "quota": {"cpu": 1}},
        });
        let after = json!({
            "metadata": {"labels": {"a.b/c": "2"}, "resourceVersion": "2", "managedFields": [2], "generation": 2, "uid": "2"},
            "spec": {"replicas": 3, "args": ["a", "b"], "paused": true, "new": {"x": {"y": 1}, "z": {}}},
        });
        assert_eq!(
            changes(before, after),
            [
                (r#"metadata.labels["a.b/c"]"#.into(), Some(json!("1")), Some(json!("2"))),
                ("metadata.labels.gone".into(), Some(json!("x")), None),
                ("spec.args".into(), Some(json!(["a"])), Some(json!(["a", "b"]))),
                ("spec.new.x.y".into(), None, Some(json!(1))),
                ("spec.new.z".into(), None, Some(json!({}))),
                ("spec.paused".into(), None, Some(json!(true))),
                ("spec.quota.cpu".into(), Some(json!(1)), None),
                ("spec.replicas".into(), Some(json!(2)), Some(json!(3))),
            ]
        );
    }

    #[test]
    fn items_with_names_are_compared_by_name_and_others_by_place() {
        let named = |names: &[(&str, &str)]| {
            let items: Vec<Value> =
                names.iter().map(|(name, image)| json!({"name": name, "image": image})).collect();
            json!({"c": items})
        };
        assert_eq!(
            changes(named(&[("a", "1"), ("b", "1")]), named(&[("b", "2"), ("c", "1")])),
            [
                (r#"c[name="a"]"#.into(), Some(json!({"name": "a", "image": "1"})), None),
                (r#"c[name="b"].image"#.into(), Some(json!("1")), Some(json!("2"))),
                (r#"c[name="c"]"#.into(), None, Some(json!({"name": "c", "image": "1"}))),
            ]
        );
        let order = changes(named(&[("a", "1"), ("b", "1")]), named(&[("b", "1"), ("a", "1")]));
        assert_eq!(order, [("c".into(), Some(json!(["a", "b"])), Some(json!(["b", "a"])))]);
        assert_eq!(
            changes(json!({"p": [{"port": 1}]}), json!({"p": [{"port": 2}, {"port": 3}]})),
            [
                ("p[0].port".into(), Some(json!(1)), Some(json!(2))),
                ("p[1]".into(), None, Some(json!({"port": 3}))),
            ]
        );
    }

    /// Each item costs the same, however many there are: item by item, this would take many minutes.
    #[test]
    fn long_lists_are_compared_in_little_time() {
        let items = |numbers: &mut dyn Iterator<Item = usize>, image: &str| -> Value {
            numbers.map(|number| json!({"name": number.to_string(), "image": image})).collect()
        };
        let before = json!({"c": items(&mut (0..60_000), "1")});
        let after = json!({"c": items(&mut (0..60_000).rev(), "2")});
        assert_eq!(field_changes(Some(&before), Some(&after)).len(), 60_001, "each image, and the order");
    }

    #[test]
    fn an_object_that_comes_or_goes_is_told_field_by_field() {
        let object =
            json!({"kind": "Note", "data": {"a": "1"}, "list": [{"name": "x"}], "metadata": {"uid": "1"}});
        let sides = [("data.a", json!("1")), ("kind", json!("Note")), ("list", json!([{"name": "x"}]))];
        let comes = sides.clone().map(|(path, value)| (path.to_owned(), None, Some(value)));
        assert_eq!(told(None, Some(&object)), comes);
        let goes = sides.map(|(path, value)| (path.to_owned(), Some(value), None));
        assert_eq!(told(Some(&object), None), goes);
    }

    #[test]
    fn what_is_equal_differs_in_nothing() {
        let object = json!({"a": [{"name": "x"}], "b": null});
        assert_eq!(changes(object.clone(), object), []);
        assert_eq!(changes(json!({"b": null}), json!({})), [("b".into(), Some(Value::Null), None)]);
    }

    #[test]
    fn a_field_is_of_the_status_by_its_first_step() {
        let is_status = |path: &str| FieldChange { path: path.into(), ..FieldChange::default() }.is_status();
        assert!(["status", "status.phase", r#"status["a b"]"#].into_iter().all(is_status));
        assert!(!["statusPage", "spec.status", ""].into_iter().any(is_status));
    }

    fn values() -> impl Strategy<Value = Value> {
        let names = || prop_oneof!["[a-c]", "[a.\\]\"'\\\\=* $@,?()0é-]{0,3}"];
        let leaf = prop_oneof![Just(json!(1)), Just(json!(true)), names().prop_map(Value::from)];
        leaf.prop_recursive(4, 40, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec((names(), inner.clone()), 0..3).prop_map(|items| items
                    .into_iter()
                    .map(|(name, is)| json!({"name": name, "is": is}))
                    .collect()),
                prop::collection::btree_map(names(), inner, 0..4)
                    .prop_map(|fields| fields.into_iter().collect()),
            ]
        })
    }

    fn objects() -> impl Strategy<Value = Value> {
        prop::collection::btree_map("spec|status|data", values(), 1..3)
            .prop_map(|fields| fields.into_iter().collect())
    }

    proptest! {
        #[test]
        fn a_path_leads_back_to_the_values_that_are_told(before in objects(), after in objects()) {
            for change in field_changes(Some(&before), Some(&after)) {
                let path = JsonPath::parse(&change.path).map_err(TestCaseError::fail)?;
                for (object, told) in [(&before, &change.before), (&after, &change.after)] {
                    let found = path.values(object);
                    if let ([Value::Array(items)], Some(Value::Array(order))) = (&found[..], told)
                        && items.iter().map(|item| &item["name"]).eq(order)
                    {
                        continue;
                    }
                    prop_assert_eq!(found, Vec::from_iter(told), "{}", change.path);
                }
            }
        }
    }
}
