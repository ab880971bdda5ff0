//! Objects as YAML and JSON.

use serde_json::Value;

use crate::ctl::Failure;

/// YAML as kubectl prints it: block style, lists indented like their key.
pub(in crate::ctl) fn to_yaml(value: &Value) -> Result<String, Failure> {
    let options = serde_saphyr::ser_options! { compact_list_indent: true, folded_wrap_chars: usize::MAX };
    let mut text = String::new();
    serde_saphyr::to_fmt_writer_with_options(&mut text, value, options)
        .map_err(|error| Failure::new(format!("cannot write YAML: {error}")))?;
    Ok(text)
}

/// Indented JSON with a newline at the end.
pub(in crate::ctl) fn to_json(value: &Value) -> Result<String, Failure> {
    Ok(format!("{}\n", serde_json::to_string_pretty(value)?))
}

/// Takes out what nobody wants to read unless they ask for it.
pub(in crate::ctl) fn hide_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    if let Some(items) = object.get_mut("items").and_then(Value::as_array_mut) {
        items.iter_mut().for_each(hide_managed_fields);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_is_read_back_as_it_was() {
        let object = json!({"apiVersion": "v1", "data": {"a": "no", "b": "0644", "c": "1e3", "d": "x: y\nz\n", "e": "", "f": "~", "g": "# no"},
            "empty": {}, "list": [{"name": "a", "args": []}, 1, true], "long": "word ".repeat(60), "token": "x".repeat(100)});
        let text = to_yaml(&object).unwrap();
        let read =
            orch_client::manifest::Manifest::parse("x", &format!("kind: X\n{text}")).remove(0).unwrap();
        let mut back = read.object;
        back.as_object_mut().unwrap().remove("kind");
        assert_eq!(back, object, "{text}");
        assert!(text.contains("list:\n- ") && text.contains("token: xxx"), "{text}");
    }
}
