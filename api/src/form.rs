//! [`Form`]: a kind that is another form of one that is kept.

use serde_json::{Map, Value};

use crate::Kind;

/// What makes a kind another form of one that is kept: the same objects, in another group or version, with other names for
/// some of their fields. What is below those fields is the same.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// The kind in whose form, and at whose place, the objects are kept.
    pub of: Kind,
    /// Fields of the object that have another name here: the name here, and the name as they are kept.
    pub names: &'static [(&'static str, &'static str)],
}

impl Form {
    /// Makes an object of this form one as it is kept.
    pub fn keep(&self, object: &mut Value) {
        self.rename(object, &self.of, |name| {
            self.names.iter().find(|(here, _)| *here == name).map(|(_, kept)| *kept)
        });
    }

    /// Makes an object as it is kept one of this form, which is that of `kind`.
    pub fn show(&self, object: &mut Value, kind: &Kind) {
        self.rename(object, kind, |name| {
            self.names.iter().find(|(_, kept)| *kept == name).map(|(here, _)| *here)
        });
    }

    fn rename(&self, object: &mut Value, kind: &Kind, other: impl Fn(&str) -> Option<&'static str>) {
        let Value::Object(fields) = object else { return };
        rename_keys(fields, |name| other(name).map(str::to_owned));
        fields.insert("apiVersion".to_owned(), kind.api_version().into());
        fields.insert("kind".to_owned(), kind.name.into());
        // Who owns a field owns it by either name.
        let records = fields.get_mut("metadata").and_then(|metadata| metadata.get_mut("managedFields"));
        for record in records.and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(Value::Object(owned)) = record.get_mut("fieldsV1") {
                rename_keys(owned, |name| Some(format!("f:{}", other(name.strip_prefix("f:")?)?)));
            }
        }
    }
}

fn rename_keys(fields: &mut Map<String, Value>, other: impl Fn(&str) -> Option<String>) {
    for name in fields.keys().cloned().collect::<Vec<_>>() {
        if let Some(other) = other(&name)
            && let Some(value) = fields.remove(&name)
        {
            fields.insert(other, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_the_same_after_it_has_been_kept_and_shown() {
        let here = Kind::namespaced("b", "v1", "Note", "notes", "note");
        let form =
            Form { of: Kind::namespaced("", "v1", "Note", "notes", "note"), names: &[("text", "message")] };
        let shown = json!({
            "apiVersion": "b/v1", "kind": "Note", "text": "t", "other": {"text": 1},
            "metadata": {"name": "n", "managedFields": [{"fieldsV1": {"f:text": {}, "f:other": {"f:text": {}}}}]},
        });
        let mut object = shown.clone();
        form.keep(&mut object);
        let kept = json!({
            "apiVersion": "v1", "kind": "Note", "message": "t", "other": {"text": 1},
            "metadata": {"name": "n", "managedFields": [{"fieldsV1": {"f:message": {}, "f:other": {"f:text": {}}}}]},
        });
        assert_eq!(object, kept);
        form.show(&mut object, &here);
        assert_eq!(object, shown);
    }
}
