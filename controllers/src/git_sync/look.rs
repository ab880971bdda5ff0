//! When a repository is looked at, and which of its commits is to be applied.

use std::sync::Arc;
use std::time::Duration;

use orch_ontology::GitSync;

use super::fetch::{Loaded, Problem, Which};
use super::sync::{Goal, Step, after};
use super::told::{FETCHED, Telling, short};
use super::works::UNTIL_CHANGED;
use super::{Asked, Memory, Syncer};

impl Syncer {
    pub(super) fn until_next_look(&self, memory: &Memory) -> Duration {
        if memory.looking.is_some() {
            // Its end is a reason to go on.
            return UNTIL_CHANGED;
        }
        let next = memory.next_look.map(|at| at.duration_since(self.clock.now()));
        next.map_or(Duration::ZERO, |left| Duration::try_from(left).unwrap_or(Duration::ZERO))
    }

    /// Looks at the repository if it is time, or was asked for. Tells whether there is something to be seen.
    pub(super) fn look(&self, sync: &GitSync, memory: &mut Memory, telling: &mut Telling) -> Step<bool> {
        let (now, asked) = (self.clock.now(), Asked::of(sync));
        if memory.generation != asked.generation {
            // What was read for another spec may be something else.
            memory.tries_again |= memory.generation.is_some();
            memory.generation = asked.generation;
            (memory.newest, memory.older) = (None, None);
            (memory.looking, memory.fetching_older) = (None, None);
            memory.next_look = None;
        }
        let is_due = memory.next_look.is_none_or(|at| at <= now);
        if memory.looking.is_none() && !is_due && memory.asked.as_ref() == Some(&asked) {
            return Step::Go(false);
        }
        let newest = || Which::Newest { known: memory.newest.clone() };
        let (had_asked, fetching) =
            memory.looking.take().unwrap_or_else(|| (asked.clone(), self.fetcher.start(sync, newest())));
        let Some(outcome) = fetching.outcome() else {
            memory.looking = Some((had_asked, fetching));
            return Step::Wait(UNTIL_CHANGED);
        };
        memory.tries_again |= sync.status.handled_reconcile != had_asked.annotation;
        telling.status.handled_reconcile.clone_from(&had_asked.annotation);
        let step = match outcome {
            Ok(loaded) => {
                self.looked(sync, loaded, memory, telling);
                Step::Go(true)
            }
            Err(problem) => Step::Wait(self.unreadable(sync, memory, telling, &problem)),
        };
        if had_asked != asked {
            // Somebody has asked for more meanwhile.
            memory.next_look = Some(now);
        }
        memory.asked = Some(had_asked);
        step
    }

    fn looked(&self, sync: &GitSync, loaded: Arc<Loaded>, memory: &mut Memory, telling: &mut Telling) {
        let what = format!("{} is at {}: {}", loaded.reference, short(&loaded.revision), loaded.subject);
        telling.tell(FETCHED, true, "Fetched", &what);
        let status = &mut telling.status;
        let is_new = status.fetched_revision != loaded.revision;
        if std::mem::take(&mut memory.tries_again) || is_new {
            status.failed_revision.clear();
            status.failed_message.clear();
        }
        status.fetched_revision.clone_from(&loaded.revision);
        if status.held.as_ref().is_some_and(|held| held.revision != loaded.revision) {
            telling.let_go();
        }
        let applied = &telling.status.applied_revision;
        let before = memory.newest.replace(loaded).filter(|before| before.revision == *applied);
        // While the new one waits, it is still needed.
        memory.older = before.or(memory.older.take());
        memory.found.clear();
        memory.next_look = Some(after(self.clock.now(), sync.spec.interval()));
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
    pub(super) fn target(
        &self,
        sync: &GitSync,
        memory: &mut Memory,
        telling: &mut Telling,
    ) -> Step<(Arc<Loaded>, Goal)> {
        let Some(newest) = &memory.newest else { return Step::Wait(self.until_next_look(memory)) };
        if newest.revision != telling.status.failed_revision {
            return Step::Go((newest.clone(), Goal::Newest));
        }
        let revision = telling.status.healthy_revision.clone();
        match self.older(sync, &revision, memory) {
            Ok(healthy) => Step::Go((healthy, Goal::Back)),
            Err((wait, problem)) => {
                if let Some(problem) = problem {
                    let message =
                        format!("{} cannot be read to go back to it: {}", short(&revision), problem.message);
                    telling.unready("RollbackFailed", &message);
                }
                Step::Wait(wait.min(self.until_next_look(memory)))
            }
        }
    }

    /// A commit that is not the newest one. If it is not at hand: when to ask again, and what kept it from being read, if anything did.
    pub(super) fn older(
        &self,
        sync: &GitSync,
        revision: &str,
        memory: &mut Memory,
    ) -> Result<Arc<Loaded>, (Duration, Option<Problem>)> {
        let mut at_hand = memory.older.iter().chain(&memory.newest);
        if let Some(loaded) = at_hand.find(|loaded| loaded.revision == revision) {
            return Ok(loaded.clone());
        }
        let (now, retry) = (self.clock.now(), sync.spec.retry());
        let fetching = match memory.fetching_older.take().filter(|(of, _)| of == revision) {
            Some((_, fetching)) => fetching,
            None => {
                if let Some(at) = memory.older_not_before.filter(|at| *at > now) {
                    return Err((Duration::try_from(at.duration_since(now)).unwrap_or(retry), None));
                }
                self.fetcher.start(sync, Which::Revision(revision.to_owned()))
            }
        };
        match fetching.outcome() {
            None => {
                memory.fetching_older = Some((revision.to_owned(), fetching));
                Err((UNTIL_CHANGED, None))
            }
            Some(Ok(loaded)) => {
                memory.older_not_before = None;
                memory.older = Some(loaded.clone());
                Ok(loaded)
            }
            Some(Err(problem)) => {
                memory.older_not_before = Some(after(now, retry));
                Err((retry, Some(problem)))
            }
        }
    }
}
