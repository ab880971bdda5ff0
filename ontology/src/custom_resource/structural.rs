//! Which schemas are accepted: structural ones, in which each place in an object has exactly one schema that says its type.
//! Kubernetes' rules and words.

use std::collections::HashSet;

use orch_api::{FieldError, FieldPath};
use regex::Regex;
use serde_json::{Map, Value};

/// Where a schema stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Item,
    Field,
}

const JUNCTORS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const TYPES: [&str; 6] = ["array", "boolean", "integer", "number", "object", "string"];
const UNSUPPORTED: [&str; 6] =
    ["$ref", "id", "additionalItems", "patternProperties", "definitions", "dependencies"];

/// Everything that keeps a version's schema from being structural.
pub(super) fn check(schema: &Value, path: &FieldPath) -> Vec<FieldError> {
    let mut check = Check { errors: Vec::new() };
    check.schema(schema, path, Level::Root);
    check.errors
}

struct Check {
    errors: Vec<FieldError>,
}

fn text<'a>(schema: &'a Value, keyword: &str) -> &'a str {
    schema.get(keyword).and_then(Value::as_str).unwrap_or_default()
}

fn flag(schema: &Value, keyword: &str) -> bool {
    schema.get(keyword).and_then(Value::as_bool).unwrap_or_default()
}

fn fields<'a>(schema: &'a Value, keyword: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    schema.get(keyword).and_then(Value::as_object).into_iter().flatten()
}

fn list<'a>(schema: &'a Value, keyword: &str) -> &'a [Value] {
    schema.get(keyword).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

impl Check {
    fn forbid(&mut self, path: &FieldPath, why: &str) {
        self.errors.push(FieldError::forbidden(path, why));
    }

    fn invalid(&mut self, path: &FieldPath, value: impl Into<Value>, why: &str) {
        self.errors.push(FieldError::invalid(path, value, why));
    }

    fn require(&mut self, path: &FieldPath, why: &str) {
        self.errors.push(FieldError::required(path, why));
    }

    fn schema(&mut self, schema: &Value, path: &FieldPath, level: Level) {
        self.keywords(schema, path);
        self.type_of(schema, path, level);
        self.additional(schema, path, level);
        self.list_and_map_types(schema, path);
        self.metadata(schema, path, level);
        self.value_validation(schema, schema, path, level);
        match schema.get("items") {
            Some(Value::Array(_)) => {
                self.forbid(&path.child("items"), "items must be a schema object and not an array");
            }
            Some(items) => self.schema(items, &path.child("items"), Level::Item),
            None if text(schema, "type") == "array" => {
                self.require(&path.child("items"), "must be specified")
            }
            None => {}
        }
        for (name, property) in fields(schema, "properties") {
            self.schema(property, &path.child("properties").key(name), Level::Field);
        }
        if let Some(entries @ Value::Object(_)) = schema.get("additionalProperties") {
            self.schema(entries, &path.child("additionalProperties"), Level::Field);
        }
    }

