//! What plans do not show: the values of kinds that hold secrets.

use orch_api::plan::HIDDEN;
use orch_api::{FieldChange, Object as _};
use serde_json::Value;

use crate::kinds::Kinds;

/// Hides the values of an object's fields.
pub(super) fn hide_fields(fields: &mut [FieldChange]) {
    let sides = fields.iter_mut().flat_map(|field| [&mut field.before, &mut field.after]);
    sides.flatten().for_each(|value| *value = HIDDEN.into());
}

/// Hides what a plan's changes say of kinds that hold secrets. Answers whether there was
/// anything to hide.
pub(super) fn hide_changes(kinds: &Kinds, changes: &mut Value) -> bool {
    let mut hidden = false;
    for change in changes.as_array_mut().into_iter().flatten() {
        if let Some(manifest) = change.pointer_mut("/apply/manifest")
            && is_secret(kinds, manifest)
        {
            hide_object(manifest);
            hidden = true;
        }
        if let Some(patch) = change.get_mut("patch")
            && is_secret(kinds, &patch["target"])
        {
            patch["patch"] = HIDDEN.into();
            hidden = true;
        }
    }
    hidden
}

/// Whether something with an `apiVersion` and a `kind` is of a kind that holds secrets.
fn is_secret(kinds: &Kinds, named: &Value) -> bool {
    kinds.named(named.api_version(), named.kind()).is_some_and(|served| served.kind().is_sensitive)
}

/// Leaves nothing of an object but what it is and what it is called.
fn hide_object(object: &mut Value) {
    for (field, value) in object.as_object_mut().into_iter().flatten() {
        match (field.as_str(), &mut *value) {
            ("apiVersion" | "kind", _) => {}
            ("metadata", Value::Object(metadata)) => {
                let annotations = metadata.get_mut("annotations").and_then(Value::as_object_mut);
                annotations.into_iter().flatten().for_each(|(_, value)| *value = HIDDEN.into());
            }
            (_, value) => hide(value),
        }
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(_, value)| hide(value)),
        Value::Array(items) => items.iter_mut().for_each(hide),
        value => *value = HIDDEN.into(),
    }
}
