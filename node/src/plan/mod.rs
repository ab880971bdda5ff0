//! What to do for one pod: a pure function of what should be, what is, what was tried, and the time.
//!
//! [`plan`] decides; [`World`] is what it decides on and [`Plan`] what it decides. Nothing here waits or touches anything.

mod action;
mod admission;
mod backoff;
mod end;
mod memory;
mod run;
mod start;
#[cfg(test)]
mod tests;
mod world;

use jiff::Timestamp;

pub(crate) use self::{
    action::{Action, Plan, Slot, Waiting},
    admission::{Offer, Rejection, admit},
    backoff::{Failure, slowing},
    end::{Ending, ending},
    memory::{Memory, Outcome, RUN_CONTAINER_ERROR, TornDown},
    start::{UNSEEN_CODE, will_run},
    world::{Seen, World, is_running},
};

/// Decides what to do for a pod now.
pub(crate) fn plan(world: &World<'_>, now: Timestamp) -> Plan {
    match (ending(world), world.pod) {
        (Some(ending), _) => end::plan(world, ending, now),
        (None, Some(pod)) => run::plan(world, pod, now),
        (None, None) => Plan::default(),
    }
}
