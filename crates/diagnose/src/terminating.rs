//! Objects that are being deleted and do not go.

use jiff::{SignedDuration, Timestamp};
use orch_api::Object as _;
use serde_json::{Value, json};

use crate::node::is_down;
use crate::world::{Index, condition, items, label, named, target};
use crate::{Cause, Finding, World};

/// How much longer than asked for an object may take to go before something is wrong.
const PATIENCE: SignedDuration = SignedDuration::from_secs(10);
/// Finalizers of the API itself, which go by themselves once what they wait for has gone.
const OWN: [&str; 3] = ["foregroundDeletion", "orphan", "kubernetes"];
/// What the controller says that holds a namespace, what is most telling first.
const HOLDS_A_NAMESPACE: [&str; 4] = [
    "NamespaceFinalizersRemaining",
    "NamespaceDeletionContentFailure",
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceContentRemaining",
];

pub(crate) fn findings(world: &Index<'_>, now: Timestamp) -> Vec<Finding> {
    let nodes = world.nodes.iter().filter(|_| world.subject.is_none());
    let all = world.subject.iter().chain(&world.others).chain(&world.pods).chain(nodes);
    all.filter_map(|object| stuck(world, object, now)).collect()
}

fn stuck(world: &Index<'_>, object: &Value, now: Timestamp) -> Option<Finding> {
    let since = deleted(object)?;
    let is_late = |since: Timestamp| now.duration_since(since) >= PATIENCE;
    if !is_late(since) || world.node(object.text(&["spec", "nodeName"])).is_some_and(is_down) {
        return None;
    }
    let finalizers = names(object, &["metadata", "finalizers"]);
    let seconds = now.duration_since(since).as_secs();
    if let Some(waits) = finalizers.iter().find(|name| !OWN.contains(name)) {
        return Some(held(object, seconds, &finalizers, waits));
    }
    if object.kind() == "Pod" && finalizers.is_empty() {
        return Some(not_killed(world, object, seconds));
    }
    // What waits for others may wait for as long as the last of their pods may take.
    if !is_late(last_of(world, object).map_or(since, |last| last.max(since))) {
        return None;
    }
    match object.kind() {
        "Namespace" => held_namespace(object, seconds),
        _ => Some(held_by_dependents(object, seconds, finalizers.first()?)),
    }
}

/// When an object was to be gone: for a pod, the end of its grace.
fn deleted(object: &Value) -> Option<Timestamp> {
    object.text(&["metadata", "deletionTimestamp"]).parse().ok()
}

fn names<'v>(object: &'v Value, path: &[&str]) -> Vec<&'v str> {
    items(object, path).iter().filter_map(Value::as_str).collect()
}

/// When the last of the pods around an object is to be gone.
fn last_of(world: &World, object: &Value) -> Option<Timestamp> {
    let namespace = if object.kind() == "Namespace" { object.name() } else { object.namespace() };
    let pods = world.pods.iter().filter(|pod| pod.namespace() == namespace);
    pods.filter_map(deleted).max()
}

/// The finding of an object that is held, what it is known by, and how long it has been going.
fn finding(object: &Value, waits: &str, seconds: i64, why: &str) -> Finding {
    let label = label(object);
    let says = format!("{label} is being deleted for {seconds} s and {why}");
    Finding::new(Cause::StuckFinalizer, format!("{label} {waits}"), says).because(
        format!("{label} metadata.deletionTimestamp"),
        object.text(&["metadata", "deletionTimestamp"]),
    )
}

