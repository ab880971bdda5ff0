//! [`Applied`]: what an apply has made of an object, told by what the object was before it and is after it.

use orch_api::Object as _;
use serde_json::Value;

use crate::ApiResource;

/// What the server records about an object, whoever changes it.
const RECORDS: [&str; 3] = ["generation", "managedFields", "resourceVersion"];

/// What has become of an object that was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It was made.
    Created,
    /// It says something else than before.
    Changed,
    /// It is what it was.
    Unchanged,
}

impl Applied {
    /// Compares an object that was read before an apply with the answer to it. Between the two a controller may have told the
    /// status of the object: where that is apart from what is applied, it does not count.
    pub fn between(resource: &ApiResource, before: Option<&Value>, after: &Value) -> Self {
        let Some(before) = before.filter(|before| before.uid() == after.uid()) else { return Self::Created };
        let status_apart = resource.subresources.iter().any(|name| name == "status");
        if content(before, status_apart) == content(after, status_apart) {
            Self::Unchanged
        } else {
            Self::Changed
        }
    }
}

/// The object as an apply can have changed it.
fn content(object: &Value, status_apart: bool) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut().filter(|_| status_apart) {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| !RECORDS.contains(&field.as_str()));
    }
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn web(uid: &str, version: &str, replicas: i64, ready: i64) -> Value {
        json!({
            "metadata": {"uid": uid, "resourceVersion": version, "generation": version, "managedFields": [version]},
            "spec": {"replicas": replicas}, "status": {"ready": ready},
        })
    }

    fn with(subresources: &[&str]) -> ApiResource {
        let subresources = subresources.iter().map(|&name| name.to_owned()).collect();
        ApiResource { subresources, ..ApiResource::default() }
    }

    fn applied(before: &Value, after: &Value) -> Applied {
        Applied::between(&with(&["scale", "status"]), Some(before), after)
    }

    #[test]
    fn what_was_not_there_is_created() {
        let web = web("a", "1", 1, 0);
        assert_eq!(Applied::between(&with(&[]), None, &web), Applied::Created);
        let again = self::web("b", "2", 1, 0);
        assert_eq!(applied(&web, &again), Applied::Created, "another of its name was there before");
    }

    #[test]
    fn the_content_counts_and_not_how_often_it_was_written() {
        assert_eq!(applied(&web("a", "1", 1, 0), &web("a", "2", 1, 0)), Applied::Unchanged);
        assert_eq!(applied(&web("a", "1", 1, 0), &web("a", "2", 2, 0)), Applied::Changed);
        assert_eq!(applied(&web("a", "1", 1, 0), &web("a", "1", 2, 0)), Applied::Changed, "as a dry run");
    }

    #[test]
    fn a_status_that_a_controller_told_meanwhile_is_no_change_of_the_apply() {
        let (before, after) = (web("a", "1", 1, 0), web("a", "2", 1, 1));
        assert_eq!(applied(&before, &after), Applied::Unchanged);
        let within = with(&["scale"]);
        assert_eq!(Applied::between(&within, Some(&before), &after), Applied::Changed, "a part of it");
    }
}
