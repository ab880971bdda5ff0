//! What the loop keeps of each pod.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use orch_controller_runtime::ObjectKey;
use orch_ontology::{Pod, PodStatus};

use crate::plan::{Failure, Memory, Seen};

/// One pod, or what is left of it.
#[derive(Default)]
pub(super) struct Tracked {
    /// As the API has it; `None` if it does not know it (any longer).
    pub(super) pod: Option<Arc<Pod>>,
    /// As the API had it last: events go on to be about it.
    pub(super) last: Option<Arc<Pod>>,
    pub(super) seen: Seen,
    pub(super) memory: Memory,
    /// Something changed: decide again.
    pub(super) is_dirty: bool,
    /// Nothing may be decided before this observation, or a later one, is complete.
    pub(super) needs_observation: u64,
    pub(super) wake_at: Option<Timestamp>,
    pub(super) report: Report,
    pub(super) node_labels: NodeLabels,
}

/// Which labels of the node the pod is admitted by. People label nodes; whoever bound the pod knew the latest.
#[derive(Default)]
pub(super) enum NodeLabels {
    /// Those that the node registers with.
    #[default]
    Own,
    BeingRead,
    /// As the API had them when the pod was there already.
    Read(BTreeMap<String, String>),
}

/// How telling the API the pod's status goes.
#[derive(Default)]
pub(super) struct Report {
    pub(super) is_under_way: bool,
    pub(super) failure: Option<Failure>,
    /// What was told last, and what the API made of it.
    pub(super) told: Option<(PodStatus, PodStatus)>,
}

impl Tracked {
    /// Takes a newer state of the pod; an older one (a cache that lags behind our own writes) is ignored.
    pub(super) fn update(&mut self, pod: Arc<Pod>) {
        if self.pod.as_ref().is_none_or(|known| revision(known) < revision(&pod)) {
            self.last = Some(pod.clone());
            self.pod = Some(pod);
            self.is_dirty = true;
        }
    }

    /// The API does not know the pod any longer.
    pub(super) fn vanish(&mut self) {
        self.is_dirty |= self.pod.take().is_some();
    }

    /// Whether this status must be told.
    pub(super) fn must_tell(&self, status: &PodStatus) -> bool {
        let Some(pod) = &self.pod else { return false };
        let was_told = |(told, answered): &(PodStatus, PodStatus)| told == status && *answered == pod.status;
        *status != pod.status && !self.report.told.as_ref().is_some_and(was_told)
    }
}

/// The order in which the API changed an object.
fn revision(pod: &Pod) -> u64 {
    pod.metadata.resource_version.parse().unwrap_or(0)
}

/// All pods by uid.
pub(super) type Pods = BTreeMap<String, Tracked>;

/// The uids under which pods of this name are kept: the present one's, and those of its predecessors that are still ending.
pub(super) fn uids_of(pods: &Pods, key: &ObjectKey) -> Vec<String> {
    let is_it =
        |tracked: &Tracked| tracked.last.as_ref().is_some_and(|pod| ObjectKey::of(&pod.metadata) == *key);
    pods.iter().filter(|(_, tracked)| is_it(tracked)).map(|(uid, _)| uid.clone()).collect()
}
