//! [`Index`]: which changes are in the log, and where. In memory, without their values: some 48 bytes a change, and what objects
//! and users are called once. Pure.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use orch_api::fields::FieldTerm;
use orch_store::Key;

use super::record::{Head, Id, Verb};

/// Where a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) offset: u64,
    /// Which of the frame's.
    pub(super) number: u32,
}

/// One change.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) id: Id,
    pub(super) place: Place,
    pub(super) verb: Verb,
    key: u32,
    kind: u32,
    user: u32,
    plan: u32,
}

/// The changes of the log, in order.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: VecDeque<Entry>,
    keys: Names,
    /// `apiVersion`, a line feed, kind.
    kinds: Names,
    users: Names,
    plans: Names,
}

/// The fields that changes can be selected by, beside the name.
pub(super) const KEY_FIELDS: [&str; 2] = ["object.namespace", "object.name"];
pub(super) const KIND_FIELDS: [&str; 3] = ["object.apiVersion", "object.group", "object.kind"];

impl Index {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The oldest change.
    pub(super) fn oldest(&self) -> Option<Id> {
        self.entries.front().map(|entry| entry.id)
    }

    pub(super) fn push(&mut self, head: &Head, place: Place) {
        let entry = Entry {
            id: head.id,
            place,
            verb: head.verb,
            key: self.keys.hold(head.key.as_str()),
            kind: self.kinds.hold(&format!("{}\n{}", head.api_version, head.kind)),
            user: self.users.hold(&head.origin.user),
            plan: self.plans.hold(&head.origin.plan),
        };
        self.entries.push_back(entry);
    }

    /// Forgets the changes of a segment and of those before it.
    pub(super) fn forget(&mut self, segment: u32) {
        while let Some(entry) = self.entries.pop_front_if(|entry| entry.place.segment <= segment) {
            self.keys.release(entry.key);
            self.kinds.release(entry.kind);
            self.users.release(entry.user);
            self.plans.release(entry.plan);
        }
    }

    /// The key of an entry.
    pub(super) fn key(&self, entry: &Entry) -> &str {
        self.keys.name(entry.key)
    }

    /// The change of this name. Cost: a binary search.
    pub(super) fn find(&self, id: Id) -> Option<(usize, Entry)> {
        let at = self.entries.partition_point(|entry| entry.id < id);
        self.entries.get(at).filter(|entry| entry.id == id).map(|entry| (at, *entry))
    }

    /// The change of the same object before the one at `at`, if it is in the same segment and nothing is missing in between. Cost: the changes in between.
    pub(super) fn before(&self, at: usize) -> Option<Entry> {
        let entry = self.entries.get(at)?;
        let earlier = self.entries.range(..at).rev();
        let mut same = earlier
            .take_while(|other| other.place.segment == entry.place.segment && other.verb != Verb::Missed);
        same.find(|other| other.key == entry.key).copied()
    }

    /// The changes for which all terms hold, newest first, from before one on. Marks of gaps are among them unless something
    /// else than the object is asked for. Cost: a look at each change, at each object's name, and so on.
    pub(super) fn select<'a>(
        &'a self,
        terms: &'a [FieldTerm],
        before: Option<Id>,
    ) -> impl Iterator<Item = (usize, &'a Entry)> + use<'a> {
        let of = |fields: &[&str]| -> Vec<&FieldTerm> {
            terms.iter().filter(|term| fields.contains(&term.field.as_str())).collect()
        };
        let keys = self.keys.matching(&of(&KEY_FIELDS), key_field);
        let kinds = self.kinds.matching(&of(&KIND_FIELDS), kind_field);
        let users = self.users.matching(&of(&["user"]), |name, _| Some(name));
        let plans = self.plans.matching(&of(&["plan"]), |name, _| Some(name));
        let (verbs, names) = (of(&["verb"]), of(&["metadata.name"]));
        let about_objects = |term: &FieldTerm| term.field.starts_with("object.");
        let with_gaps = terms.iter().all(about_objects);
        let end = before.map_or(self.entries.len(), |id| self.entries.partition_point(|entry| entry.id < id));
        self.entries.range(..end).enumerate().rev().filter(move |(_, entry)| {
            if entry.verb == Verb::Missed && with_gaps {
                return true;
            }
            let has = |set: &[bool], id: u32| set.get(id as usize).copied().unwrap_or_default();
            has(&keys, entry.key)
                && has(&kinds, entry.kind)
                && has(&users, entry.user)
                && has(&plans, entry.plan)
                && verbs.iter().all(|term| (entry.verb.as_str() == term.value) == term.equals)
                && names.iter().all(|term| (entry.id.to_string() == term.value) == term.equals)
        })
    }
}

fn key_field<'a>(key: &'a str, field: &str) -> Option<&'a str> {
    let object = ObjectPath::of(key)?;
    Some(if field == "object.name" { object.name } else { object.namespace })
}

fn kind_field<'a>(kind: &'a str, field: &str) -> Option<&'a str> {
    let (api_version, name) = kind.split_once('\n')?;
    Some(match field {
        "object.kind" => name,
        "object.group" => orch_api::split_api_version(api_version).0,
        _ => api_version,
    })
}

