//! Nodes that are down or run short.

use orch_api::Object as _;
use serde_json::{Value, json};

use crate::world::{condition, items, label, named, said, target};
use crate::{Cause, Finding, World};

pub(crate) fn findings(world: &World) -> Vec<Finding> {
    world.nodes.iter().flat_map(|node| [down(world, node), pressure(world, node)]).flatten().collect()
}

/// Whether a node is known not to be ready. One that has not said anything yet is not.
pub(crate) fn is_down(node: &Value) -> bool {
    condition(node, "Ready").is_some_and(|ready| ready.text(&["status"]) != "True")
}

fn down(world: &World, node: &Value) -> Option<Finding> {
    let ready = condition(node, "Ready").filter(|_| is_down(node))?;
    let name = node.name();
    let since = ready.text(&["lastTransitionTime"]);
    let says = match ready.text(&["status"]) {
        "Unknown" => format!("node {name} does not answer since {since}"),
        _ => format!("node {name} is not ready since {since}"),
    };
    let mut finding = Finding::new(Cause::NodeDown, name, says)
        .because(format!("Node {name} condition Ready"), said(ready))
        .fix(
            format!("bring node {name} back (power, network, `orchd node`), or drain it so that its pods are made elsewhere"),
            vec![json!({"drain": {"node": name}})],
        );
    for pod in pods_on(world, name) {
        finding = finding.affecting(label(pod));
    }
    Some(finding)
}

fn pressure(world: &World, node: &Value) -> Option<Finding> {
    if is_down(node) {
        return None;
    }
    let short = items(node, &["status", "conditions"]).iter().find(|condition| {
        condition.text(&["type"]).ends_with("Pressure") && condition.text(&["status"]) == "True"
    })?;
    let (name, what) = (node.name(), named(short.text(&["type"])));
    let patch = json!({"patch": {"target": target(node), "type": "merge", "patch": {"spec": {"unschedulable": true}}}});
    let mut finding = Finding::new(Cause::NodePressure, name, format!("node {name} has {what}"))
        .because(format!("Node {name} condition {what}"), short.text(&["message"]))
        .fix(format!("free some of it on {name}; meanwhile let no new pods come"), vec![patch]);
    for pod in pods_on(world, name) {
        finding = finding.affecting(label(pod));
    }
    Some(finding)
}

fn pods_on<'w>(world: &'w World, node: &'w str) -> impl Iterator<Item = &'w Value> {
    let phases = ["Succeeded", "Failed"];
    let on = move |pod: &&Value| {
        pod.text(&["spec", "nodeName"]) == node && !phases.contains(&pod.text(&["status", "phase"]))
    };
    world.pods.iter().filter(on)
}
