//! Objects as other clients want to see them: rows of a table, or metadata only.

use jiff::Timestamp;
use orch_api::{Object as _, Status};
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
            Some(other) => Err(Status::bad_request(format!("unrecognized includeObject value: {other:?}"))),
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
    let column = |name: &str, of: &str, format: &str, description: &str, priority: i32| json!({"name": name, "type": of, "format": format, "description": description, "priority": priority});
    let own = kind.entry.columns.iter().map(|c| column(c.name, c.cell_type, "", c.description, c.priority));
    let (narrow, wide): (Vec<_>, Vec<_>) = own.partition(|column| column["priority"] == 0);
    let name = column("Name", "string", "name", "The object's name, unique in its namespace.", 0);
    let age = column("Age", "string", "", "How long ago the object was made.", 0);
    [name].into_iter().chain(narrow).chain([age]).chain(wide).collect()
}

fn row(kind: &Served, object: &Value, include: Include, version: &str, now: Timestamp) -> Value {
    let cell = |wide: bool| {
        let columns = kind.entry.columns.iter().filter(move |column| (column.priority > 0) == wide);
        columns.map(|column| (column.cell)(object, now)).collect::<Vec<_>>()
    };
    let name = json!(object.name());
    let age = json!(age(object.text(&["metadata", "creationTimestamp"]), now));
    let cells: Vec<Value> = [name].into_iter().chain(cell(false)).chain([age]).chain(cell(true)).collect();
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

fn age(since: &str, now: Timestamp) -> String {
    match since.parse::<Timestamp>() {
        Ok(since) => human_duration(now.duration_since(since).as_secs()),
        Err(_) => "<unknown>".into(),
    }
}

/// How Kubernetes says a duration to people: two digits, at most two units.
fn human_duration(seconds: i64) -> String {
    let two = |major: i64, unit: &str, minor: i64, small: &str| match minor {
        0 => format!("{major}{unit}"),
        _ => format!("{major}{unit}{minor}{small}"),
    };
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        ..-1 => "<invalid>".into(),
        ..0 => "0s".into(),
        ..120 => format!("{seconds}s"),
        ..600 => two(minutes, "m", seconds % 60, "s"),
        ..10_800 => format!("{minutes}m"),
        ..28_800 => two(hours, "h", minutes % 60, "m"),
        ..172_800 => format!("{hours}h"),
        ..691_200 => two(days, "d", hours % 24, "h"),
        ..63_072_000 => format!("{days}d"),
        ..252_288_000 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_kubectl_prints_them() {
        let (minute, hour, day) = (60, 3600, 86_400);
        for (seconds, expected) in [
            (-5, "<invalid>"),
            (0, "0s"),
            (119, "119s"),
            (2 * minute, "2m"),
            (9 * minute + 5, "9m5s"),
            (179 * minute, "179m"),
            (3 * hour + 2 * minute, "3h2m"),
            (47 * hour, "47h"),
            (2 * day + hour, "2d1h"),
            (100 * day, "100d"),
            (800 * day, "2y70d"),
            (4000 * day, "10y"),
        ] {
            assert_eq!(human_duration(seconds), expected);
        }
    }
}
