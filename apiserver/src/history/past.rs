//! [`Past`]: what an object was at a revision, as far as the history can tell. Pure.

use bytes::Bytes;
use orch_api::fields::FieldTerm;

use super::index::{Entry, Index};
use super::record::{Id, Record, Verb};

/// What an object was at a revision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Past {
    /// It is not known.
    Unknown(Missing),
    /// What it is now, there or not: nothing has happened to it since.
    Same,
    /// There was no such object.
    Absent,
    /// It was this.
    Was {
        /// The version in which it was stored.
        api_version: String,
        /// The object's kind.
        kind: String,
        /// The object.
        value: Bytes,
        /// Its values are secret.
        is_sensitive: bool,
    },
}

/// What is missing in the history, so that it is not known what an object was.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum Missing {
    /// Everything.
    #[error("it has nothing yet")]
    Everything,
    /// Everything before this revision.
    #[error("it begins at revision {0}")]
    Beginning(u64),
    /// What the mark of a gap says.
    #[error("{0}")]
    Gap(String),
    /// The kind of the object.
    #[error("changes of this kind are not recorded")]
    Kind,
    /// The object on one side of the change at this revision: the store had forgotten it, or no key opens it any more.
    #[error("the change at revision {0} does not tell, or no key opens what it tells")]
    Value(u64),
}

/// The side of a change on which an object was at a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// As the change found it.
    Before,
    /// As the change left it.
    After,
}

impl Past {
    /// What the object was on one side of a change.
    pub(super) fn on(side: Side, record: Record) -> Self {
        let Record { head, before, after } = record;
        let (absent, value) = match side {
            Side::Before => (Verb::Created, before),
            Side::After => (Verb::Deleted, after),
        };
        let is_sensitive = head.is_sensitive;
        match value {
            Some(value) => Self::Was { api_version: head.api_version, kind: head.kind, value, is_sensitive },
            None if head.verb == absent => Self::Absent,
            None => Self::Unknown(Missing::Value(head.id.revision)),
        }
    }
}

/// What the changes that are kept tell of what an object was at a revision.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told<C> {
    /// It is on this side of a change.
    By(C, Side),
    /// Nothing has happened to it since.
    Nothing,
    /// Nothing that is certain: this is the mark of a gap that may hold the change that would tell.
    Gap(C),
    /// Nothing: they begin later, at this revision if there are any.
    Later(Option<u64>),
}

impl Told<(usize, Entry)> {
    /// What the changes tell of the object that `terms` select: the last one up to the revision, or else the first one after it.
    pub(super) fn of(index: &Index, terms: &[FieldTerm], revision: u64) -> Self {
        let (mut later, mut gap) = (None, None);
        for (at, entry) in index.select(terms, None) {
            let (found, is_later) = ((at, *entry), entry.id.revision > revision);
            match (entry.verb == Verb::Missed, is_later) {
                (false, false) => return Self::By(found, Side::After),
                (false, true) => later = Some(found),
                (true, false) => break,
                (true, true) if index.just_before(entry.id).is_some_and(|id| id.revision >= revision) => {
                    (later, gap) = (None, Some(found));
                }
                // Where the gap begins is not in the index: it may be before the revision.
                (true, true) => return Self::Gap(found),
            }
        }
        let oldest = index.oldest().map(|oldest| oldest.revision);
        match (later, gap) {
            _ if oldest.is_none_or(|oldest| oldest > revision) => Self::Later(oldest),
            (Some(found), _) => Self::By(found, Side::Before),
            (None, Some(found)) => Self::Gap(found),
            (None, None) => Self::Nothing,
        }
    }
}

impl Index {
    fn just_before(&self, id: Id) -> Option<Id> {
        self.select(&[], Some(id)).next().map(|(_, entry)| entry.id)
    }
}

#[cfg(test)]
mod tests {
    use orch_api::FieldQuery;
    use orch_store::Key;

    use super::super::index::Place;
    use super::super::record::Head;
    use super::*;
    use crate::origin::Origin;

