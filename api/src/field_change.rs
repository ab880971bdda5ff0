//! [`FieldChange`]: how an object differs from what it was, field by field. Pure.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::FieldPath;

/// A field that differs. A value that is not there is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldChange {
    /// Where it is: `spec.replicas`, `spec.containers[name=web].image`, `metadata.labels[app.example.com/name]`.
    pub path: String,
    /// What it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub before: Option<Value>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "anything")]
    pub after: Option<Value>,
}

fn anything(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"x-kubernetes-preserve-unknown-fields": true})
}

/// What follows from the change itself: who owns which field, and how often the object has been written.
const NOISE: [&str; 3] = ["metadata.managedFields", "metadata.resourceVersion", "metadata.generation"];
/// The fields that tell the items of a list apart, if they do in both lists.
const ITEM_KEYS: [&str; 4] = ["name", "type", "uid", "key"];

/// The fields in which two versions of an object differ, in order of paths. Items of lists are compared by their names where they
/// have any, and by their places otherwise; lists of texts and numbers as a whole.
pub fn field_changes(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    compare(&FieldPath::root(), Some(before), Some(after), &mut changes);
    changes
}

fn compare(path: &FieldPath, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<FieldChange>) {
    if before == after || NOISE.contains(&path.as_str()) {
        return;
    }
    match (before, after) {
        (Some(Value::Object(one)), Some(Value::Object(two))) => fields(path, one, two, changes),
        (Some(Value::Array(one)), Some(Value::Array(two))) if are_objects(one) && are_objects(two) => {
            items(path, one, two, changes);
        }
        _ => changes.push(FieldChange {
            path: path.as_str().to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

fn fields(
    path: &FieldPath,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    changes: &mut Vec<FieldChange>,
) {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let is_word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_$".contains(&byte));
        let below = if is_word { path.child(name) } else { path.key(name) };
        compare(&below, before.get(name), after.get(name), changes);
    }
}

fn items(path: &FieldPath, before: &[Value], after: &[Value], changes: &mut Vec<FieldChange>) {
    let Some(key) = ITEM_KEYS.into_iter().find(|key| tells_apart(before, key) && tells_apart(after, key))
    else {
        for place in 0..before.len().max(after.len()) {
            compare(&path.index(place), before.get(place), after.get(place), changes);
        }
        return;
    };
    let (one, two) = (by_name(before, key), by_name(after, key));
    let added = after.iter().filter(|item| !one.contains_key(text(item, key)));
    for name in before.iter().chain(added).map(|item| text(item, key)) {
        let (before, after) = (one.get(name).copied(), two.get(name).copied());
        compare(&path.key(&format!("{key}={name}")), before, after, changes);
    }
    let order = |items: &[Value]| items.iter().map(|item| item[key].clone()).collect::<Vec<_>>();
    let same = one.keys().eq(two.keys());
    let (one, two) = (order(before), order(after));
    if one != two && same {
        // Nothing but their order may differ, which can mean something.
        let (before, after) = (Some(one.into()), Some(two.into()));
        changes.push(FieldChange { path: path.as_str().to_owned(), before, after });
    }
}

/// The items by what they are told apart by.
fn by_name<'v>(items: &'v [Value], key: &str) -> BTreeMap<&'v str, &'v Value> {
    items.iter().map(|item| (text(item, key), item)).collect()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn changes(before: Value, after: Value) -> Vec<(String, Option<Value>, Option<Value>)> {
        let changes = field_changes(&before, &after).into_iter();
        changes.map(|change| (change.path, change.before, change.after)).collect()
    }

    #[test]
    fn fields_that_differ_are_found_where_they_are() {
        let before = json!({
            "metadata": {"labels": {"a.b/c": "1", "gone": "x"}, "resourceVersion": "1", "managedFields": [1]},
            "spec": {"replicas": 2, "args": ["a"]},
        });
        let after = json!({
            "metadata": {"labels": {"a.b/c": "2"}, "resourceVersion": "2", "managedFields": [2], "generation": 2},
            "spec": {"replicas": 3, "args": ["a", "b"], "paused": true},
        });
        assert_eq!(
            changes(before, after),
            [
                ("metadata.labels[a.b/c]".into(), Some(json!("1")), Some(json!("2"))),
                ("metadata.labels.gone".into(), Some(json!("x")), None),
                ("spec.args".into(), Some(json!(["a"])), Some(json!(["a", "b"]))),
                ("spec.paused".into(), None, Some(json!(true))),
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
                ("c[name=a]".into(), Some(json!({"name": "a", "image": "1"})), None),
                ("c[name=b].image".into(), Some(json!("1")), Some(json!("2"))),
                ("c[name=c]".into(), None, Some(json!({"name": "c", "image": "1"}))),
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
        assert_eq!(changes(before.clone(), after.clone()).len(), 60_001, "each image, and the order");
        let planned = crate::plan::field_changes(Some(&before), Some(&after));
        assert_eq!(planned.len(), 60_000, "a plan does not tell the order");
    }

    #[test]
    fn what_is_equal_differs_in_nothing() {
        let object = json!({"a": [{"name": "x"}], "b": null});
        assert_eq!(changes(object.clone(), object), []);
        assert_eq!(changes(json!({"b": null}), json!({})), [("b".into(), Some(Value::Null), None)]);
    }
}
