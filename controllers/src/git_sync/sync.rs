//! One look at one sync: the repository, what there should be, what is different, and making it so.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orch_api::Status;
use orch_controller_runtime::ObjectKey;
use orch_ontology::GitSync;

use super::fetch::Loaded;
use super::made::Made;
use super::told::{Telling, short};
use super::works::UNTIL_CHANGED;
use super::{Found, Memory, Syncer, depends, drift};

/// After so many times within this time it is left to the next look at the repository to change things back.
const CONTENTION: (usize, SignedDuration) = (5, SignedDuration::from_secs(60));
/// How long what moved while it was being changed is left alone.
const MOVED: Duration = Duration::from_millis(200);

/// Why a commit is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// It is the newest one.
    Newest,
    /// It is healthy, and what came after it is not: guards are not in its way.
    Back,
    /// It is applied already, and the newest one has to wait: nothing is told of it.
    Kept,
}

/// Whether to go on.
pub(super) enum Step<T> {
    Go(T),
    /// Not now: again after this time.
    Wait(Duration),
}

/// What has become of a commit.
enum Brought {
    /// It is applied.
    So,
    /// It is not, which has been told: it is tried again after this time.
    Not(Duration),
    /// That cannot be said yet.
    Again(Duration),
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
        let looked = match self.look(sync, memory, telling) {
            Step::Go(looked) => looked,
            Step::Wait(wait) if memory.newest.is_none() => return Ok(wait),
            // What was read before goes on to be kept so.
            Step::Wait(_) => false,
        };
        let (target, goal) = match self.target(sync, memory, telling) {
            Step::Go(target) => target,
            Step::Wait(wait) => return Ok(wait),
        };
        let wait = match self.bring(sync, (&target, goal), looked, memory, telling).await? {
            Brought::So => self.look_at_health(sync, &target, memory, telling).await?,
            Brought::Not(wait) => wait.min(self.keep(sync, &target, looked, memory, telling).await?),
            Brought::Again(wait) => return Ok(wait),
        };
        Ok(wait.min(self.until_next_look(memory)))
    }

    /// What is applied stays as it is, and is gone back from if it does not work, while another commit waits: as long as the spec is
    /// that which it was applied with.
    async fn keep(
        &self,
        sync: &GitSync,
        newest: &Loaded,
        looked: bool,
        memory: &mut Memory,
        telling: &mut Telling,
    ) -> Result<Duration, Status> {
        let status = &telling.status;
        let (revision, goal) = match status.failed_revision == status.applied_revision {
            true => (status.healthy_revision.clone(), Goal::Back),
            false => (status.applied_revision.clone(), Goal::Kept),
        };
        let is_same_spec = status.applied_generation == sync.metadata.generation;
        if revision.is_empty() || revision == newest.revision || !is_same_spec {
            return Ok(UNTIL_CHANGED);
        }
        let kept = match self.older(sync, &revision, memory) {
            Ok(kept) => kept,
            Err((wait, _)) => return Ok(wait),
        };
        let waiting = telling.waiting();
        let wait = match self.bring(sync, (&kept, goal), looked, memory, telling).await {
            Ok(Brought::So) => self.look_at_health(sync, &kept, memory, telling).await,
            Ok(Brought::Not(wait) | Brought::Again(wait)) => Ok(wait),
            Err(status) => Err(status),
        };
        telling.tell_waiting(waiting);
        wait
    }

    /// Makes it so as a commit says, unless that is known to be so, or known not to be done.
    async fn bring(
        &self,
        sync: &GitSync,
        (target, goal): (&Loaded, Goal),
        looked: bool,
        memory: &mut Memory,
        telling: &mut Telling,
    ) -> Result<Brought, Status> {
        let (now, generation) = (self.clock.now(), sync.metadata.generation);
        let before = self.seen(&telling.status.inventory, false);
        let found = memory.found.remove(&target.revision);
        if let Some(found) =
            found.filter(|found| !looked && found.generation == generation && found.objects == before)
        {
            let waits =
                found.waits.map(|until| Duration::try_from(until.duration_since(now)).unwrap_or_default());
            if waits.is_none_or(|left| !left.is_zero()) {
                memory.found.insert(target.revision.clone(), found);
                return Ok(waits.map_or(Brought::So, Brought::Not));
            }
        }
        if !looked && is_contended(memory, now) {
            let words = drift::in_words(&telling.status.drift);
            let message = format!("what is changed back is changed again and again: {words}");
            telling.unready("Contended", &message);
            return Ok(Brought::Again(self.until_next_look(memory)));
        }
        let (brought, objects, waits) = match self.make_so(sync, target, goal, telling).await? {
            Made::Changed { is_drift } => {
                if is_drift {
                    memory.corrections.push(now)
                } else {
                    memory.corrections.clear()
                }
                return Ok(Brought::So);
            }
            Made::Moved => return Ok(Brought::Again(MOVED)),
            Made::Same(objects) => (Brought::So, objects, None),
            Made::Not(wait) => (Brought::Not(wait), before, Some(after(now, wait))),
        };
        memory.found.insert(target.revision.clone(), Found { generation, objects, waits });
        Ok(brought)
    }
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

pub(super) fn about(target: &Loaded) -> String {
    format!("{} at {}: {}", target.reference, short(&target.revision), target.subject)
}

pub(super) fn after(now: Timestamp, wait: Duration) -> Timestamp {
    SignedDuration::try_from(wait).ok().and_then(|wait| now.checked_add(wait).ok()).unwrap_or(Timestamp::MAX)
}
