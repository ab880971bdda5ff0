//! Why a pod is placed nowhere: which of the nodes would do but for one thing, and what that is.

use orch_api::{Object as _, Quantity};
use serde_json::{Value, json};

use crate::node::is_down;
use crate::world::{condition, items, label, named, target, template_patch};
use crate::{Cause, Finding, World};

/// The finding of a pod that the scheduler has placed nowhere.
pub(crate) fn finding(world: &World, pod: &Value) -> Option<Finding> {
    let scheduled =
        condition(pod, "PodScheduled").filter(|scheduled| scheduled.text(&["status"]) == "False")?;
    let said = scheduled.text(&["message"]);
    let finding = selected(world, pod).unwrap_or_else(|| {
        let fit: Vec<&Value> = world.nodes.iter().filter(|node| matches(node, pod)).collect();
        tainted(pod, &fit).or_else(|| too_full(pod, &fit, said)).unwrap_or_else(|| unplaceable(pod, said))
    });
    Some(finding.because(format!("{} condition PodScheduled", label(pod)), said).affecting(label(pod)))
}

/// Labels that no node has.
fn selected(world: &World, pod: &Value) -> Option<Finding> {
    if world.nodes.is_empty() || world.nodes.iter().any(|node| matches(node, pod)) {
        return None;
    }
    let selector = pod["spec"]["nodeSelector"].as_object();
    let wanted: Vec<String> = selector
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    let are_labels = wanted.iter().all(|wanted| named(wanted) == wanted);
    let evidence = wanted.join(", ");
    let wanted: Vec<&str> = wanted.iter().map(|wanted| named(wanted)).collect();
    let wanted =
        if wanted.is_empty() { "the labels of its node affinity".to_owned() } else { wanted.join(", ") };
    let evidence = if evidence.is_empty() { wanted.clone() } else { evidence };
    let nearest = world.nodes.iter().find(|node| !is_down(node)).or(world.nodes.first())?;
    let labels = json!({"metadata": {"labels": pod["spec"]["nodeSelector"]}});
    let change = json!({"patch": {"target": target(nearest), "type": "merge", "patch": labels}});
    let says = format!(
        "{} asks for a node with {wanted}, and none of {} has that",
        label(pod),
        nodes(world.nodes.len())
    );
    Some(
        Finding::new(Cause::SelectorMatchesNothing, wanted, says)
            .because(format!("{} spec.nodeSelector", label(pod)), evidence)
            .fix(
                format!("label a node that is meant (such as {}), or correct the selector", nearest.name()),
                if selector.is_some() && are_labels { vec![change] } else { Vec::new() },
            ),
    )
}

/// Nodes that would do, and do not take the pod for their taints or because they take none.
fn tainted(pod: &Value, fit: &[&Value]) -> Option<Finding> {
    let open: Vec<_> = fit.iter().filter(|node| barrier(node, pod).is_none() && !is_cordoned(node)).collect();
    if fit.is_empty() || !open.is_empty() {
        return None;
    }
    if let Some(node) = fit.iter().find(|node| is_cordoned(node)) {
        let patch = json!({"patch": {"target": target(node), "type": "merge", "patch": {"spec": {"unschedulable": false}}}});
        let says = format!(
            "{} would fit on node {}, which takes no new pods (it is cordoned)",
            label(pod),
            node.name()
        );
        return Some(
            Finding::new(Cause::Cordoned, node.name(), says)
                .because(format!("Node {} spec.unschedulable", node.name()), "true")
                .fix(format!("let node {} take pods again", node.name()), vec![patch]),
        );
    }
    let (node, taint) = fit.iter().find_map(|node| Some((node, barrier(node, pod)?)))?;
    let (key, value, effect) = (taint.text(&["key"]), taint.text(&["value"]), taint.text(&["effect"]));
    let text = if value.is_empty() { format!("{key}:{effect}") } else { format!("{key}={value}:{effect}") };
    let cause = if is_down(node) { Cause::NodeDown } else { Cause::Taint };
    let mut toleration = json!({"key": key, "operator": "Exists", "effect": effect});
    if !value.is_empty() {
        toleration = json!({"key": key, "operator": "Equal", "value": value, "effect": effect});
    }
    let all: Vec<Value> = items(pod, &["spec", "tolerations"])
        .iter()
        .filter(|known| is_own(known))
        .cloned()
        .chain([toleration])
        .collect();
    let key = if is_down(node) { node.name().to_owned() } else { text.clone() };
    let says = format!("{} does not tolerate the taint {text} of {}", label(pod), nodes(fit.len()));
    Some(
        Finding::new(cause, key, says)
            .because(format!("Node {} spec.taints", node.name()), text.clone())
            .fix(
                format!(
                    "tolerate {text} if the pod is meant for such nodes, or take the taint away from a node"
                ),
                template_patch(pod, json!({"tolerations": all})),
            ),
    )
}

/// Whether a toleration was written by somebody, rather than put in by the server for nodes that go away for a while.
fn is_own(toleration: &Value) -> bool {
    let of_server = |key: &&str| {
        *toleration
            == json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
    };
    !["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"].iter().any(of_server)
}

