//! Workloads make and delete pods until they have what they want; the scheduler places them. A pod that has been placed is taken
//! as ready.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use orch_api::labels::Labels;
use orch_api::plan::{ChangeAction, Placement};
use orch_api::{Metadata, Resource as _};
use orch_controller_runtime::{Action, ObjectKey, Plan, Planner as _, Write};
use orch_ontology::{Pod, Workload, labels};
use orch_scheduler::{Snapshot, place};
use serde_json::{Value, json};

use super::future::Future;
use crate::scheduler::is_waiting;
use crate::workload::{PodView, Workloads, World, template_hash};

/// How many new pods are foreseen. More are left to the controllers.
const MADE: usize = 5_000;

/// How many pods are looked at, over and over as workloads are settled step by step. What takes more is left to the controllers.
const LOOKED: usize = 2_000_000;

/// A rollout in whose way nothing stands takes as many steps as this, however small those are that the controller takes.
const STRIDES: i32 = 20;

/// Lets everything come to rest.
pub(super) fn settle(future: &mut Future, now: Timestamp) {
    let mut snapshot = Snapshot::default();
    future.nodes.values().for_each(|node| {
        snapshot.set_node(node);
    });
    future.pods.values().for_each(|pod| drop(snapshot.set_pod(pod)));
    loop {
        let gone = future.gone.len();
        place_waiting(future, &mut snapshot);
        while let Some(key) = future.unsettled.pop_first() {
            let steps = Steps { key, hurries: true };
            steps.take(future, &mut snapshot, now);
        }
        // In the room that has become free there may be place for those that wait.
        if future.gone.len() == gone || is_worn_out(future) {
            return;
        }
    }
}

fn is_worn_out(future: &Future) -> bool {
    future.made >= MADE || future.looked >= LOOKED
}

/// Pods that wait for a node: those that the changes make, and those for which there may be room now.
fn place_waiting(future: &mut Future, snapshot: &mut Snapshot) {
    let made = future.touched.iter().filter(|(before, _)| before.is_none());
    let made: HashSet<&str> =
        made.filter_map(|(_, after)| Some(after.as_ref()?.metadata.uid.as_str())).collect();
    future.looked += future.pods.len();
    let waiting = future.pods.values().filter(|pod| is_waiting(pod));
    let waiting: Vec<(Arc<Pod>, bool)> =
        waiting.map(|pod| (pod.clone(), made.contains(pod.metadata.uid.as_str()))).collect();
    let nothing_moved = future.touched.is_empty() && future.gone.is_empty() && !future.supposes;
    let mut stuck = HashSet::new();
    for (pod, is_new) in waiting {
        let is_told = future.unplaced.contains(&ObjectKey::of(&pod.metadata));
        let kin = kin(&pod);
        let is_stuck = (is_told || !is_new) && kin.as_ref().is_some_and(|kin| stuck.contains(kin));
        if is_stuck || nothing_moved && !is_new {
            continue;
        }
        let placement = place(snapshot, &pod);
        if put(future, snapshot, &pod, &placement, is_new || is_told) {
            future.unsettled.extend(orch_controller_runtime::managing::<Workload>(&pod.metadata));
        } else {
            stuck.extend(kin);
        }
    }
}

/// Those of one template, of which none fits where another does not: owner and template.
fn kin(pod: &Pod) -> Option<(String, String)> {
    let template = pod.metadata.labels.get(labels::TEMPLATE_HASH)?;
    Some((pod.metadata.controller()?.uid.clone(), template.clone()))
}

/// Puts a pod where it is to go. Answers whether it fits somewhere. That one which has waited before still does is no news.
fn put(
    future: &mut Future,
    snapshot: &mut Snapshot,
    pod: &Arc<Pod>,
    placement: &orch_scheduler::Placement,
    is_news: bool,
) -> bool {
    let key = ObjectKey::of(&pod.metadata);
    let Some(node) = placement.node.clone() else {
        if is_news {
            future.unplaced.put(key, placement);
        }
        return false;
    };
    snapshot.assume(pod, &node);
    let running = Arc::new(running(pod, &node));
    let (namespace, name) = (pod.metadata.namespace().to_owned(), pod.metadata.name.clone());
    future.placements.push(Placement { namespace, pod: name, node, ..Placement::default() });
    future.unplaced.forget(&key);
    future.pods.insert(key, running.clone());
    future.came.push(running);
    true
}

/// The pod as it is once it runs.
fn running(pod: &Pod, node: &str) -> Pod {
    let mut running = pod.clone();
    let status = json!({
        "phase": "Running",
        "conditions": [{"type": Pod::READY, "status": "True", "lastTransitionTime": "1970-01-01T00:00:00Z"}],
    });
    // Both are written as the types read them.
    running.status = serde_json::from_value(status).unwrap_or_default();
    running.spec.node_name = serde_json::from_value(node.into()).unwrap_or_default();
    running
}

/// The way of one workload to what it wants.
struct Steps {
    key: ObjectKey,
    /// As long as all that it makes fits somewhere, it takes larger steps than the controller does: they end in the same.
    hurries: bool,
}

