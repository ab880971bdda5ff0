//! What the undoing of a deletion is to make again: an object may go some time after its deletion began, and a namespace takes
//! along what is in it.

use std::collections::HashSet;

use jiff::Timestamp;
use orch_api::fields::FieldTerm;
use orch_api::{FieldQuery, Object as _, Status};
use serde_json::Value;

use super::lineage::each_change;
use super::stage::Stage;
use super::undo::{read, refusal};
use super::{lineage, owners};
use crate::history::{History, ObjectPath, Record, Verb};
use crate::metadata::deletion_began;

/// The changes to take back for a change: of one that began the deletion of what is gone by now the one that ended it, and with the
/// deletion of a namespace those of what went with it and belonged to nobody.
///
/// # Errors
/// 422 if it is not known what went with a namespace.
pub(super) async fn meant(history: &History, change: Record) -> Result<Vec<Record>, Status> {
    let own = lineage::terms_of(&change);
    let path = ObjectPath::of_key(&change.head.key);
    let namespace = path.filter(|path| (path.group, path.plural) == ("", "namespaces"));
    let namespace = namespace.map(|path| path.name.to_owned());
    let history = history.clone();
    let find = move || -> Result<Vec<Record>, Status> {
        let change = ended(&history, &own, change)?;
        let Some(namespace) = namespace.filter(|_| change.head.verb == Verb::Deleted) else {
            return Ok(vec![change]);
        };
        let contents = contents(&history, &own, &namespace, &change)?;
        Ok(std::iter::once(change).chain(contents).collect())
    };
    tokio::task::spawn_blocking(find).await.map_err(Status::internal)?
}

/// Why a change is not to be taken back if it deleted an object, or began to, whose controller has another made in its place: because
/// that is there, or comes back as well, being one of these uids.
pub(super) async fn maker(
    stage: &Stage,
    change: &Record,
    coming: &HashSet<String>,
) -> Result<Option<Status>, Status> {
    let Some(object) = going(change)? else { return Ok(None) };
    let Some(controller) = owners::controller(&object) else { return Ok(None) };
    let namespace = object.namespace();
    let makes =
        coming.contains(controller.text(&["uid"])) || owners::is_there(stage, namespace, controller).await?;
    let place = if namespace.is_empty() { String::new() } else { format!("{namespace}/") };
    let (kind, name, controller) = (&change.head.kind, object.name(), owners::named(controller));
    let why = format!("{kind} {place}{name}: {controller} has another made in its place");
    Ok(makes.then(|| refusal(&why)))
}

/// The uids of the objects that changes deleted, or began to.
pub(super) fn uids(changes: &[Record]) -> Result<HashSet<String>, Status> {
    let each = changes.iter().map(|change| Ok(going(change)?.map(|object| object.uid().to_owned())));
    each.filter_map(Result::transpose).collect()
}

/// The object that a change deleted, or began to.
fn going(change: &Record) -> Result<Option<Value>, Status> {
    match change.head.verb == Verb::Deleted || beginning(change)?.is_some() {
        true => read(change.before.as_ref()),
        false => Ok(None),
    }
}

/// The change itself, or the one that ended what it began.
fn ended(history: &History, own: &[FieldTerm], change: Record) -> Result<Record, Status> {
    let Some(uid) = beginning(&change)? else { return Ok(change) };
    let mut end = None;
    each_change(history, own, None, |record| {
        let goes_on = record.head.id > change.head.id;
        if goes_on && record.head.verb == Verb::Deleted {
            let before = read(record.before.as_ref())?;
            end = before.filter(|before| before.uid() == uid).map(|_| record).or(end.take());
        }
        Ok(goes_on)
    })?;
    Ok(end.unwrap_or(change))
}

/// The uid of the object of which a change began the deletion.
fn beginning(change: &Record) -> Result<Option<String>, Status> {
    let [before, after] = [read(change.before.as_ref())?, read(change.after.as_ref())?];
    Ok(match (before, after) {
        (Some(before), Some(after)) if after.is_terminating() && !before.is_terminating() => {
            Some(after.uid().to_owned())
        }
        _ => None,
    })
}

/// The deletions of what went with a namespace and belonged to no other object, the last one first, as what is needed longer goes later.
fn contents(
    history: &History,
    own: &[FieldTerm],
    namespace: &str,
    deletion: &Record,
) -> Result<Vec<Record>, Status> {
    let mut begun = None;
    each_change(history, own, Some(deletion.head.id), |record| {
        begun = beginning(&record)?.map(|_| record);
        Ok(begun.is_none())
    })?;
    let unknown =
        || refusal(&format!("Namespace {namespace}: the history does not know what was in it; make it anew"));
    let begun = begun.ok_or_else(unknown)?;
    let since = read(begun.after.as_ref())?.and_then(|object| deletion_began(&object));
    let inside = FieldQuery::equals("object.namespace", namespace).terms;
    let mut gone = Vec::new();
    each_change(history, &inside, Some(deletion.head.id), |record| {
        if record.head.id <= begun.head.id {
            return Ok(false);
        }
        match record.head.verb {
            Verb::Missed => return Err(unknown()),
            Verb::Deleted
                if read(record.before.as_ref())?.is_some_and(|object| went_along(&object, since)) =>
            {
                gone.push(record);
            }
            _ => {}
        }
        Ok(true)
    })?;
    Ok(gone)
}

/// Whether an object in a namespace went because that did: it was not on its way out before, and no other object's.
fn went_along(object: &Value, since: Option<Timestamp>) -> bool {
    owners::references(object).is_empty() && deletion_began(object).is_none_or(|began| Some(began) >= since)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_belongs_to_others_or_was_going_already_did_not_go_along() {
        let since = "2026-01-01T00:00:10Z".parse().ok();
        let due = |time: Value, grace_seconds: i64| json!({"metadata": {"deletionTimestamp": time, "deletionGracePeriodSeconds": grace_seconds}});
        assert!(went_along(&due(Value::Null, 0), since), "it went at once");
        assert!(went_along(&due("2026-01-01T00:00:10Z".into(), 0), since));
        assert!(!went_along(&due("2026-01-01T00:00:09Z".into(), 0), since));
        assert!(!went_along(&due("2026-01-01T00:00:39Z".into(), 30), since), "it was to be over later");
        assert!(went_along(&due("2026-01-01T00:00:40Z".into(), 30), since));
        assert!(!went_along(&json!({"metadata": {"ownerReferences": [{"name": "web"}]}}), since));
    }
}