/// Too little of something on every node that would do.
fn too_full(pod: &Value, fit: &[&Value], said: &str) -> Option<Finding> {
    let missing = ["cpu", "memory", "ephemeral-storage"]
        .into_iter()
        .find(|what| said.contains(&format!("Insufficient {what}")));
    let open = fit.iter().filter(|node| barrier(node, pod).is_none() && !is_cordoned(node));
    let Some(what) = missing else {
        let other =
            said.split("Insufficient ").nth(1).map(|rest| rest.split([',', '.']).next().unwrap_or_default());
        let what = other.map(named).or(said.contains("Too many pods").then_some("room for pods"))?;
        let says = format!("no node that would do for {} has {what} left", label(pod));
        return Some(
            Finding::new(Cause::NoCapacity, what, says)
                .fix("add a node, or remove pods that are not needed", Vec::new()),
        );
    };
    let asked = requested(pod, what);
    let largest = open.max_by_key(|node| allocatable(node, what).milli());
    let most = largest.map(|node| allocatable(node, what));
    let is_too_much = most.is_some_and(|most| asked.milli() > most.milli());
    let says = match (largest, most) {
        (Some(largest), Some(most)) if is_too_much => format!(
            "{} asks for {asked} {what}; the largest node that would do ({}) has {most} in all",
            label(pod),
            largest.name()
        ),
        (Some(_), _) => format!(
            "{} asks for {asked} {what}, which is not left on any of {}",
            label(pod),
            nodes(fit.len())
        ),
        // Nodes may not be read. What the scheduler says of them does.
        (None, _) => format!("{} asks for {asked} {what}, which no node has left for it", label(pod)),
    };
    let say = match is_too_much {
        true => format!("ask for no more {what} than a node has, or add a larger node"),
        false => format!("add a node, ask for less {what}, or remove pods that are not needed"),
    };
    let mut finding = Finding::new(Cause::NoCapacity, what, says)
        .because(format!("{} requests", label(pod)), format!("{what}: {asked}"));
    if let (Some(largest), Some(most)) = (largest, most) {
        finding = finding.because(format!("Node {} allocatable", largest.name()), format!("{what}: {most}"));
    }
    Some(finding.fix(say, Vec::new()))
}

fn unplaceable(pod: &Value, said: &str) -> Finding {
    Finding::new(Cause::Unplaceable, said, format!("{} is placed nowhere", label(pod)))
        .fix("see what each node lacks in the evidence, and change the pod or add a node", Vec::new())
}

fn nodes(count: usize) -> String {
    if count == 1 { "the only node".to_owned() } else { format!("{count} nodes") }
}

fn is_cordoned(node: &Value) -> bool {
    node["spec"]["unschedulable"] == true
}

/// Whether a node has the labels that a pod asks for: those of its selector and, of its affinity, the required terms.
fn matches(node: &Value, pod: &Value) -> bool {
    let label_of = |key: &str| node["metadata"]["labels"].get(key).and_then(Value::as_str);
    let selector = pod["spec"]["nodeSelector"].as_object();
    let selected = selector.into_iter().flatten().all(|(key, value)| label_of(key) == value.as_str());
    let path = [
        "spec",
        "affinity",
        "nodeAffinity",
        "requiredDuringSchedulingIgnoredDuringExecution",
        "nodeSelectorTerms",
    ];
    let terms = items(pod, &path);
    let term = |term: &Value| {
        items(term, &["matchExpressions"])
            .iter()
            .all(|wanted| expressed(wanted, label_of(wanted.text(&["key"]))))
    };
    selected && (terms.is_empty() || terms.iter().any(term))
}

fn expressed(wanted: &Value, label: Option<&str>) -> bool {
    let among = || items(wanted, &["values"]).iter().any(|value| value.as_str() == label && label.is_some());
    match wanted.text(&["operator"]) {
        "In" => among(),
        "NotIn" => !among(),
        "Exists" => label.is_some(),
        "DoesNotExist" => label.is_none(),
        // Numbers are compared by the scheduler alone: a guess here would blame the wrong thing.
        _ => true,
    }
}

/// The first taint of a node that keeps a pod away.
fn barrier<'n>(node: &'n Value, pod: &Value) -> Option<&'n Value> {
    let tolerations = items(pod, &["spec", "tolerations"]);
    items(node, &["spec", "taints"]).iter().find(|taint| {
        // A cordoned node is said to be cordoned.
        matches!(taint.text(&["effect"]), "NoSchedule" | "NoExecute")
            && taint.text(&["key"]) != "node.kubernetes.io/unschedulable"
            && !tolerations.iter().any(|toleration| tolerates(toleration, taint))
    })
}

fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let (key, effect) = (toleration.text(&["key"]), toleration.text(&["effect"]));
    let exists = toleration.text(&["operator"]) == "Exists";
    (effect.is_empty() || effect == taint.text(&["effect"]))
        && (key == taint.text(&["key"]) || (key.is_empty() && exists))
        && (exists || toleration.text(&["value"]) == taint.text(&["value"]))
}

fn requested(pod: &Value, what: &str) -> Quantity {
    let one = |container: &Value| quantity(container["resources"]["requests"].text(&[what]));
    let containers = items(pod, &["spec", "containers"]).iter().map(one);
    let together = containers.fold(Quantity::default(), |sum, one| sum.checked_add(one).unwrap_or(sum));
    let largest = items(pod, &["spec", "initContainers"]).iter().map(one).max_by_key(|one| one.milli());
    largest.filter(|largest| largest.milli() > together.milli()).unwrap_or(together)
}

fn allocatable(node: &Value, what: &str) -> Quantity {
    quantity(node["status"]["allocatable"].text(&[what]))
}

fn quantity(text: &str) -> Quantity {
    text.parse().unwrap_or_default()
}
