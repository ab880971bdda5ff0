//! What follows from changes: [`Foresight`], asked by a server that does not know what its controllers do.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use crate::plan::{BlastRadius, Eviction, ObjectChange, Placement};
use crate::{Kind, Request, Status};

/// All objects at one moment, that of a plan included.
pub trait View: Send + Sync {
    /// Every kind whose objects are kept.
    fn kinds(&self) -> Vec<Kind>;

    /// The JSON of all objects of a kind, without their `resourceVersion`.
    fn objects(&self, kind: &Kind) -> Vec<Bytes>;
}

/// What follows from changes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Foreseen {
    /// What becomes of other objects, each with the reason.
    pub changes: Vec<ObjectChange>,
    /// Where pods go.
    pub placements: Vec<Placement>,
    /// The pods that have to go.
    pub evictions: Vec<Eviction>,
    /// How far it reaches: how many objects it makes, changes and deletes, too.
    pub blast_radius: BlastRadius,
}

/// Foresees what the controllers will make of changes. Pure: it looks at what it is shown and writes nothing.
pub trait Foresight: Send + Sync + 'static {
    /// The kinds whose objects are told of, wherever they are. Those of a namespace have placements and evictions there.
    fn shows(&self) -> Vec<Kind>;

    /// The requests that draining a node comes down to. The first is about the node, and is refused if there is none: whether there is
    /// is told only to who may make it.
    ///
    /// # Errors
    /// 400 if that is not known here.
    fn drain(&self, node: &str, view: &dyn View) -> Result<Vec<Request>, Status>;

    /// What follows when `before` has become `after`.
    fn foresee(&self, before: &dyn View, after: &dyn View, now: Timestamp) -> Foreseen;

    /// What follows when, beyond that, what a simulation's `spec` supposes were so.
    ///
    /// # Errors
    /// 422 if it supposes what cannot be.
    fn suppose(
        &self,
        spec: &Value,
        before: &dyn View,
        after: &dyn View,
        now: Timestamp,
    ) -> Result<Foreseen, Status>;
}

/// Nothing is known of what follows: for servers without controllers.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoForesight;

impl Foresight for NoForesight {
    fn shows(&self) -> Vec<Kind> {
        Vec::new()
    }

    fn drain(&self, _: &str, _: &dyn View) -> Result<Vec<Request>, Status> {
        Err(Status::bad_request("this server does not know what draining a node comes down to"))
    }

    fn foresee(&self, _: &dyn View, _: &dyn View, _: Timestamp) -> Foreseen {
        Foreseen::default()
    }

    fn suppose(&self, _: &Value, _: &dyn View, _: &dyn View, _: Timestamp) -> Result<Foreseen, Status> {
        Err(Status::bad_request("this server does not know what follows from changes"))
    }
}
