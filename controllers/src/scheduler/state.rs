//! What the scheduler knows: the snapshot, and the pods that fit nowhere.

use std::sync::Arc;

use orch_controller_runtime::ObjectKey;
use orch_ontology::{Node, Pod, TopologySpreadConstraint, UnsatisfiableConstraintAction};
use orch_scheduler::{Placement, Snapshot, place, try_node};

use super::waiting::Waiting;

const NAMES: [&str; 2] = ["", "default-scheduler"];

/// The snapshot, and the pods that fit nowhere in it.
#[derive(Default)]
pub(super) struct State {
    snapshot: Snapshot,
    waiting: Waiting,
}

/// Whether the pod waits for us to place it.
pub(crate) fn is_waiting(pod: &Pod) -> bool {
    let ours = NAMES.contains(&pod.spec.scheduler_name.as_str());
    ours && !pod.is_scheduled() && !pod.is_terminating() && !pod.is_terminal()
}

impl State {
    /// How many pods fit nowhere.
    pub(super) fn unplaceable(&self) -> usize {
        self.waiting.len()
    }

    /// Decides about a pod, and counts it where it goes. Answers, too, the pods to try because of that. No decision if it has been
    /// placed already and the cache doesn't show it yet.
    pub(super) fn place(&mut self, pod: &Arc<Pod>) -> (Option<Placement>, Vec<ObjectKey>) {
        let key = ObjectKey::of(&pod.metadata);
        if self.snapshot.node_of(&pod.metadata.uid).is_some() {
            return (None, self.dismiss(&key));
        }
        let placement = place(&self.snapshot, pod);
        let mut retry = Vec::new();
        match &placement.node {
            Some(node) => {
                self.snapshot.assume(pod, node);
                retry = self.dismiss(&key);
                retry.extend(self.held_back_by(&[pod]));
            }
            None => self.waiting.put(pod),
        }
        (Some(placement), retry)
    }

    /// Nothing is to be decided about a pod of this name any more. Answers the pods to try instead.
    pub(super) fn dismiss(&mut self, key: &ObjectKey) -> Vec<ObjectKey> {
        self.waiting.remove(key);
        self.waiting.next_like(key).into_iter().collect()
    }

    /// Takes back a placement whose binding has failed. `now` is the pod as the cache shows it. Answers the pods to try again.
    pub(super) fn forget(&mut self, pod: &Pod, now: Option<&Arc<Pod>>) -> Vec<ObjectKey> {
        let bound = now.filter(|now| now.metadata.uid == pod.metadata.uid && now.is_scheduled());
        let freed = match bound {
            Some(now) => self.snapshot.set_pod(now),
            None => self.snapshot.remove_pod(&pod.metadata.uid),
        };
        freed.map(|node| self.placeable_on(&node)).unwrap_or_default()
    }

    /// Takes in a node. Answers the pods to try again.
    pub(super) fn node_changed(&mut self, node: &Node) -> Vec<ObjectKey> {
        let relevant = self.snapshot.set_node(node);
        if relevant { self.placeable_on(&node.metadata.name) } else { Vec::new() }
    }

    /// Takes out a node. That can only help a pod whose spread the node's group held back.
    pub(super) fn node_removed(&mut self, name: &str) -> Vec<ObjectKey> {
        self.snapshot.remove_node(name);
        self.waiting.take_if(spreads_hard)
    }

    /// Takes in a change of a pod. Answers the pods to try: itself if it waits, and those for which it has made room.
    pub(super) fn pod_changed(&mut self, old: Option<&Arc<Pod>>, new: Option<&Arc<Pod>>) -> Vec<ObjectKey> {
        let (mut freed, mut retry) = (Vec::new(), Vec::new());
        let replaced = |old: &&Arc<Pod>| new.is_none_or(|new| new.metadata.uid != old.metadata.uid);
        if let Some(old) = old.filter(replaced) {
            retry.extend(self.dismiss(&ObjectKey::of(&old.metadata)));
            freed.extend(self.snapshot.remove_pod(&old.metadata.uid));
        }
        if let Some(new) = new {
            let key = ObjectKey::of(&new.metadata);
            if is_waiting(new) {
                retry.extend(self.news_of_waiting(&key, old, new));
            } else {
                retry.extend(self.dismiss(&key));
                let known = self.snapshot.node_of(&new.metadata.uid).is_some()
                    && old.is_some_and(|old| counts_alike(old, new));
                freed.extend(self.snapshot.set_pod(new));
                if !known {
                    let pods: Vec<&Arc<Pod>> = old.into_iter().chain([new]).collect();
                    retry.extend(self.held_back_by(&pods));
                }
            }
        }
        freed.iter().for_each(|node| retry.extend(self.placeable_on(node)));
        retry
    }

