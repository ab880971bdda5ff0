//! Whether a schema's defaults are values that it would accept.

use super::{Schema, Type};
use crate::field_error::{FieldError, FieldPath};

impl Schema {
    /// Defaults that the schema itself would not accept, each at its place in the schema's document
    /// (`properties[spec].default`). Cost: linear in the schema and its defaults. For schemas without recursion, such as
    /// structural ones.
    pub fn check_defaults(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        walk(self.root(), &FieldPath::root(), &mut errors);
        errors
    }
}

fn walk(ty: Type<'_>, path: &FieldPath, errors: &mut Vec<FieldError>) {
    if let Some(default) = &ty.node().default {
        let (mut filled, mut pruned) = (default.clone(), default.clone());
        super::prune::apply_defaults(ty, &mut filled);
        super::prune::prune(ty, &mut pruned);
        let problems = ty.check(&filled);
        let at = path.child("default");
        if pruned != *default {
            errors.push(FieldError::invalid(&at, default.clone(), "must not have unknown fields"));
        }
        for problem in problems.into_iter().filter(|problem| !problem.is_unknown()) {
            let path = match problem.path.as_str() {
                "" => at.clone(),
                below => at.child(below),
            };
            errors.push(FieldError { path, ..problem });
        }
    }
    for (name, property) in ty.properties() {
        walk(property, &path.child("properties").key(name), errors);
    }
    if let Some(entries) = ty.entries() {
        walk(entries, &path.child("additionalProperties"), errors);
    }
    if let Some(items) = ty.items() {
        walk(items, &path.child("items"), errors);
    }
}
