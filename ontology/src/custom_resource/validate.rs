//! The rules for a definition, and for its changes. Kubernetes' rules and words.

use std::collections::HashSet;

use orch_api::names::{dns_subdomain, dns1035_label};
use orch_api::{FieldError, FieldPath, JsonPath, Schema};
use serde_json::Value;

use super::define::schema_document;
use super::rules::Rules;
use super::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceScale,
    SelectableField, structural,
};
use crate::syntax::invalid_each;

const MOST_SELECTABLE_FIELDS: usize = 8;
const LONGEST_WARNING: usize = 256;
const APPROVED: &str = "api-approved.kubernetes.io";

/// Everything that is wrong with a definition, or with the change from `old`.
pub(super) fn validate(
    definition: &CustomResourceDefinition,
    old: Option<&CustomResourceDefinition>,
) -> Vec<FieldError> {
    let spec = &definition.spec;
    let path = FieldPath::new("spec");
    let mut errors = Vec::new();
    let expected = format!("{}.{}", spec.names.plural, spec.group);
    if definition.metadata.name != expected {
        let why = "must be spec.names.plural+\".\"+spec.group";
        errors.push(FieldError::invalid("metadata.name", definition.metadata.name.clone(), why));
    }
    errors.extend(approval(definition));
    errors.extend(group_and_scope(spec, &path));
    errors.extend(names(&spec.names, &path.child("names")));
    errors.extend(versions(&spec.versions, &path.child("versions")));
    // A schema that has been accepted is not looked at again.
    for (index, version) in spec.versions.iter().enumerate() {
        let before = old.and_then(|old| old.spec.versions.iter().find(|old| old.name == version.name));
        if before.is_none_or(|before| before != version) {
            errors.extend(one_version(version, &path.child("versions").index(index)));
        }
    }
    errors.extend(conversion(spec, &path));
    errors.extend(stored_versions(definition));
    if let Some(old) = old {
        errors.extend(immutable(definition, old));
    }
    errors
}

/// Groups of the Kubernetes community take its approval.
fn approval(definition: &CustomResourceDefinition) -> Option<FieldError> {
    let group = &definition.spec.group;
    let protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')));
    let approved = definition.metadata.annotations.get(APPROVED).is_some_and(|text| !text.is_empty());
    (protected && !approved).then(|| {
        let why = format!(
            "protected groups must have approval annotation {APPROVED:?}, see https://github.com/kubernetes/enhancements/pull/1111"
        );
        FieldError::required(FieldPath::new("metadata.annotations").key(APPROVED), why)
    })
}

fn group_and_scope(spec: &CustomResourceDefinitionSpec, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let at = path.child("group");
    if spec.group.is_empty() {
        errors.push(FieldError::required(&at, ""));
    } else {
        errors.extend(invalid_each(&at, &spec.group, dns_subdomain(&spec.group)));
        if !spec.group.contains('.') {
            errors.push(FieldError::invalid(
                &at,
                spec.group.clone(),
                "should be a domain with at least one dot",
            ));
        }
    }
    let scopes = ["Cluster", "Namespaced"];
    match spec.scope.as_str() {
        "" => errors.push(FieldError::required(path.child("scope"), "")),
        scope if !scopes.contains(&scope) => {
            errors.push(FieldError::not_supported(path.child("scope"), scope, &scopes));
        }
        _ => {}
    }
    errors
}

fn names(names: &CustomResourceDefinitionNames, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut label = |at: FieldPath, name: &str, written: &str| {
        if written.is_empty() {
            errors.push(FieldError::required(at, ""));
        } else {
            errors.extend(invalid_each(&at, written, dns1035_label(name)));
        }
    };
    label(path.child("plural"), &names.plural, &names.plural);
    label(path.child("singular"), &names.singular, &names.singular);
    label(path.child("kind"), &names.kind.to_lowercase(), &names.kind);
    label(path.child("listKind"), &names.list_kind.to_lowercase(), &names.list_kind);
    for (field, list) in [("shortNames", &names.short_names), ("categories", &names.categories)] {
        for (index, name) in list.iter().enumerate() {
            label(path.child(field).index(index), name, name);
        }
    }
    if !names.kind.is_empty() && names.kind == names.list_kind {
        let why = "kind and listKind may not be the same";
        errors.push(FieldError::invalid(path.child("listKind"), names.list_kind.clone(), why));
    }
    errors
}

