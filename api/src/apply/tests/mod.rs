//! One [`World`]: an object, its schema and a clock, written to by managers in turn.

mod field_sets;
mod merging;
mod ownership;
mod properties;

use std::sync::Arc;

use serde_json::{Value, json};

use super::managers::Managers;
use super::{Applied, ApplyError, FieldSet, Path, Writer, apply, update};
use crate::Time;
use crate::schema::Schema;

/// Every way of merging in one kind.
fn schema() -> Arc<Schema> {
    Schema::compile(&json!({
        "type": "object",
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object", "properties": {
                "name": {"type": "string"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
                "finalizers": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
                "resourceVersion": {"type": "string"},
                "managedFields": {"type": "array", "items": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }},
            "spec": {"type": "object", "properties": {
                "replicas": {"type": ["integer", "null"]},
                "paused": {"type": "boolean"},
                "selector": {"type": "object", "x-kubernetes-map-type": "atomic",
                    "additionalProperties": {"type": "string"}},
                "args": {"type": "array", "items": {"type": "string"}},
                "strategy": {"type": "object", "properties": {
                    "type": {"type": "string"}, "surge": {"x-kubernetes-int-or-string": true}}},
                "containers": {
                    "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                    "items": {"type": "object", "required": ["name"], "properties": {
                        "name": {"type": "string"},
                        "image": {"type": "string"},
                        "command": {"type": "array", "items": {"type": "string"}},
                        "limits": {"type": "object", "additionalProperties": {"type": "string"}},
                        "ports": {
                            "type": "array", "x-kubernetes-list-type": "map",
                            "x-kubernetes-list-map-keys": ["port", "protocol"],
                            "items": {"type": "object", "properties": {
                                "port": {"type": "integer"},
                                "protocol": {"type": "string", "default": "TCP"},
                                "name": {"type": "string"},
                            }},
                        },
                    }},
                },
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            }},
            "status": {"type": "object", "properties": {"ready": {"type": "integer"}}},
        },
    }))
    .unwrap()
}

struct World {
    schema: Arc<Schema>,
    live: Option<Value>,
    seconds: i64,
    subresource: &'static str,
    reset: FieldSet,
}

impl World {
    fn new() -> Self {
        let reset = FieldSet::of([Path::fields(["status"])]);
        Self { schema: schema(), live: None, seconds: 0, subresource: "", reset }
    }

    fn writer<'a>(&'a self, manager: &'a str) -> Writer<'a> {
        let now = Time::new(jiff::Timestamp::from_second(self.seconds).unwrap());
        Writer { manager, api_version: "v1", subresource: self.subresource, now, reset: &self.reset }
    }

    fn try_apply(&mut self, manager: &str, body: Value, force: bool) -> Result<Applied, ApplyError> {
        self.seconds += 1;
        let outcome = apply(&self.schema, self.live.as_ref(), &complete(body), &self.writer(manager), force)?;
        self.live = Some(outcome.object.clone());
        Ok(outcome)
    }

    fn apply(&mut self, manager: &str, body: Value) -> &mut Self {
        self.try_apply(manager, body, false).unwrap_or_else(|e| panic!("{e}"));
        self
    }

    fn force(&mut self, manager: &str, body: Value) -> &mut Self {
        self.try_apply(manager, body, true).unwrap_or_else(|e| panic!("{e}"));
        self
    }

    fn conflict(&mut self, manager: &str, body: Value) -> String {
        let error = self.try_apply(manager, body, false).unwrap_err();
        assert_eq!(error.code(), 409);
        error.to_string()
    }

    /// Writes the whole object, as a client does that has read it before.
    fn put(&mut self, manager: &str, body: Value) -> &mut Self {
        self.seconds += 1;
        let new = complete(body);
        self.live = Some(update(&self.schema, self.live.as_ref(), new, &self.writer(manager)));
        self
    }

    /// The object without apiVersion, kind, and the record.
    fn body(&self) -> Value {
        let mut live = self.live.clone().unwrap_or_default();
        live["metadata"].as_object_mut().unwrap().remove("managedFields");
        let live = live.as_object_mut().unwrap();
        live.remove("apiVersion");
        live.remove("kind");
        if live["metadata"] == json!({}) {
            live.remove("metadata");
        }
        Value::Object(live.clone())
    }

    /// The paths that a manager owns, by whatever operation.
    fn owned(&self, manager: &str) -> Vec<String> {
        let managers = Managers::decode(self.live.as_ref().unwrap()).unwrap();
        let own = managers.0.iter().filter(|(m, _)| m.name == manager);
        own.flat_map(|(_, owned)| owned.fields.paths()).map(|path| path.to_string()).collect()
    }

    /// `manager operation subresource time` of every entry, in the order of the record.
    fn entries(&self) -> Vec<String> {
        let entries = self.live.as_ref().unwrap()["metadata"]["managedFields"].as_array().cloned();
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or("-").to_owned();
        let second = |entry: &Value| text(entry, "time").trim_start_matches("1970-01-01T00:").to_owned();
        entries
            .unwrap_or_default()
            .iter()
            .map(|e| {
                format!(
                    "{} {} {} {}",
                    text(e, "manager"),
                    text(e, "operation"),
                    text(e, "subresource"),
                    second(e)
                )
            })
            .collect()
    }
}

fn complete(body: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "Widget"});
    for (name, value) in body.as_object().unwrap() {
        object[name] = value.clone();
    }
    object
}
