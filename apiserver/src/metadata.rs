//! What is wrong with an object's metadata: the same rules for every kind, in Kubernetes' words.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use orch_api::labels::{Labels, validate_labels};
use orch_api::{FieldError, FieldPath, Kind, Metadata, NameSyntax, Object as _, Time, names};
use serde::Deserialize as _;
use serde_json::Value;

use crate::kinds::Served;

/// The most bytes that all annotations of an object may have together.
const MAX_ANNOTATION_BYTES: usize = 256 * 1024;
/// The most finalizers, and the most owners, that an object may have: they are looked at one by one, time and again.
const MAX_FINALIZERS: usize = 1_000;
const MAX_OWNERS: usize = 1_000;
/// What only the server sets, and never changes.
const IMMUTABLE: [&str; 6] =
    ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"];

/// The finalizers that the system itself knows: all others say whose they are.
const STANDARD_FINALIZERS: [&str; 4] =
    ["kubernetes", "orphan", "foregroundDeletion", "customresourcecleanup.apiextensions.k8s.io"];
/// What goes by itself owns nothing: the version and kind of events.
const EPHEMERAL: (&str, &str) = ("v1", "Event");

/// Everything that is wrong with the metadata of an object, or with its change from `old`.
pub(crate) fn validate(kind: &Served, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let mut errors = problems(kind.kind(), object, old);
    if kind.entry.custom.is_none() {
        errors.extend(unqualified_finalizers(object));
    }
    errors
}

/// What is wrong with the metadata of an object of any kind.
fn problems(kind: &Kind, object: &Value, old: Option<&Value>) -> Vec<FieldError> {
    let path = FieldPath::new("metadata");
    let metadata = match Metadata::deserialize(&object["metadata"]) {
        Ok(metadata) => metadata,
        // The shape is the schema's to complain about.
        Err(_) => return Vec::new(),
    };
    let excess = too_many(&metadata, &path);
    if !excess.is_empty() {
        return excess;
    }
    let mut errors = name(kind, &metadata, &path);
    errors.extend(validate_labels(&metadata.labels, &path.child("labels")));
    errors.extend(annotations(&metadata.annotations, &path.child("annotations")));
    errors.extend(owners(&metadata, &path.child("ownerReferences")));
    errors.extend(finalizers(&metadata, &path.child("finalizers")));
    if let Some(old) = old {
        errors.extend(immutable(object, old, &path));
        errors.extend(no_new_finalizers(&metadata, old, &path.child("finalizers")));
    }
    errors
}

fn too_many(metadata: &Metadata, path: &FieldPath) -> Vec<FieldError> {
    let lists = [
        ("finalizers", metadata.finalizers.len(), MAX_FINALIZERS),
        ("ownerReferences", metadata.owner_references.len(), MAX_OWNERS),
    ];
    let excess = lists.into_iter().filter(|(_, count, max)| count > max);
    excess.map(|(list, count, max)| FieldError::too_many(path.child(list), count, max)).collect()
}

fn name(kind: &Kind, metadata: &Metadata, path: &FieldPath) -> Vec<FieldError> {
    // The names of places are part of DNS names, as Kubernetes has it.
    let rule = if kind.group.is_empty() && kind.plural == "namespaces" {
        names::dns_label
    } else {
        match kind.names {
            NameSyntax::DnsSubdomain => names::dns_subdomain,
            NameSyntax::PathSegment => names::path_segment,
        }
    };
    let mut errors = Vec::new();
    if let Some(prefix) = metadata.generate_name.as_deref().filter(|prefix| !prefix.is_empty()) {
        // A prefix may end with a dash: something follows.
        let probe = format!("{}a", prefix.strip_suffix('-').unwrap_or(prefix));
        let problems = rule(&probe).into_iter();
        errors.extend(problems.map(|p| FieldError::invalid(path.child("generateName"), prefix, p)));
    }
    if metadata.name.is_empty() {
        errors.push(FieldError::required(path.child("name"), "name or generateName is required"));
    } else {
        let problems = rule(&metadata.name).into_iter();
        errors.extend(problems.map(|p| FieldError::invalid(path.child("name"), metadata.name.as_str(), p)));
    }
    if kind.is_namespaced() && metadata.namespace().is_empty() {
        errors.push(FieldError::required(path.child("namespace"), ""));
    } else if kind.is_namespaced() {
        let problems = names::dns_label(metadata.namespace()).into_iter();
        errors
            .extend(problems.map(|p| FieldError::invalid(path.child("namespace"), metadata.namespace(), p)));
    } else if !metadata.namespace().is_empty() {
        errors.push(FieldError::forbidden(path.child("namespace"), "not allowed on this type"));
    }
    errors
}

