//! Cutting what has no pages: failures, and what stands at the head of an answer.

use serde_json::{Map, Value};

/// How much of a list, and of a text, is left at least, as long as whole fields can be left out.
const SHORTEST_LIST: usize = 3;
const SHORTEST_TEXT_BYTES: usize = 40;

/// Cuts an object to a number of bytes as JSON: what is longest first. Of a list that is cut, `NAME_left_out` says how many items are
/// missing; a text that is cut ends with `…`; if that does not do, the largest fields go.
pub(crate) fn fit(object: &mut Map<String, Value>, budget_bytes: usize) {
    while size(object) > budget_bytes {
        let longest = longest_in(object);
        let text_first = longest.text_bytes > budget_bytes / 4;
        if !text_first && longest.list > SHORTEST_LIST {
            // An item has two bytes at least.
            shorten_lists(object, (longest.list.min(budget_bytes) / 2).max(SHORTEST_LIST));
        } else if longest.text_bytes > SHORTEST_TEXT_BYTES {
            let most = (longest.text_bytes.min(2 * budget_bytes) / 2).max(SHORTEST_TEXT_BYTES);
            object.values_mut().for_each(|value| shorten_texts(value, most));
        } else if !drop_largest(object) {
            return;
        }
    }
}

/// How many bytes an object has as JSON.
pub(crate) fn size(object: &Map<String, Value>) -> usize {
    let fields: usize =
        object.iter().map(|(name, value)| name.len() + value.to_string().len() + ",\"\":".len()).sum();
    fields + "{}".len()
}

/// About how many bytes a value has as JSON, and never more than that.
pub(crate) fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + "\"\"".len(),
        Value::Array(items) => items.iter().map(weight).sum::<usize>() + items.len() + "[".len(),
        Value::Object(fields) => {
            let of = |(name, value): (&String, &Value)| name.len() + weight(value) + ",\"\":".len();
            fields.iter().map(of).sum::<usize>() + "{".len()
        }
        _ => 1,
    }
}

#[derive(Default)]
struct Longest {
    list: usize,
    text_bytes: usize,
}

fn longest_in(object: &Map<String, Value>) -> Longest {
    let mut longest = Longest::default();
    object.values().for_each(|value| measure(value, &mut longest));
    longest
}

fn measure(value: &Value, longest: &mut Longest) {
    match value {
        Value::String(text) => longest.text_bytes = longest.text_bytes.max(text.len()),
        Value::Array(items) => {
            longest.list = longest.list.max(items.len());
            items.iter().for_each(|item| measure(item, longest));
        }
        Value::Object(fields) => fields.values().for_each(|value| measure(value, longest)),
        _ => {}
    }
}

fn shorten_lists(object: &mut Map<String, Value>, most: usize) {
    let mut cut = Vec::new();
    for (name, value) in object.iter_mut() {
        if let Value::Array(items) = value
            && items.len() > most
        {
            cut.push((format!("{name}_left_out"), items.len() - most));
        }
        shorten_lists_within(value, most);
    }
    for (name, many) in cut {
        let before = object.get(&name).and_then(Value::as_u64).unwrap_or(0);
        object.insert(name, (before + many as u64).into());
    }
}

fn shorten_lists_within(value: &mut Value, most: usize) {
    match value {
        Value::Array(items) => {
            items.truncate(most);
            items.iter_mut().for_each(|item| shorten_lists_within(item, most));
        }
        Value::Object(fields) => shorten_lists(fields, most),
        _ => {}
    }
}

fn shorten_texts(value: &mut Value, most_bytes: usize) {
    match value {
        Value::String(text) if text.len() > most_bytes => {
            // The sign takes three bytes.
            text.truncate(text.floor_char_boundary(most_bytes - 3));
            text.push('…');
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shorten_texts(item, most_bytes)),
        Value::Object(fields) => fields.values_mut().for_each(|value| shorten_texts(value, most_bytes)),
        _ => {}
    }
}

/// Takes the largest field out, of the object that holds most. False if there is none.
fn drop_largest(object: &mut Map<String, Value>) -> bool {
    let largest = object.iter().max_by_key(|(_, value)| value.to_string().len());
    let Some(name) = largest.map(|(name, _)| name.clone()) else { return false };
    if let Some(Value::Object(inner)) = object.get_mut(&name)
        && drop_largest(inner)
    {
        return true;
    }
    object.remove(&name);
    true
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fitted(value: Value, budget_bytes: usize) -> Value {
        let Value::Object(mut object) = value else { panic!("not an object") };
        fit(&mut object, budget_bytes);
        let value = Value::Object(object);
        assert!(value.to_string().len() <= budget_bytes, "{} bytes: {value}", value.to_string().len());
        value
    }

    #[test]
    fn a_value_weighs_about_what_it_has_bytes() {
        for value in [json!({"a": [1, 2, {"b": "text"}], "c": {}}), json!([]), json!("é\"")] {
            let (weight, bytes) = (weight(&value), value.to_string().len());
            assert!(weight <= bytes && 2 * weight >= bytes, "{weight} of {bytes}: {value}");
        }
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let error = json!({"error": {"code": "invalid", "causes": [1, 2, 3, 4, 5]}});
        assert_eq!(fitted(error.clone(), 100), error);
    }

    #[test]
    fn long_lists_are_cut_and_what_is_missing_is_counted() {
        let causes: Vec<Value> = (0..5_000)
            .map(|n| json!({"field": format!("spec.changes[{n}]"), "message": "not found"}))
            .collect();
        let cut = fitted(
            json!({"error": {"code": "invalid", "message": "no", "fix": "mend it", "causes": causes}}),
            700,
        );
        let kept = cut["error"]["causes"].as_array().unwrap().len();
        assert!(kept >= 3, "{cut}");
        assert_eq!(cut["error"]["causes_left_out"], 5_000 - kept);
        assert_eq!((&cut["error"]["code"], &cut["error"]["fix"]), (&json!("invalid"), &json!("mend it")));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let lines = vec!["é\"\u{1}".repeat(30_000); 20];
        let cut = fitted(
            json!({"error": {"code": "timed_out", "message": "m".repeat(9_000), "seen": lines}}),
            1_050,
        );
        assert_eq!(cut["error"]["code"], "timed_out");
        assert!(cut["error"]["message"].as_str().unwrap().ends_with('…'), "{cut}");
    }

    #[test]
    fn what_is_neither_text_nor_list_goes() {
        let many: Map<String, Value> = (0..500).map(|n| (format!("field-{n}"), n.into())).collect();
        let cut = fitted(json!({"error": {"code": "internal", "seen": many}}), 700);
        assert_eq!(cut["error"]["code"], "internal");
    }
}
