//! [`World`]: what is known of what may be wrong.

use jiff::Timestamp;
use orch_api::Object as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What bears on an object, or on the whole cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct World {
    /// The object that was asked about, a pod or a node as well; none: the cluster.
    pub subject: Option<Value>,
    /// Its pods, or all that are not well.
    pub pods: Vec<Value>,
    /// All nodes.
    pub nodes: Vec<Value>,
    /// Events about all of these.
    pub events: Vec<Value>,
    /// Other objects that are looked at for being stuck: owners, namespaces.
    pub others: Vec<Value>,
    /// What pods refer to and is not there.
    pub missing: Vec<Missing>,
    /// What could not be read, and why: what is not known may be the cause.
    pub unread: Vec<String>,
}

/// A reference that leads nowhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Missing {
    /// `ConfigMap` or `Secret`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The keys that are asked for.
    pub keys: Vec<String>,
    /// The pod that refers to it.
    pub pod: String,
}

impl World {
    /// Events about an object, the latest first.
    pub(crate) fn events_of(&self, object: &Value) -> Vec<&Value> {
        let about = |event: &&Value| {
            let involved = &event["involvedObject"];
            match involved.text(&["uid"]) {
                "" => involved.text(&["name"]) == object.name(),
                uid => uid == object.uid(),
            }
        };
        let mut events: Vec<&Value> = self.events.iter().filter(about).collect();
        events.sort_by_key(|event| std::cmp::Reverse(seen(event)));
        events
    }

    /// The node of this name.
    pub(crate) fn node(&self, name: &str) -> Option<&Value> {
        self.nodes.iter().find(|node| node.name() == name)
    }
}

/// When an event was seen last.
pub(crate) fn seen(event: &Value) -> Option<Timestamp> {
    let times = [&["series", "lastObservedTime"][..], &["lastTimestamp"], &["eventTime"]];
    times.into_iter().find_map(|path| event.text(path).parse().ok())
}

/// `Pod shop/web-1`.
pub(crate) fn label(object: &Value) -> String {
    match object.namespace() {
        "" => format!("{} {}", object.kind(), object.name()),
        namespace => format!("{} {namespace}/{}", object.kind(), object.name()),
    }
}

/// The items of a list; none if it is absent.
pub(crate) fn items<'v>(value: &'v Value, path: &[&str]) -> &'v [Value] {
    let found = path.iter().try_fold(value, |value, key| value.get(key));
    found.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// A condition of an object.
pub(crate) fn condition<'v>(object: &'v Value, condition_type: &str) -> Option<&'v Value> {
    items(object, &["status", "conditions"])
        .iter()
        .find(|condition| condition.text(&["type"]) == condition_type)
}

/// An object as a Plan's changes name it.
pub(crate) fn target(object: &Value) -> Value {
    let mut target =
        serde_json::json!({"apiVersion": object.api_version(), "kind": object.kind(), "name": object.name()});
    if !object.namespace().is_empty() {
        target["namespace"] = object.namespace().into();
    }
    target
}

/// What made a pod, as a Plan's changes name it; none of a pod that nobody made.
pub(crate) fn owner(pod: &Value) -> Option<Value> {
    let owner =
        items(pod, &["metadata", "ownerReferences"]).iter().find(|owner| owner["controller"] == true)?;
    let (api_version, kind, name) = (owner.api_version(), owner.kind(), owner.text(&["name"]));
    Some(
        serde_json::json!({"apiVersion": api_version, "kind": kind, "name": name, "namespace": pod.namespace()}),
    )
}

/// A change of the template that a pod was made from; none of a pod that nobody made.
pub(crate) fn template_patch(pod: &Value, spec: Value) -> Vec<Value> {
    let change = |target| {
        let patch = serde_json::json!({"spec": {"template": {"spec": spec}}});
        serde_json::json!({"patch": {"target": target, "type": "strategic", "patch": patch}})
    };
    owner(pod).map(change).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_belong_to_the_object_and_not_to_its_namesake() {
        let event =
            |uid: &str, at: &str| json!({"involvedObject": {"name": "web", "uid": uid}, "lastTimestamp": at});
        let (first, second) = ("2026-06-01T12:00:05Z", "2026-06-01T12:00:05.5Z");
        let events = vec![event("1", first), event("2", "2026-06-01T12:00:05.1Z"), event("1", second)];
        let world = World { events, ..World::default() };
        let found = world.events_of(&json!({"metadata": {"name": "web", "uid": "1"}}));
        assert_eq!(
            found.iter().map(|event| event.text(&["lastTimestamp"])).collect::<Vec<_>>(),
            [second, first]
        );
    }
}
