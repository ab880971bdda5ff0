//! [`Object`]: reading the metadata of an object whose kind is known only at run time.

use serde_json::{Map, Value};

/// The metadata of an object held as a JSON value. Absent fields read as empty.
pub trait Object {
    /// A string at a path of keys, or the empty string.
    fn text(&self, path: &[&str]) -> &str;

    /// `apiVersion`
    fn api_version(&self) -> &str {
        self.text(&["apiVersion"])
    }

    /// `kind`
    fn kind(&self) -> &str {
        self.text(&["kind"])
    }

    /// `metadata.name`
    fn name(&self) -> &str {
        self.text(&["metadata", "name"])
    }

    /// `metadata.namespace`
    fn namespace(&self) -> &str {
        self.text(&["metadata", "namespace"])
    }

    /// `metadata.uid`
    fn uid(&self) -> &str {
        self.text(&["metadata", "uid"])
    }

    /// `metadata.resourceVersion`
    fn resource_version(&self) -> &str {
        self.text(&["metadata", "resourceVersion"])
    }

    /// `metadata.labels`
    fn labels(&self) -> Option<&Map<String, Value>>;

    /// `metadata.deletionTimestamp` is set.
    fn is_terminating(&self) -> bool {
        !self.text(&["metadata", "deletionTimestamp"]).is_empty()
    }
}

impl Object for Value {
    fn text(&self, path: &[&str]) -> &str {
        path.iter().try_fold(self, |value, key| value.get(key)).and_then(Value::as_str).unwrap_or_default()
    }

    fn labels(&self) -> Option<&Map<String, Value>> {
        self.get("metadata")?.get("labels")?.as_object()
    }
}
