//! What the loop keeps of each pod.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use orch_controller_runtime::ObjectKey;
use orch_ontology::{Pod, PodPhase, PodStatus};

use crate::plan::{Failure, Memory, Seen};

/// How long news of a start is held back. Most starts are over by then, and one report tells all of it.
const SETTLE: SignedDuration = SignedDuration::from_millis(100);

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
    /// Since when there is news of a start that has not been told.
    pub(super) held_since: Option<Timestamp>,
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
            // Whoever changed it reached the API.
            self.report.failure = None;
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

    /// Until when telling this status has to wait: for another try, or because the pod is still starting and more news will
    /// follow at once. None if it is to be told now.
    pub(super) fn tell_later(&mut self, pod: &Pod, status: &PodStatus, now: Timestamp) -> Option<Timestamp> {
        let is_pending = |status: &PodStatus| matches!(status.phase, None | Some(PodPhase::Pending));
        let is_start = is_pending(status) && is_pending(&pod.status) && !pod.metadata.is_terminating();
        let held_until = is_start.then(|| *self.report.held_since.get_or_insert(now) + SETTLE);
        let retry_at = self.report.failure.as_ref().map(|failure| failure.retry_at);
        held_until.into_iter().chain(retry_at).max().filter(|at| *at > now)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::slowing;

    fn status(phase: &str) -> PodStatus {
        serde_json::from_value(json!({"phase": phase})).unwrap()
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(millis).unwrap()
    }

    #[test]
    fn news_of_a_start_is_told_after_a_while_and_its_end_at_once() {
        let (mut tracked, pod) = (Tracked::default(), Pod::default());
        assert_eq!(tracked.tell_later(&pod, &status("Pending"), at(0)), Some(at(100)));
        assert_eq!(tracked.tell_later(&pod, &status("Pending"), at(60)), Some(at(100)));
        assert_eq!(tracked.tell_later(&pod, &status("Running"), at(61)), None);
        assert_eq!(tracked.tell_later(&pod, &status("Pending"), at(100)), None);
    }

    #[test]
    fn what_could_not_be_told_waits_for_another_try() {
        let pace = slowing(std::time::Duration::from_secs(1));
        let failure = Failure::after(None, pace, at(0), "Status", "gone".to_owned());
        let retry_at = failure.retry_at;
        let mut tracked =
            Tracked { report: Report { failure: Some(failure), ..Report::default() }, ..Tracked::default() };
        assert_eq!(tracked.tell_later(&Pod::default(), &status("Running"), at(0)), Some(retry_at));
        assert_eq!(tracked.tell_later(&Pod::default(), &status("Running"), retry_at), None);
        tracked.update(Arc::new(Pod::default()));
        let changed = tracked.tell_later(&Pod::default(), &status("Running"), at(0));
        assert_eq!(changed, None, "the API is there, or the pod would not have changed");
    }
}