/// A pod whose grace is over and whom nothing holds but its node, which has not ended it.
fn not_killed(world: &Index<'_>, pod: &Value, seconds: i64) -> Finding {
    let (label, node) = (label(pod), pod.text(&["spec", "nodeName"]));
    let why =
        if node.is_empty() { "is still there".to_owned() } else { format!("node {node} has not ended it") };
    let says = format!("{label} should have been gone for {seconds} s, and {why}");
    let finding = Finding::new(Cause::KillFailed, label.clone(), says)
        .because(format!("{label} metadata.deletionTimestamp"), pod.text(&["metadata", "deletionTimestamp"]));
    let finding = match world.warning_of(pod) {
        Some(event) => {
            finding.because(format!("Event {}", event.text(&["reason"])), event.text(&["message"]))
        }
        None => finding,
    };
    finding.affecting(label).fix(
        "see whether the node's agent and its container runtime work; what the containers wait for (a disk, a mount) may hold them",
        Vec::new(),
    )
}

/// An object with a finalizer that somebody else has to remove.
fn held(object: &Value, seconds: i64, finalizers: &[&str], waits: &str) -> Finding {
    let rest: Vec<_> = finalizers.iter().filter(|name| **name != waits).collect();
    let patch = json!({"metadata": {"finalizers": rest, "resourceVersion": object.resource_version()}});
    let change = json!({"patch": {"target": target(object), "type": "merge", "patch": patch}});
    finding(object, waits, seconds, &format!("waits for the finalizer {}", named(waits)))
        .because(format!("{} metadata.finalizers", label(object)), finalizers.join(", "))
        .affecting(label(object))
        .fix(
            format!("see whether the controller that owns {} runs and what it waits for; only if it is gone for good, remove the finalizer: what it guards is then not cleaned up", named(waits)),
            vec![change],
        )
}

/// An object that waits for what it owns. Its finalizer is the API's own: without it, what it owns would be left behind.
fn held_by_dependents(object: &Value, seconds: i64, waits: &str) -> Finding {
    finding(object, waits, seconds, "waits for what it owns to go")
        .because(format!("{} metadata.finalizers", label(object)), waits)
        .affecting(label(object))
        .fix(
            format!(
                "find what {} owns (`ownerReferences`) and diagnose that: it may be held itself",
                label(object)
            ),
            Vec::new(),
        )
}

/// A namespace that something in it holds, or that somebody holds by `spec.finalizers`.
fn held_namespace(namespace: &Value, seconds: i64) -> Option<Finding> {
    let label = label(namespace);
    let holds: Vec<(&str, &str)> = HOLDS_A_NAMESPACE
        .into_iter()
        .filter_map(|name| Some((name, held_because(namespace, name)?)))
        .collect();
    let finalizers = names(namespace, &["spec", "finalizers"]);
    if holds.is_empty() {
        let waits = *finalizers.iter().find(|name| !OWN.contains(name)).or(finalizers.first())?;
        return Some(
            finding(namespace, waits, seconds, &format!("waits for {} in spec.finalizers", named(waits)))
                .because(format!("{label} spec.finalizers"), finalizers.join(", "))
                .affecting(label)
                .fix(
                    format!(
                        "see whether the controller that owns {} runs and what it waits for",
                        named(waits)
                    ),
                    vec![],
                ),
        );
    }
    let mut finding = finding(namespace, "", seconds, "is not empty");
    for (name, message) in holds {
        finding = finding.because(format!("{label} condition {name}"), message);
    }
    Some(finding.affecting(label).fix(
        "list what is left of the kinds that the evidence names, and diagnose it: it goes once whoever owns its finalizers has removed them",
        Vec::new(),
    ))
}

/// What a condition of a namespace says, if it is so. Finalizers of the API itself hold nothing.
fn held_because<'v>(namespace: &'v Value, name: &str) -> Option<&'v str> {
    let condition = condition(namespace, name).filter(|condition| condition.text(&["status"]) == "True")?;
    let message = condition.text(&["message"]);
    let is_own =
        |list: &str| list.split(", ").all(|name| OWN.contains(&name.split(' ').next().unwrap_or(name)));
    let list = message.rsplit_once("remaining: ").map(|(_, list)| list);
    (name != "NamespaceFinalizersRemaining" || !list.is_some_and(is_own)).then_some(message)
}
