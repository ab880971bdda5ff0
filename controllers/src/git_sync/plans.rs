//! Plans on behalf of a service account: what would come of changes, and making them.

use std::collections::BTreeSet;
use std::sync::Arc;

use orch_api::plan::{ChangeAction, PlannedChange};
use orch_api::{Body, Client, Params, Reason, Request, Resource, Status, Target, Verb};
use orch_ontology::{InventoryItem, Plan, PlanSpec, PlanStatus};
use serde_json::json;

use super::NAME;

/// How many changes go together if one transaction does not hold all. It holds more than that, but also all that was read for them.
const AT_ONCE: usize = 100;
/// How many of the things that are wrong are told.
const TOLD: usize = 5;

/// Why changes cannot be made.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Something moved in between: look again.
    Moved(String),
    /// They are wrong.
    Refused(String),
    /// The account may not make them.
    Forbidden(String),
    /// The server cannot say now.
    Unavailable(Status),
}

/// A change of one object, and where it is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub(super) change: PlannedChange,
    pub(super) item: InventoryItem,
    pub(super) place: String,
}

impl Placed {
    fn is_deletion(&self) -> bool {
        self.change.delete.is_some()
    }

    /// Whether the account may lose rights by it.
    fn takes_rights(&self) -> bool {
        self.is_deletion() && gives_rights(&self.item).is_some()
    }
}

/// When an object goes that may be what gives an account its rights: after all others, roles after accounts, and bindings at the
/// very end.
pub(super) fn gives_rights(item: &InventoryItem) -> Option<u8> {
    match (item.api_version.starts_with("rbac.authorization.k8s.io/"), item.kind.ends_with("Binding")) {
        (true, true) => Some(3),
        (true, false) => Some(2),
        (false, _) => (item.kind == "ServiceAccount").then_some(1),
    }
}

/// What would come of changes.
pub(super) struct Rehearsed {
    pub(super) changes: Vec<Placed>,
    pub(super) preview: PlanStatus,
    /// Deletions that were left out: after one of them, the account may not be allowed the others.
    pub(super) last: Vec<Placed>,
}

/// The way to make plans as one account.
pub(super) struct Plans {
    pub(super) client: Arc<dyn Client>,
    pub(super) reason: String,
}

impl Plans {
    /// What would come of all these changes; nothing is kept.
    ///
    /// # Errors
    /// Everything that is wrong with them, by their places.
    pub(super) async fn rehearse(&self, changes: Vec<Placed>) -> Result<Rehearsed, Refusal> {
        match self.preview(&changes).await {
            Err(Refusal::Forbidden(_)) if changes.iter().any(Placed::takes_rights) => {
                let (last, changes): (Vec<_>, Vec<_>) = changes.into_iter().partition(Placed::takes_rights);
                let preview = self.preview(&changes).await?;
                Ok(Rehearsed { changes, preview, last })
            }
            preview => Ok(Rehearsed { preview: preview?, changes, last: Vec::new() }),
        }
    }

    async fn preview(&self, changes: &[Placed]) -> Result<PlanStatus, Refusal> {
        if changes.is_empty() {
            return Ok(PlanStatus::default());
        }
        let plan = self.create(changes, true).await.map_err(|status| refused(&status, changes))?;
        Ok(plan.status)
    }

    /// Makes changes one by one, and answers with those objects that the account may not change any more.
    pub(super) async fn carry_out_last(
        &self,
        last: &[Placed],
        applied: &mut Vec<String>,
    ) -> Result<Vec<InventoryItem>, Refusal> {
        let mut left = Vec::new();
        for one in last {
            match self.carry_out(std::slice::from_ref(one), applied).await {
                Err(Refusal::Forbidden(_)) => left.push(one.item.clone()),
                made => made?,
            }
        }
        Ok(left)
    }

    /// Makes the changes: all in one plan, if that fits into one transaction; otherwise in several, in their order, but for deletions,
    /// which come last: what replaces something is there before that goes. Tells the plans that were applied even if a later one was
    /// not.
    pub(super) async fn carry_out(
        &self,
        changes: &[Placed],
        applied: &mut Vec<String>,
    ) -> Result<(), Refusal> {
        let mut in_parts = Vec::new();
        let mut left = changes;
        let mut at_once = changes.len();
        while !left.is_empty() {
            let (now, later) = left.split_at(at_once.min(left.len()));
            match self.create(now, false).await {
                Ok(plan) => {
                    let name = plan.metadata.name.clone();
                    self.apply(&name).await.map_err(|status| refused(&status, now))?;
                    applied.push(name);
                    left = later;
                }
                Err(status) if is_too_large(&status) && now.len() > 1 => {
                    at_once = now.len().div_ceil(2).min(AT_ONCE);
                    if in_parts.is_empty() {
                        in_parts = changes.to_vec();
                        in_parts.sort_by_key(Placed::is_deletion);
                        left = &in_parts;
                    }
                }
                Err(status) => return Err(refused(&status, now)),
            }
        }
        Ok(())
    }

    async fn create(&self, changes: &[Placed], dry_run: bool) -> Result<Plan, Status> {
        let changes = changes.iter().map(|placed| placed.change.clone()).collect();
        let spec = PlanSpec { changes, reason: self.reason.clone(), expires_after_seconds: Some(300) };
        let mut plan = Plan { spec, ..Plan::default() };
        plan.metadata.generate_name = Some("gitsync-".into());
        let params = Params { dry_run, field_manager: Some(NAME.into()), ..Params::default() };
        let (target, body) = (Target::all(&Plan::KIND), Some(Body::json(&plan)?));
        let answer = self.client.send(Request { verb: Verb::Create, target, params, body }).await?;
        serde_json::from_slice(&answer).map_err(Status::internal)
    }

