//! Making it so as a commit says: rehearsed, guarded, carried out, told.

use std::collections::BTreeSet;
use std::time::Duration;

use orch_api::{MAX_REASON_BYTES, Params, Patch, Status, as_words};
use orch_controller_runtime::{ObjectKey, Severity};
use orch_ontology::{GitSync, GitSyncStatus, HeldRevision, InventoryItem, Plan};
use serde_json::json;

use super::desired::{Desired, Scopes, desired};
use super::fetch::Loaded;
use super::guard::{self, Deletions};
use super::plans::{Placed, Plans, Refusal, Rehearsed, differing};
use super::sync::{Goal, about};
use super::told::{HELD, Telling, objects, says, short};
use super::works::looked_at;
use super::{Seen, Syncer, annotation, drift};

/// What came of trying to make it so as a commit says.
pub(super) enum Made {
    /// Something has been changed; whether others had changed it before.
    Changed { is_drift: bool },
    /// Nothing differs from it; what the objects were before that was found.
    Same(Vec<Seen>),
    /// It has not been made so, which has been told: it is tried again after this time.
    Not(Duration),
    /// Something moved in between.
    Moved,
}

impl Syncer {
    /// Makes everything as the commit says, if it is not.
    pub(super) async fn make_so(
        &self,
        sync: &GitSync,
        target: &Loaded,
        goal: Goal,
        telling: &mut Telling,
    ) -> Result<Made, Status> {
        let not = |telling: &mut Telling, reason: &str, message: &str| {
            telling.unready(reason, message);
            Ok(Made::Not(sync.spec.interval()))
        };
        let wanted = match self.wanted(sync, target) {
            Ok(wanted) => wanted,
            Err(message) => return not(telling, "InvalidManifests", &message),
        };
        let items: Vec<InventoryItem> = wanted.iter().map(|one| one.item.clone()).collect();
        // What changes from here on is seen to differ later.
        let before = self.seen(if goal == Goal::Kept { &telling.status.inventory } else { &items }, false);
        let mut changes = match goal {
            // What else there is may be of the commit that waits.
            Goal::Kept => Vec::new(),
            Goal::Newest | Goal::Back => self.deletions(sync, &items).await?,
        };
        let manager = GitSync::manager(sync.metadata.namespace(), &sync.metadata.name);
        changes.extend(wanted.into_iter().map(|one| placed(one, &manager)));
        if changes.len() > Plan::MOST_CHANGES {
            return not(telling, "TooLarge", &too_many(changes.len()));
        }
        let plans = self.plans(sync, reason(target));
        let mut rehearsed = match plans.rehearse(changes).await {
            Ok(rehearsed) => rehearsed,
            Err(refusal) => return self.refused(sync, goal, telling, refusal),
        };
        rehearsed.changes = differing(&rehearsed.changes, &rehearsed.preview);
        let made = if rehearsed.changes.is_empty() && rehearsed.last.is_empty() {
            self.tell_applied(sync, target, goal, telling, items);
            Made::Same(before)
        } else if let Some(wait) = self.is_held(sync, target, goal, &rehearsed, telling) {
            return Ok(Made::Not(wait));
        } else {
            self.carry_out(sync, (target, goal), telling, (&plans, &rehearsed), items).await?
        };
        if matches!(made, Made::Changed { .. } | Made::Same(_)) && is_approved(sync, target) {
            self.use_up_approval(sync, target).await?;
        }
        Ok(made)
    }

    /// An approval is of what was shown, once.
    async fn use_up_approval(&self, sync: &GitSync, target: &Loaded) -> Result<(), Status> {
        let path = format!("/metadata/annotations/{}", GitSync::APPROVE.replace('/', "~1"));
        let operations = json!([
            {"op": "test", "path": path, "value": target.revision},
            {"op": "remove", "path": path},
        ]);
        let patched =
            self.api(sync).patch(&sync.metadata.name, &Patch::Json(operations), Params::default()).await;
        match patched {
            // Somebody has approved something else meanwhile.
            Err(status) if status.code == 422 => Ok(()),
            patched => self.seen_again(patched).await,
        }
    }

    /// Makes the changes, and tells them.
    async fn carry_out(
        &self,
        sync: &GitSync,
        (target, goal): (&Loaded, Goal),
        telling: &mut Telling,
        (plans, rehearsed): (&Plans, &Rehearsed),
        items: Vec<InventoryItem>,
    ) -> Result<Made, Status> {
        let Rehearsed { changes, preview, last } = rehearsed;
        let is_drift = is_applied(&sync.status, sync, target);
        let drift = match is_drift {
            true => self.drift(sync, changes, preview, telling.now()).await,
            false => Vec::new(),
        };
        // What becomes of its objects while they are being made is not missed.
        self.inventories.set(&ObjectKey::of(&sync.metadata), &looked_at(sync, &items));
        // What is about to be made belongs to the sync, whatever becomes of this process.
        let all: BTreeSet<_> = telling.status.inventory.iter().chain(&items).cloned().collect();
        telling.status.inventory = all.into_iter().collect();
        self.write(
            sync,
            &GitSyncStatus { inventory: telling.status.inventory.clone(), ..sync.status.clone() },
        )
        .await?;
        let mut applied = Vec::new();
        let outcome = match plans.carry_out(changes, &mut applied).await {
            Ok(()) => plans.carry_out_last(last, &mut applied).await,
            Err(refusal) => Err(refusal),
        };
        let some = !applied.is_empty();
        if some {
            telling.status.last_plans = applied;
            telling.status.applied_at = Some(telling.now());
        }
        let left = match outcome {
            Ok(left) => left,
            Err(refusal) => {
                if some && !is_drift {
                    // Neither the one commit nor the other is there as a whole.
                    telling.status.applied_generation = None;
                }
                return self.refused(sync, goal, telling, refusal);
            }
        };
        let many = changes.len() + last.len() - left.len();
        let what = match drift.is_empty() {
            true => ("Applied", format!("{}: {} changed", about(target), objects(many))),
            false => ("DriftCorrected", format!("changed back: {}", drift::in_words(&drift))),
        };
        self.note(sync, Severity::Normal, what.0, &what.1);
        self.note_left(sync, &left);
        telling.status.drift = drift;
        self.tell_applied(sync, target, goal, telling, items);
        Ok(Made::Changed { is_drift })
    }

