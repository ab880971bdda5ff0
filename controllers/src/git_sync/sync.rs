//! One look at one sync: the repository, what there should be, what is different, and making it so.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orch_api::plan::{PlannedChange, PlannedDelete};
use orch_api::{MAX_REASON_BYTES, Object as _, Params, Patch, Status, as_words};
use orch_controller_runtime::{ObjectKey, Severity};
use orch_ontology::{GitSync, GitSyncStatus, HeldRevision, InventoryItem, PlanStatus, rank};
use serde_json::json;

use super::desired::{Desired, Scopes, desired};
use super::fetch::{Loaded, Problem, Which, load};
use super::index::{Thing, thing};
use super::plans::{Placed, Plans, Refusal, differing};
use super::told::{FETCHED, HELD, Telling, objects, says, short};
use super::works::looked_at;
use super::{Asked, InStep, Memory, Syncer, annotation, depends, drift, guard, is_managed};

/// An object with this annotation stays when the repository no longer has it.
const PRUNE: (&str, &str) = ("orch.dev/prune", "false");
/// After so many times within this time it is left to the next look at the repository to change things back.
const CONTENTION: (usize, SignedDuration) = (5, SignedDuration::from_secs(60));
/// How long what moved while it was being changed is left alone.
const MOVED: Duration = Duration::from_millis(200);

/// Whether to go on.
enum Step<T> {
    Go(T),
    /// Not now: again after this time.
    Wait(Duration),
}

macro_rules! go {
    ($step:expr) => {
        match $step {
            Step::Go(value) => value,
            Step::Wait(wait) => return Ok(wait),
        }
    };
}

impl Syncer {
    /// Does what there is to do, tells it, and says when to look again.
    ///
    /// # Errors
    /// The server cannot say or do something now.
    pub(super) async fn sync(
        &self,
        sync: &GitSync,
        memory: &mut Memory,
        telling: &mut Telling,
    ) -> Result<Duration, Status> {
        let find = |name: &str| self.syncs.get(&ObjectKey::new(sync.metadata.namespace(), name)).map(Other);
        if let Some((reason, message)) = depends::awaited(sync, &find) {
            telling.unready(reason, &message);
            return Ok(sync.spec.retry());
        }
        let looked = match self.look(sync, memory, telling).await {
            Step::Go(looked) => looked,
            Step::Wait(wait) if memory.newest.is_none() => return Ok(wait),
            // What was read before goes on to be kept so.
            Step::Wait(_) => false,
        };
        let target = go!(self.target(sync, memory, telling).await);
        let generation = sync.metadata.generation;
        let in_step = |objects| InStep { revision: target.revision.clone(), generation, objects };
        let before = self.seen(&telling.status.inventory, false);
        if looked || memory.in_step.as_ref() != Some(&in_step(before)) {
            memory.in_step = None;
            let now = self.clock.now();
            if !looked && is_contended(memory, now) {
                let words = drift::in_words(&telling.status.drift);
                telling.unready(
                    "Contended",
                    &format!("what is changed back is changed again and again: {words}"),
                );
                return Ok(self.until_next_look(memory));
            }
            match go!(self.make_so(sync, &target, telling).await?) {
                true if is_drift(sync, &target) => memory.corrections.push(now),
                true => memory.corrections.clear(),
                false => memory.in_step = Some(in_step(self.seen(&telling.status.inventory, false))),
            }
        }
        let wait = self.look_at_health(sync, &target, memory, telling).await?;
        Ok(wait.min(self.until_next_look(memory)))
    }

    fn until_next_look(&self, memory: &Memory) -> Duration {
        let next = memory.next_look.map(|at| at.duration_since(self.clock.now()));
        next.map_or(Duration::ZERO, |left| Duration::try_from(left).unwrap_or(Duration::ZERO))
    }

    /// Looks at the repository if it is time, or was asked for. Tells whether it did.
    async fn look(&self, sync: &GitSync, memory: &mut Memory, telling: &mut Telling) -> Step<bool> {
        let (now, asked) = (self.clock.now(), Asked::of(sync));
        let is_due = memory.next_look.is_none_or(|at| at <= now);
        if !is_due && memory.asked.as_ref() == Some(&asked) {
            return Step::Go(false);
        }
        memory.tries_again |= sync.status.handled_reconcile != asked.annotation;
        if memory.asked.as_ref().is_some_and(|before| before.generation != asked.generation) {
            (memory.newest, memory.healthy, memory.tries_again) = (None, None, true);
        }
        telling.status.handled_reconcile.clone_from(&asked.annotation);
        memory.asked = Some(asked);
        let which = Which::Newest { known: memory.newest.as_ref() };
        match load(&self.client, &self.settings, sync, which).await {
            Ok(loaded) => {
                let what =
                    format!("{} is at {}: {}", loaded.reference, short(&loaded.revision), loaded.subject);
                telling.tell(FETCHED, true, "Fetched", &what);
                let is_new = telling.status.fetched_revision != loaded.revision;
                if is_new || std::mem::take(&mut memory.tries_again) {
                    telling.status.failed_revision.clear();
                    telling.status.failed_message.clear();
                }
                telling.status.fetched_revision.clone_from(&loaded.revision);
                memory.newest = Some(loaded);
                memory.next_look = Some(after(now, sync.spec.interval()));
                Step::Go(true)
            }
            Err(problem) => Step::Wait(self.unreadable(sync, memory, telling, &problem)),
        }
    }