    /// An index of changes: `a` and `b` are objects, `-` is a gap.
    fn index(changes: &[(u64, &str)]) -> Index {
        let mut index = Index::default();
        for (revision, name) in changes {
            let (key, verb) = match *name {
                "-" => ("/missed".to_owned(), Verb::Missed),
                name => (format!("/registry/core/notes/{name}"), Verb::Updated),
            };
            let head = Head {
                id: Id { revision: *revision, number: 0 },
                verb,
                key: Key::new(key).unwrap(),
                api_version: "v1".into(),
                kind: "Note".into(),
                origin: Origin::default(),
                is_sensitive: false,
            };
            index.push(&head, Place { segment: 0, offset: 0, number: 0 });
        }
        index
    }

    /// What changes tell of what `a` was at a revision, each by its revision.
    fn told(changes: &[(u64, &str)], revision: u64) -> Told<u64> {
        let terms = FieldQuery::equals("object.name", "a").terms;
        match Told::of(&index(changes), &terms, revision) {
            Told::By((_, entry), side) => Told::By(entry.id.revision, side),
            Told::Nothing => Told::Nothing,
            Told::Gap((_, entry)) => Told::Gap(entry.id.revision),
            Told::Later(oldest) => Told::Later(oldest),
        }
    }

    #[test]
    fn the_last_change_up_to_a_revision_tells_or_else_the_first_one_after() {
        let changes = [(3, "b"), (5, "a"), (6, "b"), (8, "a"), (9, "a")];
        for (revision, expected) in [
            (2, Told::Later(Some(3))),
            (3, Told::By(5, Side::Before)),
            (4, Told::By(5, Side::Before)),
            (5, Told::By(5, Side::After)),
            (7, Told::By(5, Side::After)),
            (8, Told::By(8, Side::After)),
            (20, Told::By(9, Side::After)),
        ] {
            assert_eq!(told(&changes, revision), expected, "{revision}");
        }
        assert_eq!(told(&[], 3), Told::Later(None));
    }

    #[test]
    fn no_change_tells_over_a_gap_that_may_hold_another() {
        let changes = [(3, "b"), (5, "a"), (7, "b"), (10, "-"), (12, "a")];
        for (revision, expected) in [
            (4, Told::By(5, Side::Before)),
            (6, Told::By(5, Side::After)),
            (7, Told::By(5, Side::After)),
            // Between 7 and 10.
            (8, Told::Gap(10)),
            (10, Told::By(12, Side::Before)),
        ] {
            assert_eq!(told(&changes, revision), expected, "{revision}");
        }
        assert_eq!(told(&[(5, "b"), (10, "-"), (12, "a")], 5), Told::Gap(10));
        assert_eq!(told(&[(10, "-"), (12, "a")], 5), Told::Gap(10));
    }

    #[test]
    fn what_no_change_is_of_is_what_it_was_unless_a_gap_may_hold_one() {
        assert_eq!(told(&[(3, "b"), (5, "b")], 3), Told::Nothing);
        assert_eq!(told(&[(3, "b"), (5, "b")], 2), Told::Later(Some(3)));
        let with_gap = [(3, "a"), (4, "-"), (5, "b")];
        assert_eq!(told(&with_gap, 4), Told::Nothing, "the gap is over by then");
        assert_eq!(told(&[(2, "b"), (4, "-"), (5, "b")], 3), Told::Gap(4));
    }

    #[test]
    fn an_object_was_absent_before_it_was_created_and_after_it_was_deleted() {
        let head = |verb| Head {
            id: Id { revision: 5, number: 0 },
            verb,
            key: Key::new("/registry/core/notes/a").unwrap(),
            api_version: "v1".into(),
            kind: "Note".into(),
            origin: Origin::default(),
            is_sensitive: false,
        };
        let on = |side, verb| Past::on(side, Record { head: head(verb), before: None, after: None });
        assert_eq!(on(Side::Before, Verb::Created), Past::Absent);
        assert_eq!(on(Side::After, Verb::Deleted), Past::Absent);
        let unknown = Past::Unknown(Missing::Value(5));
        assert_eq!(on(Side::Before, Verb::Updated), unknown, "no key opens it any more");
        assert_eq!(on(Side::After, Verb::Created), unknown);
    }
}
