//! From a definition to the kinds that it defines: one for each version that is served.

use std::sync::{Arc, LazyLock};

use orch_api::{
    Custom, Defines, Definition, FieldError, FieldPath, JsonPath, Kind, KindEntry, Metadata, Object as _,
    Scale, Schema, Subresource, api_version, intern, intern_all,
};
use schemars::generate::SchemaSettings;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use super::columns::columns;
use super::rules::Rules;
use super::{CustomResourceDefinition, CustomResourceDefinitionVersion, CustomResourceSubresourceScale};

/// How definitions define kinds.
pub const DEFINES: Defines = Defines { identity, kinds };

/// What the kinds depend on: not the conditions, which change while a definition is being accepted.
fn identity(object: &Value) -> Value {
    let established = CustomResourceDefinition::deserialize(object).is_ok_and(|crd| crd.is_established());
    let names = established.then(|| object["status"]["acceptedNames"].clone());
    json!([object.uid(), object["spec"], names, object.is_terminating()])
}

fn kinds(object: &Value) -> Result<Definition, Vec<FieldError>> {
    let definition = CustomResourceDefinition::deserialize(object).map_err(|error| problem(&error))?;
    let versions = &definition.spec.versions;
    // Objects go with their definition, also if nobody could see them any more.
    let hidden = definition.metadata.is_terminating() && !versions.iter().any(|version| version.served);
    let served = versions.iter().filter(|version| version.served || (hidden && version.storage));
    let kinds = served.map(|version| entry(&definition, version)).collect::<Result<_, _>>()?;
    Ok(Definition { kinds, established: definition.is_established() })
}

fn problem(error: &dyn std::fmt::Display) -> Vec<FieldError> {
    vec![FieldError::invalid("", Value::Null, error.to_string())]
}

fn entry(
    definition: &CustomResourceDefinition,
    version: &CustomResourceDefinitionVersion,
) -> Result<KindEntry, Vec<FieldError>> {
    let written = version.schema.as_ref().and_then(|schema| schema.open_api_v3_schema.as_ref());
    let document = schema_document(written.map_or(&Value::Null, |schema| &schema.0));
    let schema = Schema::compile_structural(&document).map_err(|error| problem(&error))?;
    let selectable = version.selectable_fields.iter();
    let selectable = selectable.map(|field| field.json_path.trim_start_matches('.'));
    let scale = version.subresources.as_ref().and_then(|subresources| subresources.scale.as_ref());
    let storage = definition.storage_version().map_or(version.name.as_str(), |storage| &storage.name);
    let rules = written.map(|schema| Rules::compile(&schema.0, &FieldPath::root())).transpose()?.flatten();
    Ok(KindEntry {
        admit: Arc::new(move |object, old| {
            let broken = rules.as_ref().map(|rules| rules.check(object, old)).unwrap_or_default();
            if broken.is_empty() { Ok(()) } else { Err(broken) }
        }),
        columns: columns(version),
        subresources: scale.map(scale_of).into_iter().collect(),
        selectable: intern_all(selectable),
        custom: Some(Custom {
            stored_as: api_version(&definition.spec.group, storage).into(),
            closed: definition.metadata.deletion_timestamp.is_some(),
            list_kind: definition.served_names().list_kind.as_str().into(),
            warning: warning(definition, version),
        }),
        ..KindEntry::plain(kind(definition, version), document, schema)
    })
}

fn kind(definition: &CustomResourceDefinition, version: &CustomResourceDefinitionVersion) -> Kind {
    let names = definition.served_names();
    let make = if definition.spec.scope == "Cluster" { Kind::cluster } else { Kind::namespaced };
    let kind = make(
        intern(&definition.spec.group),
        intern(&version.name),
        intern(&names.kind),
        intern(&names.plural),
        intern(&names.singular),
    );
    let kind = kind
        .short_names(intern_all(names.short_names.iter().map(String::as_str)))
        .categories(intern_all(names.categories.iter().map(String::as_str)));
    let has_status = version.subresources.as_ref().is_some_and(|subresources| subresources.status.is_some());
    if has_status { kind.with_status() } else { kind }
}

fn warning(
    definition: &CustomResourceDefinition,
    version: &CustomResourceDefinitionVersion,
) -> Option<Arc<str>> {
    let usual = || {
        let api_version = api_version(&definition.spec.group, &version.name);
        format!("{api_version} {} is deprecated", definition.served_names().kind)
    };
    version.deprecated.then(|| version.deprecation_warning.clone().unwrap_or_else(usual).into())
}

fn scale_of(scale: &CustomResourceSubresourceScale) -> Subresource {
    let pointer = |path: &str| JsonPath::parse(path).ok().and_then(|path| path.pointer()).unwrap_or_default();
    let selector = scale.label_selector_path.as_deref().map(pointer).unwrap_or_default();
    Subresource::scale(Scale {
        spec_replicas: pointer(&scale.spec_replicas_path).into(),
        status_replicas: pointer(&scale.status_replicas_path).into(),
        selector: Arc::new(move |object| match selector.as_str() {
            "" => String::new(),
            selector => object.pointer(selector).and_then(Value::as_str).unwrap_or_default().to_owned(),
        }),
    })
}

/// The schema of metadata, and what it refers to.
static METADATA: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut schema =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Metadata>().to_value();
    let definitions = schema.as_object_mut().and_then(|schema| schema.remove("$defs"));
    let mut definitions = definitions.and_then(|found| found.as_object().cloned()).unwrap_or_default();
    definitions.insert(METADATA_NAME.to_owned(), schema);
    definitions
});

const METADATA_NAME: &str = "ObjectMeta";

/// The document of a kind with this schema: what all objects have is put in.
pub(super) fn schema_document(schema: &Value) -> Value {
    let mut document = schema.clone();
    if !document.is_object() {
        document = json!({"type": "object"});
    }
    embed(&mut document);
    put_common_fields(&mut document);
    document["$defs"] = Value::Object(METADATA.clone());
    document
}

/// Puts what all objects have into the places where objects stand within objects.
fn embed(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    if let Some(Value::Object(properties)) = fields.get_mut("properties") {
        properties.values_mut().for_each(embed);
    }
    for keyword in ["items", "additionalProperties"] {
        fields.get_mut(keyword).into_iter().for_each(embed);
    }
    if fields.get("x-kubernetes-embedded-resource") == Some(&Value::Bool(true)) {
        put_common_fields(schema);
        let mut required: Vec<Value> = schema["required"].as_array().cloned().unwrap_or_default();
        for name in ["apiVersion", "kind"] {
            if !required.iter().any(|known| known == name) {
                required.push(name.into());
            }
        }
        schema["required"] = required.into();
    }
}

fn put_common_fields(schema: &mut Value) {
    if !schema["properties"].is_object() {
        schema["properties"] = json!({});
    }
    let properties = &mut schema["properties"];
    for (name, description) in [("apiVersion", "The group and version of the kind."), ("kind", "The kind.")] {
        if properties.get(name).is_none() {
            properties[name] = json!({"type": "string", "description": description});
        }
    }
    // What the schema says of the name is kept beside the reference.
    let said = properties.get("metadata").and_then(|metadata| metadata.get("properties")).cloned();
    let mut metadata = json!({"$ref": format!("#/$defs/{METADATA_NAME}")});
    if let Some(said) = said {
        metadata["properties"] = said;
    }
    properties["metadata"] = metadata;
}
