//! Bringing an object back to what the history has of it at a revision: unlike undoing, whatever has become of it since.

use std::collections::BTreeSet;

use orch_api::plan::{PlanTarget, PlannedRollback};
use orch_api::{Attributes, FieldError, Object as _, Params, Request, Status, Target, Verb};
use orch_store::{ReadAt, Revision};
use serde_json::{Map, Value};

use super::content::{as_new, own};
use super::owners::{self, Again};
use super::request::{invalid, placed, served};
use super::stage::{Asker, Stage};
use super::undo::{making, restoring};
use crate::history::Past;
use crate::kinds::Served;
use crate::status::from_store;

/// The requests that bring an object back: they make it again if it is gone, or else patch what differs.
///
/// # Errors
/// 422 if the history does not know what it was, or there was none; 403 for who may not see it.
pub(super) async fn requests(
    stage: &Stage,
    asker: &Asker<'_>,
    rollback: &PlannedRollback,
) -> Result<Vec<Request>, Status> {
    let kinds = stage.registry.kinds.now();
    let (what, revision) = (&rollback.target, rollback.revision);
    let asked = served(&kinds, &what.api_version, &what.kind, "rollback.target.kind")?;
    let target = placed(&asked, &what.namespace, &what.name, "rollback.target")?;
    may_be_seen(stage, asker, &target).await?;
    let (api_version, kind, then) = match past(stage, &asked, rollback).await? {
        Past::Was { api_version, kind, value, .. } => (api_version, kind, value),
        Past::Absent | Past::Same => {
            let why = format!("it was not there at revision {revision}: delete it to have that again");
            return Err(refusal(what, &why));
        }
        Past::Unknown(missing) => {
            let why = format!("the history does not know what it was at revision {revision}: {missing}");
            return Err(refusal(what, &why));
        }
    };
    let mut then: Value = serde_json::from_slice(&then).map_err(Status::internal)?;
    let gone = Again::default().name_owners(stage, &mut then).await?;
    // As it was stored, which may be another version than was asked for.
    let kind = served(&kinds, &api_version, &kind, "rollback.target.kind")?;
    let target = placed(&kind, &what.namespace, &what.name, "rollback.target")?;
    may_be_seen(stage, asker, &target).await?;
    let key = kind.key(target.namespace.as_deref(), &what.name)?;
    let now = kind.window.get(&key).map(|object| object.value()).transpose().map_err(Status::internal)?;
    match now {
        Some(now) if now.is_terminating() => {
            Err(refusal(what, "its deletion has begun, which nothing stops"))
        }
        Some(now) => {
            owners::keep(&mut then, &gone).map_err(|why| refusal(what, &why))?;
            let has_status = kind.kind().has_status;
            let patch = difference(&own(&now, has_status), &own(&as_new(&then), has_status));
            Ok(restoring(&target, [&then, &now, &now], &patch))
        }
        None => {
            owners::keep(&mut then, &gone).map_err(|why| refusal(what, &why))?;
            Ok(making(&target, &then))
        }
    }
}

/// Whoever may not get an object is told nothing of what it was.
async fn may_be_seen(stage: &Stage, asker: &Asker<'_>, target: &Target) -> Result<(), Status> {
    let get = Request { verb: Verb::Get, target: target.clone(), params: Params::default(), body: None };
    stage.registry.gate.check(&Attributes::of(asker.identity.subject(), &get)).await
}

/// What the object was at the revision; the same as now only if it is not there.
async fn past(stage: &Stage, kind: &Served, rollback: &PlannedRollback) -> Result<Past, Status> {
    let Some(history) = stage.registry.history.clone() else {
        return Err(refusal(&rollback.target, "needs a history of changes, which this server does not keep"));
    };
    let now = stage.overlay.start();
    let revision = u64::try_from(rollback.revision).ok().filter(|revision| *revision <= now.0);
    let Some(revision) = revision.map(Revision) else {
        let why = format!("there has been no such revision yet: the last one is {}", now.0);
        return Err(invalid(&FieldError::invalid("rollback.revision", rollback.revision, why)));
    };
    history.caught_up(now).await?;
    let (namespace, name) = (&*rollback.target.namespace, &*rollback.target.name);
    let key = kind.key(Some(namespace).filter(|namespace| !namespace.is_empty()), name)?;
    // As it was before this plan.
    let present = stage.registry.store.get(&key, ReadAt::Exactly(now)).await.map_err(from_store)?;
    let written = present.as_ref().map(|entry| entry.modified);
    let past = history.past(kind, (namespace, name), written, revision).await?;
    let (Past::Same, Some(present)) = (&past, present) else { return Ok(past) };
    Ok(Past::Was {
        api_version: kind.api_version.clone(),
        kind: kind.kind().name.to_owned(),
        value: kind.window.reading().read(&present.value).map_err(Status::internal)?,
        is_sensitive: kind.kind().is_sensitive,
    })
}

/// The merge patch that makes `then` of `now`. Lists are taken as a whole.
fn difference(now: &Value, then: &Value) -> Value {
    let (Some(now), Some(then)) = (now.as_object(), then.as_object()) else { return then.clone() };
    let mut patch = Map::new();
    let names: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
    for name in names {
        match (now.get(name), then.get(name)) {
            (is, was) if is == was => {}
            (Some(is), Some(was)) => drop(patch.insert(name.clone(), difference(is, was))),
            (_, was) => drop(patch.insert(name.clone(), was.cloned().unwrap_or_default())),
        }
    }
    patch.into()
}

fn refusal(target: &PlanTarget, why: &str) -> Status {
    let place = if target.namespace.is_empty() { String::new() } else { format!("{}/", target.namespace) };
    let what = format!("{} {place}{}", target.kind, target.name);
    invalid(&FieldError::forbidden("rollback", format!("{what}: {why}")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_difference_is_of_what_differs_alone() {
        let now = json!({"spec": {"a": 1, "list": [1, 2], "new": {"x": 1}, "same": {"y": [1]}, "deep": {"b": 1, "c": 1}}});
        let then = json!({"spec": {"a": 2, "list": [1], "same": {"y": [1]}, "deep": {"b": 2, "c": 1}, "old": {"z": 1}}});
        let patch = json!({"spec": {"a": 2, "list": [1], "new": null, "deep": {"b": 2}, "old": {"z": 1}}});
        assert_eq!(difference(&now, &then), patch);
        assert_eq!(difference(&then, &then), json!({}));
    }

    #[test]
    fn what_was_something_else_altogether_is_put_in_its_place() {
        let (now, then) = (json!({"a": {"b": 1}, "c": 1}), json!({"a": "text", "c": {"d": 1}}));
        assert_eq!(difference(&now, &then), then);
        assert_eq!(difference(&then, &now), now);
    }
}
