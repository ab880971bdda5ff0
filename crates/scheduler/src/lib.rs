//! Which node a pod goes to, and why not to the others: [`place()`], a pure function of a [`Snapshot`] and a pod.
//!
//! Every node is looked at in every decision, so that the answer is the best there is and each node's [`Verdict`] is known:
//! the snapshot keeps what is asked of a node as plain numbers, which makes a look at a thousand nodes a matter of
//! microseconds.
//!
//! It deliberately does no I/O, keeps no queue, and knows nothing of binding: the scheduling controller feeds the snapshot
//! and carries out the placements.
//!
//! # Invariants
//!
//! - A pod is placed if and only if some node passes every filter.
//! - A placement never asks more of a node than it can give, and never violates a taint, selector or hard constraint.
//! - The same snapshot and pod give the same placement, whatever the order in which the snapshot was filled.
//!
//! Start reading at [`place()`], then `FILTERS` and `SCORES`, which are all there is to a decision.
#![deny(missing_docs)]

mod demand;
mod facts;
mod filter;
mod likeness;
mod place;
mod score;
mod snapshot;
mod spread;
mod verdict;

pub use likeness::Likeness;
pub use place::{Placement, place, try_node};
pub use snapshot::Snapshot;
pub use verdict::{Missing, Verdict};
