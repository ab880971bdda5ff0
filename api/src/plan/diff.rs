//! The fields in which two objects differ.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Free;
use crate::FieldPath;

/// A field that changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldChange {
    /// Where it is, such as `spec.template.spec.containers[web].image`.
    pub path: String,
    /// Its value now; absent if it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Free>,
    /// Its value then; absent if it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Free>,
}

/// What the server writes by itself and nobody asks about.
const BOOKKEEPING: [&str; 6] =
    ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"];

/// The fields in which two objects differ, in order of their paths; without those that the server keeps for itself. Items of
/// lists that all have a name of their own are told apart by it. Cost: both objects.
pub fn field_changes(before: Option<&Value>, after: Option<&Value>) -> Vec<FieldChange> {
    let (before, after) = (before.map(without_bookkeeping), after.map(without_bookkeeping));
    let mut changes = Vec::new();
    compare(&FieldPath::root(), before.as_ref(), after.as_ref(), &mut changes);
    changes
}

fn without_bookkeeping(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| !BOOKKEEPING.contains(&field.as_str()));
    }
    object
}

fn compare(path: &FieldPath, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(_)) | None, Some(Value::Object(_)) | None) | (Some(Value::Object(_)), None)
            if is_open(before, after) =>
        {
            let none = Map::new();
            let fields = |value: Option<&'_ Value>| value.and_then(Value::as_object).cloned();
            let (before, after) =
                (fields(before).unwrap_or_else(|| none.clone()), fields(after).unwrap_or(none));
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                let path = if is_word(name) { path.child(name) } else { path.key(name) };
                compare(&path, before.get(name), after.get(name), changes);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(two))) => match (by_name(one), by_name(two)) {
            (Some(one), Some(two)) => {
                let all: BTreeSet<&str> = one.keys().chain(two.keys()).copied().collect();
                for name in all {
                    compare(&path.key(name), one.get(name).copied(), two.get(name).copied(), changes);
                }
            }
            _ => leaf(path, before, after, changes),
        },
        _ => leaf(path, before, after, changes),
    }
}

/// Whether there is anything inside to be told one by one.
fn is_open(before: Option<&Value>, after: Option<&Value>) -> bool {
    let is_empty = |value: Option<&Value>| value.and_then(Value::as_object).is_none_or(Map::is_empty);
    !(is_empty(before) && is_empty(after))
}

fn leaf(path: &FieldPath, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<FieldChange>) {
    let free = |value: Option<&Value>| value.cloned().map(Free);
    changes.push(FieldChange { path: path.as_str().to_owned(), before: free(before), after: free(after) });
}

/// A list's items by their names, if each has one of its own.
fn by_name(items: &[Value]) -> Option<BTreeMap<&str, &Value>> {
    let named = items.iter().map(|item| Some((item.get("name")?.as_str()?, item)));
    let named: BTreeMap<&str, &Value> = named.collect::<Option<_>>()?;
    (named.len() == items.len() && !named.is_empty()).then_some(named)
}

/// Whether a key can stand in a path without brackets.
fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(before: Value, after: Value) -> Vec<String> {
        let side = |value: Value| (!value.is_null()).then_some(value);
        let show = |value: Option<Free>| value.map_or("-".to_owned(), |value| value.0.to_string());
        field_changes(side(before).as_ref(), side(after).as_ref())
            .into_iter()
            .map(|change| format!("{} {} {}", change.path, show(change.before), show(change.after)))
            .collect()
    }

    #[test]
    fn each_field_that_differs_is_told_with_its_path() {
        let before = json!({
            "metadata": {"name": "a", "uid": "1", "labels": {"app.kubernetes.io/name": "x", "tier": "1"}},
            "spec": {"replicas": 1, "containers": [{"name": "web", "image": "a"}, {"name": "log"}], "args": ["x"]},
        });
        let after = json!({
            "metadata": {"name": "a", "uid": "2", "labels": {"app.kubernetes.io/name": "y"}},
            "spec": {"replicas": 2, "containers": [{"name": "web", "image": "b"}], "args": ["x", "y"], "new": {}},
        });
        let expected = [
            r#"metadata.labels[app.kubernetes.io/name] "x" "y""#,
            r#"metadata.labels.tier "1" -"#,
            r#"spec.args ["x"] ["x","y"]"#,
            r#"spec.containers[log].name "log" -"#,
            r#"spec.containers[web].image "a" "b""#,
            "spec.new - {}",
            "spec.replicas 1 2",
        ];
        assert_eq!(told(before.clone(), after), expected);
        assert_eq!(told(before.clone(), before), [""; 0]);
    }

    #[test]
    fn an_object_that_comes_or_goes_is_told_field_by_field() {
        let object = json!({"kind": "Note", "data": {"a": "1"}, "list": [1]});
        assert_eq!(told(Value::Null, object.clone()), ["data.a - \"1\"", "kind - \"Note\"", "list - [1]"]);
        assert_eq!(told(object, Value::Null), ["data.a \"1\" -", "kind \"Note\" -", "list [1] -"]);
    }
}
