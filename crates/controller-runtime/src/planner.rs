//! [`Planner`]: a controller whose decisions are a pure function.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use orch_api::{Clock, Status};
use serde::Serialize;
use tracing::trace;

use crate::{Executor, ObjectKey, Outcome, Plan, Reconciler};

/// A controller whose decisions are a pure function of what it has seen.
///
/// The runtime hands a key to a planner only when its caches show everything that was written for this key before: a
/// planner never sees a world that lacks its own writes, and needs no bookkeeping against doing things twice.
pub trait Planner: Send + Sync + 'static {
    /// Everything that a decision depends on, taken from caches. Prints as YAML, so that a bug report is a test.
    type World: Serialize + Send + Sync;

    /// Names the controller in logs, metrics, and as field manager.
    const NAME: &'static str;

    /// Collects the world around an object. None if there is nothing to decide, such as when the object is gone. Must not
    /// wait for anything.
    fn observe(&self, key: &ObjectKey) -> Option<Self::World>;

    /// Decides. Depends on nothing but its arguments.
    fn plan(world: &Self::World, now: Timestamp) -> Plan;
}

impl<P: Planner> Planner for Arc<P> {
    type World = P::World;

    const NAME: &'static str = P::NAME;

    fn observe(&self, key: &ObjectKey) -> Option<Self::World> {
        P::observe(self, key)
    }

    fn plan(world: &Self::World, now: Timestamp) -> Plan {
        P::plan(world, now)
    }
}

/// A planner with what carries its plans out.
pub(crate) struct Planned<P> {
    pub(crate) planner: P,
    pub(crate) executor: Executor,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl<P: Planner> Reconciler for Planned<P> {
    type Key = ObjectKey;

    fn name(&self) -> &'static str {
        P::NAME
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Status> {
        let plan = {
            let Some(world) = self.planner.observe(key) else { return Ok(Outcome::Done) };
            let plan = P::plan(&world, self.clock.now());
            trace!(world = ?serde_json::to_string(&world), plan = ?serde_json::to_string(&plan), "planned");
            plan
        };
        let requeue_after = plan.requeue_after;
        self.executor.execute(plan).await?;
        Ok(requeue_after.map_or(Outcome::Done, Outcome::After))
    }
}
