//! [`place`]: one decision.

use std::sync::Arc;

use orch_ontology::Pod;

use crate::Snapshot;
use crate::demand::Demand;
use crate::facts::{Facts, hash, mix};
use crate::filter::FILTERS;
use crate::score::score;
use crate::snapshot::Slot;
use crate::spread::{Constraint, Siblings};
use crate::verdict::{Verdict, explain};

/// Where a pod goes, and what was made of every node. Owns what it needs to explain itself later.
pub struct Placement {
    /// The node; none if the pod fits nowhere.
    pub node: Option<String>,
    roster: Arc<Vec<Option<Arc<Facts>>>>,
    verdicts: Box<[Verdict]>,
    demand: Demand,
}

/// Decides where a pod goes: the node with the best score of those that pass every filter; among equals, one that depends on
/// the pod's uid, so that equal pods don't all prefer the same node.
///
/// Cost: linear in the number of nodes, some ten nanoseconds each. A topology spread constraint that no pod on a node shares
/// costs a walk over all pods once.
pub fn place(snapshot: &Snapshot, pod: &Pod) -> Placement {
    let view = View::new(snapshot, pod);
    let seed = hash(pod.metadata.uid.as_bytes());
    let mut best: Option<(f64, u64, &Facts)> = None;
    let mut verdicts = Vec::with_capacity(snapshot.roster.len());
    for (index, facts) in snapshot.roster.iter().enumerate() {
        let Some(facts) = facts.as_deref() else {
            verdicts.push(Verdict::Absent);
            continue;
        };
        let candidate = Candidate { index, facts, slot: &snapshot.slots[index] };
        verdicts.push(view.objection(&candidate).unwrap_or_else(|| {
            let (score, luck) = (score(&view, &candidate), mix(seed ^ facts.salt));
            if best.is_none_or(|(best, best_luck, _)| (score, luck) > (best, best_luck)) {
                best = Some((score, luck, facts));
            }
            Verdict::Fits { score: percent(score) }
        }));
    }
    let node = best.map(|(_, _, facts)| facts.name.clone());
    let verdicts = verdicts.into_boxed_slice();
    Placement { node, roster: snapshot.roster.clone(), verdicts, demand: view.demand }
}

/// What [`place`] would make of one node. None if there is no such node.
pub fn try_node(snapshot: &Snapshot, pod: &Pod, node: &str) -> Option<Verdict> {
    let index = snapshot.find_slot(node)?;
    let facts = snapshot.roster[index].as_deref()?;
    let view = View::new(snapshot, pod);
    let candidate = Candidate { index, facts, slot: &snapshot.slots[index] };
    let fits = || Verdict::Fits { score: percent(score(&view, &candidate)) };
    Some(view.objection(&candidate).unwrap_or_else(fits))
}

/// A pod and all that a decision about it needs, worked out once.
pub(crate) struct View<'a> {
    pub(crate) pod: &'a Pod,
    pub(crate) demand: Demand,
    pub(crate) siblings: Siblings,
    pub(crate) constraints: Vec<Constraint<'a>>,
}

/// A node that is looked at.
pub(crate) struct Candidate<'a> {
    pub(crate) index: usize,
    pub(crate) facts: &'a Facts,
    pub(crate) slot: &'a Slot,
}

impl<'a> View<'a> {
    fn new(snapshot: &'a Snapshot, pod: &'a Pod) -> Self {
        Self {
            pod,
            demand: Demand::of(pod),
            siblings: Siblings::of(pod, snapshot),
            constraints: Constraint::of(pod, snapshot, |facts| selects(pod, facts)),
        }
    }

    fn objection(&self, node: &Candidate<'_>) -> Option<Verdict> {
        FILTERS.iter().find_map(|filter| filter(self, node))
    }

    pub(crate) fn selects(&self, facts: &Facts) -> bool {
        selects(self.pod, facts)
    }
}

/// Whether the node carries the labels that the pod asks for.
fn selects(pod: &Pod, facts: &Facts) -> bool {
    pod.spec.node_selector.iter().all(|(key, value)| facts.labels.get(key) == Some(value))
}

impl Placement {
    /// What was made of each node, by name.
    pub fn verdicts(&self) -> impl Iterator<Item = (&str, Verdict)> {
        self.judged().map(|(facts, verdict)| (facts.name.as_str(), verdict))
    }

    /// Why the pod fits nowhere, in kube-scheduler's words: `0/3 nodes are available: 3 Insufficient cpu.`
    pub fn message(&self) -> String {
        explain(self.judged(), &self.demand)
    }

    /// What was made of each node, in words, by name. A node that the pod fits on has no reasons against it.
    pub fn reasons(&self) -> impl Iterator<Item = (&str, Vec<String>)> {
        self.judged().map(|(facts, verdict)| (facts.name.as_str(), verdict.reasons(facts, &self.demand)))
    }

    fn judged(&self) -> impl Iterator<Item = (&Facts, Verdict)> {
        let nodes = self.roster.iter().zip(&self.verdicts);
        nodes.filter_map(|(facts, verdict)| Some((facts.as_deref()?, *verdict)))
    }
}

fn percent(score: f64) -> u8 {
    (score * 100.0).clamp(0.0, 100.0) as u8
}