impl Steps {
    fn take(mut self, future: &mut Future, snapshot: &mut Snapshot, now: Timestamp) {
        let Some(workload) = future.workloads.get(&self.key).cloned() else { return };
        let Metadata { uid, namespace, .. } = &workload.metadata;
        let of_it = |pod: &&Arc<Pod>| {
            pod.metadata.namespace == *namespace
                && pod.metadata.controller().is_some_and(|owner| owner.uid == *uid)
        };
        let pods = future.pods.values().filter(of_it).map(|pod| PodView::of(pod)).collect();
        future.looked += future.pods.len();
        let mut world = World { workload, pods };
        let hash = template_hash(&world.workload.spec.template);
        while !is_worn_out(future) {
            future.looked += world.pods.len();
            let plan = self.plan(&mut world, now);
            if !self.carry_out(future, snapshot, &mut world, &hash, &plan.writes) {
                return;
            }
        }
        future.omitted += left(&world, &hash);
    }

    /// What the controller does next.
    fn plan(&self, world: &mut World, now: Timestamp) -> Plan {
        let replicas = world.workload.spec.replicas.unwrap_or(1);
        let own = world.workload.spec.update.max_surge;
        if self.hurries {
            world.workload.spec.update.max_surge = Some(own.unwrap_or(1).max(replicas / STRIDES));
        }
        let plan = Workloads::plan(world, now);
        world.workload.spec.update.max_surge = own;
        plan
    }

    /// Does what the controller writes, in the future and in what the workload sees of it. Answers whether that leads anywhere: pods have
    /// come or gone, or smaller steps are to be taken.
    fn carry_out(
        &mut self,
        future: &mut Future,
        snapshot: &mut Snapshot,
        world: &mut World,
        hash: &str,
        writes: &[Write],
    ) -> bool {
        let hurried = self.hurries;
        let (mut came, mut gone) = (Vec::new(), HashSet::new());
        for write in writes {
            match &write.action {
                // What comes after one that does not fit is made in smaller steps, as far as it is at all.
                Action::Create(_) if hurried != self.hurries || future.made >= MADE => {}
                Action::Create(object) => {
                    let pod = serde_json::from_value::<Pod>(object.clone()).ok();
                    came.extend(pod.and_then(|pod| self.make(future, snapshot, pod)));
                }
                Action::Delete { uid, .. } => {
                    snapshot.remove_pod(uid);
                    let because = why_deleted(&self.key, hash, future.pods.get(&write.key()));
                    future.remove_pod(&write.key(), &because);
                    gone.insert(uid.clone());
                }
                Action::Merge(patch) => self.annotate(future, world, patch),
                _ => {}
            }
        }
        let leads_on = !came.is_empty() || !gone.is_empty() || hurried != self.hurries;
        world.pods.retain(|pod| !gone.contains(&pod.uid));
        world.pods.extend(came);
        world.pods.sort_by(|one, other| one.name.cmp(&other.name));
        leads_on
    }

    fn annotate(&self, future: &mut Future, world: &mut World, patch: &Value) {
        let annotations = patch["metadata"]["annotations"].clone();
        if let Ok(annotations) = serde_json::from_value::<Labels>(annotations) {
            world.workload.metadata.annotations.extend(annotations);
            future.workloads.insert(self.key.clone(), world.workload.clone());
        }
    }

    /// A new pod of the workload, under a name that tells that it is one: its real name is given when it is made. Answers what has
    /// become of it; none if it is not made because it fits nowhere, and its workload is in a hurry no more.
    fn make(&mut self, future: &mut Future, snapshot: &mut Snapshot, mut pod: Pod) -> Option<PodView> {
        let number = future.made_by.get(&self.key).copied().unwrap_or_default() + 1;
        pod.metadata.name = format!("{}+{number}", self.key.name);
        pod.metadata.uid = format!("{}+{number}", self.key);
        pod.prepare(None);
        let pod = Arc::new(pod);
        let placement = place(snapshot, &pod);
        if placement.node.is_none() && std::mem::take(&mut self.hurries) {
            return None;
        }
        future.made_by.insert(self.key.clone(), number);
        future.made += 1;
        let because = format!("Workload {} wants it", self.key.name);
        future.tell(&Pod::KIND, &pod.metadata, ChangeAction::Created, &because);
        let key = ObjectKey::of(&pod.metadata);
        future.pods.insert(key.clone(), pod.clone());
        put(future, snapshot, &pod, &placement, true);
        Some(PodView::of(future.pods.get(&key).unwrap_or(&pod)))
    }
}

/// How many pods are still to come or to go.
fn left(world: &World, hash: &str) -> usize {
    let wanted = usize::try_from(world.workload.spec.replicas.unwrap_or(1)).unwrap_or_default();
    let new = world.pods.iter().filter(|pod| pod.template_hash == hash).count();
    wanted.abs_diff(new) + (world.pods.len() - new)
}

fn why_deleted(workload: &ObjectKey, hash: &str, pod: Option<&Arc<Pod>>) -> String {
    let name = &workload.name;
    match pod.and_then(|pod| pod.metadata.labels.get(labels::TEMPLATE_HASH)) {
        Some(of_pod) if of_pod != hash => format!("Workload {name} replaces it by one of its new template"),
        _ => format!("Workload {name} wants fewer"),
    }
}
