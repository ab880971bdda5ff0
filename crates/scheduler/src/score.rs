//! The scores: which of the nodes that a pod can run on is best.

use orch_ontology::{Taint, TaintEffect};

use crate::demand::Amount;
use crate::facts::tolerated;
use crate::place::{Candidate, View};

type Score = fn(&View<'_>, &Candidate<'_>) -> f64;

/// All scores with their weights. Each is between 0 and 1.
pub(crate) const SCORES: [(f64, Score); 5] = [
    (1.0, least_allocated),
    (1.0, balanced),
    (2.0, owner_spread),
    (2.0, topology_spread),
    (3.0, preferred_taints),
];

/// The node's score, between 0 and 1.
pub(crate) fn score(view: &View<'_>, node: &Candidate<'_>) -> f64 {
    let (sum, weights) = SCORES.iter().fold((0.0, 0.0), |(sum, weights), (weight, score)| {
        (sum + weight * score(view, node), weights + weight)
    });
    sum / weights
}

/// How much would be left free.
fn least_allocated(view: &View<'_>, node: &Candidate<'_>) -> f64 {
    let (cpu, memory) = fractions(view, node);
    1.0 - (cpu + memory) / 2.0
}

/// How evenly CPU and memory would be used, so that neither is stranded.
fn balanced(view: &View<'_>, node: &Candidate<'_>) -> f64 {
    let (cpu, memory) = fractions(view, node);
    1.0 - (cpu - memory).abs() / 2.0
}

/// How few pods of the same owner are there.
fn owner_spread(view: &View<'_>, node: &Candidate<'_>) -> f64 {
    view.siblings.evenness(node.index)
}

fn topology_spread(view: &View<'_>, node: &Candidate<'_>) -> f64 {
    let soft = view.constraints.iter().filter(|constraint| !constraint.is_hard);
    let (sum, count) = soft
        .fold((0.0, 0.0), |(sum, count), constraint| (sum + constraint.evenness(node.facts), count + 1.0));
    if count == 0.0 { 1.0 } else { sum / count }
}

fn preferred_taints(view: &View<'_>, node: &Candidate<'_>) -> f64 {
    let repels = |taint: &&Taint| {
        taint.effect == TaintEffect::PreferNoSchedule && !tolerated(&view.pod.spec.tolerations, taint)
    };
    1.0 / (1.0 + node.facts.taints.iter().filter(repels).count() as f64)
}

/// The parts of the node's CPU and memory that would be in use.
fn fractions(view: &View<'_>, node: &Candidate<'_>) -> (f64, f64) {
    let (asked, used, given) = (&view.demand.weight, &node.slot.weight, &node.facts.allocatable);
    let part =
        |asked: Amount, used: Amount, given: Amount| (float(asked + used) / float(given.max(1))).min(1.0);
    (
        part(asked.cpu_milli, used.cpu_milli, given.cpu_milli),
        part(asked.memory_bytes, used.memory_bytes, given.memory_bytes),
    )
}

/// The amount, at most that of a quantity: the processor turns no larger numbers into fractions at once.
fn float(amount: Amount) -> f64 {
    i64::try_from(amount).unwrap_or(i64::MAX) as f64
}
