//! How evenly pods are spread: counts of pods that belong together, by node.

use std::collections::{BTreeMap, HashMap};

use orch_api::LabelSelector;
use orch_ontology::{Pod, TopologySpreadConstraint, UnsatisfiableConstraintAction};

use crate::Snapshot;
use crate::facts::Facts;

/// Counts of pods that belong together, by slot: those of one owner, and those that a constraint selects.
#[derive(Default)]
pub(crate) struct Counts {
    owners: HashMap<String, BySlot>,
    selections: BTreeMap<String, Vec<Selection>>,
}

type BySlot = BTreeMap<usize, u32>;

/// The pods of one namespace that a selector selects.
struct Selection {
    selector: LabelSelector,
    pods: BySlot,
    last_used: u64,
}

/// Selectors counted per namespace; the one unused for longest makes room for the next.
const SELECTIONS: usize = 64;

impl Counts {
    pub(crate) fn count(&mut self, pod: &Pod, slot: usize, sign: i8) {
        if !pod.metadata.is_terminating() {
            self.count_living(pod, slot, sign);
        }
        if sign < 0 {
            self.forget_unused(pod.metadata.namespace());
        }
    }

    fn count_living(&mut self, pod: &Pod, slot: usize, sign: i8) {
        if let Some(owner) = pod.metadata.controller() {
            let pods = self.owners.entry(owner.uid.clone()).or_default();
            change(pods, slot, sign);
            if pods.is_empty() {
                self.owners.remove(&owner.uid);
            }
        }
        for selection in self.selections.get_mut(pod.metadata.namespace()).into_iter().flatten() {
            if selection.selector.matches(&pod.metadata.labels) {
                change(&mut selection.pods, slot, sign);
            }
        }
    }

    /// Lets go of selections of which no pod is left.
    fn forget_unused(&mut self, namespace: &str) {
        let Some(tracked) = self.selections.get_mut(namespace) else { return };
        tracked.retain(|selection| !selection.pods.is_empty());
        if tracked.is_empty() {
            self.selections.remove(namespace);
        }
    }

    /// Begins to count the pods that the constraint selects, unless they are counted already.
    pub(crate) fn track<'a>(
        &mut self,
        namespace: &str,
        constraint: &TopologySpreadConstraint,
        placed: impl Iterator<Item = (&'a Pod, usize)>,
    ) {
        let Some(selector) = constraint.label_selector.as_ref().map(|selector| &selector.labels) else {
            return;
        };
        let tracked = self.selections.entry(namespace.to_owned()).or_default();
        let now = tracked.iter().map(|selection| selection.last_used).max().unwrap_or_default() + 1;
        if let Some(selection) = tracked.iter_mut().find(|selection| selection.selector == *selector) {
            selection.last_used = now;
            return;
        }
        if tracked.len() >= SELECTIONS {
            let oldest = tracked.iter().enumerate().min_by_key(|(_, selection)| selection.last_used);
            oldest.map(|(at, _)| at).into_iter().for_each(|at| drop(tracked.swap_remove(at)));
        }
        let pods = count_selected(namespace, selector, placed);
        tracked.push(Selection { selector: selector.clone(), pods, last_used: now });
    }

    fn selected(&self, namespace: &str, selector: &LabelSelector) -> Option<&BySlot> {
        let tracked = self.selections.get(namespace)?;
        tracked.iter().find(|selection| selection.selector == *selector).map(|selection| &selection.pods)
    }
}

fn count_selected<'a>(
    namespace: &str,
    selector: &LabelSelector,
    placed: impl Iterator<Item = (&'a Pod, usize)>,
) -> BySlot {
    let mut pods = BySlot::new();
    for (pod, slot) in placed {
        let metadata = &pod.metadata;
        if metadata.namespace() == namespace
            && !metadata.is_terminating()
            && selector.matches(&metadata.labels)
        {
            change(&mut pods, slot, 1);
        }
    }
    pods
}

fn change(pods: &mut BySlot, slot: usize, sign: i8) {
    let count = pods.entry(slot).or_default();
    *count = count.saturating_add_signed(sign.into());
    if *count == 0 {
        pods.remove(&slot);
    }
}

/// Pods of the same owner, by slot.
pub(crate) struct Siblings {
    by_slot: Vec<u32>,
    most: u32,
}

impl Siblings {
    pub(crate) fn of(pod: &Pod, snapshot: &Snapshot) -> Self {
        let owner = pod.metadata.controller();
        let pods = owner.and_then(|owner| snapshot.counts.owners.get(&owner.uid));
        let mut by_slot = vec![0; if pods.is_some() { snapshot.slots.len() } else { 0 }];
        let mut most = 0;
        for (slot, count) in pods.into_iter().flatten() {
            by_slot[*slot] = *count;
            most = most.max(*count);
        }
        Self { by_slot, most }
    }

    /// From 0 (no node has more) to 1 (none, or as good as none).
    pub(crate) fn evenness(&self, slot: usize) -> f64 {
        let here = self.by_slot.get(slot).copied().unwrap_or_default();
        if self.most == 0 { 1.0 } else { f64::from(self.most - here) / f64::from(self.most) }
    }
}

