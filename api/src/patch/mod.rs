//! JSON patch (RFC 6902), JSON merge patch (RFC 7386) and strategic merge patch, with Kubernetes' limits.

mod strategic;

use json_patch::{PatchErrorKind, PatchOperation};
use serde::Deserialize;
use serde_json::Value;

pub use strategic::strategic_merge_patch;

use crate::depth::{MAX_DEPTH, is_deeper};

/// The most operations that a JSON patch may have.
pub const MAX_JSON_PATCH_OPERATIONS: usize = 10_000;

/// The most bytes that the `copy` operations of a JSON patch may copy altogether: Kubernetes' limit of a
/// request body. Without it a short patch can double an object time and again.
pub const MAX_COPIED_BYTES: usize = 3 * 1024 * 1024;

/// The most values that the operations of a JSON patch may move altogether: items of lists that give way or close up, and
/// what is moved to another place. Without it ten thousand inserts at the front of a long list take minutes.
pub const MAX_MOVED_VALUES: usize = 10_000_000;

/// Why a patch was not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// Not a patch at all: `400`.
    #[error("error decoding patch: {0}")]
    Malformed(String),
    /// Too many operations: `413`.
    #[error("The allowed maximum operations in a JSON patch is {max}, got {got}")]
    TooManyOperations {
        /// As many as there are.
        got: usize,
        /// As many as there may be.
        max: usize,
    },
    /// `copy` operations would copy more than [`MAX_COPIED_BYTES`]: `413`.
    #[error(
        "Unable to complete the copy, the accumulated size increase of copy is {got}, exceeding the limit {max}"
    )]
    CopyTooLarge {
        /// Bytes copied up to and with the operation that went too far.
        got: usize,
        /// Bytes that may be copied.
        max: usize,
    },
    /// Operations would move more than [`MAX_MOVED_VALUES`]: `413`.
    #[error(
        "operation {operation} does not apply at {path:?}: the operations up to it move more than {max} values; \
         replace the whole list or object instead"
    )]
    MovesTooMuch {
        /// Which operation, from zero.
        operation: usize,
        /// The JSON pointer.
        path: String,
        /// Values that may be moved.
        max: usize,
    },
    /// A `test` operation found something else: `422`.
    #[error("testing value {path} failed: test failed")]
    TestFailed {
        /// Which operation, from zero.
        operation: usize,
        /// The JSON pointer tested.
        path: String,
    },
    /// An item of a map list lacks the key by which the list merges: `422`.
    #[error("map: {item} does not contain declared merge key: {key}")]
    NoMergeKey {
        /// The item.
        item: String,
        /// The key field.
        key: String,
    },
    /// An operation names a place that is not there: `422`.
    #[error("operation {operation} does not apply at {path:?}: {problem}")]
    NotApplicable {
        /// Which operation, from zero.
        operation: usize,
        /// The JSON pointer.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

impl PatchError {
    /// The HTTP status code that Kubernetes answers.
    pub fn code(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::TooManyOperations { .. } | Self::CopyTooLarge { .. } | Self::MovesTooMuch { .. } => 413,
            Self::TestFailed { .. } | Self::NotApplicable { .. } | Self::NoMergeKey { .. } => 422,
        }
    }
}

/// Applies a JSON patch to a copy of `object`: all of its operations or none.
///
/// No operation may put anything deeper than [`MAX_DEPTH`] levels. Cost: linear in the object, the patch, and what may be
/// copied and moved.
pub fn json_patch(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    let operations = match patch {
        Value::Array(operations) => operations,
        _ => return Err(PatchError::Malformed("a JSON patch is a list of operations".to_owned())),
    };
    let (got, max) = (operations.len(), MAX_JSON_PATCH_OPERATIONS);
    if got > max {
        return Err(PatchError::TooManyOperations { got, max });
    }
    let operations =
        Vec::<PatchOperation>::deserialize(patch).map_err(|e| PatchError::Malformed(e.to_string()))?;
    let mut patched = object.clone();
    let (mut copied, mut moved) = (0, 0);
    for (index, operation) in operations.iter().enumerate() {
        copied += copied_bytes(&patched, operation);
        if copied > MAX_COPIED_BYTES {
            return Err(PatchError::CopyTooLarge { got: copied, max: MAX_COPIED_BYTES });
        }
        moved += moved_values(&patched, operation);
        if moved > MAX_MOVED_VALUES {
            let path = operation.path().to_string();
            return Err(PatchError::MovesTooMuch { operation: index, path, max: MAX_MOVED_VALUES });
        }
        if nests_too_deep(&patched, operation) {
            let problem = format!("the object would nest deeper than {MAX_DEPTH} levels");
            let path = operation.path().to_string();
            return Err(PatchError::NotApplicable { operation: index, path, problem });
        }
        if finds_nothing_as_expected(&patched, operation) {
            continue;
        }
        json_patch::patch_unsafe(&mut patched, std::slice::from_ref(operation))
            .map_err(|e| failure(index, &e))?;
    }
    Ok(patched)
}

