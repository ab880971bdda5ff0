//! Taking back what the history knows: the requests that undo a change, or all changes of a plan.
//!
//! What was made is deleted, what was deleted is made again, and the fields that a change changed become what they were before it.
//! What has changed since is never overwritten: undoing it is refused, field by field.

use std::sync::Arc;

use bytes::Bytes;
use orch_api::apply::give_back;
use orch_api::plan::PlannedUndo;
use orch_api::{
    Body, FieldError, MediaType, Object as _, Params, Request, Status, Target, Verb, field_changes,
};
use serde_json::{Map, Value, json};

use super::content::{as_new, own, put_back};
use super::order::in_order;
use super::owners::{self, Again};
use super::request::{self, invalid, written};
use super::stage::{Asker, Done, Stage};
use super::{deletion, lineage};
use crate::history::{History, ObjectPath, Record, Verb as Happened, unreadable};
use crate::kinds::Served;
use crate::registry::Sight;

/// Takes back a change or a plan, object by object: a kind is served again, and an owner there, before what needs it is made.
///
/// # Errors
/// 422 if the history does not know it, or has nothing of it that may be seen, and for what has changed since; whatever the requests
/// that take it back are refused with.
pub(super) async fn perform(
    stage: &Stage,
    asker: &Asker<'_>,
    undo: &PlannedUndo,
) -> Result<Vec<Done>, Status> {
    let (mut again, mut done) = (Again::default(), Vec::new());
    for record in changes(stage, asker, undo).await? {
        let change = Undone::of(stage, &record, &again).await?;
        for request in change.requests()? {
            done.push(stage.run(asker, request).await?);
        }
        if let What::Removed(before) = &change.what
            && let Some(now) = change.kind.window.get(&record.head.key)
        {
            again.note(before, &now.value().map_err(Status::internal)?);
        }
    }
    Ok(done)
}

/// The changes to take back, in order, if who asks may see them all. What controllers make anew is left to them.
async fn changes(stage: &Stage, asker: &Asker<'_>, undo: &PlannedUndo) -> Result<Vec<Record>, Status> {
    let (history, given) = wanted(stage, undo).await?;
    let sight = Sight::of(&stage.registry, asker.identity);
    let sees = |record: &Record| sight.may_get(record.head.key.as_str());
    let hidden =
        || refusal("it changed objects that you may not get, and is undone as a whole or not at all");
    match (given.iter().all(sees), given.iter().any(sees)) {
        (true, true) => {}
        (_, true) => return Err(hidden()),
        (_, false) => return Err(unknown(undo)),
    }
    let (mut records, mut left) = (Vec::new(), None);
    let coming = deletion::uids(&given)?;
    for record in given {
        match deletion::maker(stage, &record, &coming).await? {
            Some(refusal) => left = left.or(Some(refusal)),
            None => records.extend(deletion::meant(&history, record).await?),
        }
    }
    if let (true, Some(refusal)) = (records.is_empty(), left) {
        return Err(refusal);
    }
    if !records.iter().all(sees) {
        return Err(hidden());
    }
    let kinds = stage.registry.kinds.now();
    in_order(records, |record| {
        kinds.kept_at(record.head.key.as_str()).iter().any(|kind| kind.entry.defines.is_some())
    })
}

/// The changes to take back, as the history has them.
async fn wanted(stage: &Stage, undo: &PlannedUndo) -> Result<(History, Vec<Record>), Status> {
    let Some(history) = stage.registry.history.clone() else {
        return Err(refusal("needs a history of changes, which this server does not keep"));
    };
    history.caught_up(stage.overlay.start()).await?;
    let (change, plan, reading) = (undo.change.clone(), undo.plan.clone(), history.clone());
    let read = move || match change.parse() {
        _ if change.is_empty() => reading.of_plan(&plan),
        Ok(id) => reading.change(id).map(|found| found.into_iter().collect()),
        Err(_) => Ok(Vec::new()),
    };
    let mut records =
        tokio::task::spawn_blocking(read).await.map_err(Status::internal)?.map_err(unreadable)?;
    // A plan is one commit; an older one may have had the same name.
    let revision = records.first().map(|record| record.head.id.revision);
    records.retain(|record| Some(record.head.id.revision) == revision);
    let is_whole = records.iter().all(|record| record.head.verb != Happened::Missed);
    if !is_whole && undo.change.is_empty() {
        let what = "the history has lost some of what the plan changed";
        return Err(invalid(&FieldError::invalid("undo.plan", undo.plan.as_str(), what)));
    }
    if !is_whole || records.is_empty() { Err(unknown(undo)) } else { Ok((history, records)) }
}

/// What is not in the history, or may not be seen, which is the same to who asks.
fn unknown(undo: &PlannedUndo) -> Status {
    let (field, name, what) = match undo.change.as_str() {
        "" => ("undo.plan", undo.plan.as_str(), "no change of a plan of this name is in the history"),
        change => ("undo.change", change, "no such change is in the history"),
    };
    invalid(&FieldError::invalid(field, name, what))
}

/// What a change has done to an object.
#[derive(Debug, PartialEq)]
enum What {
    Made(Value),
    Removed(Value),
    Altered {
        before: Value,
        after: Value,
    },
    /// The history has not all of it.
    Unknown,
}

