//! What others have changed, and who they are.

use std::collections::BTreeMap;

use orch_api::plan::ChangeAction;
use orch_api::{Api, FieldChange, Params, Status, Time};
use orch_ontology::{Change, DriftedObject, GitSync, InventoryItem, PlanStatus};

use super::Syncer;
use super::plans::Placed;

/// How many objects are told, and how many fields of each.
const TOLD: usize = 20;
/// How far back it is looked for who changed an object.
const CHANGES: u64 = 20;

impl Syncer {
    /// The objects that others have changed, with the fields that are about to be changed back.
    pub(super) async fn drift(
        &self,
        sync: &GitSync,
        changes: &[Placed],
        preview: &PlanStatus,
        now: Time,
    ) -> Vec<DriftedObject> {
        let outcomes: BTreeMap<InventoryItem, _> =
            preview.changes.iter().map(|change| (change.target.clone().into(), change)).collect();
        let mut drifted = Vec::new();
        for placed in changes.iter().filter(|placed| placed.change.apply.is_some()) {
            let Some(outcome) = outcomes.get(&placed.item) else { continue };
            // What only came to be owned by others is as it was.
            if outcome.action == ChangeAction::Changed && outcome.fields.is_empty() || drifted.len() == TOLD {
                continue;
            }
            let mut fields = outcome.fields.clone();
            fields.truncate(if outcome.action == ChangeAction::Created { 0 } else { TOLD });
            // Not to know who it was keeps nothing from being changed back.
            let changed_by = self.changed_by(sync, &placed.item, &outcome.fields).await.unwrap_or_default();
            drifted.push(DriftedObject { object: placed.item.clone(), at: Some(now), changed_by, fields });
        }
        drifted
    }

    /// Who has changed these fields of an object since the sync did, by the history; the latest first.
    async fn changed_by(
        &self,
        sync: &GitSync,
        item: &InventoryItem,
        fields: &[FieldChange],
    ) -> Result<Vec<String>, Status> {
        if item.name.contains([',', '=']) {
            // Such a name cannot be selected by.
            return Ok(Vec::new());
        }
        let field_selector = format!(
            "object.kind={},object.namespace={},object.name={}",
            item.kind, item.namespace, item.name
        );
        let params =
            Params { field_selector: Some(field_selector), limit: Some(CHANGES), ..Params::default() };
        let changes = Api::<Change>::all(self.client.clone()).list(params).await?.items;
        let own = &sync.status.last_plans;
        let since = changes.iter().take_while(|change| !own.contains(&change.plan));
        let mut names: Vec<String> = Vec::new();
        for change in since.filter(|change| is_about(change, fields)) {
            let name = match change.agent.as_str() {
                "" => change.user.clone(),
                agent => format!("{} with {agent}", change.user),
            };
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(names)
    }
}

/// Whether a change was of any of these fields, or of the object as a whole. Controllers write what they find beside them, at all times.
fn is_about(change: &Change, fields: &[FieldChange]) -> bool {
    let meets = |changed: &FieldChange| {
        fields
            .iter()
            .any(|field| is_within(&changed.path, &field.path) || is_within(&field.path, &changed.path))
    };
    change.fields.is_empty() || change.fields.iter().any(meets)
}

/// Whether a field is the other one or part of it.
fn is_within(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// The same in a few words.
pub(super) fn in_words(drift: &[DriftedObject]) -> String {
    let one = |drifted: &DriftedObject| {
        let by = if drifted.changed_by.is_empty() {
            String::new()
        } else {
            format!(" by {}", drifted.changed_by.join(", "))
        };
        let fields: Vec<&str> = drifted.fields.iter().map(|field| field.path.as_str()).take(3).collect();
        let what = if fields.is_empty() { "gone".to_owned() } else { fields.join(", ") };
        format!("{} {} ({what}{by})", drifted.object.kind, drifted.object.name)
    };
    drift.iter().map(one).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(path: &str) -> FieldChange {
        FieldChange { path: path.into(), ..FieldChange::default() }
    }

    #[test]
    fn who_changed_other_fields_is_not_named() {
        let about = |changed: &[&str]| {
            let change =
                Change { fields: changed.iter().map(|path| field(path)).collect(), ..Change::default() };
            is_about(
                &change,
                &[field("spec.template.spec.containers[name=\"web\"].image"), field("spec.replicas")],
            )
        };
        assert!(about(&["status.replicas", "spec.replicas"]));
        assert!(about(&["spec.template"]) && about(&[]), "as a whole");
        assert!(!about(&["status.replicas", "metadata.annotations", "spec.replicasets"]));
    }
}