/// Whether the operation tests that a field of an object, or an item of a list, is `null`, and there is none: that is so to
/// Kubernetes, if not to RFC 6902. Clients say so that nobody has added the first finalizer since.
fn finds_nothing_as_expected(object: &Value, operation: &PatchOperation) -> bool {
    let PatchOperation::Test(test) = operation else { return false };
    let is_there = |path: &str| object.pointer(path).is_some();
    let parent = test.path.as_str().rsplit_once('/').map(|(parent, _)| parent);
    test.value.is_null() && !is_there(test.path.as_str()) && parent.is_some_and(is_there)
}

fn copied_bytes(object: &Value, operation: &PatchOperation) -> usize {
    match operation {
        PatchOperation::Copy(copy) => {
            object.pointer(copy.from.as_str()).map_or(0, |source| source.to_string().len())
        }
        _ => 0,
    }
}

/// How many values an operation moves: those behind its places in lists, and all that it takes to another place.
fn moved_values(object: &Value, operation: &PatchOperation) -> usize {
    let behind = |path: &str| shifted_items(object, path);
    match operation {
        PatchOperation::Add(add) => behind(add.path.as_str()),
        PatchOperation::Copy(copy) => behind(copy.path.as_str()),
        PatchOperation::Remove(remove) => behind(remove.path.as_str()),
        PatchOperation::Move(moved) => {
            let taken = object.pointer(moved.from.as_str()).map_or(0, values);
            taken + behind(moved.from.as_str()) + behind(moved.path.as_str())
        }
        PatchOperation::Replace(_) | PatchOperation::Test(_) => 0,
    }
}

/// How many items give way, or close up, when one comes to, or goes from, a place in a list.
fn shifted_items(object: &Value, path: &str) -> usize {
    let Some((list, place)) = path.rsplit_once('/') else { return 0 };
    let length = object.pointer(list).and_then(Value::as_array).map_or(0, Vec::len);
    place.parse::<usize>().map_or(0, |place| length.saturating_sub(place))
}

/// How many values there are in a value, itself included.
fn values(value: &Value) -> usize {
    1 + match value {
        Value::Object(fields) => fields.values().map(values).sum(),
        Value::Array(items) => items.iter().map(values).sum(),
        _ => 0,
    }
}

/// Whether what an operation puts into the object would be too deep in it.
fn nests_too_deep(object: &Value, operation: &PatchOperation) -> bool {
    let put = match operation {
        PatchOperation::Add(add) => Some(&add.value),
        PatchOperation::Replace(replace) => Some(&replace.value),
        PatchOperation::Copy(copy) => object.pointer(copy.from.as_str()),
        PatchOperation::Move(moved) => object.pointer(moved.from.as_str()),
        PatchOperation::Remove(_) | PatchOperation::Test(_) => None,
    };
    let above = operation.path().as_str().matches('/').count();
    put.is_some_and(|value| MAX_DEPTH.checked_sub(above).is_none_or(|left| is_deeper(value, left)))
}

fn failure(operation: usize, error: &json_patch::PatchError) -> PatchError {
    let path = error.path.to_string();
    match &error.kind {
        PatchErrorKind::TestFailed => PatchError::TestFailed { operation, path },
        kind => PatchError::NotApplicable { operation, path, problem: kind.to_string() },
    }
}

