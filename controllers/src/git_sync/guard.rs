//! What a sync is not allowed to do without being asked twice.

use jiff::Timestamp;
use orch_api::plan::{ChangeAction, ObjectChange, PlanTarget};
use orch_api::{Resource as _, Time, split_api_version};
use orch_ontology::{
    CustomResourceDefinition, GitSync, GitSyncGuards, HeldRevision, InventoryItem, Namespace, PlanStatus,
};

use super::told::objects;

/// How many of the objects that would be deleted are named.
const NAMED: usize = 50;

/// What a sync would delete.
#[derive(Debug, Default)]
pub(super) struct Deletions {
    /// What it deletes itself.
    own: Vec<InventoryItem>,
    /// How many objects go along with a namespace, a definition or a GitSync.
    along: usize,
}

impl Deletions {
    /// Those that were rehearsed, and `last`, which were not. `applied` tells how many objects go with a GitSync.
    pub(super) fn of(
        preview: &PlanStatus,
        last: impl IntoIterator<Item = InventoryItem>,
        applied: impl Fn(&InventoryItem) -> usize,
    ) -> Self {
        let goes = [ChangeAction::Deleted, ChangeAction::Replaced];
        let deleted = || preview.changes.iter().filter(|change| goes.contains(&change.action));
        let own: Vec<&ObjectChange> = deleted().filter(|change| change.because.is_empty()).collect();
        let with_contents = own.iter().any(|change| holds_others(&change.target));
        // Not all that follows is told one by one, but all of it is counted.
        let all = match with_contents {
            true => usize::try_from(preview.blast_radius.deleted).unwrap_or(0),
            false => own.len(),
        };
        let syncs = deleted().map(|change| &change.target).filter(|target| is(target, &GitSync::KIND));
        let of_syncs: usize = syncs.map(|sync| applied(&sync.clone().into())).sum();
        let along = all.saturating_sub(own.len()) + of_syncs;
        let own = own.into_iter().map(|change| change.target.clone().into()).chain(last).collect();
        Self { own, along }
    }

    fn in_words(&self) -> String {
        match self.along {
            0 => objects(self.own.len()),
            along => format!("{}, with which {along} more would go", objects(self.own.len())),
        }
    }
}

/// Whether what is in it, or of it, goes with an object.
fn holds_others(target: &PlanTarget) -> bool {
    is(target, &Namespace::KIND) || is(target, &CustomResourceDefinition::KIND)
}

fn is(target: &PlanTarget, kind: &orch_api::Kind) -> bool {
    target.kind == kind.name && split_api_version(&target.api_version).0 == kind.group
}

