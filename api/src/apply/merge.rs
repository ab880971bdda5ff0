//! Merging an applied configuration into an object, and taking fields out of one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::field_set::FieldSet;
use super::path::{Path, PathElement};
use super::shape::{self, Shape};
use crate::schema::{ListType, Type};

/// `live` with everything that `applied` says. Nothing is removed; what both say is as applied.
///
/// List items keep the order of `live` where `applied` leaves it alone, and take that of `applied` where it
/// does not. Fails on list items that cannot be told apart and on duplicates in `applied`.
pub(super) fn merge(ty: Type<'_>, live: &Value, applied: &Value) -> Result<Value, String> {
    Ok(merged(Some(ty), Some(live), Some(applied))?.unwrap_or(Value::Null))
}

fn merged(
    ty: Option<Type<'_>>,
    live: Option<&Value>,
    applied: Option<&Value>,
) -> Result<Option<Value>, String> {
    let Some(theirs) = applied else { return Ok(live.cloned()) };
    let shape = shape::shape(ty, theirs).or_else(|| live.and_then(|v| shape::shape(ty, v)));
    let (live_fields, live_items) = (live.and_then(Value::as_object), live.and_then(Value::as_array));
    let is_nothing = match theirs {
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        other => other.is_null(),
    };
    match (shape, ty) {
        (Some(Shape::Fields), _) if !is_nothing || live_fields.is_some_and(|f| !f.is_empty()) => {
            merged_fields(ty, live_fields, theirs.as_object()).map(|fields| Some(Value::Object(fields)))
        }
        (Some(Shape::Items), Some(list)) if !is_nothing || live_items.is_some_and(|i| !i.is_empty()) => {
            merged_items(list, live, theirs).map(|items| Some(Value::Array(items)))
        }
        _ => Ok(Some(theirs.clone())),
    }
}

fn merged_fields(
    ty: Option<Type<'_>>,
    live: Option<&Map<String, Value>>,
    applied: Option<&Map<String, Value>>,
) -> Result<Map<String, Value>, String> {
    let is_applied = |name: &String| applied.is_some_and(|fields| fields.contains_key(name));
    let untouched = live.into_iter().flatten().filter(|(name, _)| !is_applied(name));
    let mut out: Map<String, Value> = untouched.map(|(name, value)| (name.clone(), value.clone())).collect();
    for (name, theirs) in applied.into_iter().flatten() {
        let ours = live.and_then(|fields| fields.get(name));
        let value = merged(shape::field_type(ty, name), ours, Some(theirs))
            .map_err(|e| at(&PathElement::field(name.as_str()), &e))?;
        if let Some(value) = value {
            out.insert(name.clone(), value);
        }
    }
    Ok(out)
}

fn merged_items(list: Type<'_>, live: Option<&Value>, applied: &Value) -> Result<Vec<Value>, String> {
    let ours = shape::items(list, live).map_err(|e| format!(": {e}"))?;
    let theirs = shape::items(list, Some(applied)).map_err(|e| format!(": {e}"))?;
    let mut applied_steps = BTreeSet::new();
    for (step, _) in &theirs {
        if !applied_steps.insert(step) {
            return Err(format!(": duplicate entries for key {step}"));
        }
    }
    // Of duplicates in the live object, none is merged with what is applied: it replaces them.
    let mut live_by_step: BTreeMap<&PathElement, Option<&Value>> = BTreeMap::new();
    for (step, item) in &ours {
        live_by_step.entry(step).and_modify(|known| *known = None).or_insert(Some(*item));
    }
    let mut out = Vec::with_capacity(ours.len().max(theirs.len()));
    for place in interleave(&ours, &theirs, &applied_steps, &live_by_step) {
        match place {
            Place::Live(item) => out.push(item.clone()),
            Place::Applied(step, item) => {
                let live = live_by_step.get(step).copied().flatten();
                out.extend(merged(shape::item_type(list), live, Some(item)).map_err(|e| at(step, &e))?);
            }
        }
    }
    Ok(out)
}

enum Place<'a> {
    Live(&'a Value),
    Applied(&'a PathElement, &'a Value),
}

