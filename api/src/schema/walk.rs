//! Walking a schema without an object: relations, and lookup by dotted path for `explain`.

use super::{Relation, Schema, Type};

/// A relation and the place in the object where it is declared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelationAt {
    /// The dotted path: list items are `[]`, map entries `*`: `spec.volumes[].configMap.name`.
    pub path: String,
    /// What it refers to, and how.
    pub relation: Relation,
    /// Declared below a template: true of the objects to be made from it, not of this object.
    pub templated: bool,
}

impl Schema {
    /// All relations that the schema declares, sorted by path. A recursive type is entered once per path.
    pub fn relations(&self) -> Vec<RelationAt> {
        let mut found = Vec::new();
        collect(self.root(), &mut String::new(), &mut Vec::new(), &mut found);
        found.sort();
        found
    }

    /// The type at a dotted path, as `kubectl explain` takes it: `spec.containers.ports`. Lists are seen
    /// through, `[…]` after a name is ignored, and any name leads into a map. The empty path is the object.
    pub fn at(&self, path: &str) -> Option<Type<'_>> {
        path.split('.').filter(|step| !step.is_empty()).try_fold(self.root(), |ty, step| {
            let name = step.split('[').next().unwrap_or(step);
            through_lists(ty).field(name)
        })
    }
}

impl<'a> Type<'a> {
    /// The innermost item type of a (nested) list, or the type itself.
    pub fn element(self) -> Type<'a> {
        through_lists(self)
    }
}

fn through_lists(mut ty: Type<'_>) -> Type<'_> {
    while let Some(items) = ty.items() {
        ty = items;
    }
    ty
}

fn collect<'a>(ty: Type<'a>, path: &mut String, above: &mut Vec<Type<'a>>, found: &mut Vec<RelationAt>) {
    if above.iter().any(|seen| seen.same(ty)) {
        return;
    }
    for relation in &ty.node().relations {
        let (path, relation) = (path.clone(), relation.clone());
        found.push(RelationAt { templated: is_templated(&path), path, relation });
    }
    above.push(ty);
    let children = ty
        .properties()
        .map(|(name, child)| (if path.is_empty() { name.to_owned() } else { format!(".{name}") }, child));
    let items = ty.items().map(|child| ("[]".to_owned(), child));
    let entries = ty.entries().map(|child| (".*".to_owned(), child));
    for (step, child) in children.chain(items).chain(entries).collect::<Vec<_>>() {
        let len = path.len();
        path.push_str(&step);
        collect(child, path, above, found);
        path.truncate(len);
    }
    above.pop();
}

fn is_templated(path: &str) -> bool {
    path.split('.').any(|step| {
        let name = step.trim_end_matches("[]").to_ascii_lowercase();
        name.ends_with("template") || name.ends_with("templates")
    })
}