    /// What cannot be read changes nothing.
    fn unreadable(
        &self,
        sync: &GitSync,
        memory: &mut Memory,
        telling: &mut Telling,
        problem: &Problem,
    ) -> Duration {
        let wait = match problem.is_of_the_commit {
            true => sync.spec.interval(),
            false => sync.spec.retry(),
        };
        memory.next_look = Some(after(self.clock.now(), wait));
        telling.tell(FETCHED, false, &problem.reason, &problem.message);
        telling.unready(&problem.reason, &problem.message);
        wait
    }

    /// The commit that is to be applied: the newest one, unless it has failed.
    async fn target(&self, sync: &GitSync, memory: &mut Memory, telling: &mut Telling) -> Step<Arc<Loaded>> {
        let retry = sync.spec.retry();
        let Some(newest) = &memory.newest else { return Step::Wait(self.until_next_look(memory)) };
        if newest.revision != telling.status.failed_revision {
            return Step::Go(newest.clone());
        }
        let revision = telling.status.healthy_revision.clone();
        if let Some(healthy) = memory.healthy.as_ref().filter(|healthy| healthy.revision == revision) {
            return Step::Go(healthy.clone());
        }
        let now = self.clock.now();
        if let Some(left) = memory.healthy_not_before.filter(|at| *at > now).map(|at| at.duration_since(now))
        {
            return Step::Wait(Duration::try_from(left).unwrap_or(retry));
        }
        memory.healthy_not_before = Some(after(now, retry));
        match load(&self.client, &self.settings, sync, Which::Revision(&revision)).await {
            Ok(loaded) => {
                memory.healthy = Some(loaded.clone());
                Step::Go(loaded)
            }
            Err(problem) => {
                let message =
                    format!("{} cannot be read to go back to it: {}", short(&revision), problem.message);
                telling.unready("RollbackFailed", &message);
                Step::Wait(retry)
            }
        }
    }