/// What keeps a revision from being applied now, if anything does.
pub(super) fn held(
    guards: &GitSyncGuards,
    revision: &str,
    deletions: &Deletions,
    replicas_lost: i32,
    now: Timestamp,
) -> Option<HeldRevision> {
    let held = |reason: &str, message: String, until: Option<Timestamp>| HeldRevision {
        revision: revision.to_owned(),
        reason: reason.to_owned(),
        message,
        until: until.map(Time::new),
        deletes: deletions.own.iter().take(NAMED).cloned().collect(),
    };
    // Of several windows that which lasts longest.
    let frozen = guards.freeze_windows.iter().filter_map(|window| Some((window.ends(now)?, window)));
    if let Some((until, window)) = frozen.max_by_key(|(until, _)| *until) {
        let why = if window.reason.is_empty() { String::new() } else { format!(": {}", window.reason) };
        return Some(held("Frozen", format!("nothing is changed until {until}{why}"), Some(until)));
    }
    if let Some(most) = guards.max_deletes
        && deletions.own.len() + deletions.along > usize::try_from(most).unwrap_or(0)
    {
        let message = format!("it would delete {}, and maxDeletes is {most}", deletions.in_words());
        return Some(held("TooManyDeletes", message, None));
    }
    match guards.max_replica_drop {
        Some(most) if replicas_lost > most => {
            let message = format!(
                "{replicas_lost} running pods would go without another in their place, and maxReplicaDrop is {most}"
            );
            Some(held("ReplicaDrop", message, None))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use orch_api::plan::BlastRadius;
    use serde_json::json;

    use super::*;

    fn deleted(api_version: &str, kind: &str, name: &str, because: &str) -> ObjectChange {
        let (api_version, kind, name) = (api_version.into(), kind.into(), name.into());
        ObjectChange {
            target: PlanTarget { api_version, kind, name, ..PlanTarget::default() },
            action: ChangeAction::Deleted,
            because: because.into(),
            ..ObjectChange::default()
        }
    }

    fn maps(many: usize) -> Vec<ObjectChange> {
        (0..many).map(|n| deleted("v1", "ConfigMap", &format!("a-{n}"), "")).collect()
    }

    /// Of a GitSync with seven objects.
    fn deletions(changes: Vec<ObjectChange>, follow: i32) -> Deletions {
        let radius = i32::try_from(changes.len()).unwrap() + follow;
        let blast_radius = BlastRadius { deleted: radius, ..BlastRadius::default() };
        let preview = PlanStatus { changes, blast_radius, ..PlanStatus::default() };
        Deletions::of(&preview, [], |_| 7)
    }

    fn reason(guards: serde_json::Value, deletes: usize, replicas_lost: i32, now: &str) -> Option<String> {
        let guards = serde_json::from_value(guards).unwrap();
        let deletions = deletions(maps(deletes), 0);
        held(&guards, "abc", &deletions, replicas_lost, now.parse().unwrap()).map(|held| held.reason)
    }

    const NOON: &str = "2026-11-27T12:00:00Z";

    #[test]
    fn more_than_allowed_is_held() {
        let guards = json!({"maxDeletes": 2, "maxReplicaDrop": 3});
        assert_eq!(reason(guards.clone(), 2, 3, NOON), None);
        assert_eq!(reason(guards.clone(), 3, 0, NOON).as_deref(), Some("TooManyDeletes"));
        assert_eq!(reason(guards, 0, 4, NOON).as_deref(), Some("ReplicaDrop"));
        assert_eq!(reason(json!({"maxDeletes": 0}), 1, 0, NOON).as_deref(), Some("TooManyDeletes"));
        assert_eq!(reason(json!({}), 9, 9, NOON), None);
    }

    #[test]
    fn a_frozen_time_holds_everything() {
        let guards = json!({"freezeWindows": [
            {"from": "2026-11-27T11:00:00Z", "until": "2026-11-27T13:00:00Z"},
            {"from": "2026-11-27T11:00:00Z", "until": "2026-11-27T14:00:00Z", "reason": "the fair"},
        ]});
        let typed: GitSyncGuards = serde_json::from_value(guards.clone()).unwrap();
        let held = held(&typed, "abc", &Deletions::default(), 0, NOON.parse().unwrap()).unwrap();
        assert_eq!(held.message, "nothing is changed until 2026-11-27T14:00:00Z: the fair");
        assert_eq!(held.until.unwrap().timestamp().to_string(), "2026-11-27T14:00:00Z");
        assert_eq!(reason(guards, 0, 0, "2026-11-27T14:00:00Z"), None);
    }

    fn told(changes: Vec<ObjectChange>, follow: i32) -> Option<String> {
        let guards = GitSyncGuards { max_deletes: Some(1), ..GitSyncGuards::default() };
        let deletions = deletions(changes, follow);
        held(&guards, "abc", &deletions, 0, NOON.parse().unwrap()).map(|held| held.message)
    }

    #[test]
    fn what_an_object_owns_does_not_count_against_it() {
        let mut changes = maps(3);
        changes[1].because = "its owner goes".into();
        changes[2].because = "its owner goes".into();
        assert_eq!(told(changes, 600), None);
    }

    #[test]
    fn what_is_in_a_namespace_or_of_a_kind_or_of_a_sync_counts() {
        let with = |along: &str| {
            Some(format!("it would delete 1 object, with which {along} more would go, and maxDeletes is 1"))
        };
        let inside = |name: &str| deleted("v1", "ConfigMap", name, "its namespace town is deleted");
        let town = || deleted("v1", "Namespace", "town", "");
        assert_eq!(told(vec![town(), inside("a"), inside("b")], 600), with("602"));
        assert_eq!(told(vec![town()], 0), None, "an empty one");
        let kind = deleted("apiextensions.k8s.io/v1", "CustomResourceDefinition", "signs.shop.test", "");
        assert_eq!(told(vec![kind], 3), with("3"));
        assert_eq!(told(vec![deleted("orch.dev/v1", "GitSync", "shop", "")], 0), with("7"));
        let inner = deleted("orch.dev/v1", "GitSync", "shop", "its namespace town is deleted");
        assert_eq!(told(vec![town(), inner], 0), with("8"));
    }
}
