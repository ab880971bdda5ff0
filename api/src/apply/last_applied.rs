//! Moving from client-side to server-side apply: kubectl's `last-applied-configuration` annotation.
//!
//! What the annotation holds and the live object still has was set by kubectl, whoever owns it on record:
//! an apply by `kubectl` may take it over. The annotation is then kept in step, so that one may move back.

use serde_json::{Map, Value};

use super::field_set::FieldSet;
use super::{ApplyConflict, ApplyError, Writer, compare, to_set};
use crate::schema::Schema;

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
const KUBECTL: &str = "kubectl";

/// `Ok` if all conflicts are about fields that kubectl itself has set before; else those that are not.
pub(super) fn resolve(
    schema: &Schema,
    live: &Value,
    by: &Writer<'_>,
    conflict: ApplyConflict,
) -> Result<(), ApplyError> {
    if by.manager != KUBECTL {
        return Err(ApplyError::Conflict(conflict));
    }
    let allowed = set_by_kubectl(schema, live).unwrap_or_default();
    let left: Vec<_> =
        conflict.conflicts.into_iter().filter(|conflict| !allowed.contains(&conflict.path.0)).collect();
    if left.is_empty() { Ok(()) } else { Err(ApplyError::Conflict(ApplyConflict { conflicts: left })) }
}

fn set_by_kubectl(schema: &Schema, live: &Value) -> Option<FieldSet> {
    let text = live.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str()?;
    let last: Value = serde_json::from_str(text).ok()?;
    let fields = to_set::field_set(schema.root(), &last).ok()?;
    let since = compare::compare(schema.root(), live, &last).ok()?;
    Some(fields.difference(&since.modified).difference(&since.added).difference(&since.removed))
}

/// Rewrites the annotation, where there is one, after an apply by kubectl.
pub(super) fn refresh(object: &mut Value, applied: &Value, by: &Writer<'_>) {
    let annotation = object
        .get_mut("metadata")
        .and_then(|m| m.get_mut("annotations"))
        .and_then(|a| a.get_mut(ANNOTATION))
        .filter(|_| by.manager == KUBECTL && by.subresource.is_empty());
    if let Some(annotation) = annotation {
        let mut applied = applied.clone();
        if let Some(own) = applied.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            own.remove(ANNOTATION);
        }
        let annotations = applied.pointer("/metadata/annotations").and_then(Value::as_object);
        if annotations.is_none_or(Map::is_empty)
            && let Some(metadata) = applied.get_mut("metadata").and_then(Value::as_object_mut)
        {
            metadata.remove("annotations");
        }
        *annotation = Value::String(format!("{applied}\n"));
    }
}
