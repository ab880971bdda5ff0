//! `/openapi/v3`: the kinds' schemas and operations, one document per group and version.
//!
//! Schemas are JSON Schema 2020-12 and OpenAPI 3.0 is not: `null` among types becomes `nullable`, `const` an `enum`,
//! `$defs` components, and a `$ref` with siblings an `allOf`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::body::Body;
use http::Response;
use http::request::Parts;
use orch_api::{Status, Target};
use serde_json::{Map, Value, json};

use super::{Document, openapi_proto, openapi_v2};
use crate::accept;
use crate::kinds::{Kinds, Served};

/// Every document, ready to be sent.
pub(crate) struct OpenApi {
    root: Document,
    /// By path below `/openapi/v3`, such as `apis/orch.dev/v1`.
    by_path: BTreeMap<String, Document>,
    /// Made of the others when first asked for.
    v2: OnceLock<Document>,
    v2_proto: OnceLock<Document>,
}

/// The media type under which clients ask for OpenAPI 2.0 in protobuf, and the one without the `@` that media types may not have.
const V2_PROTO: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
];

impl OpenApi {
    pub(crate) fn new(kinds: &Kinds) -> Self {
        let mut versions: BTreeMap<String, Vec<&Served>> = BTreeMap::new();
        for served in kinds.all() {
            let root = if served.kind().group.is_empty() { "api" } else { "apis" };
            versions.entry(format!("{root}/{}", served.api_version)).or_default().push(served);
        }
        let by_path: BTreeMap<String, Document> =
            versions.iter().map(|(path, kinds)| (path.clone(), Document::new(&document(kinds)))).collect();
        let paths: Map<String, Value> = by_path
            .iter()
            .map(|(path, document)| {
                (
                    path.clone(),
                    json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={}", document.etag)}),
                )
            })
            .collect();
        Self {
            root: Document::new(&json!({"paths": paths})),
            by_path,
            v2: OnceLock::new(),
            v2_proto: OnceLock::new(),
        }
    }

    /// All of it as OpenAPI 2.0, in JSON or in protobuf.
    ///
    /// # Errors
    /// 406 for those that want it otherwise.
    pub(super) fn v2(&self, parts: &Parts) -> Result<Response<Body>, Status> {
        let first = accept::clauses(&parts.headers)
            .into_iter()
            .find(|clause| clause.is_json() || V2_PROTO.iter().any(|name| clause.is(name)));
        let clause = first.ok_or_else(|| accept::not_acceptable(&["application/json", V2_PROTO[1]]))?;
        let read = |document: &Document| serde_json::from_slice(&document.bytes).unwrap_or_default();
        let json =
            self.v2.get_or_init(|| Document::new(&openapi_v2::document(self.by_path.values().map(read))));
        if clause.is_json() {
            return Ok(json.answer(parts, "application/json"));
        }
        let proto = self.v2_proto.get_or_init(|| Document::of(openapi_proto::encode(&read(json)).into()));
        Ok(proto.answer(parts, V2_PROTO[1]))
    }

    /// The document of a path, or none if there is no such path.
    pub(super) fn answer(&self, rest: &[&str], parts: &Parts) -> Option<Response<Body>> {
        let document = if rest.is_empty() { &self.root } else { self.by_path.get(&rest.join("/"))? };
        Some(document.answer(parts, "application/json"))
    }
}

fn document(kinds: &[&Served]) -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for served in kinds {
        let name = put_schemas(served, &mut schemas);
        put_paths(served, &name, &mut paths);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Orch", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn gvk(served: &Served, suffix: &str) -> Value {
    let kind = served.kind();
    json!({"group": kind.group, "version": kind.version, "kind": format!("{}{suffix}", kind.name)})
}

/// The name under which a kind's own schema stands: `dev.orch.v1.Workload`.
fn component(served: &Served, name: &str) -> String {
    let kind = served.kind();
    let group = if kind.group.is_empty() { "core" } else { kind.group };
    let reversed: Vec<&str> = group.split('.').rev().collect();
    format!("{}.{}.{name}", reversed.join("."), kind.version)
}

