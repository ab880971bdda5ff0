//! What of an object is somebody's, and how it becomes what it was. Pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What of an object's metadata somebody has set: the rest is the server's.
const OWN_METADATA: [&str; 4] = ["annotations", "finalizers", "labels", "ownerReferences"];
/// What the server says of a new object, and of one that is to go.
const SET_BY_SERVER: [&str; 7] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
];
/// How an object was to go, which is over.
const GOING: [&str; 2] = ["foregroundDeletion", "orphan"];

/// The object as somebody would write it who makes it anew.
pub(super) fn as_new(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        SET_BY_SERVER.iter().for_each(|field| drop(metadata.remove(*field)));
        if let Some(finalizers) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
            finalizers.retain(|finalizer| !GOING.iter().any(|going| finalizer == going));
        }
    }
    object
}

/// What of an object is not the server's.
pub(super) fn own(object: &Value, has_status: bool) -> Value {
    let mut own = object.as_object().cloned().unwrap_or_default();
    own.retain(|field, _| match field.as_str() {
        "apiVersion" | "kind" => false,
        "status" => !has_status,
        _ => true,
    });
    if let Some(metadata) = own.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| OWN_METADATA.contains(&field.as_str()));
    }
    Value::Object(own)
}

/// Puts into a merge patch what makes the fields that differ between `before` and `after` as they were before, and into `moved` those
/// that are not `now` as they were after. Lists are taken as a whole.
pub(super) fn put_back(
    [before, after, now]: &[&Value; 3],
    path: &str,
    patch: &mut Map<String, Value>,
    moved: &mut Vec<String>,
) {
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (before, after, now) = (fields(before), fields(after), fields(now));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let sides @ [was, became, is] = [before.get(name), after.get(name), now.get(name)];
        if was == became {
            continue;
        }
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match sides {
            [Some(was @ Value::Object(_)), Some(became @ Value::Object(_)), Some(is @ Value::Object(_))] => {
                let mut below = Map::new();
                put_back(&[was, became, is], &path, &mut below, moved);
                patch.insert(name.clone(), Value::Object(below));
            }
            _ if is != became => moved.push(path),
            _ => drop(patch.insert(name.clone(), was.cloned().unwrap_or_default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn taken_back(before: Value, after: Value, now: Value) -> (Value, Vec<String>) {
        let (mut patch, mut moved) = (Map::new(), Vec::new());
        put_back(&[&before, &after, &now], "", &mut patch, &mut moved);
        (patch.into(), moved)
    }

    #[test]
    fn fields_that_were_changed_become_what_they_were_and_no_others() {
        let before = json!({"spec": {"a": 1, "list": [1, 2], "gone": {"x": 1}, "same": 1}});
        let after = json!({"spec": {"a": 2, "list": [1], "new": {"y": 1}, "same": 1}});
        let now = json!({"spec": {"a": 2, "list": [1], "new": {"y": 1}, "same": 5, "other": 1}});
        let patch = json!({"spec": {"a": 1, "list": [1, 2], "gone": {"x": 1}, "new": null}});
        assert_eq!(taken_back(before, after, now), (patch, Vec::new()));
    }

    #[test]
    fn fields_that_have_been_changed_since_are_named() {
        let before = json!({"spec": {"a": 1, "b": {"c": 1}}, "data": {"k": "1"}});
        let after = json!({"spec": {"a": 2, "b": {"c": 2}}, "data": {"k": "2"}});
        let now = json!({"spec": {"a": 3, "b": {"c": 2}}});
        assert_eq!(taken_back(before, after, now).1, ["data", "spec.a"]);
    }

    #[test]
    fn what_is_made_again_says_nothing_that_the_server_says() {
        let deleted = json!({"kind": "Note", "data": {"a": "1"}, "metadata": {
            "name": "n", "uid": "u", "labels": {"l": "1"}, "deletionTimestamp": "x", "finalizers": ["foregroundDeletion", "own"],
        }});
        let made = json!({"kind": "Note", "data": {"a": "1"}, "metadata": {
            "name": "n", "labels": {"l": "1"}, "finalizers": ["own"],
        }});
        assert_eq!(as_new(&deleted), made);
    }
}
