//! An object as text: generic over kinds, by the shapes that Kubernetes' objects have, and the schema where it is known.
//!
//! Objects are indented blocks, lists of named objects are blocks under their names, lists of conditions are tables, maps
//! keep their keys as they are, bytes are shown by their size, and what is empty is left out.

use jiff::Timestamp;
use orch_api::schema::Type;
use orch_api::{Object as _, Schema};
use serde_json::{Map, Value};

use super::lines::{Lines, indented};
use crate::ctl::output::table::Table;
use crate::ctl::output::{HEADING, age, paint, plain, plain_lines, style_of_state};

/// The whole object again, as `kubectl apply` keeps it.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The whole text about an object.
pub(super) fn render(object: &Value, schema: Option<&Schema>, now: Timestamp) -> String {
    let mut sections = Sections { now, lines: Lines::default() };
    sections.metadata(object);
    let fields = object.as_object().into_iter().flatten();
    for (name, value) in
        fields.filter(|(name, _)| !["apiVersion", "kind", "metadata"].contains(&name.as_str()))
    {
        sections.field(0, name, value, schema.and_then(|schema| schema.root().field(name)));
    }
    sections.lines.text()
}

/// The events about an object.
pub(super) fn events(events: &[Value], now: Timestamp) -> String {
    let heading = paint(Some(HEADING), "Events:");
    if events.is_empty() {
        return format!("{heading}  <none>\n");
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
    format!("{heading}\n{}", indented(&table.render(true), 1))
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

struct Sections {
    now: Timestamp,
    lines: Lines,
}

impl Sections {
    fn metadata(&mut self, object: &Value) {
        let metadata = &object["metadata"];
        self.text("Name", object.name());
        self.text("Namespace", object.namespace());
        self.pairs(0, "Labels", &metadata["labels"]);
        self.pairs(0, "Annotations", &metadata["annotations"]);
        self.text("API Version", object.api_version());
        self.text("Kind", object.kind());
        let owners = metadata["ownerReferences"].as_array().into_iter().flatten();
        for owner in owners.filter(|owner| owner["controller"] == true) {
            self.text("Controlled By", &format!("{}/{}", owner.text(&["kind"]), owner.text(&["name"])));
        }
        self.text("Created", &self.with_age(metadata.text(&["creationTimestamp"])));
        self.text("Terminating", &self.with_age(metadata.text(&["deletionTimestamp"])));
        let finalizers = metadata["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str);
        self.text("Finalizers", &finalizers.collect::<Vec<_>>().join(", "));
    }

    /// A label and a value on one line, whoever has written it.
    fn line(&mut self, depth: usize, label: &str, value: &str) {
        self.lines.field(depth, label, &plain(value));
    }

    fn text(&mut self, label: &str, value: &str) {
        if !value.is_empty() {
            self.line(0, label, value);
        }
    }

    /// A time and how long ago it was; of a time to come, the time alone.
    fn with_age(&self, timestamp: &str) -> String {
        match timestamp.parse::<Timestamp>() {
            Ok(at) if at <= self.now => format!("{timestamp} ({} ago)", age::since(timestamp, self.now)),
            _ => timestamp.to_owned(),
        }
    }

    /// A map from text to text in lines of `key=value`.
    fn pairs(&mut self, depth: usize, label: &str, map: &Value) {
        let empty = Map::new();
        let pairs = map.as_object().unwrap_or(&empty).iter().filter(|(key, _)| *key != LAST_APPLIED);
        let mut label = Some(label);
        for (key, value) in pairs {
            let text = format!("{key}={}", scalar(value));
            self.line(depth, label.take().unwrap_or_default(), text.trim_end());
        }
        if let Some(label) = label {
            self.line(depth, label, "<none>");
        }
    }

    fn fields(&mut self, depth: usize, value: &Value, ty: Option<Type<'_>>) {
        for (name, value) in value.as_object().into_iter().flatten() {
            self.field(depth, name, value, ty.and_then(|ty| ty.field(name)));
        }
    }

    fn field(&mut self, depth: usize, name: &str, value: &Value, ty: Option<Type<'_>>) {
        let label = title(name);
        match value {
            _ if is_empty(value) => {}
            Value::Array(items) if is_conditions(items) => self.conditions(depth, &label, items),
            Value::Array(items) if items.iter().any(Value::is_object) => match only_fields(items) {
                Some(texts) => self.line(depth, &label, &texts.join(" ")),
                None => {
                    self.lines.heading(depth, &label);
                    self.objects(depth + 1, items, ty.and_then(Type::items));
                }
            },
            Value::Array(items) => {
                self.line(depth, &label, &items.iter().map(scalar).collect::<Vec<_>>().join(" "));
            }
            Value::Object(_) => {
                match ty.filter(|ty| ty.properties().next().is_none()).and_then(Type::entries) {
                    Some(entry) => self.map(depth, &label, value, entry),
                    None => {
                        self.lines.heading(depth, &label);
                        self.fields(depth + 1, value, ty);
                    }
                }
            }
            Value::String(text) if text.trim_end().contains('\n') => self.block(depth, &label, text),
            Value::String(text) if text.parse::<Timestamp>().is_ok() => {
                self.line(depth, &label, &self.with_age(text));
            }
            Value::String(text) => {
                self.lines.field(depth, &label, &paint(style_of_state(text), &plain(&scalar(value))))
            }
            value => self.line(depth, &label, &scalar(value)),
        }
    }

    /// A map whose keys people choose.
    fn map(&mut self, depth: usize, label: &str, value: &Value, entry: Type<'_>) {
        self.lines.heading(depth, label);
        for (key, value) in value.as_object().into_iter().flatten() {
            match value {
                Value::String(text) if entry.format.as_deref() == Some("byte") => {
                    self.line(depth + 1, key, &format!("{} bytes", decoded_len(text)));
                }
                Value::String(text) if text.trim_end().contains('\n') => self.block(depth + 1, key, text),
                Value::Object(_) => {
                    self.lines.heading(depth + 1, key);
                    self.fields(depth + 2, value, Some(entry));
                }
                value => self.line(depth + 1, key, &scalar(value)),
            }
        }
    }

    fn block(&mut self, depth: usize, label: &str, text: &str) {
        self.lines.heading(depth, label);
        self.lines.raw(indented(&plain_lines(text.trim_end()), depth + 1));
    }

    /// Objects under their names or types where they have one, else under their number.
    fn objects(&mut self, depth: usize, items: &[Value], ty: Option<Type<'_>>) {
        for (index, item) in items.iter().enumerate() {
            let named_by = ["name", "type"].into_iter().find(|field| !item.text(&[field]).is_empty());
            let label =
                named_by.map_or_else(|| format!("#{}", index + 1), |field| item.text(&[field]).into());
            let rest = item.as_object().into_iter().flatten();
            let rest: Vec<_> = rest.filter(|(field, _)| Some(field.as_str()) != named_by).collect();
            if let [(field, Value::String(text))] = rest.as_slice()
                && ["value", "address"].contains(&field.as_str())
            {
                self.line(depth, &label, text);
                continue;
            }
            self.lines.heading(depth, &label);
            match rest.as_slice() {
                [(field, value)] if value.is_object() && has_sorts(ty) => {
                    self.sort(depth + 1, field, value, ty)
                }
                _ => rest.into_iter().for_each(|(field, value)| {
                    self.field(depth + 1, field, value, ty.and_then(|ty| ty.field(field)));
                }),
            }
        }
    }

    /// An object that says by its one field of what sort it is, as a volume does, which may be all that there is to say:
    /// `emptyDir: {}`.
    fn sort(&mut self, depth: usize, field: &str, value: &Value, ty: Option<Type<'_>>) {
        let ty = ty.and_then(|ty| ty.field(field));
        let about =
            ty.and_then(|ty| ty.node().description.as_deref()).map(first_sentence).unwrap_or_default();
        let about = if about.is_empty() { String::new() } else { format!(" ({about})") };
        self.line(depth, "Type", &format!("{}{about}", title(field).replace(' ', "")));
        self.fields(depth, value, ty);
    }

    fn conditions(&mut self, depth: usize, label: &str, items: &[Value]) {
        let mut table = Table::new(&["Type", "Status", "Age", "Reason", "Message"]);
        for condition in items {
            let age = age::since(condition.text(&["lastTransitionTime"]), self.now);
            let text = |name| condition.text(&[name]);
            let cells = [text("type"), text("status"), &age, text("reason"), text("message")];
            table.rows.push(cells.map(str::to_owned).to_vec());
        }
        self.lines.heading(depth, label);
        self.lines.raw(indented(&table.without_empty_columns().render(true), depth + 1));
    }
}

/// Whether an object says by one of several fields of what sort it is.
fn has_sorts(ty: Option<Type<'_>>) -> bool {
    let is_object = |ty: Type<'_>| ty.properties().next().is_some();
    ty.is_some_and(|ty| ty.properties().filter(|(_, property)| is_object(*property)).count() > 1)
}

/// What a field's description begins with, as it stands within another sentence.
fn first_sentence(description: &str) -> String {
    let sentence = description.split(". ").next().unwrap_or_default().trim_end_matches('.');
    let mut chars = sentence.chars();
    let first = chars.next().into_iter().flat_map(char::to_lowercase);
    first.chain(chars).collect::<String>().replace('\n', " ")
}

fn decoded_len(base64: &str) -> usize {
    let padding = base64.bytes().rev().take_while(|byte| *byte == b'=').count();
    (base64.len() / 4 * 3).saturating_sub(padding)
}

/// The texts of objects that have one field each and no other: `[{ip: a}, {ip: b}]`.
fn only_fields(items: &[Value]) -> Option<Vec<&str>> {
    let only = |item: &'_ Value| match item.as_object()?.iter().next()? {
        (_, Value::String(_)) if item.as_object()?.len() == 1 => Some(()),
        _ => None,
    };
    items.iter().map(only).collect::<Option<Vec<()>>>()?;
    Some(items.iter().filter_map(|item| item.as_object()?.values().next()?.as_str()).collect())
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.trim_end_matches('\n').to_owned(),
        other => other.to_string(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(Value::is_null),
        _ => false,
    }
}

fn is_conditions(items: &[Value]) -> bool {
    let is_condition = |item: &Value| !item.text(&["type"]).is_empty() && !item.text(&["status"]).is_empty();
    !items.is_empty() && items.iter().all(is_condition)
}

/// `restartPolicy` → `Restart Policy`, `dnsPolicy` → `DNS Policy`, `podIP` → `Pod IP`. Names that are not camel case stay
/// as they are.
fn title(name: &str) -> String {
    if !name.chars().all(char::is_alphanumeric) || !name.starts_with(char::is_lowercase) {
        return name.to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    let mut previous = ' ';
    for c in name.chars() {
        match words.last_mut().filter(|_| !c.is_uppercase() || previous.is_uppercase()) {
            Some(word) => word.push(c),
            None => words.push(c.into()),
        }
        previous = c;
    }
    words.iter().map(|word| capitalised(word)).collect::<Vec<_>>().join(" ")
}

fn capitalised(word: &str) -> String {
    const ABBREVIATIONS: [&str; 11] =
        ["API", "DNS", "ID", "IP", "OS", "PID", "QoS", "TLS", "UID", "URI", "URL"];
    if let Some(known) = ABBREVIATIONS.iter().find(|known| known.eq_ignore_ascii_case(word)) {
        return (*known).to_owned();
    }
    let mut chars = word.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect()
}

#[cfg(test)]
mod tests;