/// Adds the kind's schema, its list's, and what they refer to. Returns the name of the kind's.
fn put_schemas(served: &Served, schemas: &mut Map<String, Value>) -> String {
    let document = &*served.entry.document;
    let kind = served.kind().name;
    let mut names: BTreeMap<&str, String> = BTreeMap::new();
    let empty = Map::new();
    let definitions = document.get("$defs").and_then(Value::as_object).unwrap_or(&empty);
    for name in definitions.keys() {
        names.insert(name, component(served, name));
    }
    let name = component(served, kind);
    for (definition, schema) in definitions {
        let converted = convert(schema, &names, &name);
        let known = schemas.get(&names[definition.as_str()]);
        if known.is_some_and(|known| *known != converted) {
            // Another kind means something else by the word.
            names.insert(definition, component(served, &format!("{kind}.{definition}")));
        }
    }
    for (definition, schema) in definitions {
        schemas.insert(names[definition.as_str()].clone(), convert(schema, &names, &name));
    }
    let mut own = convert(document, &names, &name);
    own["x-kubernetes-group-version-kind"] = json!([gvk(served, "")]);
    schemas.insert(name.clone(), own);
    let list = json!({
        "type": "object",
        "description": format!("A list of {kind} objects."),
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "items": {"type": "array", "items": {"$ref": reference(&name)}},
        },
        "x-kubernetes-group-version-kind": [gvk(served, "List")],
    });
    schemas.insert(component(served, &format!("{kind}List")), list);
    name
}

fn reference(name: &str) -> String {
    format!("#/components/schemas/{name}")
}

/// A schema in OpenAPI 3.0's words. `root` is what `#` refers to.
fn convert(schema: &Value, names: &BTreeMap<&str, String>, root: &str) -> Value {
    let Value::Object(fields) = schema else { return json!({}) };
    if let Some(one) = nullable_alternative(fields) {
        let mut converted = convert(one, names, root);
        if converted.get("$ref").is_some() {
            converted = json!({"allOf": [converted]});
        }
        converted["nullable"] = true.into();
        if let Some(description) = fields.get("description") {
            converted["description"] = description.clone();
        }
        return converted;
    }
    if let Some(words) = documented_words(fields) {
        return words;
    }
    let mut out = Map::new();
    for (keyword, value) in fields {
        convert_keyword(keyword, value, names, root, &mut out);
    }
    // In OpenAPI 3.0 nothing may stand beside a reference.
    if out.len() > 1
        && let Some(target) = out.remove("$ref")
    {
        out.insert("allOf".into(), json!([{"$ref": target}]));
    }
    Value::Object(out)
}

fn convert_keyword(
    keyword: &str,
    value: &Value,
    names: &BTreeMap<&str, String>,
    root: &str,
    out: &mut Map<String, Value>,
) {
    let nested = |value: &Value| convert(value, names, root);
    let converted = match (keyword, value) {
        ("$schema" | "$defs" | "$id" | "title", _) | ("additionalProperties", Value::Bool(_)) => return,
        ("$ref", Value::String(target)) => {
            let name =
                target.strip_prefix("#/$defs/").and_then(|name| names.get(name)).map_or(root, String::as_str);
            reference(name).into()
        }
        ("type", Value::Array(types)) => {
            let mut some = types.iter().filter(|name| *name != "null");
            if types.iter().any(|name| name == "null") {
                out.insert("nullable".into(), true.into());
            }
            match (some.next(), some.next()) {
                (Some(one), None) => one.clone(),
                // Several types have no name in OpenAPI 3.0: any is accepted here, the server checks.
                _ => return,
            }
        }
        ("const", value) => {
            out.insert("enum".into(), json!([value]));
            return;
        }
        ("exclusiveMinimum" | "exclusiveMaximum", Value::Number(bound)) => {
            let inclusive = if keyword == "exclusiveMinimum" { "minimum" } else { "maximum" };
            out.insert(inclusive.into(), bound.clone().into());
            true.into()
        }
        ("properties", Value::Object(properties)) => properties
            .iter()
            .map(|(name, schema)| (name.clone(), nested(schema)))
            .collect::<Map<_, _>>()
            .into(),
        ("items" | "additionalProperties" | "not", schema) => nested(schema),
        ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => all.iter().map(nested).collect(),
        (_, value) => value.clone(),
    };
    out.insert(keyword.to_owned(), converted);
}

/// `anyOf: [X, null]`: what an optional field of a named type looks like.
fn nullable_alternative(fields: &Map<String, Value>) -> Option<&Value> {
    match fields.get("anyOf")?.as_array()?.as_slice() {
        [one, null] | [null, one] if null.get("type").is_some_and(|t| t == "null") => Some(one),
        _ => None,
    }
}

