//! The operations on a kind as `/openapi/v3` tells them: on collections, objects and subresources.

use orch_api::{Action, Kind, Subresource, Target, Verb};
use serde_json::{Map, Value, json};

use super::openapi::{component, gvk, reference};
use crate::kinds::Served;

const LIST: [&str; 7] = [
    "labelSelector",
    "fieldSelector",
    "limit",
    "continue",
    "resourceVersion",
    "resourceVersionMatch",
    "watch",
];
const WRITE: [&str; 4] = ["dryRun", "fieldManager", "fieldValidation", "reason"];
const PATCH: [&str; 5] = ["dryRun", "fieldManager", "fieldValidation", "force", "reason"];
const REMOVE: [&str; 4] = ["dryRun", "gracePeriodSeconds", "propagationPolicy", "reason"];
const OBJECTS: [&str; 2] = ["application/json", "application/yaml"];
const PATCHES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// What an operation is about, and what is sent and answered.
struct About<'a> {
    kind: &'a Kind,
    /// The component that describes what is sent, and what is answered unless it is a list.
    body: &'a str,
    /// The component that describes lists.
    list: &'a str,
}

/// Adds the paths of a kind, whose own schema is the component `schema`.
pub(super) fn put_paths(served: &Served, schema: &str, paths: &mut Map<String, Value>) {
    let kind = served.kind();
    let all = Target::all(kind).to_string();
    let collection = match kind.is_namespaced() {
        // The group may have the same word: `/apis/events.k8s.io/v1/events`.
        true => format!("{}namespaces/{{namespace}}/{}", all.trim_end_matches(kind.plural), kind.plural),
        false => all.clone(),
    };
    let list = component(kind, &format!("{}List", kind.name));
    let about = About { kind, body: schema, list: &list };
    if kind.is_namespaced() {
        paths.insert(all, json!({"get": about.operation("list", &LIST, &[])}));
    }
    let mut many = json!({
        "get": about.operation("list", &LIST, &[]),
        "parameters": path_parameters(served, false),
    });
    let object = format!("{collection}/{{name}}");
    let mut item = json!({
        "get": about.operation("get", &["resourceVersion", "resourceVersionMatch"], &[]),
        "parameters": path_parameters(served, true),
    });
    if !served.entry.is_history {
        many["post"] = about.operation("post", &WRITE, &OBJECTS);
        item["put"] = about.operation("put", &WRITE, &OBJECTS);
        item["patch"] = about.operation("patch", &PATCH, patches(served));
        item["delete"] = about.operation("delete", &REMOVE, &[]);
    }
    if served.entry.deletes_collections && !served.entry.is_history {
        many["delete"] = about.operation("deletecollection", &LIST, &[]);
    }
    paths.insert(collection, many);
    if served.entry.is_plan
        && let Some(item) = item.as_object_mut()
    {
        // Plans are not patched, either, but kubectl reads there which parameters a kind's creation takes.
        item.remove("put");
    }
    if kind.has_status {
        let status = about.subresource(served, &[Verb::Get, Verb::Patch, Verb::Update]);
        paths.insert(format!("{object}/status"), status);
    }
    for subresource in &served.entry.subresources {
        let body = body_of(served, schema, subresource);
        let about = About { kind: &subresource.kind, body: &body, list: &list };
        let told = match subresource.action {
            Action::Stream(_) => stream(served, subresource),
            _ => about.subresource(served, subresource.verbs(kind)),
        };
        paths.insert(format!("{object}/{}", subresource.name), told);
    }
    paths.insert(object, item);
}

/// Adds what is sent to subresources that have a kind of their own.
pub(super) fn put_bodies(served: &Served, schemas: &mut Map<String, Value>) {
    let others = served.entry.subresources.iter().filter(|subresource| has_own_kind(served, subresource));
    for Subresource { kind, .. } in others.filter(|other| !matches!(other.action, Action::Stream(_))) {
        let schema = json!({
            "type": "object",
            "description": format!("A {}, which is sent and answered and never stored.", kind.name),
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": {"type": "object"},
            },
            "x-kubernetes-preserve-unknown-fields": true,
            "x-kubernetes-group-version-kind": [gvk(kind, "")],
        });
        schemas.entry(component(kind, kind.name)).or_insert(schema);
    }
}

fn has_own_kind(served: &Served, subresource: &Subresource) -> bool {
    subresource.kind != *served.kind()
}

/// The component that describes what is sent to a subresource.
fn body_of(served: &Served, schema: &str, subresource: &Subresource) -> String {
    match has_own_kind(served, subresource) {
        true => component(&subresource.kind, subresource.kind.name),
        false => schema.to_owned(),
    }
}

/// kubectl sends what is listed: a strategic merge patch only to kinds that take it.
fn patches(served: &Served) -> &'static [&'static str] {
    if served.entry.custom.is_some() { &PATCHES[..3] } else { &PATCHES }
}

/// A stream of bytes, in one or both directions.
fn stream(served: &Served, subresource: &Subresource) -> Value {
    let mut told = Map::new();
    for verb in subresource.verbs(served.kind()) {
        let operation = json!({
            "responses": {"200": {"description": "OK", "content": {"*/*": {"schema": {"type": "string"}}}}},
            "x-kubernetes-action": "connect",
            "x-kubernetes-group-version-kind": gvk(&subresource.kind, ""),
        });
        told.insert(method(*verb).to_owned(), operation);
    }
    told.insert("parameters".to_owned(), path_parameters(served, true));
    told.into()
}

fn method(verb: Verb) -> &'static str {
    match verb {
        Verb::Create => "post",
        Verb::Update => "put",
        Verb::Patch => "patch",
        Verb::Delete | Verb::DeleteCollection => "delete",
        Verb::Get | Verb::List | Verb::Watch => "get",
    }
}

impl About<'_> {
    /// What may be asked of a subresource.
    fn subresource(&self, served: &Served, verbs: &[Verb]) -> Value {
        let mut told = Map::new();
        for verb in verbs {
            let method = method(*verb);
            let operation = match verb {
                Verb::Patch => self.operation(method, &PATCH, patches(served)),
                Verb::Create | Verb::Update => self.operation(method, &WRITE, &OBJECTS),
                _ => self.operation(method, &[], &[]),
            };
            told.insert(method.to_owned(), operation);
        }
        told.insert("parameters".to_owned(), path_parameters(served, true));
        told.into()
    }

    fn operation(&self, action: &str, parameters: &[&str], body: &[&str]) -> Value {
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
            "list" | "deletecollection" => self.list,
            _ => self.body,
        };
        let mut operation = json!({
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": {"$ref": reference(answer)}}}}},
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk(self.kind, ""),
        });
        if !body.is_empty() {
            let content: Map<String, Value> = body
                .iter()
                .map(|media_type| {
                    ((*media_type).to_owned(), json!({"schema": {"$ref": reference(self.body)}}))
                })
                .collect();
            operation["requestBody"] = json!({"required": true, "content": content});
        }
        operation
    }
}

fn path_parameters(served: &Served, named: bool) -> Value {
    let namespace = served.kind().is_namespaced().then_some("namespace");
    let names = namespace.into_iter().chain(named.then_some("name"));
    names
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "uniqueItems": true}}))
        .collect()
}
