//! Whether a node is at work, and how that is told: conditions, taints, and the readiness of its pods.

use std::time::Duration;

use jiff::Timestamp;
use orch_api::{ConditionStatus, Conditions, Time};
use orch_controller_runtime::{Note, Write};
use orch_ontology::{Node, NodeCondition, Pod, PodCondition, Taint, TaintEffect, labels};
use serde_json::json;

use super::{GRACE, World, until};

/// The conditions that only the node itself can know.
const OWN: [&str; 4] = [Node::READY, "MemoryPressure", "DiskPressure", "PIDPressure"];

/// The shortages that keep new pods away, and the taints that do.
const SHORTAGES: [(&str, &str); 3] = [
    ("MemoryPressure", labels::TAINT_MEMORY_PRESSURE),
    ("DiskPressure", labels::TAINT_DISK_PRESSURE),
    ("PIDPressure", labels::TAINT_PID_PRESSURE),
];

/// Whether a node is at work.
pub(super) struct Health {
    /// What the Ready condition says, or has to say now.
    ready: ConditionStatus,
    /// The node's conditions if they have to change.
    conditions: Option<Vec<NodeCondition>>,
    overdue_at: Timestamp,
}

impl Health {
    pub(super) fn of(world: &World, now: Timestamp) -> Self {
        let said = world.node.status.conditions.of_type(Node::READY).map(|ready| ready.status);
        let overdue_at = world.heard_at + GRACE;
        if now < overdue_at || said == Some(ConditionStatus::Unknown) {
            return Self { ready: said.unwrap_or(ConditionStatus::Unknown), conditions: None, overdue_at };
        }
        Self {
            ready: ConditionStatus::Unknown,
            conditions: Some(unknown(&world.node, now.into())),
            overdue_at,
        }
    }

    /// The write that says that nothing is known of the node.
    pub(super) fn report(&self, node: &Node) -> Option<Write> {
        let conditions = self.conditions.as_ref()?;
        Some(Write::merge_status(node, json!({"conditions": conditions})))
    }

    /// When the node will be overdue if nothing is heard of it.
    pub(super) fn next_change(&self, now: Timestamp) -> Option<Duration> {
        (now < self.overdue_at).then(|| until(now, self.overdue_at))
    }

    pub(super) fn news(&self, node: &Node) -> Option<Note> {
        let message = format!("Node {} status is now: NodeNotReady", node.metadata.name);
        self.conditions.as_ref().map(|_| Note::normal(node, "NodeNotReady", message))
    }
}

fn unknown(node: &Node, now: Time) -> Vec<NodeCondition> {
    let mut conditions = node.status.conditions.clone();
    for name in OWN {
        let (reason, message) = match conditions.of_type(name) {
            Some(_) => ("NodeStatusUnknown", "Kubelet stopped posting node status."),
            None => ("NodeStatusNeverUpdated", "Kubelet never posted node status."),
        };
        let beat = conditions.of_type(name).and_then(|condition| condition.last_heartbeat_time);
        let condition = NodeCondition::new(name, ConditionStatus::Unknown, reason, message, now);
        conditions.put(NodeCondition { last_heartbeat_time: beat, ..condition });
    }
    conditions
}

/// The write that makes the node's taints tell how it fares, and since when they drive pods out; none if they do. Otherwise taints of
/// others are left alone.
pub(super) fn set_taints(world: &World, health: &Health, now: Timestamp) -> Option<Write> {
    let (node, present) = (&world.node, &world.node.spec.taints);
    let wanted = wanted_taints(node, health.ready);
    let same = |a: &Taint, b: &Taint| a.key == b.key && a.effect == b.effect;
    let ours = |taint: &&Taint| is_ours(&taint.key);
    let missing: Vec<_> =
        wanted.iter().filter(|taint| !present.iter().any(|other| same(taint, other))).collect();
    let stale = present.iter().filter(ours).any(|taint| !wanted.iter().any(|other| same(taint, other)));
    if missing.is_empty() && !stale && !present.iter().any(is_undated) {
        return None;
    }
    let kept =
        present.iter().filter(|taint| !is_ours(&taint.key) || wanted.iter().any(|other| same(taint, other)));
    let taints: Vec<_> = kept.chain(missing).map(|taint| dated(taint, now)).collect();
    // The list is replaced as a whole, so nobody may have touched it meanwhile.
    let patch =
        json!({"metadata": {"resourceVersion": node.metadata.resource_version}, "spec": {"taints": taints}});
    Some(Write::merge(node, patch))
}

