//! What tools take: one table, from which the schema is published and by which arguments are checked.

use orch_api::JsonPath;
use rmcp::model::JsonObject;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// The longest path to a field that is read.
const LONGEST_PATH_BYTES: usize = 1_024;

/// An argument.
pub(super) struct Arg {
    pub(super) name: &'static str,
    pub(super) kind: ArgKind,
    pub(super) required: bool,
    /// What it is; empty where the name says it.
    pub(super) about: &'static str,
}

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ArgKind {
    Text,
    Texts,
    Flag,
    Number,
    Objects,
    One(&'static [&'static str]),
}

pub(super) const fn must(name: &'static str, kind: ArgKind, about: &'static str) -> Arg {
    Arg { name, kind, required: true, about }
}

pub(super) const fn may(name: &'static str, kind: ArgKind, about: &'static str) -> Arg {
    Arg { name, kind, required: false, about }
}

pub(super) const MAX_TOKENS: Arg = may("max_tokens", ArgKind::Number, "");
pub(super) const CURSOR: Arg = may("cursor", ArgKind::Text, "");
pub(super) const NAMESPACE: Arg = may("namespace", ArgKind::Text, "");
pub(super) const REASON: Arg = may("reason", ArgKind::Text, "");

pub(super) fn input_schema(takes: &[Arg]) -> JsonObject {
    let property = |arg: &Arg| {
        let mut schema = match arg.kind {
            ArgKind::Text => json!({"type": "string"}),
            ArgKind::Texts => json!({"type": "array", "items": {"type": "string"}}),
            ArgKind::Flag => json!({"type": "boolean"}),
            ArgKind::Number => json!({"type": "integer", "minimum": 0}),
            ArgKind::Objects => json!({"type": "array", "items": {"type": "object"}}),
            ArgKind::One(words) => json!({"enum": words}),
        };
        if !arg.about.is_empty() {
            schema["description"] = arg.about.into();
        }
        (arg.name.to_owned(), schema)
    };
    let properties: Map<String, Value> = takes.iter().map(property).collect();
    let required: Vec<_> = takes.iter().filter(|arg| arg.required).map(|arg| arg.name).collect();
    let mut schema = JsonObject::new();
    schema.insert("type".into(), "object".into());
    schema.insert("properties".into(), properties.into());
    if !required.is_empty() {
        schema.insert("required".into(), json!(required));
    }
    schema.insert("additionalProperties".into(), false.into());
    schema
}

pub(super) fn output_schema(gives: &[(&str, &str)]) -> JsonObject {
    let properties: Map<String, Value> =
        gives.iter().map(|(name, kind)| ((*name).to_owned(), json!({"type": kind}))).collect();
    JsonObject::from_iter([
        ("type".to_owned(), "object".into()),
        ("properties".to_owned(), properties.into()),
    ])
}

/// Refuses arguments that are missing, unknown or of the wrong type. Whole numbers are written as such: `4000.0` is one, too.
pub(super) fn check(takes: &[Arg], arguments: &mut JsonObject) -> Result<(), Failure> {
    for (name, value) in arguments.iter_mut() {
        let Some(arg) = takes.iter().find(|arg| arg.name == name) else {
            let meant = orch_api::schema::nearest(name, takes.iter().map(|arg| arg.name));
            return Err(Failure::argument(format!("there is no argument {name:?}")).meant(meant));
        };
        let is_left_out = value.is_null() && !arg.required;
        if !is_left_out && !arg.kind.takes(value) {
            return Err(Failure::argument(format!("{name:?} must be {}", arg.kind.described())));
        }
        if let (ArgKind::Number, Some(number)) = (arg.kind, whole(value)) {
            *value = number.into();
        }
    }
    match takes.iter().find(|arg| arg.required && !arguments.contains_key(arg.name)) {
        Some(missing) => {
            Err(Failure::argument(format!("{:?} is missing: {}", missing.name, missing.kind.described())))
        }
        None => Ok(()),
    }
}

