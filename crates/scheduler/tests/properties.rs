//! What holds of every decision, on random clusters.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;

use orch_ontology::{Node, Pod};
use orch_scheduler::{Snapshot, place, try_node};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

#[derive(Debug, Clone)]
struct Machine {
    cpu_milli: i64,
    pods: i64,
    tainted: bool,
    disk: &'static str,
}

#[derive(Debug, Clone)]
struct Asked {
    cpu_milli: i64,
    tolerant: bool,
    disk: Option<&'static str>,
    owner: u8,
}

fn machine() -> impl Strategy<Value = Machine> {
    let disk = prop_oneof![Just("ssd"), Just("hdd")];
    (0..8000_i64, 0..6_i64, any::<bool>(), disk).prop_map(|(cpu_milli, pods, tainted, disk)| Machine {
        cpu_milli,
        pods,
        tainted,
        disk,
    })
}

fn asked() -> impl Strategy<Value = Asked> {
    let disk = prop_oneof![Just(None), Just(Some("ssd")), Just(Some("hdd"))];
    (0..3000_i64, any::<bool>(), disk, 0..3_u8).prop_map(|(cpu_milli, tolerant, disk, owner)| Asked {
        cpu_milli,
        tolerant,
        disk,
        owner,
    })
}

impl Machine {
    fn node(&self, name: &str) -> Node {
        let taints = if self.tainted { json!([{"key": "t", "effect": "NoSchedule"}]) } else { json!([]) };
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"disk": self.disk}},
            "spec": {"taints": taints},
            "status": {
                "allocatable": {"cpu": format!("{}m", self.cpu_milli), "memory": "1Gi", "pods": self.pods.to_string()},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }))
        .unwrap()
    }

    /// The filters once more, written independently of the scheduler.
    fn takes(&self, asked: &Asked, placed: &[&Asked]) -> bool {
        let used: i64 = placed.iter().map(|asked| asked.cpu_milli).sum();
        (placed.len() as i64) < self.pods
            && (asked.cpu_milli == 0 || used + asked.cpu_milli <= self.cpu_milli)
            && (asked.tolerant || !self.tainted)
            && asked.disk.is_none_or(|disk| disk == self.disk)
    }
}

impl Asked {
    fn pod(&self, uid: &str) -> Arc<Pod> {
        let selector = self.disk.map(|disk| json!({"disk": disk})).unwrap_or_else(|| json!({}));
        let tolerations = if self.tolerant { json!([{"operator": "Exists"}]) } else { json!([]) };
        let owner = format!("owner-{}", self.owner);
        let pod = json!({
            "metadata": {"name": uid, "namespace": "default", "uid": uid, "ownerReferences": [
                {"apiVersion": "orch.dev/v1", "kind": "Workload", "name": owner, "uid": owner, "controller": true}]},
            "spec": {
                "nodeSelector": selector,
                "tolerations": tolerations,
                "containers": [{"name": "c", "resources": {"requests": {"cpu": format!("{}m", self.cpu_milli)}}}],
            },
        });
        Arc::new(serde_json::from_value(pod).unwrap())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_pod_is_placed_where_it_may_run_and_is_placed_if_it_may_run_anywhere(
        machines in vec(machine(), 0..8), pods in vec(asked(), 0..30), leave in vec(any::<bool>(), 30),
    ) {
        let mut snapshot = Snapshot::default();
        for (number, machine) in machines.iter().enumerate() {
            snapshot.set_node(&machine.node(&format!("n{number}")));
        }
        let mut placed: BTreeMap<usize, Vec<(String, &Asked)>> = BTreeMap::new();
        for (number, asked) in pods.iter().enumerate() {
            let uid = format!("p{number}");
            let pod = asked.pod(&uid);
            let on = |node: usize| -> Vec<&Asked> {
                placed.get(&node).into_iter().flatten().map(|(_, asked)| *asked).collect()
            };
            let possible: Vec<usize> =
                (0..machines.len()).filter(|node| machines[*node].takes(asked, &on(*node))).collect();
            let placement = place(&snapshot, &pod);
            for (name, verdict) in placement.verdicts() {
                prop_assert_eq!(verdict.fits(), possible.contains(&name[1..].parse().unwrap()), "{} {:?}", name, verdict);
                prop_assert_eq!(try_node(&snapshot, &pod, name), Some(verdict));
            }
            match &placement.node {
                None => prop_assert!(possible.is_empty()),
                Some(name) => {
                    let node = name[1..].parse().unwrap();
                    prop_assert!(possible.contains(&node));
                    snapshot.assume(&pod, name);
                    placed.entry(node).or_default().push((uid, asked));
                }
            }
            // Now and then the first pod of some node goes.
            if leave[number] && let Some((uid, _)) = placed.values_mut().find(|on| !on.is_empty()).map(|on| on.remove(0)) {
                snapshot.remove_pod(&uid);
            }
        }
    }

    #[test]
    fn the_order_in_which_a_snapshot_is_filled_does_not_matter(
        machines in vec(machine(), 1..8), pods in vec(asked(), 0..10), next in asked(),
    ) {
        let nodes: Vec<_> = machines.iter().enumerate().map(|(n, machine)| machine.node(&format!("n{n}"))).collect();
        let on_nodes: Vec<_> = pods.iter().enumerate()
            .map(|(p, asked)| (asked.pod(&format!("p{p}")), format!("n{}", p % machines.len())))
            .collect();
        let (mut forth, mut back) = (Snapshot::default(), Snapshot::default());
        for node in &nodes { forth.set_node(node); }
        on_nodes.iter().for_each(|(pod, node)| forth.assume(pod, node));
        on_nodes.iter().rev().for_each(|(pod, node)| back.assume(pod, node));
        for node in nodes.iter().rev() { back.set_node(node); }
        prop_assert_eq!(place(&forth, &next.pod("next")).node, place(&back, &next.pod("next")).node);
    }
}
