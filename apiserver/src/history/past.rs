//! [`Past`]: what an object was at a revision, as far as the history can tell. Pure.

use bytes::Bytes;
use orch_api::fields::FieldTerm;

use super::index::{Entry, Index};
use super::record::{Id, Record, Verb};

/// What an object was at a revision.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Past {
    /// It is not known: the history does not go back so far, or has a gap there.
    Unknown,
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
    },
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
        let (absent, value) = match side {
            Side::Before => (Verb::Created, record.before),
            Side::After => (Verb::Deleted, record.after),
        };
        match value {
            Some(value) => Self::Was { api_version: record.head.api_version, kind: record.head.kind, value },
            None if record.head.verb == absent => Self::Absent,
            None => Self::Unknown,
        }
    }
}

/// The change that tells what the object that `terms` select was at a revision: the last one up to then, or else the first one after
/// it. None if none does, or if one that does may be missing.
pub(super) fn decisive(index: &Index, terms: &[FieldTerm], revision: u64) -> Option<(usize, Entry, Side)> {
    let mut later = None;
    for (at, entry) in index.select(terms, None) {
        let is_later = entry.id.revision > revision;
        match (entry.verb == Verb::Missed, is_later) {
            (false, false) => return Some((at, *entry, Side::After)),
            (false, true) => later = Some((at, *entry, Side::Before)),
            (true, false) => break,
            (true, true) if index.just_before(entry.id).is_some_and(|id| id.revision >= revision) => {
                later = None
            }
            // Where the gap begins is not known: it may be before the revision.
            (true, true) => return None,
        }
    }
    later.filter(|_| index.oldest().is_some_and(|oldest| oldest.revision <= revision))
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

    /// The change that tells what `a` was at a revision.
    fn told(changes: &[(u64, &str)], revision: u64) -> Option<(u64, Side)> {
        let terms = FieldQuery::equals("object.name", "a").terms;
        decisive(&index(changes), &terms, revision).map(|(_, entry, side)| (entry.id.revision, side))
    }

    #[test]
    fn the_last_change_up_to_a_revision_tells_or_else_the_first_one_after() {
        let changes = [(3, "b"), (5, "a"), (6, "b"), (8, "a"), (9, "a")];
        for (revision, expected) in [
            (2, None),
            (3, Some((5, Side::Before))),
            (4, Some((5, Side::Before))),
            (5, Some((5, Side::After))),
            (7, Some((5, Side::After))),
            (8, Some((8, Side::After))),
            (20, Some((9, Side::After))),
        ] {
            assert_eq!(told(&changes, revision), expected, "{revision}");
        }
        assert_eq!(told(&[(3, "b")], 3), None);
    }

    #[test]
    fn no_change_tells_over_a_gap_that_may_hold_another() {
        let changes = [(3, "b"), (5, "a"), (7, "b"), (10, "-"), (12, "a")];
        for (revision, expected) in [
            (4, Some((5, Side::Before))),
            (6, Some((5, Side::After))),
            (7, Some((5, Side::After))),
            // Between 7 and 10.
            (8, None),
            (10, Some((12, Side::Before))),
        ] {
            assert_eq!(told(&changes, revision), expected, "{revision}");
        }
        assert_eq!(told(&[(5, "b"), (10, "-"), (12, "a")], 5), None);
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
        assert_eq!(on(Side::Before, Verb::Updated), Past::Unknown, "no key opens it any more");
        assert_eq!(on(Side::After, Verb::Created), Past::Unknown);
    }
}
