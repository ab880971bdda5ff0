//! What happens when an effect has ended.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use orch_api::{Reason, Status};
use orch_controller_runtime::{Backoff, Cached as _};
use orch_ontology::{Pod, PodStatus};
use tokio::task::{Id, JoinError};
use tracing::{error, warn};

use super::{
    core::{Core, Done, Subject},
    execute::chain,
    set,
    tracked::NodeLabels,
};
use crate::plan::{Action, Failure, Outcome, Seen};

/// How long to wait before looking at a runtime again that could not be reached. One that is back should not be waited for.
const OBSERVE_AGAIN: Backoff = Backoff { first: Duration::from_secs(1), limit: Duration::from_secs(10) };
/// How long to wait before reading the node's labels again.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// How long to wait before telling the API again what it did not take. One that is back should not be waited for.
const REPORT_AGAIN: Backoff = Backoff { first: Duration::from_millis(500), limit: Duration::from_secs(10) };

impl Core {
    pub(super) fn finish(&mut self, done: Result<(Id, Done), JoinError>) {
        let id = done.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let Some((uid, subject)) = self.subjects.remove(&id) else { return };
        let done = done.map(|(_, done)| done);
        if let Err(error) = &done
            && error.is_panic()
        {
            error!(uid, %error, "an effect panicked");
        }
        match (subject, done) {
            (Subject::Action(action), Ok(Done::Acted(outcome))) => self.acted(&uid, &action, outcome),
            (Subject::Action(action), _) => self.gave_up(&uid, &action),
            (Subject::Observation, Ok(Done::Observed(Ok(seen)))) => self.observed(seen),
            (Subject::Observation, Ok(Done::Observed(Err(error)))) => self.not_observed(chain(&error)),
            (Subject::Observation, _) => self.not_observed("the observation was given up".to_owned()),
            (Subject::Report, Ok(Done::Told { told, answer })) => self.told(&uid, *told, *answer),
            (Subject::Report, _) => self.told(&uid, PodStatus::default(), Err(Status::internal("panicked"))),
            (Subject::NodeLabels, Ok(Done::LabelsRead(labels))) => self.labels_read(&uid, labels),
            (Subject::NodeLabels, _) => self.labels_read(&uid, Err(Status::internal("panicked"))),
        }
    }

    fn labels_read(&mut self, uid: &str, labels: Result<BTreeMap<String, String>, Status>) {
        let retry_at = self.shared.clock.now() + READ_AGAIN;
        let Some(tracked) = self.pods.get_mut(uid) else { return };
        match labels {
            Ok(labels) => (tracked.node_labels, tracked.is_dirty) = (NodeLabels::Read(labels), true),
            Err(status) => {
                warn!(uid, %status, "cannot read the node's labels, trying again");
                (tracked.node_labels, tracked.wake_at) = (NodeLabels::Own, Some(retry_at));
            }
        }
    }

    fn acted(&mut self, uid: &str, action: &Action, outcome: Outcome) {
        self.pulls.remove(&(uid.to_owned(), action.slot()));
        let now = self.shared.clock.now();
        let needs_observation = self.observation.begun + 1;
        let Some(tracked) = self.pods.get_mut(uid) else { return };
        let notes = tracked.memory.end(tracked.last.as_deref(), action, outcome, now);
        notes.into_iter().for_each(|note| self.shared.recorder.record(note));
        tracked.is_dirty = true;
        if changes_runtime(action) {
            tracked.needs_observation = needs_observation;
            self.observation.is_wanted = true;
        }
    }

    fn gave_up(&mut self, uid: &str, action: &Action) {
        if action.can_be_cancelled() {
            self.pulls.remove(&(uid.to_owned(), action.slot()));
            if let Some(tracked) = self.pods.get_mut(uid) {
                tracked.memory.busy.remove(&action.slot());
                tracked.is_dirty = true;
            }
            return;
        }
        let outcome = Outcome::Failed { reason: "InternalError", message: "the agent gave up".to_owned() };
        self.acted(uid, action, outcome);
    }

    fn observed(&mut self, seen: BTreeMap<String, Seen>) {
        self.observation.is_under_way = false;
        if self.observation.failure.take().is_some() {
            self.decide_again_for_all();
        }
        self.observation.complete = self.observation.begun;
        set(&self.health, Ok(self.version.clone()));
        let nothing = Seen::default();
        for (uid, tracked) in &mut self.pods {
            let now = seen.get(uid).unwrap_or(&nothing);
            if *now != tracked.seen {
                tracked.seen = now.clone();
                tracked.is_dirty = true;
            }
        }
        let seen = Arc::new(seen);
        self.seen.send_replace(seen.clone());
        // Before all pods are known, what is unknown means nothing.
        if !self.cache.has_synced() {
            return;
        }
        // The cache may know them a moment before this loop has heard of it: none of those is a stranger.
        self.take_wakes();
        let strangers: Vec<String> =
            seen.keys().filter(|uid| !self.pods.contains_key(*uid)).cloned().collect();
        for uid in strangers {
            warn!(uid, "removing what belongs to no pod");
            self.track(uid);
        }
    }

    fn not_observed(&mut self, message: String) {
        let now = self.shared.clock.now();
        warn!(message, "cannot observe the runtime, trying again");
        self.observation.is_under_way = false;
        self.observation.is_wanted = true;
        let before = self.observation.failure.take();
        if before.is_none() {
            self.decide_again_for_all();
        }
        let failure = Failure::after(before.as_ref(), OBSERVE_AGAIN, now, "Unavailable", message.clone());
        self.observation.failure = Some(failure);
        set(&self.health, Err(message));
    }

    /// No pod is ready whose runtime is not there.
    fn decide_again_for_all(&mut self) {
        self.pods.values_mut().for_each(|tracked| tracked.is_dirty = true);
    }

    fn told(&mut self, uid: &str, told: PodStatus, answer: Result<Pod, Status>) {
        let now = self.shared.clock.now();
        let Some(tracked) = self.pods.get_mut(uid) else { return };
        (tracked.report.is_under_way, tracked.report.held_since) = (false, None);
        tracked.is_dirty = true;
        match answer {
            Ok(mut pod) => {
                pod.trim();
                tracked.report.failure = None;
                tracked.report.told = Some((told, pod.status.clone()));
                // The API may have let it go in between; then what is known of it must not come back.
                if tracked.pod.is_some() {
                    tracked.update(Arc::new(pod));
                }
            }
            Err(status) => {
                // Of what is gone or has changed, the watch tells soon.
                if !status.is(&Reason::Conflict) && !status.is(&Reason::NotFound) {
                    warn!(uid, %status, "cannot tell the pod's status, trying again");
                }
                let before = tracked.report.failure.as_ref();
                let failure = Failure::after(before, REPORT_AGAIN, now, "Status", status.to_string());
                tracked.report.failure = Some(failure);
            }
        }
    }
}

/// Whether the runtime may look different after this.
fn changes_runtime(action: &Action) -> bool {
    !matches!(
        action,
        Action::SetUpVolumes { .. }
            | Action::EnsureImage { .. }
            | Action::TearDown { .. }
            | Action::DeletePod
    )
}