    /// A waiting pod is tried when it is new or asks for something else; not because we wrote why it waits.
    fn news_of_waiting(&mut self, key: &ObjectKey, old: Option<&Arc<Pod>>, new: &Arc<Pod>) -> Vec<ObjectKey> {
        let same = old.is_some_and(|old| {
            old.metadata.uid == new.metadata.uid
                && old.spec == new.spec
                && old.metadata.labels == new.metadata.labels
        });
        if same && self.waiting.contains(key) {
            self.waiting.update(key, new);
            return Vec::new();
        }
        // If it was being tried, it was as something else.
        let mut retry = if same { Vec::new() } else { self.dismiss(key) };
        retry.push(key.clone());
        retry
    }

    /// The pods that now fit on the node. A pod whose spread is limited may fit elsewhere for the same reason.
    fn placeable_on(&mut self, node: &str) -> Vec<ObjectKey> {
        let Self { snapshot, waiting } = self;
        let fits = |pod: &Pod| try_node(snapshot, pod, node).is_some_and(|verdict| verdict.fits());
        waiting.take_if(|pod| spreads_hard(pod) || fits(pod))
    }

    /// The pods that are to be spread evenly with any of these, which have come to a node or become others: that may have been what held
    /// them back.
    fn held_back_by(&mut self, pods: &[&Arc<Pod>]) -> Vec<ObjectKey> {
        self.waiting.take_if(|waiting| pods.iter().any(|pod| is_spread_with(waiting, pod)))
    }
}

fn spreads_hard(pod: &Pod) -> bool {
    hard_spreads(pod).next().is_some()
}

fn hard_spreads(pod: &Pod) -> impl Iterator<Item = &TopologySpreadConstraint> {
    let hard = UnsatisfiableConstraintAction::DoNotSchedule;
    pod.spec
        .topology_spread_constraints
        .iter()
        .filter(move |constraint| constraint.when_unsatisfiable == hard)
}

/// Whether a pod that waits counts the other when it looks how evenly it is spread.
fn is_spread_with(waiting: &Pod, other: &Pod) -> bool {
    waiting.metadata.namespace() == other.metadata.namespace()
        && hard_spreads(waiting)
            .filter_map(|constraint| constraint.label_selector.as_ref())
            .any(|selector| selector.labels.matches(&other.metadata.labels))
}

