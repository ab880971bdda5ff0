//! What is to become of an object, given its owners and dependents. Pure.

use orch_api::{Kind, Metadata, OwnerReference, Propagation};
use orch_controller_runtime::{Action, Plan, Write};
use serde_json::json;

use super::{FOREGROUND, ORPHAN};

/// An object, its owners and its dependents.
#[derive(Debug, Clone)]
pub struct World {
    /// The object's kind.
    pub kind: Kind,
    /// The object's metadata.
    pub metadata: Metadata,
    /// Whether its owners are there.
    pub owners: Vec<Owner>,
    /// The objects that name it as their owner.
    pub dependents: Vec<Dependent>,
}

/// An owner that an object names.
#[derive(Debug, Clone)]
pub struct Owner {
    /// How the object names it.
    pub reference: OwnerReference,
    /// Whether it is there.
    pub state: OwnerState,
}

/// Whether an owner is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnerState {
    /// It is there.
    Present,
    /// It is on its way out and waits for its dependents to go first.
    Waiting,
    /// The server says that it is gone for good.
    Absent,
    /// Its kind is not known, so nobody can say. Counts as present: nothing is deleted that may be needed.
    Unknown,
}

/// An object that names another as its owner.
#[derive(Debug, Clone)]
pub struct Dependent {
    /// Its kind.
    pub kind: Kind,
    /// Its metadata.
    pub metadata: Metadata,
}

/// Decides what is to become of the object.
pub fn plan(world: &World) -> Plan {
    let writes = match waits_as(world) {
        Some(finalizer) if lets_go(world) => vec![without_finalizer(world, finalizer)],
        // The dependents lose their owner first; the next time round there are none.
        Some(ORPHAN) => orphan_dependents(world),
        // The dependents see for themselves that their owner waits for them.
        Some(_) => Vec::new(),
        None if world.metadata.is_terminating() => Vec::new(),
        None => follow_owners(world),
    };
    Plan { writes, ..Plan::nothing() }
}

/// Whether the object is on its way out, was held by what is decided here, and may go now, as far as its dependents are known.
pub(super) fn lets_go(world: &World) -> bool {
    let blocks = |dependent: &Dependent| {
        let owners = &dependent.metadata.owner_references;
        owners.iter().any(|owner| owner.uid == world.metadata.uid && owner.block_owner_deletion == Some(true))
    };
    match waits_as(world) {
        Some(ORPHAN) => world.dependents.is_empty(),
        Some(_) => !world.dependents.iter().any(blocks),
        None => false,
    }
}

/// The finalizer that holds the object on its way out until something has become of its dependents.
fn waits_as(world: &World) -> Option<&'static str> {
    let has = |finalizer: &&str| world.metadata.finalizers.iter().any(|name| name == finalizer);
    [ORPHAN, FOREGROUND].into_iter().find(has).filter(|_| world.metadata.is_terminating())
}

fn orphan_dependents(world: &World) -> Vec<Write> {
    let released = |dependent: &Dependent| {
        without_owners(&dependent.kind, &dependent.metadata, |owner| owner.uid == world.metadata.uid)
    };
    world.dependents.iter().map(released).collect()
}

fn follow_owners(world: &World) -> Vec<Write> {
    let any = |state: OwnerState| world.owners.iter().any(|owner| owner.state == state);
    let (leaving, waiting) = (any(OwnerState::Absent) || any(OwnerState::Waiting), any(OwnerState::Waiting));
    let held = any(OwnerState::Present) || any(OwnerState::Unknown);
    match (leaving, held) {
        (false, _) => Vec::new(),
        // Somebody still needs it: only the names of those that don't are struck out.
        (true, true) => {
            let goes = |reference: &OwnerReference| {
                let gone = |owner: &Owner| matches!(owner.state, OwnerState::Absent | OwnerState::Waiting);
                world.owners.iter().any(|owner| owner.reference == *reference && gone(owner))
            };
            vec![without_owners(&world.kind, &world.metadata, goes)]
        }
        (true, false) if waiting && is_in_circle(world) => vec![unblock(world)],
        (true, false) => vec![delete(world, waiting)],
    }
}

/// Whether the object and its dependents would wait for each other: it blocks its owner, and one of its dependents, on its
/// way out, is to wait for it.
fn is_in_circle(world: &World) -> bool {
    let blocks = world.metadata.owner_references.iter().any(|owner| owner.block_owner_deletion == Some(true));
    let waits = |dependent: &Dependent| {
        let metadata = &dependent.metadata;
        metadata.is_terminating() && metadata.finalizers.iter().any(|name| name == FOREGROUND)
    };
    blocks && world.dependents.iter().any(waits)
}

/// The object no longer blocks its owners; it is deleted the next time round.
fn unblock(world: &World) -> Write {
    let references = world.metadata.owner_references.iter().map(|owner| {
        let block_owner_deletion = owner.block_owner_deletion.map(|_| false);
        OwnerReference { block_owner_deletion, ..owner.clone() }
    });
    merge(&world.kind, &world.metadata, json!({"ownerReferences": references.collect::<Vec<_>>()}))
}

/// Deletes the object, in the way that whoever set its finalizers wanted; in the foreground if its owner waits and it has
/// dependents of its own.
fn delete(world: &World, owner_waits: bool) -> Write {
    let has = |finalizer: &str| world.metadata.finalizers.iter().any(|name| name == finalizer);
    let policy = if has(ORPHAN) {
        Propagation::Orphan
    } else if has(FOREGROUND) || (owner_waits && !world.dependents.is_empty()) {
        Propagation::Foreground
    } else {
        Propagation::Background
    };
    let mut write = Write::delete_of(&world.kind, &world.metadata);
    if let Action::Delete { propagation, resource_version, .. } = &mut write.action {
        *propagation = Some(policy);
        // If its owners have changed since, the decision no longer holds.
        *resource_version = Some(world.metadata.resource_version.clone());
    }
    write
}

fn without_finalizer(world: &World, finalizer: &str) -> Write {
    let rest: Vec<_> = world.metadata.finalizers.iter().filter(|name| *name != finalizer).collect();
    merge(&world.kind, &world.metadata, json!({"finalizers": rest}))
}

fn without_owners(kind: &Kind, metadata: &Metadata, goes: impl Fn(&OwnerReference) -> bool) -> Write {
    let rest: Vec<_> = metadata.owner_references.iter().filter(|owner| !goes(owner)).collect();
    merge(kind, metadata, json!({"ownerReferences": rest}))
}

/// Lists are replaced as a whole, so nobody may have touched them meanwhile.
fn merge(kind: &Kind, metadata: &Metadata, mut patch: serde_json::Value) -> Write {
    patch["resourceVersion"] = json!(metadata.resource_version);
    Write::merge_into(kind, metadata, json!({"metadata": patch}))
}