fn annotations(annotations: &Labels, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for key in annotations.keys() {
        let problems = names::qualified_name(&key.to_lowercase()).into_iter();
        errors.extend(problems.map(|p| FieldError::invalid(path, key.as_str(), p)));
    }
    let bytes: usize = annotations.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > MAX_ANNOTATION_BYTES {
        errors.push(FieldError::too_long(path, "", MAX_ANNOTATION_BYTES));
    }
    errors
}

fn owners(metadata: &Metadata, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, owner) in metadata.owner_references.iter().enumerate() {
        let path = path.index(index);
        let required = [
            ("apiVersion", &owner.api_version, "version must not be empty"),
            ("kind", &owner.kind, "must not be empty"),
            ("name", &owner.name, "must not be empty"),
            ("uid", &owner.uid, "must not be empty"),
        ];
        for (field, value, detail) in required {
            if value.is_empty() {
                errors.push(FieldError::invalid(path.child(field), value.as_str(), detail));
            }
        }
        if (&*owner.api_version, &*owner.kind) == EPHEMERAL {
            let detail = format!("/{}, Kind={} is disallowed from being an owner", EPHEMERAL.0, EPHEMERAL.1);
            errors.push(FieldError::invalid(path, serde_json::json!(owner), detail));
        }
    }
    let managing: Vec<_> =
        metadata.owner_references.iter().filter(|owner| owner.controller == Some(true)).collect();
    if let [first, second, ..] = managing.as_slice() {
        let detail = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {} and {}",
            first.name, second.name
        );
        errors.push(FieldError::invalid(path, serde_json::json!(metadata.owner_references), detail));
    }
    errors
}

fn finalizers(metadata: &Metadata, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for finalizer in &metadata.finalizers {
        let problems = names::qualified_name(finalizer).into_iter();
        errors.extend(problems.map(|p| FieldError::invalid(path, finalizer.as_str(), p)));
    }
    let has = |name: &str| metadata.finalizers.iter().any(|finalizer| finalizer == name);
    if has("orphan") && has("foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.push(FieldError::invalid(path, serde_json::json!(metadata.finalizers), detail));
    }
    errors
}

/// Finalizers of built-in kinds that do not say whose they are.
fn unqualified_finalizers(object: &Value) -> Vec<FieldError> {
    let path = FieldPath::new("metadata.finalizers");
    let finalizers = object["metadata"]["finalizers"].as_array().into_iter().flatten().enumerate();
    let unqualified = finalizers.take(MAX_FINALIZERS).filter_map(|(index, finalizer)| {
        let name = finalizer.as_str()?;
        (!name.contains('/') && !STANDARD_FINALIZERS.contains(&name)).then(|| (path.index(index), name))
    });
    let detail = "name is neither a standard finalizer name nor is it fully qualified";
    unqualified.map(|(path, name)| FieldError::invalid(path, name, detail)).collect()
}

fn immutable(object: &Value, old: &Value, path: &FieldPath) -> Vec<FieldError> {
    let (new, old) = (&object["metadata"], &old["metadata"]);
    let changed = IMMUTABLE.iter().filter(|field| new[**field] != old[**field]);
    changed
        .map(|field| FieldError::invalid(path.child(field), new[*field].clone(), "field is immutable"))
        .collect()
}

fn no_new_finalizers(metadata: &Metadata, old: &Value, path: &FieldPath) -> Vec<FieldError> {
    if !old.is_terminating() {
        return Vec::new();
    }
    let known: BTreeSet<&str> =
        old["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let added: Vec<&str> = metadata
        .finalizers
        .iter()
        .map(String::as_str)
        .filter(|finalizer| !known.contains(*finalizer))
        .collect();
    if added.is_empty() {
        return Vec::new();
    }
    let detail = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"
    );
    vec![FieldError::forbidden(path, detail)]
}

