//! `explain`: what can be written into a manifest.

use std::process::ExitCode;

use clap::Parser;
use orch_api::schema::Type;

use super::output::{BAD, FAINT, GOOD, HEADING, paint, print};
use super::{Failure, Session, schema};

/// Show what a kind's fields mean, as the server documents them
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  orchctl explain workload
  orchctl explain pod.spec.containers.resources
  orchctl explain workload.spec --recursive")]
pub(super) struct Args {
    /// A kind, or a field of it: KIND.FIELD.FIELD
    #[arg(value_name = "KIND[.FIELD]")]
    path: String,
    /// Show the names of all fields below
    #[arg(long)]
    recursive: bool,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let (kind, field) = args.path.split_once('.').unwrap_or((&args.path, ""));
    let resource = session.discovery().await?.resolve(kind)?;
    let schema = match schema::published(session, resource).await {
        Ok(schema) => schema,
        // A server without OpenAPI still has the kinds that this program knows.
        Err(failure) => schema::built_in(&resource.api_version(), &resource.kind).ok_or(failure)?,
    };
    let Some(found) = schema.at(field) else {
        return Err(unknown_field(&schema, &resource.kind, field));
    };
    let group =
        if resource.group.is_empty() { String::new() } else { format!("GROUP:      {}\n", resource.group) };
    let head = format!("{group}KIND:       {}\nVERSION:    {}\n\n", resource.kind, resource.version);
    print(&format!("{head}{}", render(found, field, args.recursive)))?;
    Ok(ExitCode::SUCCESS)
}

fn unknown_field(schema: &orch_api::Schema, kind: &str, field: &str) -> Failure {
    let (parent, name) = field.rsplit_once('.').unwrap_or(("", field));
    let failure = Failure::new(format!("{kind} has no field {field:?}"));
    let Some(parent_type) = schema.at(parent) else { return failure };
    let names = parent_type.element().properties().map(|(name, _)| name).collect::<Vec<_>>();
    failure.hint(orch_api::schema::nearest(name, names).map(|meant| format!("did you mean {meant:?}?")))
}

fn render(found: Type<'_>, field: &str, recursive: bool) -> String {
    let mut text = String::new();
    if !field.is_empty() {
        let name = field.rsplit('.').next().unwrap_or(field);
        text.push_str(&format!(
            "FIELD:      {} {}\n\n",
            paint(Some(HEADING), name),
            paint(Some(GOOD), &type_name(found))
        ));
    }
    text.push_str("DESCRIPTION:\n");
    let description = found.node().description.as_deref().or(found.element().node().description.as_deref());
    text.push_str(&indent(description.unwrap_or("<empty>"), 4));
    text.push_str(&facts(found, 4));
    let inner = inner(found);
    if inner.properties().next().is_some() {
        text.push_str("\nFIELDS:\n");
        text.push_str(&fields(inner, recursive, 2, &mut Vec::new()));
    }
    text
}

/// What has the fields: of lists the items, of maps the entries.
fn inner(found: Type<'_>) -> Type<'_> {
    let element = found.element();
    match element.entries() {
        Some(entries) if element.properties().next().is_none() => entries.element(),
        _ => element,
    }
}

fn fields<'t>(
    of: Type<'t>,
    recursive: bool,
    depth: usize,
    above: &mut Vec<*const orch_api::schema::Node>,
) -> String {
    let mut text = String::new();
    above.push(of.node());
    for (name, field) in of.properties() {
        let required = if of.required.iter().any(|known| known == name) {
            paint(Some(BAD), " -required-")
        } else {
            String::new()
        };
        let pad = " ".repeat(depth);
        text.push_str(&format!(
            "{pad}{}\t{}{required}\n",
            paint(Some(HEADING), name),
            paint(Some(GOOD), &type_name(field))
        ));
        let below = inner(field);
        if !recursive {
            text.push_str(&indent(field.description.as_deref().unwrap_or("<no description>"), depth + 2));
            text.push_str(&facts(field, depth + 2));
            text.push('\n');
        } else if !above.iter().any(|seen| std::ptr::eq(*seen, below.node())) {
            text.push_str(&fields(below, recursive, depth + 2, above));
        }
    }
    above.pop();
    text
}

/// What else is known: the values that are allowed, the default, what is referred to.
fn facts(of: Type<'_>, depth: usize) -> String {
    let show =
        |values: &[serde_json::Value]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let element = of.element();
    let relations: Vec<String> =
        element.relations.iter().map(|relation| format!("{} {}", relation.verb, relation.target)).collect();
    let lines = [
        element.allowed.as_ref().map(|values| format!("One of: {}", show(values))),
        of.default.as_ref().filter(|value| !value.is_object()).map(|value| format!("Default: {value}")),
        (!relations.is_empty()).then(|| format!("Relation: {}", relations.join(" or "))),
    ];
    lines
        .into_iter()
        .flatten()
        .map(|line| format!("{}{}\n", " ".repeat(depth), paint(Some(FAINT), &line)))
        .collect()
}

/// `<string>`, `<[]Container>` is not known: schemas have shapes, not names.
fn type_name(of: Type<'_>) -> String {
    format!("<{}>", bare_type_name(of))
}

fn bare_type_name(of: Type<'_>) -> String {
    match (of.items(), of.entries()) {
        (Some(items), _) => format!("[]{}", bare_type_name(items)),
        (None, Some(entries)) if of.properties().next().is_none() => {
            format!("map[string]{}", bare_type_name(entries))
        }
        _ if of.type_name() == "object" => "Object".to_owned(),
        _ => of.type_name().to_owned(),
    }
}

fn indent(text: &str, depth: usize) -> String {
    const WIDTH: usize = 100;
    let pad = " ".repeat(depth);
    let mut lines = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && depth + line.len() + 1 + word.len() > WIDTH {
            lines.push_str(&format!("{pad}{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push_str(&format!("{pad}{line}\n"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use orch_api::Schema;
    use serde_json::json;

    use super::*;

    fn show(field: &str, recursive: bool) -> String {
        let schema = Schema::compile(&json!({
            "type": "object", "description": "A thing.", "required": ["spec"],
            "properties": {"spec": {"type": "object", "description": "What it is.", "properties": {
                "mode": {"type": "string", "enum": ["A", "B"], "default": "A", "description": "How."},
                "parts": {"type": "array", "items": {"$ref": "#/$defs/Part"}}}}},
            "$defs": {"Part": {"type": "object", "properties": {"labels": {"type": "object", "additionalProperties": {"type": "string"}}}}}
        }))
        .unwrap();
        anstream::adapter::strip_str(&render(schema.at(field).unwrap(), field, recursive)).to_string()
    }

    #[test]
    fn a_field_is_explained_with_the_fields_below() {
        assert_eq!(
            show("spec", false),
            "FIELD:      spec <Object>\n\nDESCRIPTION:\n    What it is.\n\nFIELDS:\n  \
             mode\t<string>\n    How.\n    One of: \"A\", \"B\"\n    Default: \"A\"\n\n  \
             parts\t<[]Object>\n    <no description>\n\n"
        );
    }

    #[test]
    fn all_fields_below_are_listed_when_asked() {
        assert_eq!(
            show("", true),
            "DESCRIPTION:\n    A thing.\n\nFIELDS:\n  spec\t<Object> -required-\n    mode\t<string>\n    parts\t<[]Object>\n      \
             labels\t<map[string]string>\n"
        );
    }
}
