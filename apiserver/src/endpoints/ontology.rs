//! `/ontology`: the kinds and how they relate, as JSON or, for those who ask for it, as JSON-LD.
//!
//! Made once for a table of kinds, as long as kinds neither come nor go; as JSON-LD, which is asked for seldom, anew for each request.

use axum::body::Body;
use http::Response;
use http::request::Parts;
use orch_api::{KindNode, RelationGraph, Status};
use serde_json::{Map, Value, json};

use super::Document;
use crate::accept;
use crate::kinds::Kinds;

const LINKED: &str = "application/ld+json";
/// What the verbs of relations and the names of fields mean.
const TERMS: &str = "https://orch.dev/ontology#";
/// Where kinds are, each under its version and name.
const KINDS: &str = "https://orch.dev/kinds/";

/// The graph in the form that the client prefers, with an ETag.
///
/// # Errors
/// 406 if the client accepts neither form.
pub(super) fn answer(kinds: &Kinds, parts: &Parts) -> Result<Response<Body>, Status> {
    let all = kinds.all();
    let graph = || RelationGraph::of(all.iter().map(|served| &served.entry));
    let clauses = accept::clauses(&parts.headers);
    let wanted = clauses.iter().find(|clause| clause.is(LINKED) || clause.is_json());
    match wanted.map(|clause| clause.is(LINKED)) {
        Some(true) => {
            let describe = |node: &KindNode| {
                let served = all.iter().find(|served| served.entry.kind.name == node.kind);
                served.and_then(|served| served.entry.schema.root().description.clone())
            };
            Ok(Document::new(&linked(&graph(), describe)).answer(parts, LINKED))
        }
        Some(false) => {
            let document = match kinds.graph.get() {
                Some(document) => document,
                None => {
                    let graph = serde_json::to_value(graph()).map_err(Status::internal)?;
                    kinds.graph.get_or_init(|| Document::new(&graph))
                }
            };
            Ok(document.answer(parts, "application/json"))
        }
        None => Err(accept::not_acceptable(&["application/json", LINKED])),
    }
}

/// Kinds are classes, and their relations properties. A relation that several fields hold is said once.
fn linked(graph: &RelationGraph, describe: impl Fn(&KindNode) -> Option<String>) -> Value {
    let class = |node: &KindNode| {
        let mut class = Map::from_iter([
            ("@id".to_owned(), json!(id(node))),
            ("@type".to_owned(), json!("rdfs:Class")),
            ("label".to_owned(), json!(node.kind)),
            ("apiVersion".to_owned(), json!(node.api_version)),
            ("resource".to_owned(), json!(node.resource)),
            ("namespaced".to_owned(), json!(node.namespaced)),
        ]);
        class.extend(describe(node).map(|text| ("comment".to_owned(), text.into())));
        for edge in graph.edges.iter().filter(|edge| edge.from == node.kind) {
            let Some(target) = graph.node(&edge.to).map(id) else { continue };
            let targets = class.entry(edge.verb.clone()).or_insert_with(|| json!([]));
            if let Some(targets) = targets.as_array_mut().filter(|all| !all.contains(&json!(target))) {
                targets.push(target.into());
            }
        }
        Value::Object(class)
    };
    json!({"@context": context(), "@graph": graph.nodes.iter().map(class).collect::<Vec<_>>()})
}

fn id(node: &KindNode) -> String {
    format!("kind:{}/{}", node.api_version, node.kind)
}

fn context() -> Value {
    let relation = |verb: &str| json!({"@id": format!("orch:{verb}"), "@type": "@id"});
    json!({
        "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
        "orch": TERMS,
        "kind": KINDS,
        "label": "rdfs:label",
        "comment": "rdfs:comment",
        "apiVersion": "orch:apiVersion",
        "resource": "orch:resource",
        "namespaced": "orch:namespaced",
        "owns": relation("owns"),
        "selects": relation("selects"),
        "runsOn": relation("runsOn"),
        "references": relation("references"),
    })
}
