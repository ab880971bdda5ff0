//! What the editor shows, and what has been changed in it.

use std::collections::BTreeSet;

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

/// A value as two have changed it who both began with `before`; none where there is none, or it is to be gone. Where both have changed the
/// same it is `mine`, and the place is among the `collisions`.
pub(super) fn merge(
    [before, mine, theirs]: [Option<&Value>; 3],
    path: &str,
    collisions: &mut Vec<String>,
) -> Option<Value> {
    if mine == theirs || before == theirs {
        return mine.cloned();
    }
    if before == mine {
        return theirs.cloned();
    }
    let all = [before, mine, theirs].map(|value| value.unwrap_or(&Value::Null));
    if let [Value::Object(before), Value::Object(mine), Value::Object(theirs)] = all {
        let keys: BTreeSet<&String> = mine.keys().chain(theirs.keys()).collect();
        let merged = keys.into_iter().filter_map(|key| {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let values = [before, mine, theirs].map(|object| object.get(key));
            Some((key.clone(), merge(values, &path, collisions)?))
        });
        return Some(Value::Object(merged.collect()));
    }
    if let [Value::Array(before), Value::Array(mine), Value::Array(theirs)] = all
        && before.len() == mine.len()
        && before.len() == theirs.len()
    {
        let merged = (0..mine.len()).filter_map(|index| {
            let values = [before, mine, theirs].map(|list| list.get(index));
            merge(values, &format!("{path}[{index}]"), collisions)
        });
        return Some(Value::Array(merged.collect()));
    }
    collisions.push(path.to_owned());
    mine.cloned()
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

    #[test]
    fn changes_of_two_come_together_unless_they_are_of_the_same() {
        let before = json!({"a": 1, "b": 2, "gone": 3, "list": [{"image": "x", "n": 1}], "set": [1]});
        let mine = json!({"a": 9, "b": 2, "list": [{"image": "y", "n": 1}], "set": [1, 2], "new": 1});
        let check = |theirs: Value, expected: Value, places: &[&str]| {
            let mut collisions = Vec::new();
            let merged = merge([Some(&before), Some(&mine), Some(&theirs)], "", &mut collisions);
            assert_eq!(
                (merged, collisions.as_slice()),
                (Some(expected), &places.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>()[..])
            );
        };
        let theirs = json!({"a": 1, "b": 7, "gone": 3, "list": [{"image": "x", "n": 5}], "set": [1]});
        let both = json!({"a": 9, "b": 7, "list": [{"image": "y", "n": 5}], "set": [1, 2], "new": 1});
        check(theirs, both, &[]);
        let theirs = json!({"a": 8, "b": 2, "gone": 4, "list": [{"image": "z", "n": 1}], "set": [1, 3]});
        check(theirs, mine.clone(), &["a", "gone", "list[0].image", "set"]);
    }
}
