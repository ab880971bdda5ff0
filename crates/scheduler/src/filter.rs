//! The filters: why a pod cannot run on a node.

use orch_ontology::{Taint, TaintEffect, labels};

use crate::demand::Amount;
use crate::facts::tolerated;
use crate::place::{Candidate, View};
use crate::verdict::{Missing, Verdict};

type Filter = fn(&View<'_>, &Candidate<'_>) -> Option<Verdict>;

/// All filters, cheapest and most telling first; the first that objects gives the node's verdict.
pub(crate) const FILTERS: [Filter; 7] =
    [unschedulable, other_name, taints, node_selector, host_ports, resources, topology_spread];

fn unschedulable(view: &View<'_>, node: &Candidate<'_>) -> Option<Verdict> {
    let objects = node.facts.unschedulable && {
        let (key, effect) = (labels::TAINT_UNSCHEDULABLE.to_owned(), TaintEffect::NoSchedule);
        !tolerated(&view.pod.spec.tolerations, &Taint { key, effect, ..Taint::default() })
    };
    objects.then_some(Verdict::Unschedulable)
}

fn other_name(view: &View<'_>, node: &Candidate<'_>) -> Option<Verdict> {
    let name = &view.pod.spec.node_name;
    (!name.is_empty() && name.as_str() != node.facts.name).then_some(Verdict::OtherName)
}

fn taints(view: &View<'_>, node: &Candidate<'_>) -> Option<Verdict> {
    let keeps_away = |taint: &Taint| {
        taint.effect != TaintEffect::PreferNoSchedule && !tolerated(&view.pod.spec.tolerations, taint)
    };
    let taint = node.facts.taints.iter().position(keeps_away)?;
    Some(Verdict::Tainted { taint: u8::try_from(taint).unwrap_or(u8::MAX) })
}

fn node_selector(view: &View<'_>, node: &Candidate<'_>) -> Option<Verdict> {
    (!view.selects(node.facts)).then_some(Verdict::LabelsMismatch)
}

fn host_ports(view: &View<'_>, node: &Candidate<'_>) -> Option<Verdict> {
    let collides =
        view.demand.ports.iter().any(|port| node.slot.ports.iter().any(|taken| taken.collides(port)));
    collides.then_some(Verdict::PortsTaken)
}

/// What is asked of a resource must be left of it. A node that is over-committed already is no obstacle to a pod that asks
/// for nothing of that resource.
fn resources(view: &View<'_>, node: &Candidate<'_>) -> Option<Verdict> {
    let (asked, used, given) = (&view.demand.amounts, &node.slot.used, &node.facts.allocatable);
    let lacks = |asked: Amount, used: Amount, given: Amount| asked > 0 && asked > given - used;
    let mut missing = Missing::default();
    for (lacks, resource) in [
        (lacks(asked.pods, used.pods, given.pods), Missing::PODS),
        (lacks(asked.cpu_milli, used.cpu_milli, given.cpu_milli), Missing::CPU),
        (lacks(asked.memory_bytes, used.memory_bytes, given.memory_bytes), Missing::MEMORY),
        (lacks(asked.storage_bytes, used.storage_bytes, given.storage_bytes), Missing::STORAGE),
    ] {
        if lacks {
            missing.add(resource);
        }
    }
    for (place, (name, asked)) in view.demand.extended.iter().enumerate() {
        let used = node.slot.extended.get(name).copied().unwrap_or_default();
        let given = node.facts.extended.get(name).copied().unwrap_or_default();
        if lacks(*asked, used, given) {
            missing.add(Missing::extended(place));
        }
    }
    (!missing.is_empty()).then_some(Verdict::Insufficient { missing })
}

fn topology_spread(view: &View<'_>, node: &Candidate<'_>) -> Option<Verdict> {
    view.constraints.iter().filter(|constraint| constraint.is_hard).find_map(|constraint| {
        match constraint.count(node.facts) {
            None => Some(Verdict::SpreadLabelMissing),
            Some(count) => (!constraint.allows(count)).then_some(Verdict::SpreadTooUneven),
        }
    })
}