/// When the deletion of an object began, if it has. What is written down is when it is to be over.
pub(crate) fn deletion_began(object: &Value) -> Option<Timestamp> {
    let metadata = &object["metadata"];
    let due = Option::<Time>::deserialize(&metadata["deletionTimestamp"]).ok().flatten()?;
    let grace_seconds = metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or_default();
    due.timestamp().checked_sub(SignedDuration::from_secs(grace_seconds)).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOTE: Kind = Kind::namespaced("", "v1", "Note", "notes", "note");

    fn problems(metadata: Value, old: Option<Value>) -> Vec<String> {
        let old = old.map(|old| json!({"metadata": old}));
        super::problems(&NOTE, &json!({"metadata": metadata}), old.as_ref())
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn metadata_is_refused_in_kubernetes_words() {
        let cases = [
            (
                json!({"name": "Web", "namespace": "a"}),
                "metadata.name: Invalid value: \"Web\": a lowercase RFC 1123 subdomain",
            ),
            (json!({"namespace": "a"}), "metadata.name: Required value: name or generateName is required"),
            (
                json!({"name": "a", "namespace": "a", "labels": {"a b": "c"}}),
                "metadata.labels: Invalid value: \"a b\": name part",
            ),
            (
                json!({"name": "a", "namespace": "a", "finalizers": ["a/b/c"]}),
                "metadata.finalizers: Invalid value: \"a/b/c\"",
            ),
            (
                json!({"name": "a", "generateName": "A", "namespace": "a"}),
                "metadata.generateName: Invalid value: \"A\": a lowercase RFC 1123 subdomain",
            ),
            (
                json!({"name": "a", "namespace": "a", "ownerReferences": [{"apiVersion": "v1", "kind": "Event", "name": "n", "uid": "u"}]}),
                "metadata.ownerReferences[0]: Invalid value: {\"apiVersion\":\"v1\",\"kind\":\"Event\",\"name\":\"n\",\"uid\":\"u\"}: \
                 /v1, Kind=Event is disallowed from being an owner",
            ),
            (
                json!({"name": "a", "namespace": "a", "ownerReferences": [{"apiVersion": "v1", "kind": "K", "name": "n", "uid": ""}]}),
                "metadata.ownerReferences[0].uid: Invalid value: \"\": must not be empty",
            ),
            (
                json!({"name": "a", "namespace": "a", "annotations": {"a": "x".repeat(MAX_ANNOTATION_BYTES)}}),
                "metadata.annotations: Too long: may not be more than 262144 bytes",
            ),
        ];
        for (metadata, expected) in cases {
            let problems = problems(metadata, None);
            assert!(problems.len() == 1 && problems[0].starts_with(expected), "{expected}: {problems:?}");
        }
    }

    #[test]
    fn finalizers_of_built_in_kinds_say_whose_they_are() {
        let finalizers = json!({"metadata": {"finalizers": ["orphan", "a.b/c", "mine"]}});
        let errors: Vec<String> =
            unqualified_finalizers(&finalizers).iter().map(ToString::to_string).collect();
        let expected = "metadata.finalizers[2]: Invalid value: \"mine\": \
                        name is neither a standard finalizer name nor is it fully qualified";
        assert_eq!(errors, [expected]);
    }

    #[test]
    fn identity_cannot_be_changed_and_a_dying_object_gets_no_new_finalizers() {
        let old = json!({"name": "a", "namespace": "n", "uid": "1", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]});
        let mut new = old.clone();
        assert_eq!(problems(new.clone(), Some(old.clone())), Vec::<String>::new());
        new["uid"] = "2".into();
        assert_eq!(
            problems(new.clone(), Some(old.clone())),
            ["metadata.uid: Invalid value: \"2\": field is immutable"]
        );
        new["uid"] = "1".into();
        new["finalizers"] = json!(["a/b", "c/d"]);
        assert!(problems(new, Some(old))[0].starts_with("metadata.finalizers: Forbidden: no new finalizers"));
    }
}
