//! [`World`]: what is known of what may be wrong.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Deref;

use jiff::Timestamp;
use orch_api::Object as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Finding;

/// The longest name of which a sentence is made.
const LONGEST_NAME_BYTES: usize = 300;

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
    /// Whether all is well, by what was found in it. Not known if nothing was found, but not all could be read.
    pub fn is_healthy(&self, found: &[Finding]) -> Option<bool> {
        match (found.is_empty(), self.unread.is_empty()) {
            (false, _) => Some(false),
            (true, true) => Some(true),
            (true, false) => None,
        }
    }

    /// Whether it was this object that was asked about.
    pub(crate) fn is_about(&self, object: &Value) -> bool {
        let is = |subject: &Value| (subject.kind(), subject.uid()) == (object.kind(), object.uid());
        self.subject.as_ref().is_some_and(is)
    }
}

/// A world whose events and nodes are found without going through all of them.
pub(crate) struct Index<'w> {
    world: &'w World,
    /// Events by the uid of what they are about, or by its name if they do not say the uid; the latest first.
    by_uid: BTreeMap<&'w str, Vec<&'w Value>>,
    by_name: BTreeMap<&'w str, Vec<&'w Value>>,
    named: BTreeMap<&'w str, &'w Value>,
}

impl<'w> Index<'w> {
    pub(crate) fn of(world: &'w World) -> Self {
        let (mut by_uid, mut by_name) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
        let mut events: Vec<&Value> = world.events.iter().collect();
        events.sort_by_cached_key(|event| Reverse(seen(event)));
        for event in events {
            let involved = &event["involvedObject"];
            match involved.text(&["uid"]) {
                "" => by_name.entry(involved.text(&["name"])).or_default().push(event),
                uid => by_uid.entry(uid).or_default().push(event),
            }
        }
        let named = world.nodes.iter().map(|node| (node.name(), node)).collect();
        Self { world, by_uid, by_name, named }
    }

    /// Events about an object, the latest first.
    pub(crate) fn events_of(&self, object: &Value) -> Vec<&'w Value> {
        let found = [self.by_uid.get(object.uid()), self.by_name.get(object.name())];
        let mut events: Vec<&Value> = found.into_iter().flatten().flatten().copied().collect();
        events.sort_by_cached_key(|event| Reverse(seen(event)));
        events
    }

    /// The last warning about an object.
    pub(crate) fn warning_of(&self, object: &Value) -> Option<&'w Value> {
        self.events_of(object).into_iter().find(|event| event.text(&["type"]) == "Warning")
    }

    /// The node of this name.
    pub(crate) fn node(&self, name: &str) -> Option<&'w Value> {
        self.named.get(name).copied()
    }
}

impl Deref for Index<'_> {
    type Target = World;

    fn deref(&self) -> &World {
        self.world
    }
}

/// When an event was seen last.
pub(crate) fn seen(event: &Value) -> Option<Timestamp> {
    let times = [&["series", "lastObservedTime"][..], &["lastTimestamp"], &["eventTime"]];
    times.into_iter().find_map(|path| event.text(path).parse().ok())
}

/// A name that a sentence is made of. Where names are not checked, anything may stand in place of one, such as a sentence: that stays
/// in the evidence.
pub(crate) fn named(text: &str) -> &str {
    let is_of_names = |c: char| c.is_ascii_alphanumeric() || "._:/@=-".contains(c);
    if is_name(text, is_of_names) { text } else { "(named in the evidence)" }
}

/// Whether a text is what objects are called.
pub(crate) fn is_object_name(text: &str) -> bool {
    is_name(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c))
}

fn is_name(text: &str, is_of_names: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.len() <= LONGEST_NAME_BYTES && text.chars().all(is_of_names)
}

/// `Reason: message`, as far as they are there.
pub(crate) fn said(told: &Value) -> String {
    let words = [told.text(&["reason"]), told.text(&["message"])];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(": ")
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
        let found = Index::of(&world).events_of(&json!({"metadata": {"name": "web", "uid": "1"}}));
        assert_eq!(
            found.iter().map(|event| event.text(&["lastTimestamp"])).collect::<Vec<_>>(),
            [second, first]
        );
    }
}
