//! What a GitSync's status tells: its conditions.

use orch_api::{Condition, ConditionStatus, Conditions as _, Time};
use orch_ontology::{GitSync, GitSyncStatus, HeldRevision};

/// What a condition is about.
pub(super) const READY: &str = "Ready";
pub(super) const FETCHED: &str = "Fetched";
pub(super) const HEALTHY: &str = "Healthy";
pub(super) const HELD: &str = "Held";

/// Longer messages are cut.
const MAX_MESSAGE_BYTES: usize = 4096;

/// What is told of a commit that waits.
pub(super) struct Waiting {
    conditions: [(&'static str, Option<Condition>); 2],
    held: Option<HeldRevision>,
}

/// A status that is being written.
pub(super) struct Telling {
    pub(super) status: GitSyncStatus,
    generation: Option<i64>,
    now: Time,
}

impl Telling {
    pub(super) fn of(sync: &GitSync, now: Time) -> Self {
        Self { status: sync.status.clone(), generation: sync.metadata.generation, now }
    }

    pub(super) fn now(&self) -> Time {
        self.now
    }

    pub(super) fn is(&self, condition_type: &str) -> bool {
        self.status.conditions.is_true(condition_type)
    }

    pub(super) fn tell(
        &mut self,
        condition_type: &str,
        so: impl Into<ConditionStatus>,
        reason: &str,
        message: &str,
    ) {
        self.status.conditions.put(Condition {
            condition_type: condition_type.to_owned(),
            status: so.into(),
            observed_generation: self.generation,
            last_transition_time: Some(self.now),
            reason: reason.to_owned(),
            message: message[..message.floor_char_boundary(MAX_MESSAGE_BYTES)].to_owned(),
        });
    }

    /// What is told of the newest commit, while another one is looked after.
    pub(super) fn waiting(&self) -> Waiting {
        let of = |condition_type: &'static str| {
            (condition_type, self.status.conditions.of_type(condition_type).cloned())
        };
        Waiting { conditions: [of(READY), of(HELD)], held: self.status.held.clone() }
    }

    /// Tells it again.
    pub(super) fn tell_waiting(&mut self, Waiting { conditions, held }: Waiting) {
        self.status.held = held;
        for (condition_type, condition) in conditions {
            match condition {
                Some(condition) => {
                    // As it was, with the time since when it is so.
                    match self.status.conditions.iter_mut().find(|one| one.condition_type == condition_type) {
                        Some(told) => *told = condition,
                        None => self.status.conditions.push(condition),
                    }
                }
                None => self.drop(condition_type),
            }
        }
    }

    /// Nothing is held any more.
    pub(super) fn let_go(&mut self) {
        self.status.held = None;
        self.drop(HELD);
    }

    /// The condition is neither so nor not so any more.
    pub(super) fn drop(&mut self, condition_type: &str) {
        self.status.conditions.retain(|condition| condition.condition_type != condition_type);
    }

    /// It is not ready, and why.
    pub(super) fn unready(&mut self, reason: &str, message: &str) {
        self.tell(READY, false, reason, message);
    }

    /// The generation has been looked at.
    pub(super) fn observed(&mut self) {
        self.status.observed_generation = self.generation;
    }
}

/// Whether a sync says this already.
pub(super) fn says(sync: &GitSync, message: &str) -> bool {
    sync.status.conditions.iter().any(|condition| condition.message == message)
}

/// So many objects, in words.
pub(super) fn objects(many: usize) -> String {
    format!("{many} object{}", if many == 1 { "" } else { "s" })
}

/// The first digits of a commit.
pub(super) fn short(revision: &str) -> &str {
    revision.get(..12).unwrap_or(revision)
}