fn versions(versions: &[CustomResourceDefinitionVersion], path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let shown = || versions.iter().map(|version| version.name.clone()).collect::<Vec<_>>();
    if versions.is_empty() {
        errors.push(FieldError::required(path, "must have at least one version"));
    } else if versions.iter().filter(|version| version.storage).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid(path, shown(), why));
    }
    let names: HashSet<&str> = versions.iter().map(|version| version.name.as_str()).collect();
    if names.len() < versions.len() {
        errors.push(FieldError::invalid(path, shown(), "must contain unique version names"));
    }
    for (index, version) in versions.iter().enumerate() {
        let at = path.index(index);
        let problems = dns1035_label(&version.name);
        errors.extend(invalid_each(&at.child("name"), &version.name, problems));
        if let Some(warning) = &version.deprecation_warning {
            let at = at.child("deprecationWarning");
            if !version.deprecated {
                let why = "can only be set for deprecated versions";
                errors.push(FieldError::invalid(&at, warning.clone(), why));
            }
            if warning.len() > LONGEST_WARNING {
                errors.push(FieldError::too_long(&at, warning.clone(), LONGEST_WARNING));
            }
        }
    }
    errors
}

fn one_version(version: &CustomResourceDefinitionVersion, path: &FieldPath) -> Vec<FieldError> {
    let at = path.child("schema").child("openAPIV3Schema");
    let Some(schema) = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref()) else {
        return vec![FieldError::required(at, "schemas are required")];
    };
    let mut errors = structural::check(&schema.0, &at);
    let compiled = errors.is_empty().then(|| Schema::compile_structural(&schema_document(&schema.0)));
    match compiled {
        Some(Ok(compiled)) => {
            let place = |error: FieldError| {
                let path = at.child(error.path.as_str());
                FieldError { path, ..error }
            };
            errors.extend(compiled.check_defaults().into_iter().map(place));
            errors.extend(Rules::review(&schema.0, &at));
            for (index, field) in version.selectable_fields.iter().enumerate() {
                let at = path.child("selectableFields").index(index).child("jsonPath");
                errors.extend(selectable(field, &compiled, &at));
            }
        }
        Some(Err(error)) => errors.push(FieldError::invalid(&at, Value::Null, error.to_string())),
        None => {}
    }
    if version.selectable_fields.len() > MOST_SELECTABLE_FIELDS {
        let count = version.selectable_fields.len();
        errors.push(FieldError::too_many(path.child("selectableFields"), count, MOST_SELECTABLE_FIELDS));
    }
    for (index, column) in version.additional_printer_columns.iter().enumerate() {
        errors.extend(printer_column(column, &path.child("additionalPrinterColumns").index(index)));
    }
    if let Some(scale) = version.subresources.as_ref().and_then(|subresources| subresources.scale.as_ref()) {
        errors.extend(self::scale(scale, &path.child("subresources").child("scale")));
    }
    errors
}

fn selectable(field: &SelectableField, schema: &Schema, at: &FieldPath) -> Option<FieldError> {
    let invalid = |why: &str| Some(FieldError::invalid(at, field.json_path.clone(), why));
    let path = match JsonPath::parse(&field.json_path) {
        Ok(path) => path,
        Err(problem) => return invalid(&format!("is an invalid path: {problem}")),
    };
    let Some(steps) = path.fields().filter(|steps| !steps.is_empty() && field.json_path.starts_with('.'))
    else {
        return invalid("must be a simple path of fields, such as .spec.color");
    };
    if steps[0] == "metadata" {
        return invalid("must not point to fields in metadata");
    }
    let place = steps.iter().try_fold(schema.root(), |ty, step| ty.property(step));
    match place.map(|place| place.type_name()) {
        None => invalid("does not refer to a valid field"),
        Some("string" | "boolean" | "integer") => None,
        Some(_) => invalid(
            "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.",
        ),
    }
}

