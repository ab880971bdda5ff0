//! Taking back what the history knows: the requests that undo a change, or all changes of a plan.
//!
//! What was made is deleted, what was deleted is made again, and the fields that a change changed become what they were before it.
//! What has changed since is never overwritten: undoing it is refused, field by field.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use orch_api::apply::give_back;
use orch_api::plan::PlannedUndo;
use orch_api::{Attributes, Body, FieldError, MediaType, Object as _, Params, Request, Status, Target, Verb};
use orch_store::Revision;
use serde_json::{Map, Value, json};

use super::request::{self, invalid, written};
use super::stage::{Asker, Stage};
use super::{deletion, lineage};
use crate::history::{History, ObjectPath, Record, Verb as Happened};
use crate::kinds::Served;

/// What of an object's metadata somebody has set: the rest is the server's.
const OWN_METADATA: [&str; 4] = ["annotations", "finalizers", "labels", "ownerReferences"];
/// What the server says of a new object, and of one that is to go.
const SET_BY_SERVER: [&str; 7] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "uid",
];
/// How an object was to go, which is over.
const GOING: [&str; 2] = ["foregroundDeletion", "orphan"];

/// The requests that take back a change or a plan.
///
/// # Errors
/// 422 if the history does not know it, and for what has changed since; 403 for who may not see what was changed.
pub(super) async fn requests(
    stage: &Stage,
    asker: &Asker<'_>,
    undo: &PlannedUndo,
) -> Result<Vec<Request>, Status> {
    let (history, given) = wanted(stage, undo).await?;
    let mut records = Vec::new();
    for record in given {
        records.extend(deletion::meant(stage, &history, record).await?);
    }
    // Namespaces are there before what is in them, and go after it.
    records.sort_by_key(|record| {
        let is_inside = ObjectPath::of_key(&record.head.key).is_some_and(|path| !path.namespace.is_empty());
        match record.head.verb {
            Happened::Deleted => (0, is_inside),
            Happened::Created => (2, !is_inside),
            Happened::Updated | Happened::Missed => (1, is_inside),
        }
    });
    let mut requests = Vec::new();
    for record in &records {
        let change = Undone::of(stage, record).await?;
        may_be_seen(stage, asker, &change.target).await?;
        requests.extend(change.requests()?);
    }
    Ok(requests)
}

/// The changes to take back, as the history has them.
async fn wanted(stage: &Stage, undo: &PlannedUndo) -> Result<(History, Vec<Record>), Status> {
    let Some(history) = stage.registry.history.clone() else {
        return Err(refusal("needs a history of changes, which this server does not keep"));
    };
    caught_up(&history, stage.overlay.start()).await?;
    let (change, plan, reading) = (undo.change.clone(), undo.plan.clone(), history.clone());
    let read = move || match change.parse() {
        _ if change.is_empty() => reading.of_plan(&plan),
        Ok(id) => reading.change(id).map(|found| found.into_iter().collect()),
        Err(_) => Ok(Vec::new()),
    };
    let records = tokio::task::spawn_blocking(read).await.map_err(Status::internal)?;
    let mut records =
        records.map_err(|error| Status::internal(format!("the history cannot be read: {error}")))?;
    // A plan is one commit; an older one may have had the same name.
    let revision = records.first().map(|record| record.head.id.revision);
    records.retain(|record| Some(record.head.id.revision) == revision);
    let is_whole = records.iter().all(|record| record.head.verb != Happened::Missed);
    if !is_whole && undo.change.is_empty() {
        let what = "the history has lost some of what the plan changed";
        return Err(invalid(&FieldError::invalid("undo.plan", undo.plan.as_str(), what)));
    }
    if !is_whole || records.is_empty() {
        let (field, name, what) = match undo.change.as_str() {
            "" => ("undo.plan", undo.plan.as_str(), "no change of a plan of this name is in the history"),
            change => ("undo.change", change, "no such change is in the history"),
        };
        return Err(invalid(&FieldError::invalid(field, name, what)));
    }
    Ok((history, records))
}

/// Waits until the history has everything that the stage shows.
pub(super) async fn caught_up(history: &History, revision: Revision) -> Result<(), Status> {
    match history.wait_for(revision).await {
        true => Ok(()),
        false => Err(Status::unavailable("the history has not caught up with the store in time; try again")),
    }
}

/// A change that is to be taken back.
struct Undone {
    kind: Arc<Served>,
    target: Target,
    before: Option<Value>,
    after: Option<Value>,
    /// The object as it is, if it is the one that was changed.
    now: Option<Value>,
    /// Whether there is another of its name.
    is_replaced: bool,
}

