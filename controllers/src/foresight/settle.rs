//! Workloads make and delete pods until they have what they want; the scheduler places them. A pod that has been placed is taken
//! as ready.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::Timestamp;
use orch_api::Resource as _;
use orch_api::labels::Labels;
use orch_api::plan::{ChangeAction, Placement};
use orch_controller_runtime::{Action, ObjectKey, Planner as _, Write};
use orch_ontology::{Pod, Workload, labels};
use orch_scheduler::{Snapshot, place};
use serde_json::json;

use super::future::Future;
use crate::scheduler::is_waiting;
use crate::workload::{PodView, Workloads, World, template_hash};

/// How often a workload is looked at: each time brings it nearer to what it wants.
const STEPS: usize = 10_000;

/// How many new pods are foreseen. More are left to the controllers.
const MADE: usize = 5_000;

/// Lets everything come to rest.
pub(super) fn settle(future: &mut Future, now: Timestamp) {
    let mut snapshot = Snapshot::default();
    future.nodes.values().for_each(|node| {
        snapshot.set_node(node);
    });
    future.pods.values().for_each(|pod| drop(snapshot.set_pod(pod)));
    place_waiting(future, &mut snapshot);
    while let Some(key) = future.unsettled.pop_first() {
        let steps = Steps { key, made: 0 };
        steps.take(future, &mut snapshot, now);
    }
}

/// Pods that wait for a node: those that the changes make, and those for which there may be room now.
fn place_waiting(future: &mut Future, snapshot: &mut Snapshot) {
    let made = future.touched.iter().filter(|(before, _)| before.is_none());
    let made: HashSet<&str> =
        made.filter_map(|(_, after)| Some(after.as_ref()?.metadata.uid.as_str())).collect();
    let waiting = future.pods.values().filter(|pod| is_waiting(pod));
    let waiting: Vec<(Arc<Pod>, bool)> =
        waiting.map(|pod| (pod.clone(), made.contains(pod.metadata.uid.as_str()))).collect();
    let nothing_moved = future.touched.is_empty() && future.gone.is_empty() && !future.supposes;
    for (pod, is_new) in waiting {
        if nothing_moved && !is_new {
            continue;
        }
        put(future, snapshot, pod, is_new);
    }
}

/// Places a pod. Answers whether it fits somewhere. That one which has waited before still does is no news.
fn put(future: &mut Future, snapshot: &mut Snapshot, pod: Arc<Pod>, is_news: bool) -> bool {
    let placement = place(snapshot, &pod);
    let (namespace, name) = (pod.metadata.namespace().to_owned(), pod.metadata.name.clone());
    let Some(node) = placement.node.clone() else {
        if is_news {
            let reasons = placement.reasons().map(|(node, reasons)| (node.to_owned(), reasons)).collect();
            let message = placement.message();
            future.placements.push(Placement {
                namespace,
                pod: name,
                message,
                reasons,
                ..Placement::default()
            });
        }
        return false;
    };
    snapshot.assume(&pod, &node);
    let running = Arc::new(running(&pod, &node));
    future.placements.push(Placement { namespace, pod: name, node, ..Placement::default() });
    future.pods.insert(ObjectKey::of(&running.metadata), running.clone());
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
    /// How many pods it has made.
    made: usize,
}

impl Steps {
    fn take(mut self, future: &mut Future, snapshot: &mut Snapshot, now: Timestamp) {
        let Some(workload) = future.workloads.get(&self.key).cloned() else { return };
        let uid = &workload.metadata.uid;
        let of_it = |pod: &&Arc<Pod>| pod.metadata.controller().is_some_and(|owner| owner.uid == *uid);
        let pods = future.pods.values().filter(of_it).map(|pod| PodView::of(pod)).collect();
        let mut world = World { workload, pods };
        for _ in 0..STEPS {
            if future.made >= MADE {
                return;
            }
            let plan = Workloads::plan(&world, now);
            let moves = plan
                .writes
                .iter()
                .filter(|write| self.carry_out(future, snapshot, &mut world, write))
                .count();
            if moves == 0 {
                return;
            }
        }
    }

    /// Does what the controller writes, in the future and in what the workload sees of it. Answers whether pods have come or gone.
    fn carry_out(
        &mut self,
        future: &mut Future,
        snapshot: &mut Snapshot,
        world: &mut World,
        write: &Write,
    ) -> bool {
        match &write.action {
            Action::Create(object) => match serde_json::from_value::<Pod>(object.clone()) {
                Ok(pod) => {
                    let pod = PodView::of(&self.make(future, snapshot, pod));
                    let place = world.pods.partition_point(|other| other.name < pod.name);
                    world.pods.insert(place, pod);
                    true
                }
                Err(_) => false,
            },
            Action::Delete { uid, .. } => {
                snapshot.remove_pod(uid);
                let because = why_deleted(&world.workload, future.pods.get(&write.key()));
                future.remove_pod(&write.key(), &because);
                world.pods.retain(|pod| pod.uid != *uid);
                true
            }
            Action::Merge(patch) => {
                let annotations = patch["metadata"]["annotations"].clone();
                if let Ok(annotations) = serde_json::from_value::<Labels>(annotations) {
                    world.workload.metadata.annotations.extend(annotations);
                    future.workloads.insert(self.key.clone(), world.workload.clone());
                }
                false
            }
            _ => false,
        }
    }

    /// A new pod of the workload, under a name that tells that it is one: its real name is given when it is made. Answers what has
    /// become of it.
    fn make(&mut self, future: &mut Future, snapshot: &mut Snapshot, mut pod: Pod) -> Arc<Pod> {
        self.made += 1;
        future.made += 1;
        pod.metadata.name = format!("{}+{}", self.key.name, self.made);
        pod.metadata.uid = format!("{}+{}", self.key, self.made);
        pod.prepare(None);
        let because = format!("Workload {} wants it", self.key.name);
        future.tell(&Pod::KIND, &pod.metadata, ChangeAction::Created, &because);
        let key = ObjectKey::of(&pod.metadata);
        let pod = Arc::new(pod);
        future.pods.insert(key.clone(), pod.clone());
        put(future, snapshot, pod.clone(), true);
        future.pods.get(&key).cloned().unwrap_or(pod)
    }
}

fn why_deleted(workload: &Workload, pod: Option<&Arc<Pod>>) -> String {
    let name = &workload.metadata.name;
    let now = template_hash(&workload.spec.template);
    match pod.and_then(|pod| pod.metadata.labels.get(labels::TEMPLATE_HASH)) {
        Some(of_pod) if *of_pod != now => {
            format!("Workload {name} replaces it by one of its new template")
        }
        _ => format!("Workload {name} wants fewer"),
    }
}
