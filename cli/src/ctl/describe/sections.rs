//! An object as text: generic over kinds, by the shapes that Kubernetes' objects have.
//!
//! Maps are indented blocks, lists of named objects are blocks under their names, lists of conditions are tables, and
//! what is empty is left out.

use jiff::Timestamp;
use orch_api::Object as _;
use serde_json::{Map, Value};

use crate::ctl::output::table::Table;
use crate::ctl::output::{HEADING, age, paint, style_of_state};

/// The whole text about an object.
pub(super) fn render(
    object: &Value,
    secret_fields: &[String],
    events: &[Value],
    with_events: bool,
    now: Timestamp,
) -> String {
    let mut lines = Lines::new(now);
    metadata(&mut lines, object);
    let Some(fields) = object.as_object() else { return lines.text() };
    for (name, value) in
        fields.iter().filter(|(name, _)| !["apiVersion", "kind", "metadata"].contains(&name.as_str()))
    {
        if secret_fields.contains(name) {
            lines.field(0, name, &sizes(value));
        } else if name == "spec" || name == "status" {
            lines.section(name, value);
        } else {
            lines.field(0, name, value);
        }
    }
    let mut text = lines.text();
    if with_events {
        text.push_str(&events_section(events, now));
    }
    text
}

/// The time at which an event was last seen.
pub(super) fn last_seen(event: &Value) -> &str {
    let times = [
        event.text(&["series", "lastObservedTime"]),
        event.text(&["lastTimestamp"]),
        event.text(&["eventTime"]),
    ];
    times
        .into_iter()
        .find(|time| !time.is_empty())
        .unwrap_or_else(|| event.text(&["metadata", "creationTimestamp"]))
}

