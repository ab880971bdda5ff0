//! Values as Kubernetes shows them to rules.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube_cel::cel::Value;
use kube_cel::cel::objects::{Key, Map, OptionalValue};
use serde_json::Value as Json;

/// A variable of an expression: a JSON value, or nothing as far as optionals go.
#[derive(Debug, Clone)]
pub struct Variable<'a> {
    /// For the bound of the cost.
    pub(crate) json: Option<&'a Json>,
    value: Value,
}

impl<'a> Variable<'a> {
    /// A value, whose types are told by an OpenAPI schema as far as it says anything: strings of format `date-time`, `date`,
    /// `duration` and `byte` are times, durations and bytes. Cost: linear in the value.
    pub fn new(json: &'a Json, schema: &Json) -> Self {
        Self { json: Some(json), value: convert(json, schema) }
    }

    /// A value that may be absent: an `optional`.
    pub fn optional(json: Option<&'a Json>, schema: &Json) -> Self {
        let inner = match json {
            Some(json) => OptionalValue::of(convert(json, schema)),
            None => OptionalValue::none(),
        };
        Self { json, value: Value::Opaque(Arc::new(inner)) }
    }

    pub(crate) fn value(&self) -> Value {
        self.value.clone()
    }
}

fn convert(json: &Json, schema: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(so) => Value::Bool(*so),
        Json::Number(number) => match (number.as_i64(), schema.get("type").and_then(Json::as_str)) {
            // A number that happens to be whole is still a double.
            (Some(_), Some("number")) | (None, _) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            (Some(number), _) => Value::Int(number),
        },
        Json::String(text) => text_of(text, schema),
        Json::Array(items) => {
            let of = schema.get("items").unwrap_or(&Json::Null);
            Value::List(Arc::new(items.iter().map(|item| convert(item, of)).collect()))
        }
        Json::Object(fields) => {
            let properties = schema.get("properties");
            let entries = schema.get("additionalProperties").filter(|entries| entries.is_object());
            let field = |(name, value): (&String, &Json)| {
                // The keys of a map are data, not names.
                let key = if entries.is_some() { name.clone() } else { escape(name) };
                let of = properties.and_then(|properties| properties.get(name)).or(entries);
                (Key::String(Arc::new(key)), convert(value, of.unwrap_or(&Json::Null)))
            };
            Value::Map(Map { map: Arc::new(fields.iter().map(field).collect::<HashMap<_, _>>()) })
        }
    }
}

fn text_of(text: &str, schema: &Json) -> Value {
    let plain = || Value::String(Arc::new(text.to_owned()));
    match schema.get("format").and_then(Json::as_str) {
        Some("date-time") => {
            chrono::DateTime::parse_from_rfc3339(text).map_or_else(|_| plain(), Value::Timestamp)
        }
        Some("byte") => STANDARD.decode(text).map_or_else(|_| plain(), |bytes| Value::Bytes(Arc::new(bytes))),
        _ => plain(),
    }
}

/// The name under which rules see a field: `a-b` is `a__dash__b`, `in` is `__in__`.
pub fn escape(name: &str) -> String {
    if RESERVED.contains(&name) {
        return format!("__{name}__");
    }
    name.replace("__", "__underscores__")
        .replace('.', "__dot__")
        .replace('-', "__dash__")
        .replace('/', "__slash__")
}

const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];