/// Nobody would know when the time of those who tolerate it for a while is over. kubectl, for one, makes taints like that.
fn is_undated(taint: &Taint) -> bool {
    taint.effect == TaintEffect::NoExecute && taint.time_added.is_none()
}

fn dated(taint: &Taint, now: Timestamp) -> Taint {
    let time_added = if is_undated(taint) { Some(now.into()) } else { taint.time_added };
    Taint { time_added, ..taint.clone() }
}

fn is_ours(key: &str) -> bool {
    [labels::TAINT_NOT_READY, labels::TAINT_UNREACHABLE, labels::TAINT_UNSCHEDULABLE].contains(&key)
        || SHORTAGES.iter().any(|(_, taint)| *taint == key)
}

fn wanted_taints(node: &Node, ready: ConditionStatus) -> Vec<Taint> {
    let taint = |key: &str, effect| Taint { key: key.to_owned(), effect, ..Taint::default() };
    let both = |key| vec![taint(key, TaintEffect::NoSchedule), taint(key, TaintEffect::NoExecute)];
    let mut wanted = match ready {
        ConditionStatus::True => Vec::new(),
        ConditionStatus::False => both(labels::TAINT_NOT_READY),
        ConditionStatus::Unknown if node.status.conditions.of_type(Node::READY).is_some() => {
            both(labels::TAINT_UNREACHABLE)
        }
        // Nothing has been heard of it yet: it is just registering, and the scheduler keeps off it as it is. A taint now would
        // be taken away in the next moment.
        ConditionStatus::Unknown => Vec::new(),
    };
    let conditions = &node.status.conditions;
    let short = SHORTAGES.iter().filter(|(condition, _)| conditions.is_true(condition));
    wanted.extend(short.map(|(_, key)| taint(key, TaintEffect::NoSchedule)));
    if node.spec.unschedulable {
        wanted.push(taint(labels::TAINT_UNSCHEDULABLE, TaintEffect::NoSchedule));
    }
    wanted
}

/// The pods of a node that is not at work are not ready, whatever they said last. What a node says of a pod after it has said that
/// it is not ready itself stands: it knows better, and the two would go on contradicting each other.
pub(super) fn mark_pods(world: &World, health: &Health, now: Timestamp) -> Vec<Write> {
    let since = match health.ready {
        ConditionStatus::True => return Vec::new(),
        ConditionStatus::False => {
            world.node.status.conditions.of_type(Node::READY).and_then(|ready| ready.last_transition_time)
        }
        // Nothing is heard of it.
        ConditionStatus::Unknown => None,
    };
    // Both times are by the node's clock.
    let is_news = |pod: &Pod| {
        let at = pod.status.conditions.of_type(Pod::READY).and_then(|ready| ready.last_transition_time);
        since.is_none_or(|since| at.is_none_or(|at| at <= since))
    };
    let ready = |pod: &&std::sync::Arc<Pod>| pod.is_ready() && !pod.is_terminating() && is_news(pod);
    world.pods.iter().filter(ready).map(|pod| mark(pod, now.into())).collect()
}

fn mark(pod: &Pod, now: Time) -> Write {
    let mut conditions = pod.status.conditions.clone();
    conditions.put(PodCondition::new(Pod::READY, false, "NodeNotReady", "Node is not ready", now));
    Write::merge_status(pod, json!({"conditions": conditions}))
}
