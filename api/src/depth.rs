//! How deep values nest.

use serde_json::Value;

/// The most levels that an object may have, itself included. A parser that stops at 128, as most do, also reads the object
/// within a list, a plan or an event of a watch, with who owns which of its fields.
pub const MAX_DEPTH: usize = 100;

/// Whether a value has more than so many levels: a string has none, a list of strings has one.
///
/// Cost: a look at each value down to that level; so deep, and no deeper, goes the stack.
pub fn is_deeper(value: &Value, levels: usize) -> bool {
    match (value, levels) {
        (Value::Object(_) | Value::Array(_), 0) => true,
        (Value::Object(fields), _) => fields.values().any(|value| is_deeper(value, levels - 1)),
        (Value::Array(items), _) => items.iter().any(|value| is_deeper(value, levels - 1)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn levels_are_objects_and_lists() {
        for (value, levels) in
            [(json!("a"), 0), (json!({}), 1), (json!([1, [2]]), 2), (json!({"a": [{"b": 1}]}), 3)]
        {
            assert!(!is_deeper(&value, levels), "{value}");
            assert!(levels == 0 || is_deeper(&value, levels - 1), "{value}");
        }
    }
}