/// One of the pod's topology spread constraints, with the pods counted by group of nodes.
pub(crate) struct Constraint<'a> {
    key: &'a str,
    pub(crate) is_hard: bool,
    max_skew: i64,
    /// 1 if the pod itself is counted by its constraint.
    own: i64,
    groups: HashMap<&'a str, i64>,
    fewest: i64,
    most: i64,
}

impl<'a> Constraint<'a> {
    /// All constraints of a pod. Groups are made of the nodes for which `eligible` holds.
    pub(crate) fn of(pod: &'a Pod, snapshot: &'a Snapshot, eligible: impl Fn(&Facts) -> bool) -> Vec<Self> {
        let constraints = pod.spec.topology_spread_constraints.iter();
        constraints.map(|constraint| Self::new(pod, constraint, snapshot, &eligible)).collect()
    }

    fn new(
        pod: &'a Pod,
        constraint: &'a TopologySpreadConstraint,
        snapshot: &'a Snapshot,
        eligible: &impl Fn(&Facts) -> bool,
    ) -> Self {
        let (key, namespace) = (constraint.topology_key.as_str(), pod.metadata.namespace());
        // Without a selector nothing is counted, as in Kubernetes.
        let selector = constraint.label_selector.as_ref().map(|selector| &selector.labels);
        let scanned;
        let pods = match selector.map(|selector| (selector, snapshot.counts.selected(namespace, selector))) {
            None => &BySlot::new(),
            Some((_, Some(pods))) => pods,
            Some((selector, None)) => {
                scanned = count_selected(namespace, selector, snapshot.placed_pods());
                &scanned
            }
        };
        let mut groups = HashMap::new();
        for (slot, facts) in snapshot.roster.iter().enumerate() {
            let Some(facts) = facts.as_deref().filter(|facts| eligible(facts)) else { continue };
            if let Some(value) = facts.labels.get(key) {
                *groups.entry(value.as_str()).or_default() +=
                    i64::from(pods.get(&slot).copied().unwrap_or_default());
            }
        }
        Self {
            key,
            is_hard: constraint.when_unsatisfiable == UnsatisfiableConstraintAction::DoNotSchedule,
            max_skew: i64::from(constraint.max_skew.max(1)),
            own: i64::from(selector.is_some_and(|selector| selector.matches(&pod.metadata.labels))),
            fewest: groups.values().copied().min().unwrap_or_default(),
            most: groups.values().copied().max().unwrap_or_default(),
            groups,
        }
    }

    /// Pods in the node's group; none if the node lacks the label.
    pub(crate) fn count(&self, facts: &Facts) -> Option<i64> {
        let value = facts.labels.get(self.key)?;
        Some(self.groups.get(value.as_str()).copied().unwrap_or_default())
    }

    /// Whether a group of so many pods may have this one too.
    pub(crate) fn allows(&self, count: i64) -> bool {
        count + self.own - self.fewest <= self.max_skew
    }

    /// From 0 (no group has more, or the node is in none) to 1 (no group has fewer).
    pub(crate) fn evenness(&self, facts: &Facts) -> f64 {
        let Some(count) = self.count(facts) else { return 0.0 };
        let range = self.most - self.fewest;
        if range == 0 { 1.0 } else { (self.most - count) as f64 / range as f64 }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    fn pod(uid: &str, metadata: Value) -> Arc<Pod> {
        let mut pod = json!({
            "metadata": {"name": uid, "namespace": "shop", "uid": uid, "labels": {"app": "web"}},
            "spec": {"containers": [], "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                 "labelSelector": {"matchLabels": {"app": "web"}}}]},
        });
        pod["metadata"].as_object_mut().unwrap().extend(metadata.as_object().cloned().unwrap());
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn counted(snapshot: &Snapshot) -> Vec<u32> {
        let selections = snapshot.counts.selections.get("shop").into_iter().flatten();
        selections.flat_map(|selection| selection.pods.values().copied()).collect()
    }

    #[test]
    fn selections_go_with_their_last_pod() {
        let mut snapshot = Snapshot::default();
        let (first, second) = (pod("first", json!({})), pod("second", json!({})));
        snapshot.assume(&first, "n1");
        snapshot.assume(&first, "n2");
        snapshot.assume(&second, "n2");
        assert_eq!(counted(&snapshot), [2]);
        // One on its way out is not counted, but it is there.
        let going = pod("first", json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}));
        snapshot.assume(&going, "n2");
        assert_eq!(counted(&snapshot), [1]);
        snapshot.remove_pod("second");
        snapshot.remove_pod("first");
        assert!(snapshot.counts.selections.is_empty());
    }

    #[test]
    fn a_selection_without_pods_goes_with_whoever_asked_for_it() {
        let mut snapshot = Snapshot::default();
        snapshot.assume(&pod("other", json!({"labels": {"app": "other"}})), "n1");
        let going = json!({"labels": {"app": "other"}, "deletionTimestamp": "2026-01-01T00:00:00Z"});
        snapshot.assume(&pod("other", going), "n1");
        snapshot.remove_pod("other");
        assert!(snapshot.counts.selections.is_empty());
    }
}
