//! Which object of a name is which: one that was deleted and made again exactly as it was goes on, though under another uid.
//!
//! So the undoing of a deletion does not keep what was before the deletion from being undone.

use std::collections::{BTreeSet, VecDeque};

use orch_api::fields::FieldTerm;
use orch_api::{Object as _, Status, field_changes, split_api_version};
use serde_json::Value;

use super::content::{as_new, own};
use super::stage::Stage;
use super::undo::read;
use crate::history::{ObjectPath, Record, Verb, changes_named, unreadable};

/// What selects the changes of the object of a change, whether its kind is still served or not.
pub(super) fn terms_of(change: &Record) -> Vec<FieldTerm> {
    let head = &change.head;
    let (group, _) = split_api_version(&head.api_version);
    let place = ObjectPath::of_key(&head.key).map(|path| (path.namespace, path.name));
    changes_named((group, &head.kind), place.unwrap_or_default())
}

/// Whether the object that `terms` select, which has one uid `now`, is the one that had another. Cost: all changes of it since it had
/// that are read.
pub(super) async fn continues(
    stage: &Stage,
    terms: Vec<FieldTerm>,
    has_status: bool,
    (was, now): (&str, &str),
) -> Result<bool, Status> {
    if was == now {
        return Ok(true);
    }
    let mut line = Line { uid: was.to_owned(), ended_as: None };
    let uid = line.uid.clone();
    let left_it_so = move |change: &Record| {
        let after = read(change.after.as_ref()).ok().flatten();
        after.is_some_and(|after| after.uid() == uid)
    };
    for change in since(stage, terms, left_it_so).await? {
        if change.head.verb == Verb::Missed {
            return Ok(false);
        }
        let [before, after] = [read(change.before.as_ref())?, read(change.after.as_ref())?];
        line.follow(before.as_ref(), after.as_ref(), has_status);
    }
    Ok(line.ended_as.is_none() && line.uid == now)
}

/// The fields of an object that people, or what acts for them, have changed after a change: not what components of the cluster have.
/// None if changes are missing. Cost: all changes of the object since are read.
pub(super) async fn changed_since(
    stage: &Stage,
    change: &Record,
) -> Result<Option<BTreeSet<String>>, Status> {
    let (mut fields, id) = (BTreeSet::new(), change.head.id);
    for later in since(stage, terms_of(change), move |one| one.head.id == id).await? {
        if later.head.verb == Verb::Missed {
            return Ok(None);
        }
        if later.head.id > id && !later.head.origin.is_of_the_cluster() {
            let [before, after] = [read(later.before.as_ref())?, read(later.after.as_ref())?];
            let changed = field_changes(before.as_ref(), after.as_ref());
            fields.extend(changed.into_iter().map(|field| field.path));
        }
    }
    Ok(Some(fields))
}

/// The changes of an object, oldest first, from the last one on for which `begins` holds; if there is none, all.
async fn since(
    stage: &Stage,
    terms: Vec<FieldTerm>,
    begins: impl Fn(&Record) -> bool + Send + 'static,
) -> Result<VecDeque<Record>, Status> {
    let Some(history) = stage.registry.history.clone() else { return Ok(VecDeque::new()) };
    let read = move || {
        let mut found = VecDeque::new();
        let each = |record: Record| {
            let goes_on = !begins(&record);
            found.push_front(record);
            goes_on
        };
        history.select(&terms, None, |_| true, each).map(|()| found)
    };
    tokio::task::spawn_blocking(read).await.map_err(Status::internal)?.map_err(unreadable)
}

/// An object that is followed through the changes of its name.
struct Line {
    uid: String,
    /// What it was when it went, if it has gone.
    ended_as: Option<Value>,
}

impl Line {
    fn follow(&mut self, before: Option<&Value>, after: Option<&Value>, has_status: bool) {
        let content = |object: &Value| without_uids(own(&as_new(object), has_status));
        let was_it = before.is_some_and(|before| before.uid() == self.uid);
        let is_it = after.is_some_and(|after| after.uid() == self.uid);
        if self.ended_as.is_none() && was_it && !is_it {
            self.ended_as = before.map(content);
        }
        if let Some(after) = after
            && self.ended_as.as_ref().is_some_and(|ended| *ended == content(after))
        {
            (self.uid, self.ended_as) = (after.uid().to_owned(), None);
        }
    }
}

/// Owners that go on are named by another uid.
fn without_uids(mut own: Value) -> Value {
    let owners = own.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut);
    owners.into_iter().flatten().filter_map(Value::as_object_mut).for_each(|owner| drop(owner.remove("uid")));
    own
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(uid: &str, data: &str) -> Value {
        json!({"metadata": {"name": "a", "uid": uid, "resourceVersion": "x"}, "data": data})
    }

    /// An object before or after a change: its uid and what it says.
    type Side = Option<(&'static str, &'static str)>;

    /// The uid under which object `a` goes on after changes; none if it has gone.
    fn goes_on(changes: &[(Side, Side)]) -> Option<String> {
        let mut line = Line { uid: "a".into(), ended_as: None };
        for (before, after) in changes {
            let [before, after] = [before, after].map(|side| side.map(|(uid, data)| object(uid, data)));
            line.follow(before.as_ref(), after.as_ref(), false);
        }
        line.ended_as.is_none().then_some(line.uid)
    }

    #[test]
    fn an_object_that_is_made_again_as_it_was_goes_on() {
        let (deleted, again) = ((Some(("a", "1")), None), (None, Some(("b", "1"))));
        assert_eq!(goes_on(&[]).as_deref(), Some("a"));
        assert_eq!(goes_on(&[deleted]), None);
        assert_eq!(goes_on(&[deleted, again]).as_deref(), Some("b"));
        let (gone_again, third) = ((Some(("b", "2")), None), (None, Some(("c", "2"))));
        assert_eq!(goes_on(&[deleted, again, gone_again, third]).as_deref(), Some("c"));
    }

    #[test]
    fn another_of_its_name_is_another() {
        let (deleted, other) = ((Some(("a", "1")), None), (None, Some(("b", "2"))));
        assert_eq!(goes_on(&[deleted, other]), None);
        let becomes = (Some(("b", "2")), Some(("b", "1")));
        assert_eq!(
            goes_on(&[deleted, other, becomes]).as_deref(),
            Some("b"),
            "until it has become what it was"
        );
    }

    #[test]
    fn one_that_was_replaced_in_one_step_goes_on_once_that_is_taken_back() {
        let (replaced, back) = ((Some(("a", "1")), Some(("b", "2"))), (Some(("b", "2")), Some(("b", "1"))));
        assert_eq!(goes_on(&[replaced]), None);
        assert_eq!(goes_on(&[replaced, back]).as_deref(), Some("b"));
    }
}
