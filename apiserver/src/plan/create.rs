//! Making a plan: its changes are rehearsed, and what would come of them is told.

use jiff::SignedDuration;
use orch_api::plan::PLAN_RECORD;
use orch_api::{Object as _, Status, Time};
use serde_json::{Value, json};

use super::record::Record;
use super::rehearsal::{Rehearsed, check_size, rehearse};
use super::sight::Sight;
use super::stage::Asker;
use super::{Spec, secrets, told};
use crate::policies::Notices;
use crate::registry::{Answer, Call, Registry, insert};
use crate::{admission, ownership};

/// What the names of plans begin with that are not given one.
const NAME: &str = "plan-";
/// How much longer a plan becomes until it has been applied, at most: by who does it and why.
const MORE_BYTES: usize = 8 * 1024;

/// Stores the plan of the body with what would come of it. Without a name it is given one.
pub(crate) async fn create(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    let (mut plan, warnings) = call.object()?;
    if !plan.resource_version().is_empty() {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    if plan.name().is_empty() && plan.text(&["metadata", "generateName"]).is_empty() {
        plan["metadata"]["generateName"] = NAME.into();
    }
    let spec = checked(call, &plan)?;
    let name = plan.name().to_owned();
    let (about, limits) = ((call.kind.kind(), &*name), registry.store.limits());
    let (identity, via, manager) = (&call.identity, call.via.clone(), call.manager());
    let asker = Asker { identity, via, manager, reason: &spec.reason, notices: &Notices::default() };
    let rehearsed = rehearse(registry, &asker, about, &spec.changes).await?;
    // One that is only looked at may be as large as its answer.
    let is_kept = !call.params().dry_run;
    if is_kept {
        check_size(about, limits, &rehearsed.writes, 0)?;
    }
    let foreseen = Sight::of(registry, identity).narrow(rehearsed.foresee(registry).await?);
    let mut status = told(&rehearsed.changes, foreseen);
    status["phase"] = "Ready".into();
    status["user"] = call.identity.user.as_str().into();
    status["revision"] = rehearsed.revision.0.into();
    let seconds = spec.expires_after_seconds.unwrap_or_default();
    insert(registry, call, plan, warnings, |plan, now| {
        status_of(plan, &status, seconds, now);
        ownership::record_create(&call.kind, plan, call.manager(), now)?;
        keep(registry, plan, &rehearsed)?;
        if is_kept {
            let own_bytes = serde_json::to_vec(plan).map_err(Status::internal)?.len() + MORE_BYTES;
            check_size(about, limits, &rehearsed.writes, own_bytes)?;
        }
        Ok(())
    })
    .await
}

/// What the plan is to change, if the plan itself is as it should be: looked at before anything is rehearsed.
fn checked(call: &Call, plan: &Value) -> Result<Spec, Status> {
    let mut draft = plan.clone();
    if draft.name().is_empty() {
        draft["metadata"]["name"] = NAME.trim_end_matches('-').into();
    }
    admission::admit(&call.kind, &mut draft, None)?;
    Spec::of(&draft)
}

fn status_of(plan: &mut Value, status: &Value, seconds: i64, now: Time) {
    let until = now.timestamp().checked_add(SignedDuration::from_secs(seconds)).map_or(now, Time::new);
    plan["status"] = status.clone();
    plan["status"]["expiresAt"] = json!(until);
}

/// Puts into the stored plan what it takes to carry it out, and takes out of it what is not to be shown.
fn keep(registry: &Registry, plan: &mut Value, rehearsed: &Rehearsed) -> Result<(), Status> {
    let changes = plan["spec"]["changes"].clone();
    let hidden = secrets::hide_changes(&registry.kinds.now(), &mut plan["spec"]["changes"]);
    let record = Record::new(hidden.then_some(changes), &rehearsed.writes);
    plan[PLAN_RECORD] = serde_json::to_value(record).map_err(Status::internal)?;
    Ok(())
}