/// `oneOf` of documented constants: an enum whose words are explained.
fn documented_words(fields: &Map<String, Value>) -> Option<Value> {
    let alternatives = fields.get("oneOf")?.as_array()?;
    let words: Option<Vec<&str>> =
        alternatives.iter().map(|alternative| alternative.get("const").and_then(Value::as_str)).collect();
    let words = words?;
    let mut description = fields.get("description").and_then(Value::as_str).unwrap_or_default().to_owned();
    description.push_str("\n\nPossible values:");
    for (word, alternative) in words.iter().zip(alternatives) {
        let text = alternative.get("description").and_then(Value::as_str).unwrap_or_default();
        description.push_str(&format!("\n - `{word}`: {text}"));
    }
    Some(json!({"type": "string", "enum": words, "description": description.trim_start()}))
}

fn put_paths(served: &Served, schema: &str, paths: &mut Map<String, Value>) {
    let kind = served.kind();
    let all = Target::all(kind).to_string();
    let collection = match kind.is_namespaced() {
        true => {
            all.replace(&format!("/{}", kind.plural), &format!("/namespaces/{{namespace}}/{}", kind.plural))
        }
        false => all.clone(),
    };
    let operation = |action: &str, parameters: &[&str], body: &[&str]| {
        operation(served, schema, action, parameters, body)
    };
    let list = [
        "labelSelector",
        "fieldSelector",
        "limit",
        "continue",
        "resourceVersion",
        "resourceVersionMatch",
        "watch",
    ];
    let write = ["dryRun", "fieldManager", "fieldValidation"];
    let patch = ["dryRun", "fieldManager", "fieldValidation", "force"];
    let remove = ["dryRun", "gracePeriodSeconds", "propagationPolicy"];
    let all_patches = [
        "application/apply-patch+yaml",
        "application/json-patch+json",
        "application/merge-patch+json",
        "application/strategic-merge-patch+json",
    ];
    // kubectl sends what is listed: a strategic merge patch only to kinds that take it.
    let patches = if served.entry.custom.is_some() { &all_patches[..3] } else { &all_patches };
    let objects = ["application/json", "application/yaml"];
    if kind.is_namespaced() {
        paths.insert(all, json!({"get": operation("list", &list, &[])}));
    }
    paths.insert(
        collection.clone(),
        json!({
            "get": operation("list", &list, &[]),
            "post": operation("post", &write, &objects),
            "delete": operation("deletecollection", &list, &[]),
            "parameters": path_parameters(served, false),
        }),
    );
    let item = json!({
        "get": operation("get", &["resourceVersion"], &[]),
        "put": operation("put", &write, &objects),
        "patch": operation("patch", &patch, patches),
        "delete": operation("delete", &remove, &[]),
        "parameters": path_parameters(served, true),
    });
    paths.insert(format!("{collection}/{{name}}"), item);
    if kind.has_status {
        let status = json!({
            "get": operation("get", &[], &[]),
            "put": operation("put", &write, &objects),
            "patch": operation("patch", &patch, patches),
            "parameters": path_parameters(served, true),
        });
        paths.insert(format!("{collection}/{{name}}/status"), status);
    }
}

fn path_parameters(served: &Served, named: bool) -> Value {
    let namespace = served.kind().is_namespaced().then_some("namespace");
    let names = namespace.into_iter().chain(named.then_some("name"));
    names
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true}}))
        .collect()
}

fn operation(served: &Served, schema: &str, action: &str, parameters: &[&str], body: &[&str]) -> Value {
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|name| {
            let of = match *name {
                "force" | "watch" => "boolean",
                "limit" | "gracePeriodSeconds" => "integer",
                _ => "string",
            };
            json!({"name": name, "in": "query", "schema": {"type": of, "uniqueItems": true}})
        })
        .collect();
    let answer = match action {
        "list" | "deletecollection" => component(served, &format!("{}List", served.kind().name)),
        _ => schema.to_owned(),
    };
    let mut operation = json!({
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": {"$ref": reference(&answer)}}}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": gvk(served, ""),
    });
    if !body.is_empty() {
        let content: Map<String, Value> = body
            .iter()
            .map(|media_type| ((*media_type).to_owned(), json!({"schema": {"$ref": reference(schema)}})))
            .collect();
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}
