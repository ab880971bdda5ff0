//! [`Snapshot`]: nodes and what the pods on them ask of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use orch_ontology::{Node, Pod};

use crate::demand::{Amount, Amounts, Demand, HostPort, Weight};
use crate::facts::Facts;
use crate::spread::Counts;

/// Nodes and what the pods on them ask of them. Every change costs the same, however many nodes and pods there are.
///
/// Nodes and pods may come in any order: a pod on a node that is not known (yet) counts as soon as the node is.
#[derive(Default)]
pub struct Snapshot {
    pub(crate) slots: Vec<Slot>,
    /// The facts of the slots' nodes, shared with placements.
    pub(crate) roster: Arc<Vec<Option<Arc<Facts>>>>,
    slot_of: HashMap<String, usize>,
    vacant: Vec<usize>,
    pods: HashMap<String, Placed>,
    pub(crate) counts: Counts,
}

/// What the pods on a node use.
#[derive(Default)]
pub(crate) struct Slot {
    name: String,
    pub(crate) used: Amounts,
    pub(crate) weight: Weight,
    pub(crate) extended: BTreeMap<String, Amount>,
    pub(crate) ports: Vec<HostPort>,
    /// Pods on the node, known or not.
    pods: usize,
}

struct Placed {
    pod: Arc<Pod>,
    slot: usize,
    demand: Demand,
}

impl Snapshot {
    /// Adds a node or replaces what is known of it. Answers whether that makes a difference to decisions: a heartbeat
    /// doesn't.
    pub fn set_node(&mut self, node: &Node) -> bool {
        let slot = self.slot(&node.metadata.name);
        let facts = Some(Arc::new(Facts::of(node)));
        if self.roster[slot] == facts {
            return false;
        }
        Arc::make_mut(&mut self.roster)[slot] = facts;
        true
    }

    /// Removes a node. The pods on it stay known until they are removed.
    pub fn remove_node(&mut self, name: &str) {
        if let Some(&slot) = self.slot_of.get(name) {
            Arc::make_mut(&mut self.roster)[slot] = None;
            self.vacate_unused(slot);
        }
    }

    /// Adds a pod, or replaces what is known of it. One that is on no node or has ended is removed. Answers the node on
    /// which room has become free, if so.
    pub fn set_pod(&mut self, pod: &Arc<Pod>) -> Option<String> {
        let node = pod.spec.node_name.as_str();
        if node.is_empty() || pod.is_terminal() {
            return self.remove_pod(&pod.metadata.uid);
        }
        self.put(pod.clone(), node)
    }

    /// Adds a pod as if it were on the node already.
    pub fn assume(&mut self, pod: &Arc<Pod>, node: &str) {
        self.put(pod.clone(), node);
    }

    /// Removes a pod. Answers the node that it was on.
    pub fn remove_pod(&mut self, uid: &str) -> Option<String> {
        let placed = self.pods.remove(uid)?;
        self.count(&placed, -1);
        let node = self.slots[placed.slot].name.clone();
        self.vacate_unused(placed.slot);
        Some(node)
    }

    /// The names of all nodes, in no particular order.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        self.roster.iter().flatten().map(|facts| facts.name.as_str())
    }

    /// The number of pods on nodes.
    pub fn pod_count(&self) -> usize {
        self.pods.len()
    }

    /// The node that a pod is on.
    pub fn node_of(&self, uid: &str) -> Option<&str> {
        Some(&self.slots[self.pods.get(uid)?.slot].name)
    }

    pub(crate) fn find_slot(&self, node: &str) -> Option<usize> {
        self.slot_of.get(node).copied()
    }

    pub(crate) fn placed_pods(&self) -> impl Iterator<Item = (&Pod, usize)> {
        self.pods.values().map(|placed| (&*placed.pod, placed.slot))
    }

    fn put(&mut self, pod: Arc<Pod>, node: &str) -> Option<String> {
        let slot = self.slot(node);
        let uid = pod.metadata.uid.clone();
        let placed = Placed { demand: Demand::of(&pod), slot, pod };
        // Counted before what it replaces is not any more: what is counted for nobody else would be forgotten in between.
        self.track_selections(&placed.pod);
        self.count(&placed, 1);
        let before = self.pods.remove(&uid);
        before.iter().for_each(|before| self.count(before, -1));
        let differs = |before: &Placed| before.slot != slot || before.demand != placed.demand;
        let freed = before.filter(differs).map(|before| before.slot);
        self.pods.insert(uid, placed);
        let node = freed.map(|slot| self.slots[slot].name.clone());
        freed.into_iter().for_each(|slot| self.vacate_unused(slot));
        node
    }

    /// Pods are counted by the selectors of the pods that are placed: the next one with the same selector finds the counts
    /// ready.
    fn track_selections(&mut self, pod: &Pod) {
        for constraint in &pod.spec.topology_spread_constraints {
            let placed = self.pods.values().map(|placed| (&*placed.pod, placed.slot));
            self.counts.track(pod.metadata.namespace(), constraint, placed);
        }
    }

    fn count(&mut self, placed: &Placed, sign: i8) {
        let Placed { pod, slot, demand } = placed;
        self.slots[*slot].count(demand, sign);
        self.counts.count(pod, *slot, sign);
    }

    fn slot(&mut self, node: &str) -> usize {
        if let Some(&slot) = self.slot_of.get(node) {
            return slot;
        }
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            Arc::make_mut(&mut self.roster).push(None);
            self.slots.len() - 1
        });
        self.slots[slot].name = node.to_owned();
        self.slot_of.insert(node.to_owned(), slot);
        slot
    }

    fn vacate_unused(&mut self, slot: usize) {
        if self.slots[slot].pods == 0 && self.roster[slot].is_none() {
            let vacated = std::mem::take(&mut self.slots[slot]);
            self.slot_of.remove(&vacated.name);
            self.vacant.push(slot);
        }
    }
}

impl Slot {
    fn count(&mut self, demand: &Demand, sign: i8) {
        let factor = Amount::from(sign);
        self.used.add(&demand.amounts, factor);
        self.weight.add(&demand.weight, factor);
        for (name, amount) in &demand.extended {
            let used = self.extended.entry(name.clone()).or_default();
            *used += factor * amount;
            if *used == 0 {
                self.extended.remove(name);
            }
        }
        if sign > 0 {
            self.pods += 1;
            self.ports.extend(demand.ports.iter().cloned());
        } else {
            self.pods -= 1;
            for port in &demand.ports {
                if let Some(at) = self.ports.iter().position(|taken| taken == port) {
                    self.ports.swap_remove(at);
                }
            }
        }
    }
}
