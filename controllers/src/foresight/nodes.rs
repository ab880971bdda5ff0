//! Pods that a node no longer bears: those of nodes that are gone, and those that do not tolerate a taint.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use orch_api::Resource as _;
use orch_controller_runtime::Plan;
use orch_ontology::{Node, Pod};

use super::future::Future;
use crate::node_lifecycle::evict;
use crate::pod_gc;

/// Pods whose node is gone go with it, as the pod collector decides.
pub(super) fn leave(future: &mut Future) {
    if touched(future).is_empty() && !future.supposes {
        return;
    }
    for (node, pods) in on_nodes(future, |node| !future.nodes.contains_key(node)) {
        for write in pod_gc::plan(&node, &pods).writes {
            future.remove_pod(&write.key(), &format!("its node {node} is gone"));
        }
    }
}

/// Pods go that do not tolerate a taint of their node, as the node controller decides: those whose time there is over at once.
pub(super) fn drive_out(future: &mut Future, now: Timestamp) {
    let touched = touched(future);
    for (name, pods) in on_nodes(future, |node| future.supposes || touched.contains(node)) {
        let Some(node) = future.nodes.get(&name) else { continue };
        let mut plan = Plan::nothing();
        evict(node, &pods, now, &mut plan);
        for write in plan.writes {
            future.remove_pod(&write.key(), &format!("it does not tolerate a taint of its node {name}"));
        }
    }
}

/// The pods that are on some nodes, by node.
fn on_nodes(future: &Future, concerned: impl Fn(&str) -> bool) -> BTreeMap<String, Vec<Arc<Pod>>> {
    let mut pods: BTreeMap<String, Vec<_>> = BTreeMap::new();
    for pod in future.pods.values() {
        if let Some(node) = pod.node_name().filter(|node| concerned(node)) {
            pods.entry(node.to_owned()).or_default().push(pod.clone());
        }
    }
    pods
}

/// The names of the nodes that the changes have touched.
fn touched(future: &Future) -> BTreeSet<String> {
    let all = future.touched.iter().flat_map(|(before, after)| [before, after]).flatten();
    all.filter(|item| item.kind == Node::KIND).map(|item| item.metadata.name.clone()).collect()
}