impl Undone {
    async fn of(stage: &Stage, record: &Record) -> Result<Self, Status> {
        let head = &record.head;
        let kinds = stage.registry.kinds.now();
        let kind = kinds.named(&head.api_version, &head.kind).cloned();
        let (Some(kind), Some(path)) = (kind, ObjectPath::of_key(&head.key)) else {
            let why = format!("{} is no longer served in {:?}", head.kind, head.api_version);
            return Err(refusal(&why));
        };
        let target = match path.namespace {
            "" => Target::all(kind.kind()),
            namespace => Target::in_namespace(kind.kind(), namespace),
        };
        let target = target.named(path.name);
        let now = kind.window.get(&head.key).map(|object| object.value());
        let now = now.transpose().map_err(Status::internal)?;
        let (before, after) = (read(record.before.as_ref())?, read(record.after.as_ref())?);
        let is_same = match (&now, &after) {
            (Some(now), Some(after)) => {
                now.uid() == after.uid()
                    || lineage::continues(stage, &kind, record, (after.uid(), now.uid())).await?
            }
            (Some(_), None) | (None, _) => false,
        };
        let is_replaced = now.is_some() && !is_same;
        Ok(Self { kind, target, before, after, now: now.filter(|_| is_same), is_replaced })
    }

    fn requests(&self) -> Result<Vec<Request>, Status> {
        match (&self.before, &self.after) {
            (None, Some(_)) => {
                let body = Some(request::deletion(self.now()?.uid(), ""));
                let (target, params) = (self.target.clone(), Params::default());
                Ok(vec![Request { verb: Verb::Delete, target, params, body }])
            }
            (Some(_), None) if self.is_replaced => Err(self.refused("it is there again")),
            (Some(before), None) => Ok(making(&self.target, before)),
            (Some(before), Some(after)) => {
                let now = self.now()?;
                let patch = self.patch(before, after, now)?;
                self.restoring([before, after, now], patch)
            }
            (None, None) => Err(self.refused("what it was is not known")),
        }
    }

    fn now(&self) -> Result<&Value, Status> {
        self.now.as_ref().ok_or_else(|| self.refused("it is gone"))
    }

    /// What brings the fields that were changed back, if they are as the change left them.
    fn patch(&self, before: &Value, after: &Value, now: &Value) -> Result<Value, Status> {
        if after.is_terminating() && !before.is_terminating() {
            return Err(
                self.refused("the change began its deletion, which nothing stops: undo it once it is gone")
            );
        }
        let has_status = self.kind.kind().has_status;
        let [before, after, now] = [before, after, now].map(|object| own(object, has_status));
        let (mut patch, mut moved) = (Map::new(), Vec::new());
        put_back(&[&before, &after, &now], "", &mut patch, &mut moved);
        if !moved.is_empty() {
            return Err(self.refused(&format!("has been changed since: {}", moved.join(", "))));
        }
        Ok(Value::Object(patch))
    }

    /// What puts the fields back. A change that only gave fields to others has changed none; nor has one that made another object of the
    /// same content, or went to and fro within a plan, and there is nothing to do.
    fn restoring(&self, sides: [&Value; 3], patch: Value) -> Result<Vec<Request>, Status> {
        let [before, after, now] = sides;
        let record = |object: &Value| object["metadata"].get("managedFields").cloned();
        match patch.as_object().is_some_and(Map::is_empty) {
            false => Ok(restoring(&self.target, sides, &patch)),
            true if give_back(before, after, now) != record(now) => {
                Ok(restoring(&self.target, sides, &patch))
            }
            true if as_new(before) == as_new(after) => Ok(Vec::new()),
            true => Err(self.refused("the change changed nothing that anybody but the server sets")),
        }
    }

    fn refused(&self, why: &str) -> Status {
        let target = &self.target;
        let name = target.name.as_deref().unwrap_or_default();
        let place = target.namespace.as_ref().map_or_else(String::new, |namespace| format!("{namespace}/"));
        refusal(&format!("{} {place}{name}: {why}", self.kind.kind().name))
    }
}

/// What makes an object again as it was, and gives its fields to whom they belonged.
pub(super) fn making(target: &Target, before: &Value) -> Vec<Request> {
    let body = Body { media_type: MediaType::Json, bytes: written(&as_new(before)) };
    let collection = Target { name: None, ..target.clone() };
    let making =
        Request { verb: Verb::Create, target: collection, params: Params::default(), body: Some(body) };
    let owners = give_back(before, &Value::Null, &Value::Null);
    std::iter::once(making).chain(owners.map(|owners| giving(target, owners))).collect()
}

/// What puts fields of an object back by a merge patch, and gives them to whom they belonged `before` they became what they were
/// `after`.
pub(super) fn restoring(target: &Target, [before, after, now]: [&Value; 3], patch: &Value) -> Vec<Request> {
    let owners = give_back(before, after, now);
    std::iter::once(merging(target, patch)).chain(owners.map(|owners| giving(target, owners))).collect()
}

