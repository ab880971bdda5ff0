//! What of an object that holds secrets is shown: that there is something, not what.

use orch_api::Object as _;
use serde_json::Value;

/// What stands for a value.
const HIDDEN: &str = "<hidden: ask with reveal>";
/// What an object of a sensitive kind is, rather than what it holds.
const OPEN: [&str; 5] = ["apiVersion", "kind", "metadata", "type", "immutable"];
/// An annotation in which some clients keep the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Puts a word in place of every value of an object of a sensitive kind; names and keys stay.
pub(crate) fn hide(object: &mut Value) {
    if let Value::Object(fields) = object {
        fields
            .iter_mut()
            .filter(|(name, _)| !OPEN.contains(&name.as_str()))
            .for_each(|(_, value)| hide_values(value));
    }
    if !object.text(&["metadata", "annotations", LAST_APPLIED]).is_empty() {
        object["metadata"]["annotations"][LAST_APPLIED] = HIDDEN.into();
    }
}

fn hide_values(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(hide_values),
        Value::Array(items) => items.iter_mut().for_each(hide_values),
        Value::Null => {}
        value => *value = HIDDEN.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_stay_and_values_go() {
        let mut secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"password": "aHVudGVyMg=="},
            "metadata": {"name": "db", "annotations": {LAST_APPLIED: "{\"data\":{\"password\":\"aHVudGVyMg==\"}}", "note": "ours"}}});
        hide(&mut secret);
        assert!(!secret.to_string().contains("aHVudGVyMg"), "{secret}");
        assert_eq!((&secret["data"]["password"], &secret["type"]), (&json!(HIDDEN), &json!("Opaque")));
        assert_eq!(secret["metadata"]["annotations"]["note"], "ours");
    }
}