impl What {
    fn of(verb: Happened, before: Option<Value>, after: Option<Value>) -> Self {
        match (verb, before, after) {
            (Happened::Created, _, Some(after)) => Self::Made(after),
            (Happened::Deleted, Some(before), _) => Self::Removed(before),
            (Happened::Updated, Some(before), Some(after)) => Self::Altered { before, after },
            _ => Self::Unknown,
        }
    }
}

/// A change that is to be taken back.
struct Undone {
    kind: Arc<Served>,
    target: Target,
    what: What,
    /// The object as it is, if it is the one that was changed.
    now: Option<Value>,
    /// Whether there is another of its name.
    is_replaced: bool,
    /// Of an object that was made: the fields that others have put into it, or changed, since.
    since: Vec<String>,
}

impl Undone {
    async fn of(stage: &Stage, record: &Record, again: &Again) -> Result<Self, Status> {
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
        let [mut before, mut after] = [read(record.before.as_ref())?, read(record.after.as_ref())?];
        let has_status = kind.kind().has_status;
        let is_same = match (&now, &after) {
            (Some(now), Some(after)) => {
                let (terms, uids) = (lineage::terms_of(record), (after.uid(), now.uid()));
                lineage::continues(stage, terms, has_status, uids).await?
            }
            (Some(_), None) | (None, _) => false,
        };
        let mut gone = Vec::new();
        for side in [&mut after, &mut before].into_iter().flatten() {
            gone = again.name_owners(stage, side).await?;
        }
        let is_replaced = now.is_some() && !is_same;
        let (what, now) = (What::of(head.verb, before, after), now.filter(|_| is_same));
        let mut undone = Self { kind, target, what, now, is_replaced, since: Vec::new() };
        let kept = match &mut undone.what {
            What::Removed(before) => owners::keep(before, &gone),
            What::Altered { before, after } if owners::references(before) != owners::references(after) => {
                owners::keep(before, &gone)
            }
            _ => Ok(()),
        };
        kept.map_err(|why| undone.refused(&why))?;
        if let (What::Made(after), Some(now)) = (&undone.what, &undone.now) {
            undone.since = changed_since(stage, record, has_status, [after, now]).await?;
        }
        Ok(undone)
    }

    fn requests(&self) -> Result<Vec<Request>, Status> {
        match &self.what {
            What::Made(_) => {
                let body = Some(request::deletion(self.now()?.uid(), ""));
                self.unless_changed(&self.since)?;
                let (target, params) = (self.target.clone(), Params::default());
                Ok(vec![Request { verb: Verb::Delete, target, params, body }])
            }
            What::Removed(_) if self.is_replaced => Err(self.refused("it is there again")),
            What::Removed(before) => Ok(making(&self.target, before)),
            What::Altered { before, after } => {
                let now = self.now()?;
                let patch = self.patch(before, after, now)?;
                self.restoring([before, after, now], patch)
            }
            What::Unknown => Err(self.refused("what it was is not known")),
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
        self.unless_changed(&moved)?;
        Ok(Value::Object(patch))
    }

    fn unless_changed(&self, moved: &[String]) -> Result<(), Status> {
        match moved {
            [] => Ok(()),
            moved => Err(self.refused(&format!("has been changed since: {}", moved.join(", ")))),
        }
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

pub(super) fn refusal(why: &str) -> Status {
    invalid(&FieldError::forbidden("undo", why))
}

pub(super) fn read(value: Option<&Bytes>) -> Result<Option<Value>, Status> {
    value.map(|value| serde_json::from_slice(value)).transpose().map_err(Status::internal)
}

/// The fields in which an object is not what it was after a change, of those that people, or what acts for them, have changed since.
async fn changed_since(
    stage: &Stage,
    change: &Record,
    has_status: bool,
    sides: [&Value; 2],
) -> Result<Vec<String>, Status> {
    let [after, now] = sides.map(|object| own(object, has_status));
    let differing = field_changes(Some(&after), Some(&now)).into_iter().map(|field| field.path);
    let mut differing: Vec<String> = differing.collect();
    if !differing.is_empty()
        && let Some(by_people) = lineage::changed_since(stage, change).await?
    {
        differing.retain(|path| by_people.iter().any(|changed| is_in(path, changed) || is_in(changed, path)));
    }
    Ok(differing)
}

/// Whether a field is one that another path leads to, or a part of that.
fn is_in(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_in_what_it_is_a_part_of_and_in_nothing_of_a_similar_name() {
        assert!(is_in("data.a", "data") && is_in("data", "data") && is_in("spec.list[0].a", "spec.list"));
        assert!(!is_in("data.ab", "data.a") && !is_in("data", "data.a"));
    }

    #[test]
    fn what_a_change_did_is_not_guessed_from_what_is_missing() {
        let sides = |verb, before: bool, after: bool| {
            What::of(verb, before.then(|| json!("before")), after.then(|| json!("after")))
        };
        assert_eq!(sides(Happened::Created, false, true), What::Made(json!("after")));
        assert_eq!(sides(Happened::Deleted, true, false), What::Removed(json!("before")));
        let altered = What::Altered { before: json!("before"), after: json!("after") };
        assert_eq!(sides(Happened::Updated, true, true), altered);
        // The store had forgotten what was before, or no key opens it any more.
        assert_eq!(sides(Happened::Updated, false, true), What::Unknown);
        assert_eq!(sides(Happened::Deleted, false, false), What::Unknown);
        assert_eq!(sides(Happened::Created, false, false), What::Unknown);
    }
}
