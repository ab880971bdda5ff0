//! `/openapi/v2`: the documents of `/openapi/v3` as one, in the words of OpenAPI 2.0 (Swagger), for clients that know no other.
//!
//! JSON only: the protobuf form is asked for by kubectl up to 1.26, and by later ones where it is not needed.

use serde_json::{Map, Value, json};

/// One document of many.
pub(super) fn document(documents: impl IntoIterator<Item = Value>) -> Value {
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    let mut info = Value::Null;
    for mut document in documents {
        info = document["info"].take();
        for (path, item) in fields(document["paths"].take()) {
            paths.insert(path, path_item(item));
        }
        for (name, definition) in fields(document["components"]["schemas"].take()) {
            definitions.insert(name, schema(definition));
        }
    }
    json!({"swagger": "2.0", "info": info, "paths": paths, "definitions": definitions})
}

fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn path_item(item: Value) -> Value {
    let converted = fields(item).into_iter().map(|(name, value)| match name.as_str() {
        "parameters" => (name, parameters(value)),
        _ => (name, operation(value)),
    });
    Value::Object(converted.collect())
}

fn parameters(list: Value) -> Value {
    let Value::Array(list) = list else { return list };
    let flat = list.into_iter().map(|parameter| {
        let mut parameter = fields(parameter);
        let schema = fields(parameter.remove("schema").unwrap_or_default());
        parameter.extend(schema);
        Value::Object(parameter)
    });
    flat.collect()
}

fn operation(operation: Value) -> Value {
    let mut out = fields(operation);
    let mut list = parameters(out.remove("parameters").unwrap_or_else(|| json!([])));
    if let Some(mut body) = out.remove("requestBody") {
        let content = fields(body["content"].take());
        let media_types: Vec<&String> = content.keys().collect();
        out.insert("consumes".into(), json!(media_types));
        let schema = content.values().next().map(|one| self::schema(one["schema"].clone()));
        let parameter = json!({"name": "body", "in": "body", "required": true, "schema": schema});
        if let Some(list) = list.as_array_mut() {
            list.push(parameter);
        }
    }
    out.insert("parameters".into(), list);
    out.insert("produces".into(), json!(["application/json", "application/yaml"]));
    let responses =
        fields(out.remove("responses").unwrap_or_default()).into_iter().map(|(code, mut response)| {
            let shown = response["content"]["application/json"]["schema"].take();
            (code, json!({"description": response["description"], "schema": schema(shown)}))
        });
    let responses: Map<String, Value> = responses.collect();
    out.insert("responses".into(), responses.into());
    out.into()
}

/// A schema without what OpenAPI 2.0 has no word for: what is left out, the server checks all the same.
fn schema(value: Value) -> Value {
    let mut out = Map::new();
    for (keyword, value) in fields(value) {
        match (keyword.as_str(), value) {
            ("nullable" | "anyOf" | "oneOf" | "not", _) => {}
            ("allOf", Value::Array(mut all)) if all.len() == 1 => out.extend(fields(schema(all.remove(0)))),
            ("allOf", Value::Array(all)) => {
                out.insert(keyword, all.into_iter().map(schema).collect());
            }
            ("$ref", Value::String(target)) => {
                out.insert(keyword, target.replace("#/components/schemas/", "#/definitions/").into());
            }
            ("properties", properties) => {
                let properties = fields(properties).into_iter().map(|(name, value)| (name, schema(value)));
                out.insert(keyword, Value::Object(properties.collect()));
            }
            ("items" | "additionalProperties", nested @ Value::Object(_)) => {
                out.insert(keyword, schema(nested));
            }
            (_, other) => {
                out.insert(keyword, other);
            }
        }
    }
    out.into()
}