/// What the place where an object is kept says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObjectPath<'a> {
    /// Empty for the core group.
    pub(crate) group: &'a str,
    pub(crate) plural: &'a str,
    /// Empty for objects of the cluster.
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> ObjectPath<'a> {
    /// Reads `/registry/GROUP/PLURAL/[NAMESPACE/]NAME`; none if it is something else.
    pub(crate) fn of(key: &'a str) -> Option<Self> {
        let rest = key.strip_prefix(crate::kinds::ROOT)?.strip_prefix('/')?;
        let mut steps = rest.split('/');
        let (group, plural, first) = (steps.next()?, steps.next()?, steps.next()?);
        let group = if group == "core" { "" } else { group };
        let (namespace, name) = match (steps.next(), steps.next()) {
            (Some(name), None) => (first, name),
            (None, _) => ("", first),
            _ => return None,
        };
        Some(Self { group, plural, namespace, name })
    }

    /// As [`of`](Self::of) a key.
    pub(crate) fn of_key(key: &'a Key) -> Option<Self> {
        Self::of(key.as_str())
    }
}

/// Texts that are kept once, for as long as somebody holds them.
#[derive(Debug, Default)]
struct Names {
    ids: HashMap<Arc<str>, u32>,
    names: Vec<(Arc<str>, u32)>,
    free: Vec<u32>,
}

impl Names {
    fn hold(&mut self, name: &str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            self.names[*id as usize].1 += 1;
            return *id;
        }
        let name: Arc<str> = name.into();
        let id = self.free.pop().unwrap_or_else(|| {
            self.names.push((name.clone(), 0));
            u32::try_from(self.names.len() - 1).unwrap_or(u32::MAX)
        });
        self.names[id as usize] = (name.clone(), 1);
        self.ids.insert(name, id);
        id
    }

    fn release(&mut self, id: u32) {
        let (name, holders) = &mut self.names[id as usize];
        *holders -= 1;
        if *holders == 0 {
            self.ids.remove(name);
            *name = "".into();
            self.free.push(id);
        }
    }

    fn name(&self, id: u32) -> &str {
        &self.names[id as usize].0
    }

    /// By id, whether all terms hold of the name.
    fn matching(
        &self,
        terms: &[&FieldTerm],
        field: impl for<'n> Fn(&'n str, &str) -> Option<&'n str>,
    ) -> Vec<bool> {
        let holds = |name: &str, term: &FieldTerm| {
            (field(name, &term.field).unwrap_or_default() == term.value) == term.equals
        };
        self.names.iter().map(|(name, _)| terms.iter().all(|term| holds(name, term))).collect()
    }
}

#[cfg(test)]
mod tests {
    use orch_api::FieldQuery;

    use super::*;
    use crate::origin::Origin;

    fn index(changes: &[(u64, u32, &str, &str)]) -> Index {
        let mut index = Index::default();
        for (revision, segment, key, user) in changes {
            let head = Head {
                id: Id { revision: *revision, number: 0 },
                verb: if *key == "/missed" { Verb::Missed } else { Verb::Updated },
                key: Key::new(*key).unwrap(),
                api_version: "apps/v1".into(),
                kind: "Note".into(),
                origin: Origin { user: (*user).into(), ..Origin::default() },
                is_sensitive: false,
            };
            index.push(&head, Place { segment: *segment, offset: 0, number: 0 });
        }
        index
    }

    fn selected(index: &Index, query: &str, before: Option<u64>) -> Vec<u64> {
        let terms = query.parse::<FieldQuery>().unwrap().terms;
        let before = before.map(|revision| Id { revision, number: 0 });
        index.select(&terms, before).map(|(_, entry)| entry.id.revision).collect()
    }

    const A: &str = "/registry/apps/notes/default/a";
    const B: &str = "/registry/apps/notes/other/b";

    #[test]
    fn changes_are_selected_by_object_and_user_newest_first() {
        let index = index(&[(1, 0, A, "ann"), (2, 0, B, "bob"), (3, 0, "/missed", ""), (5, 1, A, "bob")]);
        for (query, expected) in [
            ("", &[5, 3, 2, 1][..]),
            ("object.name=a", &[5, 3, 1]),
            ("object.namespace!=other,object.kind=Note,object.group=apps", &[5, 3, 1]),
            ("object.kind=Other", &[3]),
            ("user=bob", &[5, 2]),
            ("user=bob,object.name=b", &[2]),
            ("verb!=missed", &[5, 2, 1]),
            ("metadata.name=2-0", &[2]),
        ] {
            assert_eq!(selected(&index, query, None), expected, "{query}");
        }
        assert_eq!(selected(&index, "", Some(3)), [2, 1]);
    }

    #[test]
    fn the_change_before_is_that_of_the_same_object_in_the_same_segment() {
        let index = index(&[(1, 0, A, "ann"), (2, 0, B, "bob"), (3, 0, A, "ann"), (5, 1, A, "bob")]);
        let before = |revision| {
            let (at, _) = index.find(Id { revision, number: 0 }).unwrap();
            index.before(at).map(|entry| entry.id.revision)
        };
        assert_eq!([1, 2, 3, 5].map(before), [None, None, Some(1), None]);
    }

    #[test]
    fn what_is_forgotten_leaves_nothing_behind() {
        let mut index = index(&[(1, 0, A, "ann"), (2, 1, B, "bob")]);
        index.forget(0);
        assert_eq!(selected(&index, "", None), [2]);
        assert_eq!((index.keys.ids.len(), index.users.ids.len(), index.keys.free.len()), (1, 1, 1));
        index.forget(1);
        assert!(index.keys.ids.is_empty() && index.kinds.ids.is_empty() && index.len() == 0);
    }

    #[test]
    fn keys_say_what_is_kept_there() {
        let path = ObjectPath::of("/registry/core/nodes/n1").unwrap();
        assert_eq!((path.group, path.plural, path.namespace, path.name), ("", "nodes", "", "n1"));
        let path = ObjectPath::of(A).unwrap();
        assert_eq!((path.group, path.plural, path.namespace, path.name), ("apps", "notes", "default", "a"));
        assert_eq!(ObjectPath::of("/deletions/1"), None);
    }
}