/// Applies a JSON merge patch to a copy of `object`: `null` removes, objects merge, all else replaces.
pub fn merge_patch(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    if !patch.is_object() {
        return Err(PatchError::Malformed("a JSON merge patch of an object is an object".to_owned()));
    }
    let mut patched = object.clone();
    json_patch::merge(&mut patched, patch);
    Ok(patched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn operations_apply_in_order() {
        let object = json!({"spec": {"replicas": 1, "list": [1, 2]}});
        let patch = json!([
            {"op": "test", "path": "/spec/replicas", "value": 1},
            {"op": "replace", "path": "/spec/replicas", "value": 2},
            {"op": "add", "path": "/spec/list/-", "value": 3},
            {"op": "remove", "path": "/spec/list/0"},
            {"op": "add", "path": "/metadata", "value": {"a~b/c": 1}},
            {"op": "copy", "from": "/metadata/a~0b~1c", "path": "/copied"},
            {"op": "move", "from": "/copied", "path": "/moved"},
        ]);
        assert_eq!(
            json_patch(&object, &patch).unwrap(),
            json!({"spec": {"replicas": 2, "list": [2, 3]}, "metadata": {"a~b/c": 1}, "moved": 1})
        );
    }

    #[test]
    fn what_is_not_there_is_null_to_a_test_if_it_could_be_there() {
        let object = json!({"metadata": {"name": "n"}});
        let patched = |path: &str| {
            json_patch(
                &object,
                &json!([{"op": "test", "path": path, "value": null}, {"op": "add", "path": "/a", "value": 1}]),
            )
        };
        assert_eq!(patched("/metadata/finalizers").unwrap(), json!({"metadata": {"name": "n"}, "a": 1}));
        assert!(matches!(patched("/metadata/name"), Err(PatchError::TestFailed { .. })));
        assert!(patched("/status/finalizers").is_err(), "nothing can be there");
        let value = json!([{"op": "test", "path": "/metadata/finalizers", "value": []}]);
        assert!(json_patch(&object, &value).is_err(), "an empty list is something");
    }

    #[test]
    fn failures_say_which_operation_and_with_which_code() {
        let object = json!({"a": 1});
        let cases = [
            (json!([{"op": "test", "path": "/a", "value": 2}]), 422, "testing value /a failed: test failed"),
            (
                json!([{"op": "add", "path": "/b", "value": 2}, {"op": "remove", "path": "/x"}]),
                422,
                "operation 1 does not apply at \"/x\": path is invalid",
            ),
            (json!({"op": "remove"}), 400, "error decoding patch: a JSON patch is a list of operations"),
        ];
        for (patch, code, message) in cases {
            let error = json_patch(&object, &patch).unwrap_err();
            assert_eq!((error.code(), error.to_string().as_str()), (code, message));
        }
        assert_eq!(
            json_patch(&object, &json!([{"op": "frobnicate", "path": "/a"}])).unwrap_err().code(),
            400
        );
    }

    #[test]
    fn patches_cannot_blow_up_an_object() {
        let doubling: Vec<Value> =
            (0..60).map(|n| json!({"op": "copy", "from": "", "path": format!("/x{n}")})).collect();
        let error = json_patch(&json!({"a": "b"}), &doubling.into()).unwrap_err();
        assert!(matches!(error, PatchError::CopyTooLarge { .. }));
        let many = vec![json!({"op": "test", "path": "", "value": {}}); MAX_JSON_PATCH_OPERATIONS + 1];
        let error = json_patch(&json!({}), &many.into()).unwrap_err();
        assert_eq!(error.to_string(), "The allowed maximum operations in a JSON patch is 10000, got 10001");
    }

    #[test]
    fn no_patch_makes_an_object_deeper_than_it_may_be() {
        let chain = (0..60).fold(json!({}), |below, _| json!({"c": below}));
        let end = format!("/x{}/a", "/c".repeat(60));
        let round = [
            json!({"op": "add", "path": "/x", "value": chain}),
            json!({"op": "move", "from": "/a", "path": end}),
            json!({"op": "move", "from": "/x", "path": "/a"}),
        ];
        let deeper: Value = std::iter::repeat_n(round, 3_000).flatten().collect();
        let error = json_patch(&json!({"a": {}}), &deeper).unwrap_err();
        assert_eq!(error.code(), 422);
        assert!(error.to_string().contains("nest deeper than 100 levels"), "{error}");
        let nested = |levels: usize| (0..levels).fold(json!(1), |below, _| json!([below]));
        let put = |op: &str, path: &str, levels: usize| {
            json_patch(&json!({"a": 1}), &json!([{"op": op, "path": path, "value": nested(levels)}]))
        };
        for (op, path, most) in [("add", "/b", 99), ("replace", "/a", 99), ("add", "", 100)] {
            assert!(put(op, path, most).is_ok(), "{op} {path}");
            assert_eq!(put(op, path, most + 1).unwrap_err().code(), 422, "{op} {path}");
        }
        let copied = json_patch(
            &json!({"a": nested(90), "b": {"c": {}}}),
            &json!([{"op": "copy", "from": "/a", "path": "/b/c/d"}, {"op": "copy", "from": "/b", "path": "/b/c/e"},
                {"op": "copy", "from": "/b/c/e", "path": "/b/c/e/c/d/0/0/0/0/0/0/-"}]),
        );
        assert_eq!(copied.unwrap_err().code(), 422);
    }

    #[test]
    fn operations_do_not_move_a_long_list_time_and_again() {
        let object = json!({"list": vec![0; 200_000]});
        for operation in [
            json!({"op": "add", "path": "/list/0", "value": 0}),
            json!({"op": "remove", "path": "/list/0"}),
            json!({"op": "move", "from": "/list/0", "path": "/list/-"}),
            json!({"op": "copy", "from": "/list/0", "path": "/list/0"}),
        ] {
            let error = json_patch(&object, &json!(vec![operation; MAX_JSON_PATCH_OPERATIONS])).unwrap_err();
            assert_eq!(error.code(), 413);
            assert!(error.to_string().contains("replace the whole list"), "{error}");
        }
        let deeper = [
            json!({"op": "move", "from": "/list", "path": "/inner/list"}),
            json!({"op": "move", "from": "/inner/list", "path": "/list"}),
        ];
        let object = json!({"list": vec![0; 200_000], "inner": {}});
        let patch: Value = std::iter::repeat_n(deeper, MAX_JSON_PATCH_OPERATIONS / 2).flatten().collect();
        assert_eq!(json_patch(&object, &patch).unwrap_err().code(), 413);
        let at_the_end = json!({"op": "add", "path": "/list/-", "value": 0});
        assert!(json_patch(&object, &json!(vec![at_the_end; MAX_JSON_PATCH_OPERATIONS])).is_ok());
    }

    #[test]
    fn merge_patches_merge_objects_and_remove_nulls() {
        for (object, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            assert_eq!(merge_patch(&object, &patch).unwrap(), expected);
        }
        assert_eq!(merge_patch(&json!({}), &json!([])).unwrap_err().code(), 400);
    }
}
