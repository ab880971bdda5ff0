//! Values as Kubernetes shows them to rules.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube_cel::cel::Value;
use kube_cel::cel::objects::{Key, Map, OptionalValue};
use serde_json::Value as Json;

use crate::authorizer::{self, Authority, Resource};

/// A variable of an expression: a JSON value, or nothing as far as optionals go.
#[derive(Debug, Clone)]
pub struct Variable<'a> {
    /// For the bound of the cost.
    pub(crate) json: Option<Cow<'a, Json>>,
    value: Value,
}

impl<'a> Variable<'a> {
    /// A value, whose types are told by an OpenAPI schema as far as it says anything: strings of format `date-time`, `date`,
    /// `duration` and `byte` are times, durations and bytes. Cost: linear in the value.
    pub fn new(json: &'a Json, schema: &Json) -> Self {
        Self { json: Some(Cow::Borrowed(json)), value: convert(json, schema) }
    }

    /// A value of which no schema is known, as policies see objects: names are as they are in the JSON, and nothing is a time
    /// or a duration. Cost: linear in the value.
    pub fn raw(json: impl Into<Cow<'a, Json>>) -> Self {
        let json = json.into();
        Self { value: raw(&json), json: Some(json) }
    }

    /// A value that may be absent: an `optional`.
    pub fn optional(json: Option<&'a Json>, schema: &Json) -> Self {
        let inner = match json {
            Some(json) => OptionalValue::of(convert(json, schema)),
            None => OptionalValue::none(),
        };
        Self { json: json.map(Cow::Borrowed), value: Value::Opaque(Arc::new(inner)) }
    }

    /// What `authorizer` is: rules ask it what the caller may do.
    pub fn authorizer(authority: Arc<dyn Authority>) -> Self {
        Self { json: None, value: authorizer::authorizer(authority) }
    }

    /// What `authorizer.requestResource` is: the same, about the objects of the request. Given to expressions under
    /// [`REQUEST_RESOURCE`](crate::REQUEST_RESOURCE).
    pub fn request_resource(authority: Arc<dyn Authority>, resource: Resource) -> Self {
        Self { json: None, value: authorizer::resource(authority, resource) }
    }

    pub(crate) fn value(&self) -> Value {
        self.value.clone()
    }
}

/// What an expression has evaluated to.
#[derive(Debug, Clone)]
pub struct Evaluated(pub(crate) Value);

/// Values that expressions have evaluated to, by name: the fields of a variable of other expressions.
#[derive(Debug, Clone)]
pub struct Computed {
    /// What the values are about as large as, for the bound of the cost.
    json: Json,
    values: HashMap<Key, Value>,
}

impl Default for Computed {
    fn default() -> Self {
        Self { json: Json::Object(serde_json::Map::new()), values: HashMap::new() }
    }
}

impl Computed {
    /// Adds a value.
    pub fn put(&mut self, name: &str, value: Evaluated) {
        self.json[name] = like(&value.0);
        self.values.insert(Key::String(Arc::new(name.to_owned())), value.0);
    }

    /// The variable whose fields the values are. Cost: linear in their number.
    pub fn variable(&self) -> Variable<'_> {
        let value = Value::Map(Map { map: Arc::new(self.values.clone()) });
        Variable { json: Some(Cow::Borrowed(&self.json)), value }
    }
}

/// JSON that is about as large as a value.
fn like(value: &Value) -> Json {
    match value {
        Value::String(text) => Json::String((**text).clone()),
        Value::Bytes(bytes) => Json::String("x".repeat(bytes.len())),
        Value::List(items) => items.iter().map(like).collect(),
        Value::Map(fields) => {
            let field = |(key, value): (&Key, &Value)| match key {
                Key::String(name) => ((**name).clone(), like(value)),
                other => (format!("{other:?}"), like(value)),
            };
            Json::Object(fields.map.iter().map(field).collect())
        }
        _ => Json::Null,
    }
}

fn raw(json: &Json) -> Value {
    match json {
        Json::Array(items) => Value::List(Arc::new(items.iter().map(raw).collect())),
        Json::Object(fields) => {
            let field = |(name, value): (&String, &Json)| (Key::String(Arc::new(name.clone())), raw(value));
            Value::Map(Map { map: Arc::new(fields.iter().map(field).collect::<HashMap<_, _>>()) })
        }
        scalar => convert(scalar, &Json::Null),
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
