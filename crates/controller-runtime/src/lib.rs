//! What controllers are built on: caches kept in step with the server, a work queue, planners and the executor of plans.
//!
//! It names no kind and takes no decision. It knows the server only as an [`orch_api::Client`].
//!
//! # Invariants
//!
//! - **Keys, not events.** A controller is handed the name of an object and looks at how things are. Losing or repeating a
//!   notification changes nothing.
//! - **Never two at once per key**, and never on a cache that lacks what was written for the key before.
//! - **Nothing polls.** Work begins with a change in a cache or at a time that a plan named.
//! - **One watch per kind and process**, however many controllers read it.
//! - **A failure is one failed item**: it is logged and tried again later; all other keys go on.
//!
//! # Where to start
//!
//! [`Planner`] (a decision), [`Plan`] (its outcome), [`Controller`] (what wakes it), then [`Cache`] and [`Reflector`].
#![deny(missing_docs)]

mod backoff;
mod cache;
mod cached;
mod caches;
mod clock;
mod controller;
mod correlation;
mod executor;
mod key;
mod metrics;
mod note;
mod plan;
mod planner;
mod progress;
mod queue;
mod reconcile;
mod recorder;
mod reflector;

pub use backoff::Backoff;
pub use cache::{Cache, Change, Changes, Index};
pub use cached::{Cached, PartialObject, WholeObject};
pub use caches::Caches;
pub use clock::{SystemClock, TestClock, later};
pub use controller::{ActAs, Context, Controller, RETRY, managing};
pub use executor::Executor;
pub use key::{Key, ObjectKey};
pub use metrics::Metrics;
pub use note::{Note, ObjectReference, Severity};
pub use plan::{Action, Plan, Write, target};
pub use planner::Planner;
pub use queue::{Outcome, QueueMetrics, WorkQueue};
pub use reconcile::{Reconciler, work};
pub use recorder::{EventWriter, Recorder};
pub use reflector::Reflector;
