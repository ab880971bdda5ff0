//! The vocabulary against Kubernetes' own types, its examples, and what is derived from it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod columns;
mod examples;
mod generated;
mod kubernetes;
mod lifecycle;
mod patches;
mod pods;
mod services;
mod validation;

use orch_api::{FieldError, KindEntry};
use orch_ontology::KINDS;
use serde_json::Value;

/// The entry of a kind.
fn entry(kind: &str) -> &'static KindEntry {
    KINDS.iter().find(|entry| entry.kind.name == kind).unwrap_or_else(|| panic!("no kind {kind}"))
}

/// What the server does with an object: the schema's check, then the kind's defaults and validation.
fn admit(object: &mut Value, old: Option<&Value>) -> Result<(), Vec<FieldError>> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let versioned =
        |entry: &&KindEntry| entry.kind.name == kind && object["apiVersion"] == entry.kind.api_version();
    let entry = KINDS.iter().find(versioned).unwrap_or_else(|| entry(kind));
    match entry.schema.check(object) {
        errors if errors.is_empty() => (entry.admit)(object, old),
        errors => Err(errors),
    }
}

/// The errors as people see them.
fn messages(result: Result<(), Vec<FieldError>>) -> Vec<String> {
    result.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