/// A whole number that is not negative, however it is written.
pub(super) fn whole(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|float| float.fract() == 0.0 && (0.0..9e15).contains(float));
    value.as_u64().or_else(|| Some(float()? as u64))
}

/// The arguments as a type; they have been checked.
pub(super) fn read<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, Failure> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| Failure::argument(error.to_string()))
}

/// A path to fields, with or without braces around it.
pub(super) fn path(text: &str) -> Result<JsonPath, Failure> {
    if text.len() > LONGEST_PATH_BYTES {
        let message = format!("a path has {} bytes; {LONGEST_PATH_BYTES} is the most", text.len());
        return Err(Failure::argument(message));
    }
    let bare = text.trim().trim_start_matches('{').trim_end_matches('}');
    JsonPath::parse(bare).map_err(|problem| {
        Failure::argument(problem).fix("write a path such as status.phase or spec.containers[*].image")
    })
}

impl ArgKind {
    fn takes(self, value: &Value) -> bool {
        let all = |value: &Value, fits: fn(&Value) -> bool| {
            value.as_array().is_some_and(|all| all.iter().all(fits))
        };
        match self {
            Self::Text => value.is_string(),
            Self::Texts => all(value, Value::is_string),
            Self::Flag => value.is_boolean(),
            Self::Number => whole(value).is_some(),
            Self::Objects => all(value, Value::is_object),
            Self::One(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        }
    }

    fn described(self) -> String {
        match self {
            Self::Text => "a string".into(),
            Self::Texts => "a list of strings".into(),
            Self::Flag => "true or false".into(),
            Self::Number => "a whole number, not negative".into(),
            Self::Objects => "a list of objects".into(),
            Self::One(words) => format!("one of {}", words.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_if_they_are_no_longer_than_paths_are() {
        assert_eq!(path(" {.status.phase} ").unwrap(), JsonPath::parse("status.phase").unwrap());
        assert!(path(&"a".repeat(1_025)).unwrap_err().message.contains("1025 bytes"));
        assert!(path(&format!("{}a{}", "[?(@.".repeat(90), ")]".repeat(90))).is_err());
    }

    const TAKES: &[Arg] = &[must("kind", ArgKind::Text, ""), may("fields", ArgKind::Texts, ""), MAX_TOKENS];

    fn checked(arguments: Value) -> Result<(), String> {
        let Value::Object(mut arguments) = arguments else { panic!("not an object") };
        check(TAKES, &mut arguments).map_err(|failure| failure.to_value()["error"].to_string())
    }

    #[test]
    fn whole_numbers_are_taken_as_json_schema_has_them() {
        let mut arguments =
            JsonObject::from_iter([("kind".into(), "Pod".into()), ("max_tokens".into(), json!(4000.0))]);
        check(TAKES, &mut arguments).unwrap();
        assert_eq!(arguments["max_tokens"].as_u64(), Some(4_000));
        let published = input_schema(TAKES);
        assert_eq!(published["properties"]["max_tokens"]["minimum"], 0);
        assert_eq!(published["additionalProperties"], false);
    }

    #[test]
    fn arguments_are_taken_as_they_are_published() {
        assert_eq!(checked(json!({"kind": "Pod", "fields": ["a"], "max_tokens": 3})), Ok(()));
        assert_eq!(checked(json!({"kind": "Pod", "fields": null})), Ok(()));
        for (wrong, said) in [
            (json!({}), "\\\"kind\\\" is missing"),
            (json!({"kind": null}), "must be a string"),
            (json!({"kind": "Pod", "fields": "a"}), "a list of strings"),
            (json!({"kind": "Pod", "max_tokens": -1}), "a whole number"),
            (json!({"kind": "Pod", "max_tokens": 4.5}), "a whole number"),
            (json!({"kind": "Pod", "max_tokens": 1e300}), "a whole number"),
            (json!({"kind": "Pod", "feilds": []}), "did you mean \\\"fields\\\"?"),
        ] {
            let refused = checked(wrong).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
