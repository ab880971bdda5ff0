//! What the undoing of a deletion is to make again: an object may go some time after its deletion began, and a namespace takes
//! along what is in it.

use orch_api::fields::FieldTerm;
use orch_api::{FieldQuery, Object as _, Status};
use serde_json::Value;

use super::stage::Stage;
use super::undo::{read, refusal};
use crate::history::{History, Id, ObjectPath, Record, Verb, changes_of, unreadable};

/// The changes to take back for a change: of one that began the deletion of what is gone by now the one that ended it, and with the
/// deletion of a namespace those of what went with it and belonged to nobody.
///
/// # Errors
/// 422 if it is not known what went with a namespace.
pub(super) async fn meant(stage: &Stage, history: &History, change: Record) -> Result<Vec<Record>, Status> {
    let kinds = stage.registry.kinds.now();
    let served = kinds.named(&change.head.api_version, &change.head.kind).cloned();
    let place =
        ObjectPath::of_key(&change.head.key).map(|path| (path.namespace.to_owned(), path.name.to_owned()));
    let (Some(served), Some((namespace, name))) = (served, place) else { return Ok(vec![change]) };
    let own = changes_of(&served, &namespace, &name);
    let is_namespace = kinds.core("namespaces").is_some_and(|namespaces| namespaces.kind() == served.kind());
    let history = history.clone();
    let find = move || -> Result<Vec<Record>, Status> {
        let change = ended(&history, &own, change)?;
        if !is_namespace || change.head.verb != Verb::Deleted {
            return Ok(vec![change]);
        }
        let contents = contents(&history, &own, &name, &change)?;
        Ok(std::iter::once(change).chain(contents).collect())
    };
    tokio::task::spawn_blocking(find).await.map_err(Status::internal)?
}

/// The change itself, or the one that ended what it began.
fn ended(history: &History, own: &[FieldTerm], change: Record) -> Result<Record, Status> {
    let Some(uid) = beginning(&change)? else { return Ok(change) };
    let mut end = None;
    for record in changes(history, own, None, |record| record.head.id > change.head.id)? {
        let before = read(record.before.as_ref())?;
        if record.head.verb == Verb::Deleted && before.is_some_and(|before| before.uid() == uid) {
            end = Some(record);
        }
    }
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
    for record in changes(history, own, Some(deletion.head.id), |_| true)? {
        if begun.is_none() && beginning(&record)?.is_some() {
            begun = Some(record);
        }
    }
    let unknown =
        || refusal(&format!("Namespace {namespace}: the history does not know what was in it; make it anew"));
    let begun = begun.ok_or_else(unknown)?;
    let since = read(begun.after.as_ref())?.map(|object| deletion_time(&object)).unwrap_or_default();
    let inside = FieldQuery::equals("object.namespace", namespace).terms;
    let mut gone = Vec::new();
    for record in changes(history, &inside, Some(deletion.head.id), |record| record.head.id > begun.head.id)?
    {
        match record.head.verb {
            Verb::Missed => return Err(unknown()),
            Verb::Deleted
                if read(record.before.as_ref())?.is_some_and(|object| went_along(&object, &since)) =>
            {
                gone.push(record);
            }
            _ => {}
        }
    }
    Ok(gone)
}

/// Whether an object in a namespace went because that did: it was not on its way out before, and no other object's.
fn went_along(object: &Value, since: &str) -> bool {
    let of_others = object["metadata"]["ownerReferences"].as_array().is_some_and(|owners| !owners.is_empty());
    let began = deletion_time(object);
    !of_others && (began.is_empty() || began.as_str() >= since)
}

fn deletion_time(object: &Value) -> String {
    object.text(&["metadata", "deletionTimestamp"]).to_owned()
}

/// Changes, newest first, from before one on, as long as they are wanted.
fn changes(
    history: &History,
    terms: &[FieldTerm],
    before: Option<Id>,
    wanted: impl Fn(&Record) -> bool,
) -> Result<Vec<Record>, Status> {
    let mut found = Vec::new();
    let each = |record: Record| {
        let goes_on = wanted(&record);
        if goes_on {
            found.push(record);
        }
        goes_on
    };
    let read = history.select(terms, before, |_| true, each);
    read.map_err(unreadable)?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_belongs_to_others_or_was_going_already_did_not_go_along() {
        let since = "2026-01-01T00:00:10Z";
        let at = |time: Value| json!({"metadata": {"deletionTimestamp": time}});
        assert!(went_along(&at(Value::Null), since), "it went at once");
        assert!(went_along(&at("2026-01-01T00:00:10Z".into()), since));
        assert!(!went_along(&at("2026-01-01T00:00:09Z".into()), since));
        assert!(!went_along(&json!({"metadata": {"ownerReferences": [{"name": "web"}]}}), since));
    }
}
