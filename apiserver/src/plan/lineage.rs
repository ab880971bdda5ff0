//! Which object of a name is which: one that was deleted and made again exactly as it was goes on, though under another uid.
//!
//! So the undoing of a deletion does not keep what was before the deletion from being undone.

use std::collections::BTreeSet;

use orch_api::fields::FieldTerm;
use orch_api::{Object as _, Status, field_changes, split_api_version};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::content::{as_new, own};
use super::stage::Stage;
use super::undo::read;
use crate::history::{History, Id, ObjectPath, Record, Verb, changes_named, unreadable};

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
    let uid = was.to_owned();
    let steps = fold(stage, terms, Some(Vec::new()), move |steps, change| {
        if change.head.verb == Verb::Missed {
            *steps = None;
            return Ok(false);
        }
        let step = Step::of(&change, has_status)?;
        let left_it_so = step.after.as_ref().is_some_and(|after| after.uid == uid);
        steps.get_or_insert_default().push(step);
        Ok(!left_it_so)
    });
    let Some(steps) = steps.await? else { return Ok(false) };
    let mut line = Line { uid: was.to_owned(), ended_as: None };
    steps.into_iter().rev().for_each(|step| line.follow(step));
    Ok(line.ended_as.is_none() && line.uid == now)
}

/// The fields of an object that people, or what acts for them, have changed after a change: not what components of the cluster have.
/// None if changes are missing. Cost: all changes of the object since are read.
pub(super) async fn changed_since(
    stage: &Stage,
    change: &Record,
) -> Result<Option<BTreeSet<String>>, Status> {
    let id = change.head.id;
    fold(stage, terms_of(change), Some(BTreeSet::new()), move |fields, later| {
        if later.head.verb == Verb::Missed {
            *fields = None;
            return Ok(false);
        }
        if later.head.id > id && !later.head.origin.is_of_the_cluster() {
            let [before, after] = [read(later.before.as_ref())?, read(later.after.as_ref())?];
            let changed = field_changes(before.as_ref(), after.as_ref());
            fields.get_or_insert_default().extend(changed.into_iter().map(|field| field.path));
        }
        Ok(later.head.id != id)
    })
    .await
}

/// What `each` makes of the changes of an object, newest first, until it says no.
async fn fold<T: Send + 'static>(
    stage: &Stage,
    terms: Vec<FieldTerm>,
    mut all: T,
    mut each: impl FnMut(&mut T, Record) -> Result<bool, Status> + Send + 'static,
) -> Result<T, Status> {
    let Some(history) = stage.registry.history.clone() else { return Ok(all) };
    let read = move || each_change(&history, &terms, None, |change| each(&mut all, change)).map(|()| all);
    tokio::task::spawn_blocking(read).await.map_err(Status::internal)?
}

/// Hands `each` the changes that terms select, newest first, from before one on, until it says no. Objects are large and their changes
/// many: what is to be kept of them is up to `each`.
///
/// # Errors
/// 500 if they cannot be read; those of `each`.
pub(super) fn each_change(
    history: &History,
    terms: &[FieldTerm],
    before: Option<Id>,
    mut each: impl FnMut(Record) -> Result<bool, Status>,
) -> Result<(), Status> {
    let mut outcome = Ok(());
    let until = |change: Record| {
        each(change).unwrap_or_else(|failure| {
            outcome = Err(failure);
            false
        })
    };
    history.select(terms, before, |_| true, until).map_err(unreadable)?;
    outcome
}

/// As much of a change as tells which object it was about.
struct Step {
    before: Option<Side>,
    after: Option<Side>,
}

/// An object at one time: which it was, and a digest of what of it is not the server's.
struct Side {
    uid: String,
    content: [u8; 32],
}

impl Step {
    fn of(change: &Record, has_status: bool) -> Result<Self, Status> {
        let side = |object: Option<Value>| object.map(|object| Side::of(&object, has_status));
        Ok(Self { before: side(read(change.before.as_ref())?), after: side(read(change.after.as_ref())?) })
    }
}

impl Side {
    fn of(object: &Value, has_status: bool) -> Self {
        let content = without_uids(own(&as_new(object), has_status));
        // Fields are in the order of their names.
        Self { uid: object.uid().to_owned(), content: Sha256::digest(content.to_string()).into() }
    }
}

/// An object that is followed through the changes of its name.
struct Line {
    uid: String,
    /// What it was when it went, if it has gone.
    ended_as: Option<[u8; 32]>,
}

impl Line {
    fn follow(&mut self, Step { before, after }: Step) {
        let was_it = before.as_ref().is_some_and(|before| before.uid == self.uid);
        let is_it = after.as_ref().is_some_and(|after| after.uid == self.uid);
        if self.ended_as.is_none() && was_it && !is_it {
            self.ended_as = before.map(|before| before.content);
        }
        if let Some(after) = after
            && self.ended_as.is_some_and(|ended| ended == after.content)
        {
            (self.uid, self.ended_as) = (after.uid, None);
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
            let side = |side: &Side| side.map(|(uid, data)| super::Side::of(&object(uid, data), false));
            line.follow(Step { before: side(before), after: side(after) });
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