/// Says who owns what in an object. The fields have been put back before: a write takes what it changes.
fn giving(target: &Target, owners: Value) -> Request {
    merging(target, &json!({"metadata": {"managedFields": owners}}))
}

fn merging(target: &Target, patch: &Value) -> Request {
    let body = Body { media_type: MediaType::MergePatch, bytes: written(patch) };
    Request { verb: Verb::Patch, target: target.clone(), params: Params::default(), body: Some(body) }
}

/// Whoever may not get an object is told nothing of what it was.
pub(super) async fn may_be_seen(stage: &Stage, asker: &Asker<'_>, target: &Target) -> Result<(), Status> {
    let get = Request { verb: Verb::Get, target: target.clone(), params: Params::default(), body: None };
    stage.registry.gate.check(&Attributes::of(asker.identity.subject(), &get)).await
}

pub(super) fn refusal(why: &str) -> Status {
    invalid(&FieldError::forbidden("undo", why))
}

pub(super) fn read(value: Option<&Bytes>) -> Result<Option<Value>, Status> {
    value.map(|value| serde_json::from_slice(value)).transpose().map_err(Status::internal)
}

/// The object as somebody would write it who makes it anew.
pub(super) fn as_new(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        SET_BY_SERVER.iter().for_each(|field| drop(metadata.remove(*field)));
        if let Some(finalizers) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
            finalizers.retain(|finalizer| !GOING.iter().any(|going| finalizer == going));
        }
    }
    object
}

/// What of an object is not the server's.
pub(super) fn own(object: &Value, has_status: bool) -> Value {
    let mut own = object.as_object().cloned().unwrap_or_default();
    own.retain(|field, _| match field.as_str() {
        "apiVersion" | "kind" => false,
        "status" => !has_status,
        _ => true,
    });
    if let Some(metadata) = own.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| OWN_METADATA.contains(&field.as_str()));
    }
    Value::Object(own)
}

/// Puts into a merge patch what makes the fields that differ between `before` and `after` as they were before, and into `moved` those
/// that are not `now` as they were after. Lists are taken as a whole.
fn put_back(
    [before, after, now]: &[&Value; 3],
    path: &str,
    patch: &mut Map<String, Value>,
    moved: &mut Vec<String>,
) {
    let fields = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let (before, after, now) = (fields(before), fields(after), fields(now));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for name in names {
        let sides @ [was, became, is] = [before.get(name), after.get(name), now.get(name)];
        if was == became {
            continue;
        }
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match sides {
            [Some(was @ Value::Object(_)), Some(became @ Value::Object(_)), Some(is @ Value::Object(_))] => {
                let mut below = Map::new();
                put_back(&[was, became, is], &path, &mut below, moved);
                patch.insert(name.clone(), Value::Object(below));
            }
            _ if is != became => moved.push(path),
            _ => drop(patch.insert(name.clone(), was.cloned().unwrap_or_default())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_back(before: Value, after: Value, now: Value) -> (Value, Vec<String>) {
        let (mut patch, mut moved) = (Map::new(), Vec::new());
        put_back(&[&before, &after, &now], "", &mut patch, &mut moved);
        (patch.into(), moved)
    }

    #[test]
    fn fields_that_were_changed_become_what_they_were_and_no_others() {
        let before = json!({"spec": {"a": 1, "list": [1, 2], "gone": {"x": 1}, "same": 1}});
        let after = json!({"spec": {"a": 2, "list": [1], "new": {"y": 1}, "same": 1}});
        let now = json!({"spec": {"a": 2, "list": [1], "new": {"y": 1}, "same": 5, "other": 1}});
        let patch = json!({"spec": {"a": 1, "list": [1, 2], "gone": {"x": 1}, "new": null}});
        assert_eq!(taken_back(before, after, now), (patch, Vec::new()));
    }

    #[test]
    fn fields_that_have_been_changed_since_are_named() {
        let before = json!({"spec": {"a": 1, "b": {"c": 1}}, "data": {"k": "1"}});
        let after = json!({"spec": {"a": 2, "b": {"c": 2}}, "data": {"k": "2"}});
        let now = json!({"spec": {"a": 3, "b": {"c": 2}}});
        assert_eq!(taken_back(before, after, now).1, ["data", "spec.a"]);
    }

    #[test]
    fn what_is_made_again_says_nothing_that_the_server_says() {
        let deleted = json!({"kind": "Note", "data": {"a": "1"}, "metadata": {
            "name": "n", "uid": "u", "labels": {"l": "1"}, "deletionTimestamp": "x", "finalizers": ["foregroundDeletion", "own"],
        }});
        let made = json!({"kind": "Note", "data": {"a": "1"}, "metadata": {
            "name": "n", "labels": {"l": "1"}, "finalizers": ["own"],
        }});
        assert_eq!(as_new(&deleted), made);
    }
}
