//! A change as it is served. Pure.

use bytes::Bytes;
use jiff::Timestamp;
use orch_api::{MicroTime, Object as _, Time, field_changes};
use serde_json::{Map, Value, json};

use super::index::ObjectPath;
use super::record::{Record, Verb};

/// The change as an object of a kind, given as its `apiVersion` and name. `hide` is what stands for a secret value.
pub(crate) fn served(record: &Record, kind: (&str, &str), hide: &dyn Fn(&[u8]) -> String) -> Value {
    let head = &record.head;
    let at = Timestamp::from_millisecond(head.origin.at).unwrap_or_default();
    let revision = head.id.revision;
    let mut change = Map::new();
    let mut put = |name: &str, value: Value| drop(change.insert(name.to_owned(), value));
    put("apiVersion", kind.0.into());
    put("kind", kind.1.into());
    put(
        "metadata",
        json!({
            "name": head.id.to_string(),
            "creationTimestamp": Time::new(at).to_string(),
            "resourceVersion": revision.to_string(),
        }),
    );
    put("revision", revision.into());
    put("time", MicroTime::new(at).to_string().into());
    let said = [
        ("user", &head.origin.user),
        ("impersonator", &head.origin.impersonator),
        ("agent", &head.origin.agent),
        ("plan", &head.origin.plan),
        ("reason", &head.origin.reason),
    ];
    for (name, text) in said.into_iter().filter(|(_, text)| !text.is_empty()) {
        put(name, text.as_str().into());
    }
    put("verb", head.verb.as_str().into());
    if head.verb != Verb::Missed {
        let read =
            |value: &Option<Bytes>| value.as_ref().and_then(|value| shown(value, head.is_sensitive, hide));
        let (before, after) = (read(&record.before), read(&record.after));
        put("object", object(record, after.as_ref().or(before.as_ref())));
        if let (Some(before), Some(after)) = (&before, &after) {
            put("fields", json!(field_changes(Some(before), Some(after))));
        }
        before.into_iter().for_each(|before| put("before", before));
        after.into_iter().for_each(|after| put("after", after));
    }
    Value::Object(change)
}

/// Which object has changed.
fn object(record: &Record, value: Option<&Value>) -> Value {
    let head = &record.head;
    let mut object = json!({"apiVersion": head.api_version, "kind": head.kind});
    if let Some(path) = ObjectPath::of_key(&head.key) {
        object["name"] = path.name.into();
        if !path.namespace.is_empty() {
            object["namespace"] = path.namespace.into();
        }
    }
    if let Some(uid) = value.map(|value| value.uid()).filter(|uid| !uid.is_empty()) {
        object["uid"] = uid.into();
    }
    object
}

/// A value as it is shown: without the record of who owns which field, and with nothing secret.
pub(super) fn shown(value: &[u8], is_sensitive: bool, hide: &dyn Fn(&[u8]) -> String) -> Option<Value> {
    let mut object: Value = serde_json::from_slice(value).ok()?;
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    if is_sensitive {
        conceal(&mut object, hide);
    }
    Some(object)
}

/// Puts hashes in the place of values. What the object is called is no secret, but annotations are: `kubectl apply` keeps what it has
/// applied there.
fn conceal(object: &mut Value, hide: &dyn Fn(&[u8]) -> String) {
    for (name, value) in object.as_object_mut().into_iter().flatten() {
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                if let Some(annotations) = value.get_mut("annotations") {
                    conceal_all(annotations, hide);
                }
            }
            _ => conceal_all(value, hide),
        }
    }
}

fn conceal_all(value: &mut Value, hide: &dyn Fn(&[u8]) -> String) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => *value = hide(number.to_string().as_bytes()).into(),
        Value::String(text) => *value = hide(text.as_bytes()).into(),
        Value::Array(items) => items.iter_mut().for_each(|item| conceal_all(item, hide)),
        Value::Object(fields) => fields.values_mut().for_each(|field| conceal_all(field, hide)),
    }
}

#[cfg(test)]
mod tests {
    use orch_store::Key;

    use super::super::record::{Head, Id};
    use super::*;
    use crate::origin::Origin;

    fn record(before: Value, after: Value, is_sensitive: bool) -> Record {
        let head = Head {
            id: Id { revision: 12, number: 3 },
            verb: Verb::Updated,
            key: Key::new("/registry/core/secrets/default/s").unwrap(),
            api_version: "v1".into(),
            kind: "Secret".into(),
            origin: Origin {
                at: 1_767_225_600_123,
                user: "ann".into(),
                reason: "why".into(),
                ..Origin::default()
            },
            is_sensitive,
        };
        let bytes = |value: Value| (!value.is_null()).then(|| value.to_string().into());
        Record { head, before: bytes(before), after: bytes(after) }
    }

    fn hide(value: &[u8]) -> String {
        format!("hidden:{}", value.len())
    }

    #[test]
    fn a_change_says_who_did_what_to_which_object() {
        let object = |data: &str| {
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": data},
                "metadata": {"name": "s", "uid": "u", "managedFields": [{"manager": data}]}})
        };
        let served = served(&record(object("1"), object("2"), false), ("orch.dev/v1", "Change"), &hide);
        let shown = |data: &str| json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": data}, "metadata": {"name": "s", "uid": "u"}});
        assert_eq!(
            served,
            json!({
                "apiVersion": "orch.dev/v1", "kind": "Change",
                "metadata": {"name": "12-3", "creationTimestamp": "2026-01-01T00:00:00Z", "resourceVersion": "12"},
                "revision": 12, "time": "2026-01-01T00:00:00.123000Z", "user": "ann", "reason": "why", "verb": "updated",
                "object": {"apiVersion": "v1", "kind": "Secret", "namespace": "default", "name": "s", "uid": "u"},
                "before": shown("1"), "after": shown("2"),
                "fields": [{"path": "data.a", "before": "1", "after": "2"}],
            })
        );
    }

    #[test]
    fn secret_values_are_never_shown() {
        let object = |data: &str| {
            json!({"apiVersion": "v1", "kind": "Secret", "data": {"a": data, "b": "same"}, "immutable": true,
                "metadata": {"name": "s", "labels": {"l": "shown"}, "annotations": {"applied": data}}})
        };
        let record = record(object("hunter2"), object("hunter22"), true);
        let served = served(&record, ("orch.dev/v1", "Change"), &hide);
        assert!(!served.to_string().contains("hunter") && !served.to_string().contains("same"), "{served}");
        assert_eq!(served["after"]["metadata"]["labels"]["l"], "shown");
        assert_eq!(
            served["fields"],
            json!([
                {"path": "data.a", "before": "hidden:7", "after": "hidden:8"},
                {"path": "metadata.annotations.applied", "before": "hidden:7", "after": "hidden:8"},
            ])
        );
    }
}
