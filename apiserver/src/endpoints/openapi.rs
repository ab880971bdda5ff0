//! `/openapi/v3`: the kinds' schemas and operations, one document per group and version.
//!
//! Schemas are JSON Schema 2020-12 and OpenAPI 3.0 is not: `null` among types becomes `nullable`, `const` an `enum`,
//! `$defs` components, and a `$ref` with siblings an `allOf`.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use http::Response;
use http::request::Parts;
use orch_api::{Kind, Status};
use serde_json::{Map, Value, json};

use super::openapi_paths::{put_bodies, put_paths};
use super::{Document, openapi_proto, openapi_v2};
use crate::accept;
use crate::kinds::{Kinds, Served};

/// The documents of a table of kinds. Each is made when it is first read, and again only when a kind of its own is another.
pub(crate) struct OpenApi {
    /// The list of the others, with their digests.
    root: OnceLock<Document>,
    /// By path below `/openapi/v3`, such as `apis/orch.dev/v1`.
    volumes: BTreeMap<String, Arc<Volume>>,
    /// Made of the others.
    v2: OnceLock<Document>,
    v2_proto: OnceLock<Document>,
}

/// One version of a group: its kinds, and their document.
struct Volume {
    kinds: Vec<Arc<Served>>,
    document: OnceLock<Document>,
}

impl Volume {
    fn document(&self) -> &Document {
        self.document.get_or_init(|| Document::new(&document(&self.kinds)))
    }

    fn is_of(&self, kinds: &[Arc<Served>]) -> bool {
        self.kinds.len() == kinds.len()
            && self.kinds.iter().zip(kinds).all(|(one, two)| Arc::ptr_eq(one, two))
    }
}

/// The media type under which clients ask for OpenAPI 2.0 in protobuf, and the one without the `@` that media types may not have.
const V2_PROTO: [&str; 2] = [
    "application/com.github.proto-openapi.spec.v2@v1.0+protobuf",
    "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
];

impl OpenApi {
    /// The documents of a table that follows another one, of which those stay whose kinds have stayed.
    pub(crate) fn new(kinds: &Kinds, before: Option<&Self>) -> Self {
        let mut versions: BTreeMap<String, Vec<Arc<Served>>> = BTreeMap::new();
        for served in kinds.all() {
            let root = if served.kind().group.is_empty() { "api" } else { "apis" };
            versions.entry(format!("{root}/{}", served.api_version)).or_default().push(served.clone());
        }
        let volumes = versions.into_iter().map(|(path, kinds)| {
            let same =
                before.and_then(|before| before.volumes.get(&path)).filter(|volume| volume.is_of(&kinds));
            let volume =
                same.cloned().unwrap_or_else(|| Arc::new(Volume { kinds, document: OnceLock::new() }));
            (path, volume)
        });
        Self {
            root: OnceLock::new(),
            volumes: volumes.collect(),
            v2: OnceLock::new(),
            v2_proto: OnceLock::new(),
        }
    }

    fn root(&self) -> &Document {
        self.root.get_or_init(|| {
            let paths = self.volumes.iter().map(|(path, volume)| {
                let url = format!("/openapi/v3/{path}?hash={}", volume.document().etag);
                (path.clone(), json!({"serverRelativeURL": url}))
            });
            Document::new(&json!({"paths": paths.collect::<Map<_, _>>()}))
        })
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
        let volumes = || self.volumes.values().map(|volume| read(volume.document()));
        let json = self.v2.get_or_init(|| Document::new(&openapi_v2::document(volumes())));
        if clause.is_json() {
            return Ok(json.answer(parts, "application/json"));
        }
        let proto = self.v2_proto.get_or_init(|| Document::of(openapi_proto::encode(&read(json)).into()));
        Ok(proto.answer(parts, V2_PROTO[1]))
    }

    /// The document of a path, or none if there is no such path.
    pub(super) fn answer(&self, rest: &[&str], parts: &Parts) -> Option<Response<Body>> {
        let document =
            if rest.is_empty() { self.root() } else { self.volumes.get(&rest.join("/"))?.document() };
        Some(document.answer(parts, "application/json"))
    }
}

fn document(kinds: &[Arc<Served>]) -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for served in kinds {
        let name = put_schemas(served, &mut schemas);
        put_paths(served, &name, &mut paths);
        put_bodies(served, &mut schemas);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Orch", "version": env!("CARGO_PKG_VERSION")},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

pub(super) fn gvk(kind: &Kind, suffix: &str) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": format!("{}{suffix}", kind.name)})
}

/// The name under which a kind's own schema stands: `dev.orch.v1.Workload`.
pub(super) fn component(kind: &Kind, name: &str) -> String {
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
        names.insert(name, component(served.kind(), name));
    }
    let name = component(served.kind(), kind);
    for (definition, schema) in definitions {
        let converted = convert(schema, &names, &name);
        let known = schemas.get(&names[definition.as_str()]);
        if known.is_some_and(|known| *known != converted) {
            // Another kind means something else by the word.
            names.insert(definition, component(served.kind(), &format!("{kind}.{definition}")));
        }
    }
    for (definition, schema) in definitions {
        schemas.insert(names[definition.as_str()].clone(), convert(schema, &names, &name));
    }
    let mut own = convert(document, &names, &name);
    own["x-kubernetes-group-version-kind"] = json!([gvk(served.kind(), "")]);
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
        "x-kubernetes-group-version-kind": [gvk(served.kind(), "List")],
    });
    schemas.insert(component(served.kind(), &format!("{kind}List")), list);
    name
}

pub(super) fn reference(name: &str) -> String {
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

#[cfg(test)]
mod tests {
    use orch_api::{Kind, KindEntry, Schema};

    use super::*;

    fn entry(group: &'static str, description: &str) -> KindEntry {
        let document = json!({"type": "object", "description": description});
        let schema = Schema::compile(&document).unwrap();
        KindEntry::plain(Kind::namespaced(group, "v1", "Thing", "things", "thing"), document, schema)
    }

    #[test]
    fn only_the_documents_of_kinds_that_have_changed_are_made_again() {
        let before = Kinds::new(vec![entry("a.dev", "one"), entry("b.dev", "one")]).unwrap();
        let first = OpenApi::new(&before, None);
        let root = first.root().etag.clone();
        let changed = Arc::new(Served::replacing(entry("b.dev", "two"), None));
        let after = Kinds::serving(vec![before.all()[0].clone(), changed]).unwrap();
        let second = OpenApi::new(&after, Some(&first));
        let document = |of: &OpenApi, path: &str| std::ptr::from_ref(of.volumes[path].document());
        assert_eq!(document(&first, "apis/a.dev/v1"), document(&second, "apis/a.dev/v1"));
        assert_ne!(document(&first, "apis/b.dev/v1"), document(&second, "apis/b.dev/v1"));
        assert_ne!(second.root().etag, root, "the list tells of it");
    }
}
