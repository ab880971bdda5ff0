//! Objects that are being deleted and do not go.

use jiff::{SignedDuration, Timestamp};
use orch_api::Object as _;
use serde_json::{Value, json};

use crate::node::is_down;
use crate::world::{items, label, target};
use crate::{Cause, Finding, World};

/// How much longer than asked for an object may take to go before something is wrong.
const PATIENCE: SignedDuration = SignedDuration::from_secs(10);
/// Finalizers of the API itself, which go by themselves once what they wait for has gone.
const OWN: [&str; 3] = ["foregroundDeletion", "orphan", "kubernetes"];

pub(crate) fn findings(world: &World, now: Timestamp) -> Vec<Finding> {
    let nodes = world.nodes.iter().filter(|_| world.subject.is_none());
    let all = world.subject.iter().chain(&world.others).chain(&world.pods).chain(nodes);
    all.filter_map(|object| stuck(world, object, now)).collect()
}

fn stuck(world: &World, object: &Value, now: Timestamp) -> Option<Finding> {
    let deleted: Timestamp = object.text(&["metadata", "deletionTimestamp"]).parse().ok()?;
    let finalizers: Vec<&str> =
        items(object, &["metadata", "finalizers"]).iter().filter_map(Value::as_str).collect();
    let waits = finalizers.iter().find(|name| !OWN.contains(name)).or(finalizers.first())?;
    if now.duration_since(deleted) < PATIENCE
        || world.node(object.text(&["spec", "nodeName"])).is_some_and(is_down)
    {
        return None;
    }
    let label = label(object);
    let seconds = now.duration_since(deleted).as_secs();
    let says = format!("{label} is being deleted for {seconds} s and waits for the finalizer {waits}");
    let rest: Vec<_> = finalizers.iter().filter(|name| *name != waits).collect();
    let patch = json!({"metadata": {"finalizers": rest, "resourceVersion": object.resource_version()}});
    let change = json!({"patch": {"target": target(object), "type": "merge", "patch": patch}});
    Some(
        Finding::new(Cause::StuckFinalizer, format!("{label} {waits}"), says)
            .because(format!("{label} metadata.finalizers"), finalizers.join(", "))
            .because(format!("{label} metadata.deletionTimestamp"), deleted.to_string())
            .affecting(label)
            .fix(
                format!("see whether the controller that owns {waits} runs and what it waits for; only if it is gone for good, remove the finalizer: what it guards is then not cleaned up"),
                vec![change],
            ),
    )
}