    fn keywords(&mut self, schema: &Value, path: &FieldPath) {
        for keyword in UNSUPPORTED.iter().filter(|keyword| schema.get(**keyword).is_some()) {
            self.forbid(&path.child(keyword), &format!("{keyword} is not supported"));
        }
        if flag(schema, "uniqueItems") {
            let why = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
            self.forbid(&path.child("uniqueItems"), why);
        }
        if schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(false)) {
            let at = path.child("x-kubernetes-preserve-unknown-fields");
            self.invalid(&at, false, "must be true or undefined");
        }
        if flag(schema, "x-kubernetes-int-or-string") {
            for other in ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"] {
                if flag(schema, other) {
                    let why = "must be false if x-kubernetes-int-or-string is true";
                    self.invalid(&path.child(other), true, why);
                }
            }
        }
    }

    fn type_of(&mut self, schema: &Value, path: &FieldPath, level: Level) {
        let (at, of) = (path.child("type"), text(schema, "type"));
        let embedded = flag(schema, "x-kubernetes-embedded-resource");
        let open = flag(schema, "x-kubernetes-preserve-unknown-fields");
        let int_or_string = flag(schema, "x-kubernetes-int-or-string");
        match (of, level) {
            ("object", _) => {}
            ("", _) if embedded => self.require(&at, EMBEDDED),
            (of, _) if embedded => self.invalid(&at, of, EMBEDDED),
            ("", _) if open || int_or_string => {}
            ("", Level::Root) => self.require(&at, "must not be empty at the root"),
            ("", Level::Item) => self.require(&at, "must not be empty for specified array items"),
            ("", Level::Field) => self.require(&at, "must not be empty for specified object fields"),
            ("null", _) => self.forbid(&at, "type cannot be set to null, use nullable as an alternative"),
            (of, Level::Root) => self.invalid(&at, of, "must be object at the root"),
            (of, _) if !TYPES.contains(&of) => {
                self.errors.push(FieldError::not_supported(&at, of, &TYPES));
            }
            (of, _) if int_or_string => {
                self.invalid(&at, of, "must be empty if x-kubernetes-int-or-string is true");
            }
            _ => {}
        }
        if embedded && !open && fields(schema, "properties").next().is_none() {
            let why = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
            self.require(&path.child("properties"), why);
        }
    }

    fn additional(&mut self, schema: &Value, path: &FieldPath, level: Level) {
        let Some(additional) = schema.get("additionalProperties") else { return };
        let at = path.child("additionalProperties");
        if level == Level::Root {
            self.forbid(&at, "must not be used at the root");
        }
        if *additional == Value::Bool(false) {
            self.forbid(&at, "additionalProperties cannot be set to false");
        }
        if fields(schema, "properties").next().is_some() {
            self.forbid(&at, "additionalProperties and properties are mutual exclusive");
        }
        if flag(schema, "x-kubernetes-embedded-resource") {
            self.forbid(&at, "must not be used if x-kubernetes-embedded-resource is set");
        }
    }

    fn list_and_map_types(&mut self, schema: &Value, path: &FieldPath) {
        if let Some(map) = schema.get("x-kubernetes-map-type").and_then(Value::as_str) {
            let at = path.child("x-kubernetes-map-type");
            if !["atomic", "granular"].contains(&map) {
                self.errors.push(FieldError::not_supported(&at, map, &["atomic", "granular"]));
            }
            if text(schema, "type") != "object" {
                let why = "must be object if x-kubernetes-map-type is specified";
                self.invalid(&path.child("type"), text(schema, "type"), why);
            }
        }
        let keys = list(schema, "x-kubernetes-list-map-keys");
        let of = schema.get("x-kubernetes-list-type").and_then(Value::as_str);
        if !keys.is_empty() && of != Some("map") {
            let why = "must be map if x-kubernetes-list-map-keys is non-empty";
            self.invalid(&path.child("x-kubernetes-list-type"), of.unwrap_or_default(), why);
        }
        let Some(of) = of else { return };
        if text(schema, "type") != "array" {
            let why = "must be array if x-kubernetes-list-type is specified";
            self.invalid(&path.child("type"), text(schema, "type"), why);
        }
        match of {
            "atomic" => {}
            "set" => self.set(schema, path),
            "map" => self.map_list(schema, keys, path),
            other => {
                let at = path.child("x-kubernetes-list-type");
                self.errors.push(FieldError::not_supported(&at, other, &["atomic", "map", "set"]));
            }
        }
    }

    fn set(&mut self, schema: &Value, path: &FieldPath) {
        let Some(items) = schema.get("items").filter(|items| items.is_object()) else { return };
        if flag(items, "nullable") {
            let why = "cannot be nullable when x-kubernetes-list-type is set";
            self.forbid(&path.child("items").child("nullable"), why);
        }
        let atomic = match text(items, "type") {
            "array" => ["", "atomic"].contains(&text(items, "x-kubernetes-list-type")),
            "object" => text(items, "x-kubernetes-map-type") == "atomic",
            _ => true,
        };
        if !atomic {
            let which = if text(items, "type") == "array" { "list" } else { "map" };
            let keyword = format!("x-kubernetes-{which}-type");
            let why = "must be atomic as item of a list with x-kubernetes-list-type=set";
            self.invalid(&path.child("items").child(&keyword), text(items, &keyword), why);
        }
    }

    fn map_list(&mut self, schema: &Value, keys: &[Value], path: &FieldPath) {
        if keys.is_empty() {
            let at = path.child("x-kubernetes-list-map-keys");
            self.require(&at, "must not be empty if x-kubernetes-list-type is map");
        }
        let Some(items) = schema.get("items").filter(|items| items.is_object()) else { return };
        let at = path.child("items");
        if flag(items, "nullable") {
            self.forbid(&at.child("nullable"), "cannot be nullable when x-kubernetes-list-type is map");
        }
        if text(items, "type") != "object" {
            let why = "must be object if parent array's x-kubernetes-list-type is map";
            self.invalid(&at.child("type"), text(items, "type"), why);
        }
        let required: HashSet<&Value> = list(items, "required").iter().collect();
        for (index, key) in keys.iter().enumerate() {
            let name = key.as_str().unwrap_or_default();
            let Some(property) = items.get("properties").and_then(|properties| properties.get(name)) else {
                let at = path.child("x-kubernetes-list-map-keys").index(index);
                self.invalid(&at, name, "entries must all be names of item properties");
                continue;
            };
            let at = at.child("properties").key(name);
            if ["array", "object"].contains(&text(property, "type")) {
                self.invalid(
                    &at.child("type"),
                    text(property, "type"),
                    "must be a scalar type if parent array's x-kubernetes-list-type is map",
                );
            }
            if flag(property, "nullable") {
                self.forbid(&at.child("nullable"), "cannot be nullable when x-kubernetes-list-type is map");
            }
            if property.get("default").is_none() && !required.contains(key) {
                let why = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
                self.require(&at.child("default"), why);
            }
        }
        if keys.iter().collect::<HashSet<_>>().len() < keys.len() {
            let at = path.child("x-kubernetes-list-map-keys");
            self.invalid(&at, keys.to_vec(), "must not contain duplicate entries");
        }
    }

    /// What all objects share is not the schema's to say: of the metadata only the name may be restricted.
    fn metadata(&mut self, schema: &Value, path: &FieldPath, level: Level) {
        if level != Level::Root && !flag(schema, "x-kubernetes-embedded-resource") {
            return;
        }
        let Some(properties) = schema.get("properties") else { return };
        let at = |name: &str| path.child("properties").key(name);
        for name in ["kind", "apiVersion"] {
            if let Some(found) = properties.get(name).filter(|found| text(found, "type") != "string") {
                self.invalid(&at(name).child("type"), text(found, "type"), "must be string");
            }
        }
        let Some(metadata) = properties.get("metadata") else { return };
        if text(metadata, "type") != "object" {
            self.invalid(&at("metadata").child("type"), text(metadata, "type"), "must be object");
        }
        let harmless = |(keyword, value): (&String, &Value)| match keyword.as_str() {
            "type" | "description" | "default" => true,
            "properties" => value.as_object().is_some_and(|properties| {
                properties.keys().all(|name| name == "name" || name == "generateName")
            }),
            _ => false,
        };
        if level == Level::Root && !metadata.as_object().into_iter().flatten().all(harmless) {
            let why = "must not specify anything other than name and generateName, but metadata is implicitly specified";
            self.forbid(&at("metadata"), why);
        }
    }

    /// What restricts values: the pattern, and the alternatives, which may say nothing about what fields there are.
    /// `structure` is the schema that does.
    fn value_validation(&mut self, schema: &Value, structure: &Value, path: &FieldPath, level: Level) {
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
            && let Err(problem) = Regex::new(pattern)
        {
            let why = format!("must be a valid regular expression, but isn't: {problem}");
            self.invalid(&path.child("pattern"), pattern, &why);
        }
        for junctor in JUNCTORS {
            for (index, nested) in list(schema, junctor).iter().enumerate() {
                if !is_int_or_string(structure, junctor, nested) {
                    self.nested(nested, Some(structure), &path.child(junctor).index(index), level);
                }
            }
        }
        if let Some(not) = schema.get("not") {
            self.nested(not, Some(structure), &path.child("not"), level);
        }
    }

    fn nested(&mut self, nested: &Value, structure: Option<&Value>, path: &FieldPath, level: Level) {
        for (keyword, why) in FORBIDDEN_IN_ALTERNATIVES {
            let said = nested.get(*keyword).is_some_and(|value| *value != Value::Bool(false));
            if said {
                self.forbid(&path.child(keyword), why);
            }
        }
        self.value_validation(nested, structure.unwrap_or(&Value::Null), path, level);
        for (name, property) in fields(nested, "properties") {
            let at = path.child("properties").key(name);
            if name == "metadata" && level == Level::Root {
                self.forbid(&at, "must not be specified in a nested context");
                continue;
            }
            let known = structure.and_then(|structure| structure.get("properties")?.get(name));
            let open =
                structure.is_none_or(|structure| flag(structure, "x-kubernetes-preserve-unknown-fields"));
            if known.is_none() && !open {
                let why = format!("because it is defined in {}", path.as_str());
                self.require(&at, &why);
            }
            self.nested(property, known, &at, Level::Field);
        }
        if let Some(items) = nested.get("items") {
            let known = structure.and_then(|structure| structure.get("items"));
            self.nested(items, known, &path.child("items"), Level::Item);
        }
    }
}

const EMBEDDED: &str = "must be object if x-kubernetes-embedded-resource is true";

const FORBIDDEN_IN_ALTERNATIVES: &[(&str, &str)] = &[
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("externalDocs", "must be undefined to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
];

/// The one alternative of types that is allowed: an integer or a string, where the schema says so in its own way too.
fn is_int_or_string(structure: &Value, junctor: &str, nested: &Value) -> bool {
    let only_type = |schema: &Value| {
        schema.as_object().is_some_and(|schema: &Map<String, Value>| {
            schema.len() == 1 && schema.get("type").is_some_and(|of| of == "integer" || of == "string")
        })
    };
    if !flag(structure, "x-kubernetes-int-or-string") {
        return false;
    }
    match junctor {
        "anyOf" => only_type(nested),
        "allOf" => {
            list(nested, "anyOf").iter().all(only_type) && nested.as_object().is_some_and(|n| n.len() == 1)
        }
        _ => false,
    }
}
