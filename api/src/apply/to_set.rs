//! Which fields an object says something about.

use std::collections::BTreeMap;

use serde_json::Value;

use super::field_set::FieldSet;
use super::path::PathElement;
use super::shape::{self, Shape};
use crate::schema::Type;

/// The set of all leaves, list items and map entries that `value` mentions.
///
/// Fails on list items that cannot be told apart.
pub(super) fn field_set(ty: Type<'_>, value: &Value) -> Result<FieldSet, String> {
    Ok(collect(Some(ty), value)?.1)
}

/// Whether the value is a member itself, and what is below it.
fn collect(ty: Option<Type<'_>>, value: &Value) -> Result<(bool, FieldSet), String> {
    match (shape::shape(ty, value), value) {
        (Some(Shape::Fields), Value::Object(object)) => {
            let mut set = FieldSet::default();
            for (name, value) in object {
                let step = PathElement::field(name.as_str());
                let (leaf, below) = collect(shape::field_type(ty, name), value)
                    .map_err(|e| format!(".{name}{}", join(&e)))?;
                let is_named = ty.is_some_and(|t| t.property(name).is_some());
                let is_empty = value.as_object().is_some_and(serde_json::Map::is_empty);
                add(&mut set, step, leaf || value.is_null() || is_empty || !is_named, below);
            }
            Ok((false, set))
        }
        (Some(Shape::Items), Value::Array(_)) => {
            let mut set = FieldSet::default();
            let Some(list) = ty else { return Ok((true, set)) };
            let items = shape::items(list, Some(value)).map_err(|e| format!(": {e}"))?;
            let mut count: BTreeMap<&PathElement, usize> = BTreeMap::new();
            items.iter().for_each(|(step, _)| *count.entry(step).or_default() += 1);
            for (step, item) in &items {
                // Duplicates (only in objects from before the list had keys) are owned as one.
                let repeated = count.get(step).is_some_and(|&n| n > 1);
                let below = if repeated {
                    FieldSet::default()
                } else {
                    collect(shape::item_type(list), item).map_err(|e| format!("{step}{}", join(&e)))?.1
                };
                add(&mut set, step.clone(), true, below);
            }
            Ok((false, set))
        }
        (Some(Shape::Leaf) | None, _) => Ok((true, FieldSet::default())),
        (Some(Shape::Fields | Shape::Items), _) => Ok((false, FieldSet::default())),
    }
}

fn add(set: &mut FieldSet, step: PathElement, is_member: bool, below: FieldSet) {
    if !below.is_empty() {
        set.children.insert(step.clone(), below);
    }
    if is_member {
        set.members.insert(step);
    }
}

fn join(error: &str) -> String {
    if error.starts_with(['.', '[', ':']) { error.to_owned() } else { format!(": {error}") }
}
