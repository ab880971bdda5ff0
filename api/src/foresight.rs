//! What follows from changes: [`Foresight`], asked by a server that does not know what its controllers do.

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use crate::plan::{BlastRadius, Eviction, ObjectChange, Placement};
use crate::{FieldQuery, Kind, Request, Status};

/// All objects at one moment, that of a plan included.
pub trait View: Send + Sync {
    /// Every kind whose objects are kept.
    fn kinds(&self) -> Vec<Kind>;

    /// The JSON of all objects of a kind, without their `resourceVersion`.
    fn objects(&self, kind: &Kind) -> Vec<Bytes>;
}

/// An object that changes have touched, as it was and as it has become; without its `resourceVersion`.
#[derive(Debug, Clone, PartialEq)]
pub struct TouchedObject {
    /// Its kind.
    pub kind: Kind,
    /// None if there was none.
    pub before: Option<Bytes>,
    /// None if it is gone.
    pub after: Option<Bytes>,
}

/// What changes have made of all objects.
pub trait Scene: Send + Sync {
    /// The objects that the changes have touched. Cost: these objects.
    fn touched(&self) -> Vec<TouchedObject>;

    /// All objects as they were, and as they have become. They differ in nothing but what has been touched. Cost: a look at every object.
    fn views(&self) -> (Box<dyn View>, Box<dyn View>);
}

/// What draining a node comes down to.
#[derive(Debug, Clone, PartialEq)]
pub struct Drain {
    /// What comes first: keeps new pods off the node. It is refused if there is none, and to who may not do that.
    pub cordon: Request,
    /// The kind of the objects that are to go.
    pub kind: Kind,
    /// Which of them are there, by a selectable field.
    pub there: FieldQuery,
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
    /// How many more placements and evictions there are than have been looked for.
    pub omitted: usize,
}

/// Foresees what the controllers will make of changes. Pure: it looks at what it is shown and writes nothing.
pub trait Foresight: Send + Sync + 'static {
    /// The kinds whose objects are told of, wherever they are. Those of a namespace have placements and evictions there.
    fn shows(&self) -> Vec<Kind>;

    /// The kind of the services that are affected.
    fn services(&self) -> Option<Kind>;

    /// What draining a node comes down to.
    ///
    /// # Errors
    /// 400 if that is not known here.
    fn drain(&self, node: &str) -> Result<Drain, Status>;

    /// The requests that let those of the objects go that are on a node which is drained.
    fn evictions(&self, there: &[Bytes]) -> Vec<Request>;

    /// What follows from the changes.
    fn foresee(&self, scene: &dyn Scene, now: Timestamp) -> Foreseen;

    /// What follows when, beyond that, what a simulation's `spec` supposes were so.
    ///
    /// # Errors
    /// 422 if it supposes what cannot be.
    fn suppose(&self, spec: &Value, scene: &dyn Scene, now: Timestamp) -> Result<Foreseen, Status>;
}

/// Nothing is known of what follows: for servers without controllers.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoForesight;

impl Foresight for NoForesight {
    fn shows(&self) -> Vec<Kind> {
        Vec::new()
    }

    fn services(&self) -> Option<Kind> {
        None
    }

    fn drain(&self, _: &str) -> Result<Drain, Status> {
        Err(Status::bad_request("this server does not know what draining a node comes down to"))
    }

    fn evictions(&self, _: &[Bytes]) -> Vec<Request> {
        Vec::new()
    }

    fn foresee(&self, _: &dyn Scene, _: Timestamp) -> Foreseen {
        Foreseen::default()
    }

    fn suppose(&self, _: &Value, _: &dyn Scene, _: Timestamp) -> Result<Foreseen, Status> {
        Err(Status::bad_request("this server does not know what follows from changes"))
    }
}