    /// Makes everything as the commit says, if it is not. Tells whether anything was changed.
    async fn make_so(
        &self,
        sync: &GitSync,
        target: &Loaded,
        telling: &mut Telling,
    ) -> Result<Step<bool>, Status> {
        let interval = sync.spec.interval();
        let wanted = match self.wanted(sync, target) {
            Ok(wanted) => wanted,
            Err(message) => {
                telling.unready("InvalidManifests", &message);
                return Ok(Step::Wait(interval));
            }
        };
        let mut changes = self.deletions(sync, &wanted).await?;
        let manager = GitSync::manager(sync.metadata.namespace(), &sync.metadata.name);
        changes.extend(wanted.iter().map(|one| Placed {
            change: one.apply(&manager),
            item: one.item.clone(),
            place: one.place.clone(),
        }));
        let plans = self.plans(sync, reason(target));
        let preview = match plans.preview(&changes).await {
            Ok(preview) => preview,
            Err(refusal) => return self.refused(sync, telling, refusal),
        };
        let changes = differing(&changes, &preview);
        let items: Vec<InventoryItem> = wanted.into_iter().map(|one| one.item).collect();
        if changes.is_empty() {
            self.tell_applied(telling, target, items);
            return Ok(Step::Go(false));
        }
        if let Some(wait) = self.is_held(sync, target, &preview, telling) {
            return Ok(Step::Wait(wait));
        }
        let made = self.carry_out(sync, target, telling, (&plans, changes, &preview), items).await?;
        if matches!(made, Step::Go(_)) && is_approved(sync, target) {
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
        target: &Loaded,
        telling: &mut Telling,
        (plans, changes, preview): (&Plans, Vec<Placed>, &PlanStatus),
        items: Vec<InventoryItem>,
    ) -> Result<Step<bool>, Status> {
        let drift = match is_drift(sync, target) {
            true => self.drift(sync, &changes, preview, telling.now()).await,
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
        let outcome = plans.carry_out(&changes, &mut applied).await;
        if !applied.is_empty() {
            telling.status.last_plans = applied;
            telling.status.applied_at = Some(telling.now());
        }
        if let Err(refusal) = outcome {
            return self.refused(sync, telling, refusal);
        }
        let many = changes.len();
        let what = match drift.is_empty() {
            true => ("Applied", format!("{}: {} changed", about(target), objects(many))),
            false => ("DriftCorrected", format!("changed back: {}", drift::in_words(&drift))),
        };
        self.note(sync, Severity::Normal, what.0, &what.1);
        telling.status.drift = drift;
        self.tell_applied(telling, target, items);
        Ok(Step::Go(true))
    }

    fn tell_applied(&self, telling: &mut Telling, target: &Loaded, items: Vec<InventoryItem>) {
        let now = telling.now();
        let status = &mut telling.status;
        status.inventory = items;
        if status.applied_revision != target.revision {
            // It has its time to become healthy, even if nothing differs.
            status.applied_at = Some(now);
        }
        status.applied_revision.clone_from(&target.revision);
        status.held = None;
        telling.drop(HELD);
    }

    fn refused(&self, sync: &GitSync, telling: &mut Telling, refusal: Refusal) -> Result<Step<bool>, Status> {
        match refusal {
            Refusal::Unavailable(status) => Err(status),
            Refusal::Moved(message) => {
                telling.unready("Moved", &message);
                Ok(Step::Wait(MOVED))
            }
            Refusal::Refused(message) => {
                if !says(sync, &message) {
                    self.note(sync, Severity::Warning, "Refused", &message);
                }
                telling.unready("Refused", &message);
                Ok(Step::Wait(sync.spec.retry()))
            }
        }
    }

    /// Keeps changes from being made that a guard is against, until they are approved or it is over.
    fn is_held(
        &self,
        sync: &GitSync,
        target: &Loaded,
        preview: &PlanStatus,
        telling: &mut Telling,
    ) -> Option<Duration> {
        if is_approved(sync, target) {
            return None;
        }
        let (guards, now) = (&sync.spec.guards, self.clock.now());
        let held = guard::held(guards, &target.revision, &preview.changes, &preview.blast_radius, now)?;
        let HeldRevision { reason, message, until, .. } = &held;
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
        let interval = sync.spec.interval();
        let until = until.map(|until| until.timestamp().duration_since(now));
        let wait = until.map_or(interval, |left| Duration::try_from(left).unwrap_or(interval).min(interval));
        telling.status.held = Some(held);
        Some(wait)
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

    /// What has been applied and is not wanted any more, what refers before what is referred to. Only what still belongs to the sync.
    async fn deletions(&self, sync: &GitSync, wanted: &[Desired]) -> Result<Vec<Placed>, Status> {
        if !sync.spec.prune {
            return Ok(Vec::new());
        }
        // Of another version it is the same object.
        let wanted: BTreeSet<Thing> = wanted.iter().map(|one| thing(&one.item)).collect();
        let gone =
            sync.status.inventory.iter().filter(|item| !wanted.contains(&thing(item))).cloned().collect();
        self.removals(sync, gone).await
    }

    /// What deletes those of the objects that are there and belong to the sync.
    pub(super) async fn removals(
        &self,
        sync: &GitSync,
        mut items: Vec<InventoryItem>,
    ) -> Result<Vec<Placed>, Status> {
        let manager = GitSync::manager(sync.metadata.namespace(), &sync.metadata.name);
        items
            .sort_by_key(|item| (gives_rights(item), std::cmp::Reverse(rank(&item.api_version, &item.kind))));
        let mut removals = Vec::new();
        for item in items {
            let Some(object) = self.find(&self.client, &item).await? else { continue };
            let stays = object["metadata"]["annotations"].text(&[PRUNE.0]) == PRUNE.1;
            if stays || object.is_terminating() || !is_managed(&object, &manager) {
                continue;
            }
            let (uid, target) = (object.uid().to_owned(), item.clone().into());
            let delete = Some(PlannedDelete { target, uid, ..PlannedDelete::default() });
            let place = format!("{} {}", item.kind, item.name);
            removals.push(Placed {
                change: PlannedChange { delete, ..PlannedChange::default() },
                item,
                place,
            });
        }
        Ok(removals)
    }
}

/// Whether a sync may lose the right to delete others with an object: such go last.
fn gives_rights(item: &InventoryItem) -> bool {
    item.api_version.starts_with("rbac.authorization.k8s.io/") || item.kind == "ServiceAccount"
}

fn is_approved(sync: &GitSync, target: &Loaded) -> bool {
    annotation(sync, GitSync::APPROVE) == target.revision
}

/// Another sync, by way of the cache.
pub(super) struct Other(Arc<GitSync>);

impl AsRef<GitSync> for Other {
    fn as_ref(&self) -> &GitSync {
        &self.0
    }
}

/// Whether somebody changes what is changed back, so often that both do nothing else.
fn is_contended(memory: &mut Memory, now: Timestamp) -> bool {
    memory.corrections.retain(|at| now.duration_since(*at) < CONTENTION.1);
    memory.corrections.len() >= CONTENTION.0
}

/// Whether what differs has been changed by others: the commit and what is asked of it are those that were applied.
fn is_drift(sync: &GitSync, target: &Loaded) -> bool {
    sync.status.applied_revision == target.revision
        && sync.status.observed_generation == sync.metadata.generation
}

/// Why a plan is made: what the history shows.
fn reason(target: &Loaded) -> String {
    as_words(&format!("{} ({})", about(target), target.author), MAX_REASON_BYTES)
}

pub(super) fn about(target: &Loaded) -> String {
    format!("{} at {}: {}", target.reference, short(&target.revision), target.subject)
}

fn after(now: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).ok().and_then(|wait| now.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}