    async fn apply(&self, name: &str) -> Result<(), Status> {
        let target = Target::all(&Plan::KIND).named(name).subresource("apply");
        let params = Params { field_manager: Some(NAME.into()), ..Params::default() };
        let body = Some(Body::json(&json!({}))?);
        self.client.send(Request { verb: Verb::Create, target, params, body }).await.map(drop)
    }
}

/// The changes that make a difference, in their order.
pub(super) fn differing(changes: &[Placed], preview: &PlanStatus) -> Vec<Placed> {
    let own = preview.changes.iter().filter(|change| change.because.is_empty());
    let same = own.filter(|change| change.action == ChangeAction::Unchanged);
    let same: BTreeSet<InventoryItem> = same.map(|change| change.target.clone().into()).collect();
    changes.iter().filter(|placed| !same.contains(&placed.item)).cloned().collect()
}

fn is_too_large(status: &Status) -> bool {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    status.code == 413
        || causes.iter().any(|cause| cause.reason == "FieldValueTooMany" && cause.field == "spec.changes")
}

/// A refusal in words that name the places of the changes.
fn refused(status: &Status, changes: &[Placed]) -> Refusal {
    if status.code >= 500 || status.code == 429 {
        return Refusal::Unavailable(status.clone());
    }
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    let told = causes.iter().map(|cause| match placed(&cause.field, changes) {
        Some((place, "")) => format!("{place}: {}", cause.message),
        Some((place, field)) => format!("{place}: {field}: {}", cause.message),
        None => cause.message.clone(),
    });
    let mut told: Vec<String> = told.collect();
    told.dedup();
    let more = told.len().saturating_sub(TOLD);
    told.truncate(TOLD);
    let mut message = if told.is_empty() { status.message.clone() } else { told.join("; ") };
    if more > 0 {
        message.push_str(&format!("; and {more} more"));
    }
    let is_forbidden = status.code == 403 || causes.iter().any(|cause| cause.reason == "Forbidden");
    if is_forbidden {
        message.push_str("; give the account that spec.serviceAccountName names a role for it");
    }
    match status.is(&Reason::Conflict) {
        true => Refusal::Moved(message),
        false if is_forbidden => Refusal::Forbidden(message),
        false => Refusal::Refused(message),
    }
}

/// The place of the change that a field of a plan belongs to, and what the field is called there.
fn placed<'a>(field: &'a str, changes: &'a [Placed]) -> Option<(&'a str, &'a str)> {
    let (index, rest) = field.strip_prefix("spec.changes[")?.split_once(']')?;
    let place = &changes.get(index.parse::<usize>().ok()?)?.place;
    let rest = rest.strip_prefix(".apply.manifest").unwrap_or(rest);
    Some((place, rest.trim_start_matches('.')))
}

#[cfg(test)]
mod tests {
    use orch_api::plan::{Free, ObjectChange, PlannedApply};
    use orch_api::{StatusCause, StatusDetails};

    use super::*;

    fn item(name: &str) -> InventoryItem {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "a", "name": name});
        serde_json::from_value(object).unwrap()
    }

    fn change(name: &str, place: &str) -> Placed {
        let manifest = Free(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "a"}}),
        );
        let apply = Some(PlannedApply { manifest, ..PlannedApply::default() });
        let change = PlannedChange { apply, ..PlannedChange::default() };
        Placed { change, item: item(name), place: place.to_owned() }
    }

    #[test]
    fn a_refusal_names_the_lines_of_the_manifests() {
        let changes = [change("a", "x/a.yaml:1"), change("b", "x/b.yaml:7")];
        let cause = |field: &str, message: &str| StatusCause {
            field: field.into(),
            message: message.into(),
            ..StatusCause::default()
        };
        let causes = vec![
            cause("spec.changes[1].apply.manifest.spec.replicas", "must be a number"),
            cause("spec.changes[0]", "forbidden"),
        ];
        let status = Status::failure(Reason::Invalid, "no")
            .about(StatusDetails { causes, ..StatusDetails::default() });
        let Refusal::Refused(message) = refused(&status, &changes) else { panic!("{status:?}") };
        assert_eq!(message, "x/b.yaml:7: spec.replicas: must be a number; x/a.yaml:1: forbidden");
    }

    #[test]
    fn what_the_account_may_not_do_is_told_with_what_helps() {
        let cause =
            StatusCause { field: "spec.changes[0]".into(), reason: "Forbidden".into(), message: "no".into() };
        let details = StatusDetails { causes: vec![cause], ..StatusDetails::default() };
        let status = Status::failure(Reason::Invalid, "no").about(details);
        let Refusal::Forbidden(message) = refused(&status, &[change("a", "a.yaml:1")]) else {
            panic!("{status:?}")
        };
        assert_eq!(
            message,
            "a.yaml:1: no; give the account that spec.serviceAccountName names a role for it"
        );
    }

    #[test]
    fn only_what_makes_a_difference_is_made() {
        let changes = [change("a", "1"), change("b", "2")];
        let outcome = |name: &str, action| ObjectChange {
            target: item(name).into(),
            action,
            ..ObjectChange::default()
        };
        let preview = PlanStatus {
            changes: vec![outcome("a", ChangeAction::Unchanged), outcome("b", ChangeAction::Changed)],
            ..PlanStatus::default()
        };
        assert_eq!(differing(&changes, &preview), [changes[1].clone()]);
    }
}