fn printer_column(column: &CustomResourceColumnDefinition, path: &FieldPath) -> Vec<FieldError> {
    const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    let mut errors = Vec::new();
    if column.name.is_empty() {
        errors.push(FieldError::required(path.child("name"), ""));
    }
    match column.column_type.as_str() {
        "" => errors
            .push(FieldError::required(path.child("type"), format!("must be one of {}", TYPES.join(",")))),
        other if !TYPES.contains(&other) => {
            let why = format!("must be one of {}", TYPES.join(","));
            errors.push(FieldError::invalid(path.child("type"), other, why));
        }
        _ => {}
    }
    if column.json_path.is_empty() {
        errors.push(FieldError::required(path.child("jsonPath"), ""));
    } else if let Err(problem) = JsonPath::parse(&column.json_path) {
        errors.push(FieldError::invalid(path.child("jsonPath"), column.json_path.clone(), problem));
    }
    errors
}

fn scale(scale: &CustomResourceSubresourceScale, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut check = |field: &str, value: &str, below: &[&str]| {
        let at = path.child(field);
        if value.is_empty() {
            return errors.push(FieldError::required(at, ""));
        }
        let parsed = JsonPath::parse(value);
        let simple = parsed.as_ref().is_ok_and(|path| path.fields().is_some_and(|fields| fields.len() > 1));
        if !value.starts_with('.') || !simple {
            errors.push(FieldError::invalid(at, value, "must be a simple json path starting with \".\""));
        } else if !below.iter().any(|parent| value.starts_with(&format!("{parent}."))) {
            let why = format!("should be a json path under {}", below.join(" or "));
            errors.push(FieldError::invalid(at, value, why));
        }
    };
    check("specReplicasPath", &scale.spec_replicas_path, &[".spec"]);
    check("statusReplicasPath", &scale.status_replicas_path, &[".status"]);
    if let Some(selector) = scale.label_selector_path.as_deref().filter(|path| !path.is_empty()) {
        check("labelSelectorPath", selector, &[".spec", ".status"]);
    }
    errors
}

fn conversion(spec: &CustomResourceDefinitionSpec, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let at = path.child("conversion").child("strategy");
    match spec.conversion.as_ref().map(|conversion| conversion.strategy.as_str()) {
        None | Some("None") => {
            if spec.conversion.as_ref().is_some_and(|conversion| conversion.webhook.is_some()) {
                let why = "should not be set when strategy is not set to Webhook";
                errors.push(FieldError::forbidden(path.child("conversion").child("webhook"), why));
            }
        }
        Some("Webhook") => {
            let why = "conversion webhooks are not supported: use the strategy None, with which only the apiVersion of an object changes between versions";
            errors.push(FieldError::invalid(at, "Webhook", why));
        }
        Some(other) => errors.push(FieldError::not_supported(at, other, &["None"])),
    }
    if spec.preserve_unknown_fields == Some(true) {
        let why = "must be false: set x-kubernetes-preserve-unknown-fields in the schema where unknown fields are to be kept";
        errors.push(FieldError::invalid(path.child("preserveUnknownFields"), true, why));
    }
    errors
}

fn stored_versions(definition: &CustomResourceDefinition) -> Vec<FieldError> {
    let known = |name: &String| definition.spec.versions.iter().any(|version| version.name == *name);
    let stored = definition.status.stored_versions.iter().enumerate();
    stored
        .filter(|(_, name)| !known(name))
        .map(|(index, name)| {
            let at = FieldPath::new("status.storedVersions").index(index);
            FieldError::invalid(at, name.clone(), "must appear in spec.versions")
        })
        .collect()
}

fn immutable(new: &CustomResourceDefinition, old: &CustomResourceDefinition) -> Vec<FieldError> {
    let (now, before) = (&new.spec, &old.spec);
    let mut errors = Vec::new();
    let mut same = |path: &str, now: &str, before: &str| {
        if now != before {
            errors.push(FieldError::invalid(path, now, "field is immutable"));
        }
    };
    same("spec.group", &now.group, &before.group);
    same("spec.names.plural", &now.names.plural, &before.names.plural);
    if old.is_established() {
        same("spec.scope", &now.scope, &before.scope);
        same("spec.names.kind", &now.names.kind, &before.names.kind);
    }
    errors
}
