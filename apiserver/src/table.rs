//! Objects as other clients want to see them: rows of a table, or metadata only.

use jiff::Timestamp;
use orch_api::{Column, Status};
use serde_json::{Value, json};

use crate::kinds::Served;

/// What a row carries beside its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Include {
    /// Nothing.
    None,
    /// The object's metadata.
    Metadata,
    /// The object.
    Object,
}

impl Include {
    /// Reads `includeObject`.
    ///
    /// # Errors
    /// 400 for any other word.
    pub(crate) fn parse(pairs: &[(String, String)]) -> Result<Self, Status> {
        match pairs.iter().find(|(name, _)| name == "includeObject").map(|(_, value)| value.as_str()) {
            None | Some("" | "Metadata") => Ok(Self::Metadata),
            Some("None") => Ok(Self::None),
            Some("Object") => Ok(Self::Object),
            Some(other) => Err(Status::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: \
                 must be 'Metadata', 'Object', 'None', or empty"
            ))),
        }
    }
}

/// A `meta.k8s.io` table of some objects of a kind. `metadata` is the list's, or the object's own; `columns` may be left
/// out where the reader has them already.
pub(crate) fn table(
    kind: &Served,
    objects: &[Value],
    metadata: Value,
    include: Include,
    columns: bool,
    view: (&str, Timestamp),
) -> Value {
    let (version, now) = view;
    let rows: Vec<Value> = objects.iter().map(|object| row(kind, object, include, version, now)).collect();
    json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": metadata,
        "columnDefinitions": if columns { definitions(kind) } else { Vec::new() },
        "rows": rows,
    })
}

fn definitions(kind: &Served) -> Vec<Value> {
    let definition = |column: &Column| {
        let format = if column.name == "Name" { "name" } else { "" };
        json!({
            "name": column.name,
            "type": column.cell_type,
            "format": format,
            "description": column.description,
            "priority": column.priority,
        })
    };
    kind.entry.columns.iter().map(definition).collect()
}

fn row(kind: &Served, object: &Value, include: Include, version: &str, now: Timestamp) -> Value {
    let cells: Vec<Value> = kind.entry.columns.iter().map(|column| (column.cell)(object, now)).collect();
    match include {
        Include::None => json!({"cells": cells}),
        Include::Metadata => json!({"cells": cells, "object": partial(object, version)}),
        Include::Object => json!({"cells": cells, "object": object}),
    }
}

/// An object's metadata, as a kind of its own.
pub(crate) fn partial(object: &Value, version: &str) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": object["metadata"],
    })
}
