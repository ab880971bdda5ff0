//! What differs between two objects, field by field.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::field_set::FieldSet;
use super::path::PathElement;
use super::shape::{self, Shape};
use crate::schema::Type;

/// The fields in which two objects differ.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) removed: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) added: FieldSet,
}

impl Comparison {
    /// Leaves out these fields and everything below them.
    pub(super) fn without(self, fields: &FieldSet) -> Self {
        if fields.is_empty() {
            return self;
        }
        Self {
            removed: self.removed.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            added: self.added.recursive_difference(fields),
        }
    }

    /// What the newer object says anew.
    pub(super) fn changed(&self) -> FieldSet {
        self.modified.union(&self.added)
    }
}

/// Compares an older with a newer object. Equal parts cost one comparison.
pub(super) fn compare(ty: Type<'_>, old: &Value, new: &Value) -> Result<Comparison, String> {
    let mut walk = Walk { path: Vec::new(), found: Comparison::default() };
    walk.compare(Some(ty), Some(old), Some(new))?;
    Ok(walk.found)
}

struct Walk {
    path: Vec<PathElement>,
    found: Comparison,
}

impl Walk {
    fn compare(
        &mut self,
        ty: Option<Type<'_>>,
        old: Option<&Value>,
        new: Option<&Value>,
    ) -> Result<(), String> {
        if old == new {
            return Ok(());
        }
        let (before, after) = (old.and_then(|v| shape::shape(ty, v)), new.and_then(|v| shape::shape(ty, v)));
        let is_leaf = match (before, after) {
            (Some(one), Some(two)) if one != two => {
                self.as_shape(one, ty, old, new)?;
                self.as_shape(two, ty, old, new)?
            }
            (Some(shape), _) | (None, Some(shape)) => self.as_shape(shape, ty, old, new)?,
            (None, None) => self.as_shape(Shape::Leaf, ty, old, new)?,
        };
        match (old, new) {
            (None, Some(_)) if !is_leaf => self.found.added.insert(&self.path),
            (Some(_), None) if !is_leaf => self.found.removed.insert(&self.path),
            _ => {}
        }
        Ok(())
    }

    /// Compares as if both were of this shape; says whether that is a leaf.
    fn as_shape(
        &mut self,
        shape: Shape,
        ty: Option<Type<'_>>,
        old: Option<&Value>,
        new: Option<&Value>,
    ) -> Result<bool, String> {
        match (shape, ty) {
            (Shape::Fields, _) if has_fields(old) || has_fields(new) => self.fields(ty, old, new)?,
            (Shape::Items, Some(list)) if has_items(old) || has_items(new) => self.items(list, old, new)?,
            // Leaves; and of what is empty, the difference between empty, null and absent is a leaf's.
            _ => {
                self.leaf(old, new);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        let found = match (old, new) {
            (None, None) => return,
            (None, Some(_)) => &mut self.found.added,
            (Some(_), None) => &mut self.found.removed,
            (Some(old), Some(new)) if old != new => &mut self.found.modified,
            (Some(_), Some(_)) => return,
        };
        found.insert(&self.path);
    }

    fn fields(
        &mut self,
        ty: Option<Type<'_>>,
        old: Option<&Value>,
        new: Option<&Value>,
    ) -> Result<(), String> {
        let (old, new) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
        let names: BTreeSet<&String> = old.into_iter().chain(new).flat_map(|object| object.keys()).collect();
        for name in names {
            let (old, new) = (old.and_then(|o| o.get(name)), new.and_then(|o| o.get(name)));
            self.below(&PathElement::field(name.as_str()), shape::field_type(ty, name), old, new)?;
        }
        Ok(())
    }

    fn items(&mut self, list: Type<'_>, old: Option<&Value>, new: Option<&Value>) -> Result<(), String> {
        let (old, new) = (shape::items(list, old)?, shape::items(list, new)?);
        let mut by_step: BTreeMap<&PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        old.iter().for_each(|(step, item)| by_step.entry(step).or_default().0.push(item));
        new.iter().for_each(|(step, item)| by_step.entry(step).or_default().1.push(item));
        let item_type = shape::item_type(list);
        for (step, (before, after)) in by_step {
            // Duplicates are compared as a whole and owned by the step alone.
            match (before.as_slice(), after.as_slice()) {
                ([] | [_], [] | [_]) => {
                    self.below(step, item_type, before.first().copied(), after.first().copied())?;
                }
                ([_, _, ..], [_, _, ..]) if before == after => {}
                ([_, _, ..], [_, _, ..]) => self.mark(step, |c| &mut c.modified),
                ([_, _, ..], _) => {
                    if let Some(after) = after.first() {
                        self.below(step, item_type, None, Some(after))?;
                    }
                    self.mark(step, |c| &mut c.removed);
                }
                (_, _) => {
                    if let Some(before) = before.first() {
                        self.below(step, item_type, Some(before), None)?;
                    }
                    self.mark(step, |c| &mut c.added);
                }
            }
        }
        Ok(())
    }

    fn below(
        &mut self,
        step: &PathElement,
        ty: Option<Type<'_>>,
        old: Option<&Value>,
        new: Option<&Value>,
    ) -> Result<(), String> {
        self.path.push(step.clone());
        let result = self.compare(ty, old, new);
        self.path.pop();
        result
    }

    fn mark(&mut self, step: &PathElement, set: impl Fn(&mut Comparison) -> &mut FieldSet) {
        self.path.push(step.clone());
        set(&mut self.found).insert(&self.path);
        self.path.pop();
    }
}

fn has_fields(value: Option<&Value>) -> bool {
    value.and_then(Value::as_object).is_some_and(|object| !object.is_empty())
}

fn has_items(value: Option<&Value>) -> bool {
    value.and_then(Value::as_array).is_some_and(|items| !items.is_empty())
}
