//! Plans: changes that are rehearsed when the plan is made, and made in one transaction when it is applied.
//!
//! - `stage.rs`: everything that verbs look at, over a store that keeps changes to itself; `scene.rs`: what has become of everything
//!   there.
//! - `request.rs`: from changes to requests; `drain.rs`: those that empty a node; `undo.rs` and `rollback.rs`: those that go back to what the history knows,
//!   where `lineage.rs` tells which object of a name is which, `deletion.rs` what went with what, `owners.rs` whose objects are,
//!   `order.rs` what is needed first, and `content.rs` what of an object is somebody's;
//!   `rehearsal.rs`: from requests, carried out on a stage, to what would come of them.
//! - `create.rs` makes a plan, `apply.rs` carries one out, `simulate` here answers what would be if.
//! - `record.rs`: what is kept of a plan beside what it shows; `secrets.rs`: what it does not show; `sight.rs`: what it does not show of
//!   what follows.
//!
//! # Invariants
//!
//! - A plan goes through what its changes would go through, one by one: rights, defaults, validation, policies.
//! - Applying one is a single commit that states the revision of every object that the plan has read, so that nothing that it
//!   was made from can have changed. Rights and policies are asked again, as they are then.
//! - Of what follows, who makes a plan is shown what they may list. How much it is, is told of all.
//! - Secrets are not in what a plan shows, and what it keeps is sealed as secrets are.

mod apply;
mod content;
mod create;
mod deletion;
mod drain;
mod lineage;
mod moved;
mod order;
mod owners;
mod record;
mod rehearsal;
mod request;
mod rollback;
mod scene;
mod secrets;
mod sight;
mod stage;
mod undo;

use orch_api::plan::{BlastRadius, ChangeAction, ObjectChange, PlannedChange};
use orch_api::{Attributes, Foreseen, Kind, Status, Target};
use serde::Deserialize;
use serde_json::{Value, json};

pub(crate) use apply::apply;
pub(crate) use create::create;

use crate::authn::Identity;
use crate::policies::Notices;
use crate::registry::{Registry, Via};
use sight::Sight;
use stage::Asker;

/// As much of a plan's `spec` as the server acts upon.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    changes: Vec<PlannedChange>,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    expires_after_seconds: Option<i64>,
}

impl Spec {
    fn of(object: &Value) -> Result<Self, Status> {
        let spec = object.get("spec").unwrap_or(&Value::Null);
        Option::deserialize(spec)
            .map(Option::unwrap_or_default)
            .map_err(|error| Status::bad_request(format!("spec: {error}")))
    }
}

/// How many of the objects, placements and evictions that follow are told one by one; of all others, how many they are.
const TOLD: usize = 500;
/// How many changes a simulation may have.
const MAX_CHANGES: usize = 128;

/// What the `status` of a plan tells of its changes, and of what follows from them.
fn told(changes: &[ObjectChange], mut foreseen: Foreseen) -> Value {
    let count = |action: ChangeAction, follow: i32| {
        let is_one = |change: &&ObjectChange| {
            let replaces = [ChangeAction::Created, ChangeAction::Deleted].contains(&action);
            change.action == action || replaces && change.action == ChangeAction::Replaced
        };
        let many = changes.iter().filter(is_one).count();
        follow.saturating_add(i32::try_from(many).unwrap_or(i32::MAX))
    };
    let radius = &foreseen.blast_radius;
    let blast_radius = BlastRadius {
        created: count(ChangeAction::Created, radius.created),
        changed: count(ChangeAction::Changed, radius.changed),
        deleted: count(ChangeAction::Deleted, radius.deleted),
        ..radius.clone()
    };
    let all: Vec<&ObjectChange> = changes.iter().chain(&foreseen.changes).collect();
    let (changes, many) = (changes.len(), [all.len(), foreseen.placements.len(), foreseen.evictions.len()]);
    let all: Vec<&ObjectChange> = all.into_iter().take(changes + TOLD).collect();
    let mut status = json!({"changes": all, "blastRadius": blast_radius});
    let told = [changes + TOLD, TOLD, TOLD];
    let omitted: usize = many.iter().zip(told).map(|(many, told)| many.saturating_sub(told)).sum();
    let omitted = omitted + foreseen.omitted;
    if omitted > 0 {
        status["omitted"] = omitted.into();
    }
    foreseen.placements.truncate(TOLD);
    foreseen.evictions.truncate(TOLD);
    if !foreseen.placements.is_empty() {
        status["placements"] = json!(foreseen.placements);
    }
    if !foreseen.evictions.is_empty() {
        status["evictions"] = json!(foreseen.evictions);
    }
    status
}

/// Answers a simulation: what would come of changes, and of what it supposes beside them. Nothing of it is kept.
///
/// # Errors
/// 403 for who may not see what a simulation tells of, 400 for a malformed body, 422 for changes that would be refused and suppositions that cannot be.
pub(crate) async fn simulate(
    registry: &Registry,
    identity: &Identity,
    kind: &Kind,
    asked: &Value,
) -> Result<Value, Status> {
    // What would be concerns everybody's pods: who may not see them is told nothing of them.
    for shown in registry.foresight.shows() {
        let request = sight::listing(Target::all(&shown));
        registry.gate.check(&Attributes::of(identity.subject(), &request)).await?;
    }
    let spec = Spec::of(asked)?;
    let errors = PlannedChange::validate_all(&spec.changes, &"spec.changes".into(), MAX_CHANGES);
    if !errors.is_empty() {
        return Err(Status::invalid(kind, "", &errors));
    }
    let via = Via { agent: identity.user.clone(), ..Via::default() };
    let asker = Asker { identity, via, manager: &identity.user, reason: "", notices: &Notices::default() };
    let rehearsed = rehearsal::rehearse(registry, &asker, (kind, ""), &spec.changes).await?;
    let foreseen = rehearsed.suppose(registry, asked["spec"].clone()).await?;
    let foreseen = Sight::of(registry, identity).narrow(foreseen);
    let mut status = told(&rehearsed.changes, foreseen);
    status["revision"] = rehearsed.revision.0.into();
    Ok(status)
}

#[cfg(test)]
mod tests {
    use orch_api::plan::Placement;

    use super::*;

    #[test]
    fn what_is_not_told_one_by_one_is_counted() {
        let change = ObjectChange { action: ChangeAction::Created, ..ObjectChange::default() };
        let foreseen = Foreseen {
            changes: vec![change.clone(); 700],
            placements: vec![Placement::default(); 600],
            blast_radius: BlastRadius { created: 700, ..BlastRadius::default() },
            omitted: 50,
            ..Foreseen::default()
        };
        let replaced = ObjectChange { action: ChangeAction::Replaced, ..ObjectChange::default() };
        let status = told(&[change, replaced], foreseen);
        let many = |field: &str| status[field].as_array().map(Vec::len);
        assert_eq!((many("changes"), many("placements"), many("evictions")), (Some(502), Some(500), None));
        assert_eq!(status["omitted"], 350);
        let radius = &status["blastRadius"];
        assert_eq!(
            (&radius["created"], &radius["deleted"]),
            (&json!(702), &json!(1)),
            "one goes, another comes"
        );
    }
}