/// The order of the merged list. Shared items come in the order of `theirs`; an item that only one side
/// has stays where it is relative to the shared items around it.
fn interleave<'a>(
    ours: &'a [(PathElement, &'a Value)],
    theirs: &'a [(PathElement, &'a Value)],
    applied: &BTreeSet<&PathElement>,
    live: &BTreeMap<&PathElement, Option<&Value>>,
) -> Vec<Place<'a>> {
    let mut out = Vec::new();
    let mut placed: BTreeSet<&PathElement> = BTreeSet::new();
    let mut shared = theirs.iter().map(|(step, _)| step).filter(|step| live.contains_key(step)).peekable();
    let (mut left, mut right) = (ours.iter().peekable(), theirs.iter().peekable());
    loop {
        match (left.peek(), right.peek()) {
            (None, None) => return out,
            // A shared item that is not the next one in their order: it is placed when its turn comes.
            (Some((our_step, _)), Some((their_step, _)))
                if our_step != their_step
                    && applied.contains(our_step)
                    && shared.peek().is_some_and(|next| *next != our_step) =>
            {
                left.next();
            }
            (Some((step, item)), _) if !applied.contains(step) => {
                out.push(Place::Live(item));
                left.next();
            }
            (Some((step, _)), None) if placed.contains(step) => {
                left.next();
            }
            (ours, Some((step, item))) => {
                let meets = ours.is_some_and(|(our_step, _)| our_step == step);
                let is_behind = ours.is_some_and(|(our_step, _)| placed.contains(our_step));
                if meets || is_behind {
                    left.next();
                }
                shared.next_if(|next| *next == step);
                placed.insert(step);
                out.push(Place::Applied(step, item));
                right.next();
            }
            (Some(_), None) => {
                left.next();
            }
        }
    }
}

/// `value` without the items in `fields`; `None` when nothing of it is left.
///
/// What becomes empty goes, unless it is in `keep`: who owns an object owns it empty as well.
pub(super) fn without(
    ty: Option<Type<'_>>,
    value: &Value,
    fields: &FieldSet,
    keep: &FieldSet,
) -> Option<Value> {
    match (shape::shape(ty, value), value, ty) {
        (Some(Shape::Fields), Value::Object(object), _) if !object.is_empty() => {
            let kept: Map<String, Value> = object
                .iter()
                .filter_map(|(name, value)| {
                    let step = PathElement::field(name.as_str());
                    Some((name.clone(), kept(&step, shape::field_type(ty, name), value, fields, keep)?))
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        (Some(Shape::Items), Value::Array(items), Some(list)) if !items.is_empty() => {
            let kept: Vec<Value> = items
                .iter()
                .filter_map(|item| match shape::item_step(list, item) {
                    Ok(step) => kept(&step, shape::item_type(list), item, fields, keep)
                        .map(|left| with_keys(list, item, left)),
                    Err(_) => Some(item.clone()),
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        _ => Some(value.clone()),
    }
}

fn kept(
    step: &PathElement,
    ty: Option<Type<'_>>,
    value: &Value,
    fields: &FieldSet,
    keep: &FieldSet,
) -> Option<Value> {
    if fields.members.contains(step) {
        return None;
    }
    let Some(below) = fields.children.get(step) else { return Some(value.clone()) };
    let nothing = FieldSet::default();
    without(ty, value, below, keep.children.get(step).unwrap_or(&nothing)).or_else(|| {
        let empty = if value.is_array() { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
        keep.members.contains(step).then_some(empty)
    })
}

/// An item that stays keeps the fields that tell it apart.
fn with_keys(list: Type<'_>, item: &Value, mut left: Value) -> Value {
    if let (ListType::Map(keys), Some(fields)) = (&list.node().list, left.as_object_mut()) {
        for key in keys {
            if let (None, Some(value)) = (fields.get(key), item.get(key)) {
                fields.insert(key.clone(), value.clone());
            }
        }
    }
    left
}

fn at(step: &PathElement, error: &str) -> String {
    let step = Path(vec![step.clone()]);
    if error.starts_with(['.', '[', ':']) { format!("{step}{error}") } else { format!("{step}: {error}") }
}
