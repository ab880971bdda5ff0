//! What is derived from the types and committed under `generated/`: schemas, the relation graph, a page to read.

use std::collections::BTreeMap;
use std::fmt::Write;

use orch_api::schema::{ListType, Node, RelationAt, Type};
use orch_api::{Kind, KindEntry, RelationGraph, Scope};
use serde_json::Value;

use crate::KINDS;

/// All derived files: paths below `generated/` and their content. `cargo xtask codegen` writes them; a test finds them
/// in step.
pub fn generated() -> BTreeMap<String, String> {
    let mut files: BTreeMap<String, String> =
        KINDS.iter().map(|entry| (schema_file(&entry.kind), pretty(&entry.document))).collect();
    // Plain data with string keys can always be written.
    let graph = serde_json::to_value(RelationGraph::of(KINDS.iter())).unwrap_or_default();
    files.insert("graph.json".to_owned(), pretty(&graph));
    files.insert("kinds.md".to_owned(), page(&KINDS));
    files
}

fn schema_file(kind: &Kind) -> String {
    let group = if kind.group.is_empty() { "core" } else { kind.group };
    format!("{group}_{}_{}.schema.json", kind.version, kind.name)
}

/// Keys in alphabetical order, whether or not `serde_json` was built to keep the order of insertion.
fn pretty(value: &Value) -> String {
    format!("{:#}\n", sorted(value))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<&String, &Value> = fields.iter().collect();
            fields.into_iter().map(|(name, field)| (name.clone(), sorted(field))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        scalar => scalar.clone(),
    }
}

fn page(kinds: &[KindEntry]) -> String {
    let mut page = String::from(
        "# Kinds\n\nEvery built-in kind, derived from the types in `ontology/src/` by `cargo xtask codegen`.\n",
    );
    for entry in kinds {
        let _ = write!(page, "\n{}", section(entry));
    }
    page
}

fn section(entry: &KindEntry) -> String {
    let kind = &entry.kind;
    let mut names = vec![kind.plural, kind.singular];
    names.extend(kind.short_names);
    let scope = match kind.scope {
        Scope::Cluster => "cluster",
        Scope::Namespaced => "namespace",
    };
    let mut text = format!("## {}\n\n", kind.name);
    let _ = writeln!(text, "{}\n", one_line(entry.schema.root()));
    let _ = writeln!(text, "- apiVersion: `{}`", kind.api_version());
    let _ = writeln!(text, "- names: `{}`", names.join("`, `"));
    let _ = writeln!(text, "- scope: {scope}");
    let subresources: Vec<&str> = kind
        .has_status
        .then_some("status")
        .into_iter()
        .chain(entry.subresources.iter().map(|s| s.name))
        .collect();
    if !subresources.is_empty() {
        let _ = writeln!(text, "- subresources: `{}`", subresources.join("`, `"));
    }
    if !entry.selectable.is_empty() {
        let _ = writeln!(text, "- field selectors: `{}`", entry.selectable.join("`, `"));
    }
    for owned in &entry.owns {
        let _ = writeln!(text, "- owns {}", owned.name);
    }
    for RelationAt { path, relation, templated } in entry.schema.relations() {
        let of_whom = if templated { ", for the pods it makes" } else { "" };
        let _ = writeln!(text, "- {} {} by `{path}`{of_whom}", relation.verb, relation.target);
    }
    text.push_str("\n| field | type | |\n|---|---|---|\n");
    for (name, ty) in entry.schema.root().properties().filter(|(name, _)| !is_common(name)) {
        rows(&mut text, name, ty, &mut Vec::new());
    }
    text
}

/// What all kinds share is not said again for each.
fn is_common(field: &str) -> bool {
    matches!(field, "apiVersion" | "kind" | "metadata")
}

/// The rows of a field and of what is below it. What a template holds is listed where it comes from, and a type that holds
/// itself is listed once.
fn rows<'a>(text: &mut String, path: &str, ty: Type<'a>, above: &mut Vec<&'a Node>) {
    let _ = writeln!(text, "| `{path}` | {} | {} |", type_name(ty), one_line(ty));
    if ty.element().node().relations.iter().any(|relation| relation.verb == "selects") {
        return;
    }
    if path.ends_with("template.spec") {
        return;
    }
    let below = ty.entries().filter(|entry| entry.properties().next().is_some());
    let (step, children) = match (ty.items(), below) {
        (Some(_), _) => ("[].", ty.element()),
        (None, Some(entry)) => (".*.", entry),
        (None, None) => (".", ty),
    };
    if above.iter().any(|node| std::ptr::eq(*node, children.node())) {
        return;
    }
    above.push(children.node());
    for (name, child) in children.properties() {
        if name != "metadata" {
            rows(text, &format!("{path}{step}{name}"), child, above);
        }
    }
    above.pop();
}

fn type_name(ty: Type<'_>) -> String {
    if let Some(items) = ty.items() {
        let keys = match &ty.node().list {
            ListType::Map(keys) => format!(" by {}", keys.join(", ")),
            ListType::Set => ", each once".to_owned(),
            ListType::Atomic => String::new(),
        };
        return format!("list of {}{keys}", type_name(items));
    }
    if let Some(entry) = ty.entries() {
        return format!("map of {}", type_name(entry));
    }
    let relations: Vec<String> =
        ty.node().relations.iter().map(|relation| format!("{} {}", relation.verb, relation.target)).collect();
    match &ty.node().allowed {
        _ if !relations.is_empty() => relations.join(" or "),
        Some(values) if values.len() > 1 => {
            let words: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
            words.join(" or ")
        }
        _ => ty.node().type_name().to_owned(),
    }
}

/// A description as one line of a table.
fn one_line(ty: Type<'_>) -> String {
    let text = ty.node().description.as_deref().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