fn metadata(lines: &mut Lines, object: &Value) {
    let metadata = &object["metadata"];
    lines.text_field("Name", object.name());
    lines.text_field("Namespace", object.namespace());
    lines.pairs("Labels", &metadata["labels"]);
    lines.pairs("Annotations", &metadata["annotations"]);
    lines.text_field("API Version", object.api_version());
    lines.text_field("Kind", object.kind());
    let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
    for owner in owners.filter(|owner| owner["controller"] == true) {
        lines
            .text_field("Controlled By", &format!("{}/{}", owner.text(&["kind"]), owner.name_of_reference()));
    }
    lines.time_field("Created", metadata.text(&["creationTimestamp"]));
    lines.time_field("Terminating", metadata.text(&["deletionTimestamp"]));
    let finalizers = metadata["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str);
    lines.text_field("Finalizers", &finalizers.collect::<Vec<_>>().join(", "));
}

/// An owner reference has its name at the top, not in metadata.
trait Reference {
    fn name_of_reference(&self) -> &str;
}

impl Reference for Value {
    fn name_of_reference(&self) -> &str {
        self.text(&["name"])
    }
}

fn sizes(value: &Value) -> Value {
    let size = |text: &Value| {
        let encoded = text.as_str().unwrap_or_default();
        let padding = encoded.bytes().rev().take_while(|byte| *byte == b'=').count();
        Value::from(format!("{} bytes", encoded.len() / 4 * 3 - padding.min(2)))
    };
    let entries = value.as_object().into_iter().flatten().map(|(name, text)| (name.clone(), size(text)));
    Value::Object(entries.collect::<Map<_, _>>())
}

fn events_section(events: &[Value], now: Timestamp) -> String {
    if events.is_empty() {
        return format!("{}  <none>\n", paint(Some(HEADING), "Events:"));
    }
    let mut table = Table::new(&["Type", "Reason", "Age", "From", "Message"]);
    for event in events {
        let count = event["count"].as_i64().or_else(|| event["series"]["count"].as_i64()).unwrap_or(1);
        let last = age::since(last_seen(event), now);
        let first = age::since(event.text(&["firstTimestamp"]), now);
        let age = if count > 1 && !first.starts_with('<') {
            format!("{last} (x{count} over {first})")
        } else {
            last
        };
        let from = [event.text(&["source", "component"]), event.text(&["reportingComponent"])];
        let from = from.into_iter().find(|from| !from.is_empty()).unwrap_or_default();
        let row =
            [event.text(&["type"]), event.text(&["reason"]), &age, from, event.text(&["message"]).trim()];
        table.rows.push(row.map(str::to_owned).to_vec());
    }
    format!("{}\n{}", paint(Some(HEADING), "Events:"), indented(&table.render(true), 2))
}

fn indented(text: &str, depth: usize) -> String {
    text.lines().map(|line| format!("{}{line}\n", " ".repeat(depth))).collect()
}

/// Lines of a label and a value, aligned per block.
struct Lines {
    now: Timestamp,
    lines: Vec<Line>,
}

enum Line {
    Field { depth: usize, label: String, value: String },
    Raw(String),
}

impl Lines {
    fn new(now: Timestamp) -> Self {
        Self { now, lines: Vec::new() }
    }

    fn push(&mut self, depth: usize, label: impl Into<String>, value: impl Into<String>) {
        self.lines.push(Line::Field { depth, label: label.into(), value: value.into() });
    }

    fn text_field(&mut self, label: &str, value: &str) {
        if !value.is_empty() {
            self.push(0, label, value);
        }
    }

    fn time_field(&mut self, label: &str, timestamp: &str) {
        if !timestamp.is_empty() {
            let text = self.with_age(timestamp);
            self.push(0, label, text);
        }
    }

    /// A time and how long ago it was; of a time to come, the time alone.
    fn with_age(&self, timestamp: &str) -> String {
        match timestamp.parse::<Timestamp>() {
            Ok(at) if at <= self.now => format!("{timestamp} ({} ago)", age::since(timestamp, self.now)),
            _ => timestamp.to_owned(),
        }
    }

    fn pairs(&mut self, label: &str, map: &Value) {
        let empty = Map::new();
        let pairs = map.as_object().unwrap_or(&empty);
        if pairs.is_empty() {
            self.push(0, label, "<none>");
        }
        for (index, (key, value)) in pairs.iter().enumerate() {
            let label = if index == 0 { label } else { "" };
            self.push(0, label, format!("{key}={}", value.as_str().unwrap_or_default()));
        }
    }

    /// The fields of `spec` or `status`, with a heading of their own.
    fn section(&mut self, name: &str, value: &Value) {
        if !is_empty(value) {
            self.lines.push(Line::Raw(format!("{}\n", paint(Some(HEADING), &format!("{}:", title(name))))));
            self.fields(1, value);
        }
    }

    fn fields(&mut self, depth: usize, value: &Value) {
        for (name, value) in value.as_object().into_iter().flatten() {
            self.field(depth, name, value);
        }
    }

    fn field(&mut self, depth: usize, name: &str, value: &Value) {
        match value {
            _ if is_empty(value) => {}
            Value::Array(items) if is_conditions(items) => self.conditions(depth, name, items),
            Value::Array(items) if items.iter().any(Value::is_object) => self.objects(depth, name, items),
            Value::Array(items) => {
                let items = items.iter().map(scalar).collect::<Vec<_>>().join(" ");
                self.push(depth, title(name), items);
            }
            Value::Object(_) => {
                self.push(depth, title(name), "");
                self.fields(depth + 1, value);
            }
            Value::String(text) if text.trim_end().contains('\n') => {
                self.push(depth, title(name), "");
                self.lines.push(Line::Raw(indented(text.trim_end(), 2 * depth + 2)));
            }
            Value::String(text)
                if name.ends_with("Time") || name.ends_with("At") || name.ends_with("Timestamp") =>
            {
                let text = self.with_age(text);
                self.push(depth, title(name), text);
            }
            value => {
                let text = scalar(value);
                let style = style_of_state(&text).filter(|_| !matches!(value, Value::Number(_)));
                self.push(depth, title(name), paint(style, &text));
            }
        }
    }

    /// Objects under their names, where they have one; else behind a dash.
    fn objects(&mut self, depth: usize, name: &str, items: &[Value]) {
        self.push(depth, title(name), "");
        for (index, item) in items.iter().enumerate() {
            let own_name = item.text(&["name"]);
            let label = if own_name.is_empty() { format!("#{}", index + 1) } else { own_name.to_owned() };
            self.push(depth + 1, label, "");
            for (field, value) in item.as_object().into_iter().flatten().filter(|(field, _)| *field != "name")
            {
                self.field(depth + 2, field, value);
            }
        }
    }

    fn conditions(&mut self, depth: usize, name: &str, items: &[Value]) {
        self.push(depth, title(name), "");
        let mut table = Table::new(&["Type", "Status", "Age", "Reason", "Message"]);
        for condition in items {
            let age = age::since(condition.text(&["lastTransitionTime"]), self.now);
            let cells = [
                condition.text(&["type"]),
                condition.text(&["status"]),
                &age,
                condition.text(&["reason"]),
                condition.text(&["message"]),
            ];
            table.rows.push(cells.map(str::to_owned).to_vec());
        }
        self.lines.push(Line::Raw(indented(&table.render(true), 2 * depth + 2)));
    }

    fn text(&self) -> String {
        let width = |line: &Line| match line {
            Line::Field { depth, label, value } if !value.is_empty() => 2 * depth + label.chars().count() + 1,
            _ => 0,
        };
        let width = self.lines.iter().map(width).max().unwrap_or(0).min(40) + 1;
        let mut text = String::new();
        for line in &self.lines {
            match line {
                Line::Raw(raw) => text.push_str(raw),
                Line::Field { depth, label, value } => {
                    text.push_str(&field_line(*depth, label, value, width))
                }
            }
        }
        text
    }
}

fn field_line(depth: usize, label: &str, value: &str, width: usize) -> String {
    let label = if label.is_empty() { String::new() } else { format!("{label}:") };
    let indent = " ".repeat(2 * depth);
    let styled = paint(Some(HEADING).filter(|_| depth == 0 && !label.is_empty()), &label);
    if value.is_empty() {
        return format!("{indent}{styled}\n");
    }
    let pad = width.saturating_sub(2 * depth + label.chars().count()).max(1);
    format!("{indent}{styled}{}{value}\n", " ".repeat(pad))
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(|field| field.is_null()),
        _ => false,
    }
}

fn is_conditions(items: &[Value]) -> bool {
    !items.is_empty()
        && items.iter().all(|item| {
            item.get("type").is_some_and(Value::is_string) && item.get("status").is_some_and(Value::is_string)
        })
}

/// `restartPolicy` → `Restart Policy`, `podIP` → `Pod IP`. Names that are not camel case stay as they are.
fn title(name: &str) -> String {
    if !name.chars().all(char::is_alphanumeric) || !name.starts_with(char::is_lowercase) {
        return name.to_owned();
    }
    let mut title = String::new();
    let mut previous = ' ';
    for (index, c) in name.chars().enumerate() {
        if index == 0 {
            title.extend(c.to_uppercase());
        } else {
            if c.is_uppercase() && !previous.is_uppercase() {
                title.push(' ');
            }
            title.push(c);
        }
        previous = c;
    }
    title
}

#[cfg(test)]
mod tests;
