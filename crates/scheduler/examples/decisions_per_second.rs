//! How many pods a second are decided: 10,000 pods of 100 owners on 1,000 nodes. Run with `--release`.
#![allow(clippy::unwrap_used, reason = "an example that fails by panicking")]

use std::sync::Arc;
use std::time::Instant;

use orch_ontology::{Node, Pod};
use orch_scheduler::{Snapshot, place};
use serde_json::json;

const NODES: usize = 1_000;
const PODS: usize = 10_000;

fn main() {
    let mut snapshot = Snapshot::default();
    for number in 0..NODES {
        let node: Node = serde_json::from_value(json!({
            "metadata": {"name": format!("node-{number}"), "labels": {"zone": format!("zone-{}", number % 3)}},
            "status": {"allocatable": {"cpu": "32", "memory": "128Gi", "pods": "110"},
                       "conditions": [{"type": "Ready", "status": "True"}]},
        }))
        .unwrap();
        snapshot.set_node(&node);
    }
    let pods: Vec<Arc<Pod>> = (0..PODS).map(pod).collect();
    let started = Instant::now();
    let placed = pods.iter().filter(|pod| {
        let node = place(&snapshot, pod).node;
        node.iter().for_each(|node| snapshot.assume(pod, node));
        node.is_some()
    });
    let placed = placed.count();
    let took = started.elapsed();
    println!(
        "{placed} pods placed on {NODES} nodes in {took:?}: {:.0} pods/s",
        PODS as f64 / took.as_secs_f64()
    );
}

fn pod(number: usize) -> Arc<Pod> {
    let owner = format!("workload-{}", number % 100);
    let pod = json!({
        "metadata": {"name": format!("pod-{number}"), "namespace": "default", "uid": format!("uid-{number}"), "ownerReferences": [
            {"apiVersion": "orch.dev/v1", "kind": "Workload", "name": owner, "uid": owner, "controller": true}]},
        "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}}}]},
    });
    Arc::new(serde_json::from_value(pod).unwrap())
}
