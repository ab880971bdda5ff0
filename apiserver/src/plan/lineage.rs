//! Which object of a name is which: one that was deleted and made again exactly as it was goes on, though under another uid.
//!
//! So the undoing of a deletion does not keep what was before the deletion from being undone.

use std::collections::VecDeque;

use orch_api::{Object as _, Status};
use serde_json::Value;

use super::stage::Stage;
use super::undo::{as_new, own, read};
use crate::history::{ObjectPath, Record, Verb, changes_of, unreadable};
use crate::kinds::Served;

/// Whether the object that has one uid `now` is the one that had another after a change. Cost: all later changes of it are read.
pub(super) async fn continues(
    stage: &Stage,
    kind: &Served,
    change: &Record,
    (was, now): (&str, &str),
) -> Result<bool, Status> {
    let (Some(history), Some(path)) = (stage.registry.history.clone(), ObjectPath::of_key(&change.head.key))
    else {
        return Ok(false);
    };
    let (terms, since, has_status) =
        (changes_of(kind, path.namespace, path.name), change.head.id, kind.kind().has_status);
    let read_since = move || {
        let mut later = VecDeque::new();
        let each = |record: Record| {
            let is_later = record.head.id > since;
            if is_later {
                later.push_front(record);
            }
            is_later
        };
        history.select(&terms, None, |_| true, each).map(|()| later)
    };
    let later =
        tokio::task::spawn_blocking(read_since).await.map_err(Status::internal)?.map_err(unreadable)?;
    let mut line = Line { uid: was.to_owned(), ended_as: None };
    for record in later {
        if record.head.verb == Verb::Missed {
            return Ok(false);
        }
        let [before, after] = [read(record.before.as_ref())?, read(record.after.as_ref())?];
        line.follow(before.as_ref(), after.as_ref(), has_status);
    }
    Ok(line.ended_as.is_none() && line.uid == now)
}

/// An object that is followed through the changes of its name.
struct Line {
    uid: String,
    /// What it was when it went, if it has gone.
    ended_as: Option<Value>,
}

impl Line {
    fn follow(&mut self, before: Option<&Value>, after: Option<&Value>, has_status: bool) {
        let content = |object: &Value| own(&as_new(object), has_status);
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
