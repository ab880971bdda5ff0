//! Sets of fields, as `managedFields` records them: [`FieldSet`] and its `FieldsV1` form.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::path::{Path, PathElement};
use crate::schema::{ListType, Type};

/// A set of paths, as a trie. A path may be a member without its children, and children without it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSet {
    /// Steps that are members themselves.
    pub(super) members: BTreeSet<PathElement>,
    /// What is below a step; never empty.
    pub(super) children: BTreeMap<PathElement, FieldSet>,
}

impl FieldSet {
    /// A set of these paths.
    pub fn of(paths: impl IntoIterator<Item = Path>) -> Self {
        let mut set = Self::default();
        paths.into_iter().for_each(|path| set.insert(&path.0));
        set
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.is_empty()
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.members.len() + self.children.values().map(Self::len).sum::<usize>()
    }

    /// Adds a path. The empty path (the whole object) is not tracked.
    pub fn insert(&mut self, path: &[PathElement]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Whether the path is a member.
    pub fn contains(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.members.contains(last),
            [first, rest @ ..] => self.children.get(first).is_some_and(|child| child.contains(rest)),
        }
    }

    /// What is in either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut out = self.clone();
        out.absorb(other);
        out
    }

    fn absorb(&mut self, other: &Self) {
        self.members.extend(other.members.iter().cloned());
        for (step, child) in &other.children {
            self.children.entry(step.clone()).or_default().absorb(child);
        }
    }

    /// What is in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(self.members.intersection(&other.members), |step, child| {
            other.children.get(step).map(|theirs| child.intersection(theirs))
        })
    }

    /// What is in this set and not in the other. A field stays when only its children are taken away, and
    /// children stay when only their parent is.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(self.members.difference(&other.members), |step, child| match other.children.get(step) {
            Some(theirs) => Some(child.difference(theirs)),
            None => Some(child.clone()),
        })
    }

    /// What is in this set and neither in the other nor below anything in the other.
    #[must_use]
    pub fn recursive_difference(&self, other: &Self) -> Self {
        self.combine(self.members.difference(&other.members), |step, child| {
            if other.members.contains(step) {
                return None;
            }
            Some(
                other
                    .children
                    .get(step)
                    .map_or_else(|| child.clone(), |theirs| child.recursive_difference(theirs)),
            )
        })
    }

    fn combine<'a>(
        &'a self,
        members: impl Iterator<Item = &'a PathElement>,
        child: impl Fn(&PathElement, &FieldSet) -> Option<FieldSet>,
    ) -> Self {
        let children = self
            .children
            .iter()
            .filter_map(|(step, set)| Some((step.clone(), child(step, set).filter(|s| !s.is_empty())?)))
            .collect();
        Self { members: members.cloned().collect(), children }
    }

    /// The members that have no members below them.
    #[must_use]
    pub fn leaves(&self) -> Self {
        Self {
            members: self.members.iter().filter(|m| !self.children.contains_key(m)).cloned().collect(),
            children: self.children.iter().map(|(step, child)| (step.clone(), child.leaves())).collect(),
        }
    }

    /// All members: a field before what is below it.
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        self.collect_paths(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &mut Vec<PathElement>, out: &mut Vec<Path>) {
        for member in &self.members {
            let path = prefix.iter().chain([member]).cloned().collect();
            out.push(Path(path));
        }
        for (step, child) in &self.children {
            prefix.push(step.clone());
            child.collect_paths(prefix, out);
            prefix.pop();
        }
    }

    /// Adds the named fields above members, which are owned with what is below them although they are not
    /// recorded. Items of lists and entries of maps are recorded, so they are not added.
    pub(super) fn with_named_fields(&self, ty: Option<Type<'_>>) -> Self {
        let mut out = Self { members: self.members.clone(), children: BTreeMap::new() };
        for (step, child) in &self.children {
            if let (PathElement::Field(name), Some(ty)) = (step, ty)
                && ty.property(name).is_some()
            {
                out.members.insert(step.clone());
            }
            out.children.insert(step.clone(), child.with_named_fields(below(ty, step)));
        }
        out
    }

    /// The set as it would have been recorded under this schema: what is below something that has become
    /// atomic since is owned as a whole.
    pub(super) fn under_schema(&self, ty: Option<Type<'_>>) -> Self {
        let mut out = Self { members: self.members.clone(), children: BTreeMap::new() };
        for (step, child) in &self.children {
            let child_type = below(ty, step);
            if child_type.is_some_and(is_atomic) {
                out.members.insert(step.clone());
            } else {
                out.children.insert(step.clone(), child.under_schema(child_type));
            }
        }
        out
    }

    /// The `FieldsV1` form.
    pub fn to_json(&self) -> Value {
        self.encode(false)
    }

    fn encode(&self, is_member: bool) -> Value {
        let mut out = Map::new();
        if is_member {
            out.insert(".".to_owned(), Value::Object(Map::new()));
        }
        for member in self.members.iter().filter(|m| !self.children.contains_key(m)) {
            out.insert(member.encode(), Value::Object(Map::new()));
        }
        for (step, child) in &self.children {
            out.insert(step.encode(), child.encode(self.members.contains(step)));
        }
        Value::Object(out)
    }

    /// Reads the `FieldsV1` form. Steps of a kind that is not known are dropped, as Kubernetes does.
    pub fn from_json(fields: &Value) -> Result<Self, String> {
        let fields = fields.as_object().ok_or("fieldsV1 must be an object")?;
        let mut out = Self::default();
        for (key, below) in fields.iter().filter(|(key, _)| *key != ".") {
            let Some(step) = PathElement::parse(key)? else { continue };
            let child = Self::from_json(below)?;
            if child.is_empty() || below.get(".").is_some() {
                out.members.insert(step.clone());
            }
            if !child.is_empty() {
                out.children.insert(step, child);
            }
        }
        Ok(out)
    }
}

fn below<'a>(ty: Option<Type<'a>>, step: &PathElement) -> Option<Type<'a>> {
    match step {
        PathElement::Field(name) => ty?.field(name),
        _ => ty?.items(),
    }
}

fn is_atomic(ty: Type<'_>) -> bool {
    ty.atomic_map || (ty.items().is_some() && ty.list == ListType::Atomic)
}
