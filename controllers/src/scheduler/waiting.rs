//! [`Waiting`]: the pods that fit nowhere, and which of them to try again.

use std::collections::BTreeMap;
use std::sync::Arc;

use orch_controller_runtime::ObjectKey;
use orch_ontology::Pod;
use orch_scheduler::Likeness;

/// The pods that fit nowhere. Of those that are alike one is tried at a time, the one first that has waited longest since it was
/// tried last: when it has found its place, the next; when it has not, none of them would.
#[derive(Default)]
pub(super) struct Waiting {
    pods: BTreeMap<ObjectKey, Entry>,
    groups: BTreeMap<Likeness, Group>,
    /// Pods that are being tried: whoever works on their keys decides about them, or finds that they are gone.
    tried: BTreeMap<ObjectKey, Likeness>,
    turns: u64,
}

struct Entry {
    pod: Arc<Pod>,
    likeness: Likeness,
    turn: u64,
}

/// Pods that are alike.
#[derive(Default)]
struct Group {
    is_tried: bool,
    /// In the order in which they came to wait.
    waiting: BTreeMap<u64, ObjectKey>,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.pods.len()
    }

    pub(super) fn contains(&self, key: &ObjectKey) -> bool {
        self.pods.contains_key(key)
    }

    /// The pod fits nowhere. If it was being tried, so do those that are like it.
    pub(super) fn put(&mut self, pod: &Arc<Pod>) {
        let (key, likeness) = (ObjectKey::of(&pod.metadata), Likeness::of(pod));
        self.remove(&key);
        self.end_trial(&key);
        self.turns += 1;
        let turn = self.turns;
        self.groups.entry(likeness.clone()).or_default().waiting.insert(turn, key.clone());
        self.pods.insert(key, Entry { pod: pod.clone(), likeness, turn });
    }

    /// The same pod as it is now, as far as placing it is concerned.
    pub(super) fn update(&mut self, key: &ObjectKey, pod: &Arc<Pod>) {
        if let Some(entry) = self.pods.get_mut(key) {
            entry.pod = pod.clone();
        }
    }

    /// The pod waits no more.
    pub(super) fn remove(&mut self, key: &ObjectKey) {
        let Some(Entry { likeness, turn, .. }) = self.pods.remove(key) else { return };
        if let Some(group) = self.groups.get_mut(&likeness) {
            group.waiting.remove(&turn);
        }
        self.forget_empty(&likeness);
    }

    /// The pod has found its place, or is none to be placed any more. Answers the next to try, if it was being tried.
    pub(super) fn next_like(&mut self, key: &ObjectKey) -> Option<ObjectKey> {
        let likeness = self.end_trial(key)?;
        let next = self.groups.get(&likeness)?.waiting.first_key_value()?.1.clone();
        self.begin_trial(&next);
        Some(next)
    }

    /// Those to try again because the test says so of them: one of each likeness.
    pub(super) fn take_if(&mut self, test: impl Fn(&Pod) -> bool) -> Vec<ObjectKey> {
        let idle = self.groups.values().filter(|group| !group.is_tried);
        let first = idle.filter_map(|group| group.waiting.first_key_value());
        let mut taken: Vec<(u64, ObjectKey)> = first
            .filter(|(_, key)| self.pods.get(key).is_some_and(|entry| test(&entry.pod)))
            .map(|(turn, key)| (*turn, key.clone()))
            .collect();
        taken.sort();
        taken.iter().for_each(|(_, key)| self.begin_trial(key));
        taken.into_iter().map(|(_, key)| key).collect()
    }

    fn begin_trial(&mut self, key: &ObjectKey) {
        let Some(Entry { likeness, turn, .. }) = self.pods.remove(key) else { return };
        if let Some(group) = self.groups.get_mut(&likeness) {
            group.waiting.remove(&turn);
            group.is_tried = true;
        }
        self.tried.insert(key.clone(), likeness);
    }

    fn end_trial(&mut self, key: &ObjectKey) -> Option<Likeness> {
        let likeness = self.tried.remove(key)?;
        if let Some(group) = self.groups.get_mut(&likeness) {
            group.is_tried = false;
        }
        self.forget_empty(&likeness);
        Some(likeness)
    }

    fn forget_empty(&mut self, likeness: &Likeness) {
        if self.groups.get(likeness).is_some_and(|group| !group.is_tried && group.waiting.is_empty()) {
            self.groups.remove(likeness);
        }
    }
}
