//! What is wrong, why, and what to do: behind `orchctl why` and the tool `diagnose`.
//!
//! [`gather()`] reads what bears on an object, or on the whole cluster, as whoever asks; [`diagnose`] makes of it causes with
//! their evidence, the likeliest first, each with a proposed fix. `diagnose` is a pure function: a [`World`] written
//! down as JSON is a bug report and a test.
//!
//! It deliberately changes nothing, keeps nothing, and reads no logs: it says where to look. Objects are read leniently, as
//! JSON, so that it understands servers and kinds that it was not built with.
//!
//! Start reading at `world.rs`, then `pod.rs`, `pull.rs`, `exit.rs`, `placement.rs`, `node.rs`.
#![deny(missing_docs)]

mod exit;
mod finding;
mod gather;
mod node;
mod owner;
mod placement;
mod pod;
mod pull;
mod subject;
mod terminating;
mod world;

pub use finding::{Cause, Evidence, Finding, Fix};
pub use gather::{Scope, gather};
pub use world::{Missing, World};

use jiff::Timestamp;

use crate::world::Index;

/// The causes of what is wrong in a world, the likeliest first; none if nothing is.
///
/// A cause that several pods share is one finding that names them all. What follows from another cause (pods of a node that
/// is down) is not told on its own.
///
/// What others may have written freely (messages of events, statuses and conditions) is in the evidence alone; sentences and fixes
/// are made of names and numbers.
///
/// Costs a sort of the events and a pass over pods, times the nodes for those that are not placed: in a server, call it where it keeps
/// nobody waiting.
pub fn diagnose(world: &World, now: Timestamp) -> Vec<Finding> {
    let index = Index::of(world);
    let mut found = node::findings(world);
    found.extend(terminating::findings(&index, now));
    for pod in &world.pods {
        found.extend(pod::findings(&index, pod, now));
    }
    found.extend(world.missing.iter().map(pod::missing));
    found.extend(owner::findings(&index));
    found.extend(subject::without_pods(world));
    if found.is_empty() {
        found.extend(subject::unwell(world));
    }
    finding::ranked(found, world)
}

#[cfg(test)]
mod tests;