/// Whether a pod is counted as before by those that are spread.
fn counts_alike(old: &Pod, new: &Pod) -> bool {
    old.metadata.labels == new.metadata.labels && old.is_terminating() == new.is_terminating()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(name: &str, cpu: &str) -> Node {
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "status": {"allocatable": {"cpu": cpu, "memory": "1Gi", "pods": "10"},
                       "conditions": [{"type": "Ready", "status": "True"}]},
        }))
        .unwrap()
    }

    fn pod(name: &str, cpu: &str, more: Value) -> Arc<Pod> {
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "default", "uid": name},
            "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]},
        });
        json_patch(&mut pod, &more);
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    fn json_patch(target: &mut Value, patch: &Value) {
        match patch.as_object() {
            Some(fields) => fields.iter().for_each(|(key, value)| json_patch(&mut target[key], value)),
            None => *target = patch.clone(),
        }
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("default", name)
    }

    /// Where a pod is placed.
    fn placed(state: &mut State, pod: &Arc<Pod>) -> Option<String> {
        state.place(pod).0.unwrap().node
    }

    /// A full node, and a pod that waits.
    fn crowded() -> (State, Arc<Pod>, Arc<Pod>) {
        let mut state = State::default();
        state.node_changed(&node("n1", "2"));
        let (first, second) = (pod("first", "2", json!({})), pod("second", "1", json!({})));
        assert_eq!(state.pod_changed(None, Some(&first)), [key("first")]);
        assert_eq!(placed(&mut state, &first).as_deref(), Some("n1"));
        assert_eq!(state.pod_changed(None, Some(&second)), [key("second")]);
        assert_eq!(placed(&mut state, &second), None);
        (state, first, second)
    }

    #[test]
    fn a_placement_counts_before_its_binding_is_seen_and_is_made_once() {
        let (mut state, first, _) = crowded();
        assert!(state.place(&first).0.is_none());
    }

    #[test]
    fn a_failed_binding_gives_the_room_back() {
        let (mut state, first, second) = crowded();
        assert_eq!(state.forget(&first, None), [key("second")], "nothing else will wake it");
        assert_eq!(placed(&mut state, &second).as_deref(), Some("n1"));
    }

    #[test]
    fn a_waiting_pod_is_tried_again_when_it_would_fit_and_not_before() {
        let (mut state, first, _) = crowded();
        assert_eq!(state.node_changed(&node("n1", "2")), [], "a heartbeat");
        assert_eq!(state.node_changed(&node("n2", "500m")), [], "too small");
        assert_eq!(state.pod_changed(Some(&first), None), [key("second")], "room is freed");
        assert_eq!(state.node_changed(&node("n3", "4")), [], "it is being tried already");
    }

    #[test]
    fn a_pod_that_is_to_be_spread_is_tried_again_when_the_smallest_group_grows() {
        let mut state = State::default();
        let zoned = |name: &str, cpu: &str| {
            let mut node = node(name, cpu);
            node.metadata.labels.insert("zone".into(), name.into());
            node
        };
        state.node_changed(&zoned("a", "8"));
        state.node_changed(&zoned("b", "1"));
        let web = |name: &str, cpu: &str| {
            let constraint = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                                    "labelSelector": {"matchLabels": {"app": "web"}}});
            let more = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"topologySpreadConstraints": [constraint]}});
            pod(name, cpu, more)
        };
        assert_eq!(placed(&mut state, &web("first", "2")).as_deref(), Some("a"));
        let large = web("large", "2");
        state.pod_changed(None, Some(&large));
        assert_eq!(placed(&mut state, &large), None, "b has no room, and a has one more already");
        let (placement, retry) = state.place(&web("small", "1"));
        assert_eq!((placement.unwrap().node.as_deref(), retry), (Some("b"), vec![key("large")]));
        assert_eq!(placed(&mut state, &large).as_deref(), Some("a"));
    }

    /// A full node, and pods that are alike and wait.
    fn line(names: &[&str]) -> (State, Arc<Pod>, Vec<Arc<Pod>>) {
        let mut state = State::default();
        state.node_changed(&node("n1", "2"));
        let first = pod("first", "2", json!({}));
        assert_eq!(placed(&mut state, &first).as_deref(), Some("n1"));
        let alike: Vec<_> = names.iter().map(|name| pod(name, "1", json!({}))).collect();
        for pod in &alike {
            state.pod_changed(None, Some(pod));
            assert_eq!(placed(&mut state, pod), None);
        }
        (state, first, alike)
    }

    #[test]
    fn of_pods_that_are_alike_one_is_tried_at_a_time_until_one_fits_nowhere() {
        let (mut state, first, alike) = line(&["d", "c", "b", "a"]);
        assert_eq!(state.pod_changed(Some(&first), None), [key("d")], "who has waited longest");
        assert_eq!(state.node_changed(&node("n2", "500m")), []);
        for (pod, node, next) in
            [(&alike[0], Some("n1"), Some("c")), (&alike[1], Some("n1"), Some("b")), (&alike[2], None, None)]
        {
            let (placement, retry) = state.place(pod);
            assert_eq!(placement.unwrap().node.as_deref(), node);
            assert_eq!(retry, next.map(key).into_iter().collect::<Vec<_>>());
        }
        assert_eq!(state.unplaceable(), 2);
        assert_eq!(state.node_changed(&node("n3", "1")), [key("a")], "it was not tried yet, unlike b");
    }

    #[test]
    fn one_that_goes_while_it_is_tried_lets_the_next_be_tried() {
        let (mut state, first, alike) = line(&["a", "b", "c", "d"]);
        assert_eq!(state.pod_changed(Some(&first), None), [key("a")]);
        assert_eq!(state.pod_changed(Some(&alike[0]), None), [key("b")]);
        assert_eq!(state.dismiss(&key("b")), [key("c")], "found to be gone by whoever tries it");
        let other = pod("c", "2", json!({"metadata": {"labels": {"app": "web"}}}));
        assert_eq!(state.pod_changed(Some(&alike[2]), Some(&other)), [key("d"), key("c")]);
        assert_eq!(placed(&mut state, &alike[3]).as_deref(), Some("n1"));
        assert_eq!(placed(&mut state, &other), None);
    }

    #[test]
    fn one_that_is_found_to_be_gone_waits_no_more() {
        let (mut state, first, _) = crowded();
        assert_eq!(state.dismiss(&key("second")), []);
        assert_eq!(state.unplaceable(), 0);
        assert_eq!(state.pod_changed(Some(&first), None), []);
    }

    #[test]
    fn our_own_word_about_a_waiting_pod_does_not_wake_it() {
        let (mut state, _, second) = crowded();
        let told = pod("second", "1", json!({"metadata": {"resourceVersion": "2"}}));
        assert_eq!(state.pod_changed(Some(&second), Some(&told)), []);
        assert_eq!(state.node_changed(&node("n2", "1")), [key("second")]);
    }

    #[test]
    fn a_pod_that_ends_makes_room() {
        let (mut state, first, _) = crowded();
        let bound = pod("first", "2", json!({"spec": {"nodeName": "n1"}}));
        assert_eq!(state.pod_changed(Some(&first), Some(&bound)), []);
        let ended = pod("first", "2", json!({"spec": {"nodeName": "n1"}, "status": {"phase": "Succeeded"}}));
        assert_eq!(state.pod_changed(Some(&bound), Some(&ended)), [key("second")]);
    }

    #[test]
    fn pods_of_other_schedulers_and_pods_on_their_way_out_are_left_alone() {
        let other = pod("p", "1", json!({"spec": {"schedulerName": "mine"}}));
        let going = pod("p", "1", json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}));
        assert!(is_waiting(&pod("p", "1", json!({}))));
        assert!(!is_waiting(&other) && !is_waiting(&going));
    }
}
