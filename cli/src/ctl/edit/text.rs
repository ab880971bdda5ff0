//! What the editor shows, and what has been changed in it.

use serde_json::{Map, Value};

const HEAD: &str = "\
# Edit the object below. Lines that begin with '#' are left out; an empty file cancels the edit.
# What the server refuses is shown again, with the reasons.
#
";

/// The text to begin with.
pub(super) fn first(yaml: &str) -> String {
    format!("{HEAD}{yaml}")
}

/// The text again, with the reasons for which it was refused.
pub(super) fn again(reasons: &str, edited: &str) -> String {
    let reasons: String = reasons.lines().map(|line| format!("# {line}\n").replace("#  \n", "#\n")).collect();
    format!("{HEAD}{reasons}#\n{}", body(edited))
}

/// The text without the comments above it.
pub(super) fn body(text: &str) -> &str {
    let head: usize = text.split_inclusive('\n').take_while(|line| line.starts_with('#')).map(str::len).sum();
    &text[head..]
}

/// The JSON merge patch (RFC 7386) from one value to another; none if they are equal.
pub(super) fn merge_patch(before: &Value, after: &Value) -> Option<Value> {
    if before == after {
        return None;
    }
    let (Some(old), Some(new)) = (before.as_object(), after.as_object()) else { return Some(after.clone()) };
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = new.iter().filter_map(|(key, value)| {
        let patch = match old.get(key) {
            Some(before) => merge_patch(before, value)?,
            None => value.clone(),
        };
        Some((key.clone(), patch))
    });
    Some(Value::Object(gone.chain(changed).collect::<Map<_, _>>()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_holds_what_was_changed() {
        let before = json!({"a": 1, "b": {"c": [1, 2], "d": "x"}, "e": true});
        assert_eq!(merge_patch(&before, &before), None);
        let after = json!({"a": 1, "b": {"c": [1], "d": "x", "f": {}}});
        assert_eq!(merge_patch(&before, &after), Some(json!({"b": {"c": [1], "f": {}}, "e": null})));
    }

    #[test]
    fn reasons_stand_above_the_text_and_do_not_pile_up() {
        let once = again("error: no\n  because", "# old\na: 1\n# kept\n");
        assert!(once.ends_with("# error: no\n#   because\n#\na: 1\n# kept\n"), "{once}");
        assert_eq!(again("error: no\n  because", &once), once);
        assert_eq!(body(&first("a: 1\n")), "a: 1\n");
    }
}
