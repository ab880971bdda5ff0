//! The schema of a kind: what the server publishes, or for built-in kinds what this program knows.

use std::sync::Arc;

use orch_api::{Object as _, Schema};
use orch_client::{Accept, ApiResource};
use orch_ontology::KINDS;
use serde_json::{Value, json};

use super::{Failure, Session};

/// The schema that the server publishes for a kind as OpenAPI v3.
pub(super) async fn published(session: &Session, resource: &ApiResource) -> Result<Arc<Schema>, Failure> {
    let client = session.client().await?;
    let index: Value = serde_json::from_slice(&client.get_raw("/openapi/v3", Accept::Json).await?)?;
    let prefix = if resource.group.is_empty() { "api" } else { "apis" };
    let path = format!("{prefix}/{}", resource.api_version());
    let Some(url) = index["paths"][&path]["serverRelativeURL"].as_str() else {
        return Err(Failure::new(format!("the server publishes no schemas of {}", resource.api_version())));
    };
    let mut document: Value = serde_json::from_slice(&client.get_raw(url, Accept::Json).await?)?;
    let components = document["components"].take();
    let Some(name) = schema_name(&components, resource) else {
        return Err(Failure::new(format!("the server publishes no schema of {}", resource.kind)));
    };
    let root = json!({"$ref": format!("#/components/schemas/{name}"), "components": components});
    Schema::compile(&root).map_err(|error| {
        Failure::new(format!("the server's schema of {} cannot be read: {error}", resource.kind))
    })
}

fn schema_name(components: &Value, resource: &ApiResource) -> Option<String> {
    let is_meant = |gvk: &Value| {
        gvk["group"] == resource.group.as_str()
            && gvk["version"] == resource.version.as_str()
            && gvk["kind"] == resource.kind.as_str()
    };
    let kinds = |schema: &Value| {
        schema["x-kubernetes-group-version-kind"].as_array().is_some_and(|kinds| kinds.iter().any(is_meant))
    };
    components["schemas"].as_object()?.iter().find(|(_, schema)| kinds(schema)).map(|(name, _)| name.clone())
}

/// The schema of a built-in kind, by what an object says that it is.
pub(super) fn built_in(api_version: &str, kind: &str) -> Option<Arc<Schema>> {
    let entry =
        KINDS.iter().find(|entry| entry.kind.name == kind && entry.kind.api_version() == api_version)?;
    Some(entry.schema.clone())
}

/// What was probably meant by a field that the object's kind does not have.
pub(super) fn suggestion(object: &Value, field: &str) -> Option<String> {
    let schema = built_in(object.api_version(), object.kind())?;
    let errors = schema.unknown_fields(object).into_iter().chain(schema.check_partial(object));
    errors.filter(|error| error.path.as_str() == field).find_map(|error| error.hint())
}
