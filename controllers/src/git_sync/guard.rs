//! What a sync is not allowed to do without being asked twice.

use jiff::Timestamp;
use orch_api::Time;
use orch_api::plan::{BlastRadius, ChangeAction, ObjectChange};
use orch_ontology::{GitSyncGuards, HeldRevision, InventoryItem};

/// How many of the objects that would be deleted are named.
const NAMED: usize = 50;

/// What keeps these changes from being made now, if anything does.
pub(super) fn held(
    guards: &GitSyncGuards,
    revision: &str,
    changes: &[ObjectChange],
    blast_radius: &BlastRadius,
    now: Timestamp,
) -> Option<HeldRevision> {
    let mut deletes: Vec<InventoryItem> = changes
        .iter()
        .filter(|change| [ChangeAction::Deleted, ChangeAction::Replaced].contains(&change.action))
        .filter(|change| change.because.is_empty())
        .map(|change| change.target.clone().into())
        .collect();
    let many = deletes.len();
    deletes.truncate(NAMED);
    let held = |reason: &str, message: String, until: Option<Timestamp>| HeldRevision {
        revision: revision.to_owned(),
        reason: reason.to_owned(),
        message,
        until: until.map(Time::new),
        deletes: deletes.clone(),
    };
    // Of several windows that which lasts longest.
    let frozen = guards.freeze_windows.iter().filter_map(|window| Some((window.ends(now)?, window)));
    if let Some((until, window)) = frozen.max_by_key(|(until, _)| *until) {
        let why = if window.reason.is_empty() { String::new() } else { format!(": {}", window.reason) };
        return Some(held("Frozen", format!("nothing is changed until {until}{why}"), Some(until)));
    }
    if let Some(most) = guards.max_deletes
        && many > usize::try_from(most).unwrap_or(0)
    {
        let message = format!("it would delete {many} objects, and maxDeletes is {most}");
        return Some(held("TooManyDeletes", message, None));
    }
    let lost = blast_radius.replicas_lost;
    match guards.max_replica_drop {
        Some(most) if lost > most => {
            let message = format!(
                "{lost} running pods would go without another in their place, and maxReplicaDrop is {most}"
            );
            Some(held("ReplicaDrop", message, None))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use orch_api::plan::PlanTarget;
    use serde_json::json;

    use super::*;

    fn deleting(many: usize) -> Vec<ObjectChange> {
        let change = |n: usize| ObjectChange {
            target: PlanTarget { kind: "ConfigMap".into(), name: format!("a-{n}"), ..PlanTarget::default() },
            action: ChangeAction::Deleted,
            ..ObjectChange::default()
        };
        (0..many).map(change).collect()
    }

    fn reason(guards: serde_json::Value, deletes: usize, replicas_lost: i32, now: &str) -> Option<String> {
        let guards = serde_json::from_value(guards).unwrap();
        let blast_radius = BlastRadius { replicas_lost, ..BlastRadius::default() };
        held(&guards, "abc", &deleting(deletes), &blast_radius, now.parse().unwrap()).map(|held| held.reason)
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
        let held = held(&typed, "abc", &[], &BlastRadius::default(), NOON.parse().unwrap()).unwrap();
        assert_eq!(held.message, "nothing is changed until 2026-11-27T14:00:00Z: the fair");
        assert_eq!(held.until.unwrap().timestamp().to_string(), "2026-11-27T14:00:00Z");
        assert_eq!(reason(guards, 0, 0, "2026-11-27T14:00:00Z"), None);
    }

    #[test]
    fn what_follows_from_a_deletion_does_not_count_against_it() {
        let mut changes = deleting(3);
        changes[1].because = "its owner goes".into();
        changes[2].because = "its owner goes".into();
        let guards = GitSyncGuards { max_deletes: Some(1), ..GitSyncGuards::default() };
        let now = NOON.parse().unwrap();
        assert_eq!(held(&guards, "abc", &changes, &BlastRadius::default(), now), None);
    }
}
