//! `kinds` and `explain`: what there is, and what can be written.

use orch_api::schema::{Type, nearest};
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde_json::{Value, json};

use super::args::{self, ArgKind, CURSOR, MAX_TOKENS, may, must};
use super::{Effect, Entry};
use crate::answer::Answer;
use crate::ask::Ask;
use crate::failure::{Code, Failure};

pub(super) const KINDS: Entry = Entry {
    name: "kinds",
    about: "List the kinds that the server serves.",
    effect: Effect::Reads,
    takes: &[may("match", ArgKind::Text, "part of a name or group"), MAX_TOKENS, CURSOR],
    gives: &[("kinds", "array"), ("cursor", "string")],
    run: |ask, arguments, _| Box::pin(kinds(ask, arguments)),
};

pub(super) const EXPLAIN: Entry = Entry {
    name: "explain",
    about: "Say what a kind or field means, the fields below it, and what it relates to.",
    effect: Effect::Reads,
    takes: &[must("path", ArgKind::Text, "workload.spec.update"), MAX_TOKENS, CURSOR],
    gives: &[("about", "string"), ("fields", "array"), ("cursor", "string")],
    run: |ask, arguments, _| Box::pin(explain(ask, arguments)),
};

/// How many dots the name of a kind with its group may have, and one.
const MOST_DOTS: usize = 10;

#[derive(Deserialize)]
struct Kinds {
    r#match: Option<String>,
}

async fn kinds(ask: &Ask, arguments: JsonObject) -> Result<Answer, Failure> {
    let wanted = args::read::<Kinds>(arguments)?.r#match.unwrap_or_default().to_lowercase();
    let resources = ask.discovery().await?.resources.iter();
    let matching = resources.filter(|resource| {
        let words = [&resource.kind, &resource.plural, &resource.group];
        words.iter().any(|word| word.to_lowercase().contains(&wanted))
    });
    let kinds = matching.map(|resource| {
        let mut kind = json!({"kind": resource.kind, "apiVersion": resource.api_version()});
        if !resource.namespaced {
            kind["namespaced"] = false.into();
        }
        if !resource.short_names.is_empty() {
            kind["short"] = resource.short_names.join(",").into();
        }
        kind
    });
    Ok(Answer::default().list("kinds", kinds.collect()))
}

#[derive(Deserialize)]
struct Explain {
    path: String,
}

async fn explain(ask: &Ask, arguments: JsonObject) -> Result<Answer, Failure> {
    let Explain { path } = args::read(arguments)?;
    let discovery = ask.discovery().await?;
    let (kind, field) = parted(&path, |word| discovery.resolve(word).is_ok());
    let resource = ask.kind(kind).await?;
    let schema = ask.schema(resource).await?;
    let Some(found) = schema.at(field) else { return Err(unknown_field(&schema, &resource.kind, field)) };
    let mut head = described(found);
    head["kind"] = resource.kind.clone().into();
    head["apiVersion"] = resource.api_version().into();
    let mut relations = Vec::new();
    if field.is_empty() {
        let edges = &ask.graph().await?.edges;
        let related = edges.iter().filter(|edge| edge.from == resource.kind && !edge.templated);
        let relation = |edge: &orch_api::RelationEdge| format!("{} {} {}", edge.verb, edge.to, edge.path);
        relations.extend(related.map(|edge| json!({"relation": relation(edge).trim()})));
    } else {
        head["field"] = field.into();
    }
    let below = inner(found);
    let fields = below.properties().map(|(name, field)| {
        let mut told = described(field);
        told["name"] = name.into();
        if below.required.iter().any(|required| required == name) {
            told["required"] = true.into();
        }
        told
    });
    Ok(Answer::of(head).list("fields", fields.chain(relations).collect()))
}

/// The kind and the field that a path names. Kinds may have a group with dots in it: the longest name that is one counts.
fn parted(path: &str, is_kind: impl Fn(&str) -> bool) -> (&str, &str) {
    let dots: Vec<usize> =
        path.match_indices('.').map(|(at, _)| at).chain([path.len()]).take(MOST_DOTS).collect();
    let longest = dots.iter().rev().find(|at| is_kind(&path[..**at])).or(dots.first());
    let at = longest.copied().unwrap_or(path.len());
    (&path[..at], path.get(at + 1..).unwrap_or_default())
}

/// Of lists the items, of maps the entries.
fn inner(found: Type<'_>) -> Type<'_> {
    let element = found.element();
    match element.entries() {
        Some(entries) if element.properties().next().is_none() => entries.element(),
        _ => element,
    }
}

fn described(found: Type<'_>) -> Value {
    let element = found.element();
    let mut told = json!({"type": type_name(found)});
    if let Some(about) = found.node().description.as_deref().or(element.node().description.as_deref()) {
        told["about"] = about.into();
    }
    if let Some(allowed) = &element.allowed {
        told["one_of"] = allowed.clone().into();
    }
    if let Some(default) = found.default.as_ref().filter(|default| !default.is_object()) {
        told["default"] = default.clone();
    }
    let relations = element.relations.iter().map(|relation| format!("{} {}", relation.verb, relation.target));
    let relations: Vec<String> = relations.collect();
    if !relations.is_empty() {
        told["relation"] = relations.join(" or ").into();
    }
    told
}

fn type_name(of: Type<'_>) -> String {
    match (of.items(), of.entries()) {
        (Some(items), _) => format!("[]{}", type_name(items)),
        (None, Some(entries)) if of.properties().next().is_none() => format!("map of {}", type_name(entries)),
        _ => of.type_name().to_owned(),
    }
}

fn unknown_field(schema: &orch_api::Schema, kind: &str, field: &str) -> Failure {
    let (parent, name) = field.rsplit_once('.').unwrap_or(("", field));
    let failure = Failure::new(Code::UnknownField, format!("{kind} has no field {field:?}"));
    let Some(parent) = schema.at(parent) else { return failure };
    let names: Vec<_> = inner(parent).properties().map(|(name, _)| name).collect();
    failure.meant(nearest(name, names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_of_a_kind_counts() {
        let is_kind = |word: &str| ["pod", "events", "events.events.k8s.io"].contains(&word);
        for (path, kind, field) in [
            ("pod", "pod", ""),
            ("pod.spec.nodeName", "pod", "spec.nodeName"),
            ("events.reason", "events", "reason"),
            ("events.events.k8s.io", "events.events.k8s.io", ""),
            ("events.events.k8s.io.reason", "events.events.k8s.io", "reason"),
            ("podd.spec.nodeName", "podd", "spec.nodeName"),
            ("podd", "podd", ""),
        ] {
            assert_eq!(parted(path, is_kind), (kind, field), "{path}");
        }
    }
}
