//! Evicting the pods that don't tolerate a taint, when their time is over.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use orch_controller_runtime::{Note, Plan, Write, later};
use orch_ontology::{Node, Pod, Taint, TaintEffect, labels};

use super::{STAY, until};

/// Deletes the pods whose time on the node is over, and plans again for when the next one's is.
pub(crate) fn evict(node: &Node, pods: &[Arc<Pod>], now: Timestamp, plan: &mut Plan) {
    let drives_out = |taint: &&Taint| taint.effect == TaintEffect::NoExecute;
    let taints: Vec<_> = node.spec.taints.iter().filter(drives_out).collect();
    for pod in pods.iter().filter(|pod| !pod.is_terminating() && !pod.is_terminal()) {
        let deadlines = taints.iter().filter_map(|taint| stays_until(pod, taint, now));
        match deadlines.min() {
            None => {}
            Some(deadline) if deadline > now => plan.again_within(until(now, deadline)),
            Some(_) => plan.writes.push(delete(pod)),
        }
    }
}

fn delete(pod: &Pod) -> Write {
    let message = format!("Marking for deletion Pod {}/{}", pod.metadata.namespace(), pod.metadata.name);
    Write::delete(pod).on_success(Note::normal(pod, "TaintManagerEviction", message))
}

/// Until when the pod tolerates the taint; none if for ever.
fn stays_until(pod: &Pod, taint: &Taint, now: Timestamp) -> Option<Timestamp> {
    let added_at = taint.time_added.map_or(now, |at| at.timestamp());
    let tolerations = pod.spec.tolerations.iter().filter(|toleration| toleration.tolerates(taint));
    let limits: Vec<_> = tolerations.map(|toleration| toleration.toleration_seconds).collect();
    if limits.is_empty() {
        return Some(later(added_at, unsaid(taint)));
    }
    // Of several that apply the shortest counts, as in Kubernetes; one without a limit limits nothing.
    let shortest = limits.into_iter().flatten().min()?;
    Some(later(added_at, SignedDuration::from_secs(shortest.max(0))))
}

/// How long a pod stays that says nothing of the taint: a node that is not at work may come back soon.
fn unsaid(taint: &Taint) -> SignedDuration {
    match taint.key.as_str() {
        labels::TAINT_NOT_READY | labels::TAINT_UNREACHABLE => STAY,
        _ => SignedDuration::ZERO,
    }
}