    fn tell_applied(
        &self,
        sync: &GitSync,
        target: &Loaded,
        goal: Goal,
        telling: &mut Telling,
        items: Vec<InventoryItem>,
    ) {
        if goal != Goal::Kept {
            telling.status.inventory = items;
            telling.let_go();
        }
        let now = Some(telling.now());
        let status = &mut telling.status;
        if !is_applied(status, sync, target) {
            // It has its time to become healthy, even if nothing differs.
            status.applied_since = now;
        }
        if status.applied_revision != target.revision {
            status.applied_at = now;
        }
        status.applied_revision.clone_from(&target.revision);
        status.applied_generation = sync.metadata.generation;
    }

    fn refused(
        &self,
        sync: &GitSync,
        goal: Goal,
        telling: &mut Telling,
        refusal: Refusal,
    ) -> Result<Made, Status> {
        match refusal {
            Refusal::Unavailable(status) => Err(status),
            Refusal::Moved(message) => {
                telling.unready("Moved", &message);
                Ok(Made::Moved)
            }
            Refusal::Refused(message) | Refusal::Forbidden(message) => {
                if goal != Goal::Kept && !says(sync, &message) {
                    self.note(sync, Severity::Warning, "Refused", &message);
                }
                telling.let_go();
                telling.unready("Refused", &message);
                Ok(Made::Not(sync.spec.retry()))
            }
        }
    }

    /// Keeps changes from being made that a guard is against, until they are approved or it is over.
    fn is_held(
        &self,
        sync: &GitSync,
        target: &Loaded,
        goal: Goal,
        rehearsed: &Rehearsed,
        telling: &mut Telling,
    ) -> Option<Duration> {
        // Guards keep what works from harm. What does not work is gone back from.
        if goal == Goal::Back || is_approved(sync, target) {
            return None;
        }
        let (guards, now, preview) = (&sync.spec.guards, self.clock.now(), &rehearsed.preview);
        let last = rehearsed.last.iter().map(|one| one.item.clone());
        let deletions = Deletions::of(preview, last, |other| self.prunes(other));
        let lost = preview.blast_radius.replicas_lost;
        let held = guard::held(guards, &target.revision, &deletions, lost, now)?;
        let HeldRevision { reason, message, until, .. } = &held;
        let interval = sync.spec.interval();
        let until = until.map(|until| until.timestamp().duration_since(now));
        let wait = until.map_or(interval, |left| Duration::try_from(left).unwrap_or(interval).min(interval));
        if goal == Goal::Kept {
            return Some(wait);
        }
        let message = format!(
            "{} is held: {message}; `orchctl gitsync approve {}` lets it through",
            short(&target.revision),
            sync.metadata.name
        );
        if telling.status.held.as_ref() != Some(&held) {
            self.note(sync, Severity::Warning, reason, &message);
        }
        telling.tell(HELD, true, reason, &message);
        telling.unready("Held", &message);
        telling.status.held = Some(held);
        Some(wait)
    }

    /// How many objects go with another sync.
    fn prunes(&self, item: &InventoryItem) -> usize {
        let other = self.syncs.get(&ObjectKey::new(item.namespace.clone(), item.name.clone()));
        let other = other.filter(|other| other.spec.prune && !other.spec.suspend);
        other.map_or(0, |other| other.status.inventory.len())
    }

    /// The objects that there should be.
    fn wanted(&self, sync: &GitSync, target: &Loaded) -> Result<Vec<Desired>, String> {
        let definitions = self.definitions.list();
        let scopes = Scopes::of(definitions.iter().map(|definition| &**definition), &target.manifests);
        let wanted = desired(&target.manifests, &sync.spec, sync.metadata.namespace(), &scopes);
        let wanted = wanted.map_err(|wrong| wrong.join("; "))?;
        match wanted.is_empty() {
            true => {
                let place = if sync.spec.path.is_empty() { "the repository" } else { &sync.spec.path };
                Err(format!("{place} holds no manifest at {}: nothing is changed", short(&target.revision)))
            }
            false => Ok(wanted),
        }
    }
}

fn placed(desired: Desired, manager: &str) -> Placed {
    Placed { change: desired.apply(manager), item: desired.item, place: desired.place }
}

fn too_many(many: usize) -> String {
    format!(
        "it would take {many} changes, deletions included, and {} are made at once: make several GitSyncs of it, each with a \
         spec.path of its own",
        Plan::MOST_CHANGES
    )
}

fn is_approved(sync: &GitSync, target: &Loaded) -> bool {
    annotation(sync, GitSync::APPROVE) == target.revision
}

/// Whether the commit is applied with this spec: what differs from it, others have changed.
fn is_applied(status: &GitSyncStatus, sync: &GitSync, target: &Loaded) -> bool {
    status.applied_revision == target.revision && status.applied_generation == sync.metadata.generation
}

/// Why a plan is made: what the history shows.
fn reason(target: &Loaded) -> String {
    as_words(&format!("{} ({})", about(target), target.author), MAX_REASON_BYTES)
}
