//! `/openapi/v2` in protobuf: gnostic's messages of OpenAPI 2.0 (`openapi.v2`, `OpenAPIv2.proto`), as far as the documents made
//! here have fields for them. kubectl asks for nothing else when it checks what `/openapi/v3` has no schema of.

use prost::Message;
use serde_json::{Map, Value};

/// An OpenAPI 2.0 document in JSON as a message. Fields that the messages here do not have are left out.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    Document::of(document).encode_to_vec()
}

#[derive(Clone, PartialEq, Message)]
struct Document {
    #[prost(string, tag = "1")]
    swagger: String,
    #[prost(message, optional, tag = "2")]
    info: Option<Info>,
    #[prost(message, optional, tag = "8")]
    paths: Option<Paths>,
    #[prost(message, optional, tag = "9")]
    definitions: Option<Schemas>,
}

#[derive(Clone, PartialEq, Message)]
struct Info {
    #[prost(string, tag = "1")]
    title: String,
    #[prost(string, tag = "2")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct Paths {
    #[prost(message, repeated, tag = "2")]
    path: Vec<NamedPathItem>,
}

#[derive(Clone, PartialEq, Message)]
struct NamedPathItem {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<PathItem>,
}

#[derive(Clone, PartialEq, Message)]
struct PathItem {
    #[prost(message, optional, tag = "2")]
    get: Option<Operation>,
    #[prost(message, optional, tag = "3")]
    put: Option<Operation>,
    #[prost(message, optional, tag = "4")]
    post: Option<Operation>,
    #[prost(message, optional, tag = "5")]
    delete: Option<Operation>,
    #[prost(message, optional, tag = "8")]
    patch: Option<Operation>,
    #[prost(message, repeated, tag = "9")]
    parameters: Vec<ParametersItem>,
}

#[derive(Clone, PartialEq, Message)]
struct Operation {
    #[prost(string, repeated, tag = "6")]
    produces: Vec<String>,
    #[prost(string, repeated, tag = "7")]
    consumes: Vec<String>,
    #[prost(message, repeated, tag = "8")]
    parameters: Vec<ParametersItem>,
    #[prost(message, optional, tag = "9")]
    responses: Option<Responses>,
    #[prost(message, repeated, tag = "13")]
    vendor_extension: Vec<NamedAny>,
}

#[derive(Clone, PartialEq, Message)]
struct ParametersItem {
    #[prost(message, optional, tag = "1")]
    parameter: Option<Parameter>,
}

/// One of the two.
#[derive(Clone, PartialEq, Message)]
struct Parameter {
    #[prost(message, optional, tag = "1")]
    body: Option<BodyParameter>,
    #[prost(message, optional, tag = "2")]
    non_body: Option<NonBodyParameter>,
}

#[derive(Clone, PartialEq, Message)]
struct BodyParameter {
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    place: String,
    #[prost(bool, tag = "4")]
    required: bool,
    #[prost(message, optional, tag = "5")]
    schema: Option<Schema>,
}

#[derive(Clone, PartialEq, Message)]
struct NonBodyParameter {
    #[prost(message, optional, tag = "3")]
    query: Option<QueryParameter>,
    #[prost(message, optional, tag = "4")]
    path: Option<PathParameter>,
}

#[derive(Clone, PartialEq, Message)]
struct QueryParameter {
    #[prost(string, tag = "2")]
    place: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "6")]
    of: String,
    #[prost(bool, tag = "20")]
    unique_items: bool,
}

#[derive(Clone, PartialEq, Message)]
struct PathParameter {
    #[prost(bool, tag = "1")]
    required: bool,
    #[prost(string, tag = "2")]
    place: String,
    #[prost(string, tag = "4")]
    name: String,
    #[prost(string, tag = "5")]
    of: String,
    #[prost(bool, tag = "19")]
    unique_items: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Responses {
    #[prost(message, repeated, tag = "1")]
    response_code: Vec<NamedResponseValue>,
}

#[derive(Clone, PartialEq, Message)]
struct NamedResponseValue {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<ResponseValue>,
}

#[derive(Clone, PartialEq, Message)]
struct ResponseValue {
    #[prost(message, optional, tag = "1")]
    response: Option<Response>,
}

#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(string, tag = "1")]
    description: String,
    #[prost(message, optional, tag = "2")]
    schema: Option<SchemaItem>,
}

#[derive(Clone, PartialEq, Message)]
struct SchemaItem {
    #[prost(message, optional, tag = "1")]
    schema: Option<Schema>,
}

/// `Definitions`, `Properties`: schemas by name.
#[derive(Clone, PartialEq, Message)]
struct Schemas {
    #[prost(message, repeated, tag = "1")]
    additional_properties: Vec<NamedSchema>,
}

#[derive(Clone, PartialEq, Message)]
struct NamedSchema {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Schema>,
}

#[derive(Clone, PartialEq, Message)]
struct Schema {
    #[prost(string, tag = "1")]
    reference: String,
    #[prost(string, tag = "2")]
    format: String,
    #[prost(string, tag = "4")]
    description: String,
    #[prost(message, optional, tag = "5")]
    default: Option<Any>,
    #[prost(double, tag = "7")]
    maximum: f64,
    #[prost(bool, tag = "8")]
    exclusive_maximum: bool,
    #[prost(double, tag = "9")]
    minimum: f64,
    #[prost(bool, tag = "10")]
    exclusive_minimum: bool,
    #[prost(int64, tag = "11")]
    max_length: i64,
    #[prost(int64, tag = "12")]
    min_length: i64,
    #[prost(string, tag = "13")]
    pattern: String,
    #[prost(int64, tag = "14")]
    max_items: i64,
    #[prost(int64, tag = "15")]
    min_items: i64,
    #[prost(bool, tag = "16")]
    unique_items: bool,
    #[prost(string, repeated, tag = "19")]
    required: Vec<String>,
    #[prost(message, repeated, tag = "20")]
    values: Vec<Any>,
    #[prost(message, optional, boxed, tag = "21")]
    additional_properties: Option<Box<AdditionalProperties>>,
    #[prost(message, optional, tag = "22")]
    of: Option<Strings>,
    #[prost(message, optional, tag = "23")]
    items: Option<Items>,
    #[prost(message, repeated, tag = "24")]
    all_of: Vec<Schema>,
    #[prost(message, optional, tag = "25")]
    properties: Option<Schemas>,
    #[prost(message, repeated, tag = "31")]
    vendor_extension: Vec<NamedAny>,
}

#[derive(Clone, PartialEq, Message)]
struct AdditionalProperties {
    #[prost(message, optional, boxed, tag = "1")]
    schema: Option<Box<Schema>>,
}

#[derive(Clone, PartialEq, Message)]
struct Strings {
    #[prost(string, repeated, tag = "1")]
    value: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct Items {
    #[prost(message, repeated, tag = "1")]
    schema: Vec<Schema>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "2")]
    yaml: String,
}

#[derive(Clone, PartialEq, Message)]
struct NamedAny {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value: Option<Any>,
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn flag(value: &Value, name: &str) -> bool {
    value[name].as_bool().unwrap_or_default()
}

fn list<T>(value: &Value, of: impl Fn(&Value) -> T) -> Vec<T> {
    value.as_array().into_iter().flatten().map(of).collect()
}

fn strings(value: &Value) -> Vec<String> {
    list(value, |text| text.as_str().unwrap_or_default().to_owned())
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// What a message has no field for, if it may be there: `x-…`.
fn extensions(value: &Value) -> Vec<NamedAny> {
    let extensions = fields(value).filter(|(name, _)| name.starts_with("x-"));
    extensions.map(|(name, value)| NamedAny { name: name.clone(), value: Some(Any::of(value)) }).collect()
}

impl Any {
    /// JSON is YAML.
    fn of(value: &Value) -> Self {
        Self { yaml: value.to_string() }
    }
}

impl Document {
    fn of(document: &Value) -> Self {
        let info = &document["info"];
        let paths = fields(&document["paths"])
            .map(|(name, item)| NamedPathItem { name: name.clone(), value: Some(PathItem::of(item)) });
        Self {
            swagger: text(document, "swagger"),
            info: Some(Info { title: text(info, "title"), version: text(info, "version") }),
            paths: Some(Paths { path: paths.collect() }),
            definitions: Some(Schemas::of(&document["definitions"])),
        }
    }
}

impl PathItem {
    fn of(item: &Value) -> Self {
        let operation = |verb: &str| item.get(verb).map(Operation::of);
        Self {
            get: operation("get"),
            put: operation("put"),
            post: operation("post"),
            delete: operation("delete"),
            patch: operation("patch"),
            parameters: list(&item["parameters"], ParametersItem::of),
        }
    }
}

impl Operation {
    fn of(operation: &Value) -> Self {
        let responses = fields(&operation["responses"]).map(|(code, response)| NamedResponseValue {
            name: code.clone(),
            value: Some(ResponseValue { response: Some(Response::of(response)) }),
        });
        Self {
            produces: strings(&operation["produces"]),
            consumes: strings(&operation["consumes"]),
            parameters: list(&operation["parameters"], ParametersItem::of),
            responses: Some(Responses { response_code: responses.collect() }),
            vendor_extension: extensions(operation),
        }
    }
}

impl ParametersItem {
    fn of(parameter: &Value) -> Self {
        let (name, place) = (text(parameter, "name"), text(parameter, "in"));
        let (of, required) = (text(parameter, "type"), flag(parameter, "required"));
        let unique_items = flag(parameter, "uniqueItems");
        let parameter = match place.as_str() {
            "body" => {
                let schema = Some(Schema::of(&parameter["schema"]));
                Parameter { body: Some(BodyParameter { name, place, required, schema }), non_body: None }
            }
            "path" => {
                let path = Some(PathParameter { required, place, name, of, unique_items });
                Parameter { body: None, non_body: Some(NonBodyParameter { query: None, path }) }
            }
            _ => {
                let query = Some(QueryParameter { place, name, of, unique_items });
                Parameter { body: None, non_body: Some(NonBodyParameter { query, path: None }) }
            }
        };
        Self { parameter: Some(parameter) }
    }
}

impl Response {
    fn of(response: &Value) -> Self {
        let schema = response.get("schema").map(|schema| SchemaItem { schema: Some(Schema::of(schema)) });
        Self { description: text(response, "description"), schema }
    }
}

impl Schemas {
    fn of(schemas: &Value) -> Self {
        let named = fields(schemas)
            .map(|(name, schema)| NamedSchema { name: name.clone(), value: Some(Schema::of(schema)) });
        Self { additional_properties: named.collect() }
    }
}

impl Schema {
    fn of(schema: &Value) -> Self {
        let float = |name: &str| schema[name].as_f64().unwrap_or_default();
        let int = |name: &str| schema[name].as_i64().unwrap_or_default();
        let object = |name: &str| schema.get(name).filter(|value| value.is_object());
        Self {
            reference: text(schema, "$ref"),
            format: text(schema, "format"),
            description: text(schema, "description"),
            default: schema.get("default").map(Any::of),
            maximum: float("maximum"),
            exclusive_maximum: flag(schema, "exclusiveMaximum"),
            minimum: float("minimum"),
            exclusive_minimum: flag(schema, "exclusiveMinimum"),
            max_length: int("maxLength"),
            min_length: int("minLength"),
            pattern: text(schema, "pattern"),
            max_items: int("maxItems"),
            min_items: int("minItems"),
            unique_items: flag(schema, "uniqueItems"),
            required: strings(&schema["required"]),
            values: list(&schema["enum"], Any::of),
            additional_properties: object("additionalProperties")
                .map(|nested| Box::new(AdditionalProperties { schema: Some(Box::new(Self::of(nested))) })),
            of: schema["type"].as_str().map(|name| Strings { value: vec![name.to_owned()] }),
            items: object("items").map(|items| Items { schema: vec![Self::of(items)] }),
            all_of: list(&schema["allOf"], Self::of),
            properties: object("properties").map(Schemas::of),
            vendor_extension: extensions(schema),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The fields of a message as numbers and bytes, read without the types above.
    fn raw(mut bytes: &[u8]) -> Vec<(u64, Vec<u8>)> {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = prost::decode_length_delimiter(&mut bytes).unwrap();
            let length = match key & 7 {
                0 => {
                    let value = prost::decode_length_delimiter(&mut bytes).unwrap();
                    fields.push(((key >> 3) as u64, vec![u8::try_from(value).unwrap()]));
                    continue;
                }
                1 => 8,
                _ => prost::decode_length_delimiter(&mut bytes).unwrap(),
            };
            let (value, rest) = bytes.split_at(length);
            fields.push(((key >> 3) as u64, value.to_vec()));
            bytes = rest;
        }
        fields
    }

    fn at(bytes: &[u8], path: &[u64]) -> Vec<u8> {
        path.iter().fold(bytes.to_vec(), |bytes, number| {
            raw(&bytes).into_iter().find(|(found, _)| found == number).unwrap().1
        })
    }

    #[test]
    fn fields_have_gnostic_s_numbers() {
        let schema = json!({
            "type": "object", "description": "A boat.", "required": ["size"], "x-kubernetes-group-version-kind": [{"kind": "Boat"}],
            "properties": {"size": {"type": "integer", "format": "int64", "minimum": 1.0, "enum": [7], "default": 7}},
        });
        let bytes = encode(
            &json!({"swagger": "2.0", "info": {"title": "Orch", "version": "1"}, "definitions": {"Boat": schema}}),
        );
        assert_eq!(at(&bytes, &[1]), b"2.0");
        assert_eq!(at(&bytes, &[2, 2]), b"1");
        assert_eq!(at(&bytes, &[9, 1, 1]), b"Boat");
        let boat = at(&bytes, &[9, 1, 2]);
        assert_eq!(at(&boat, &[4]), b"A boat.");
        assert_eq!(at(&boat, &[19]), b"size");
        assert_eq!(at(&boat, &[22, 1]), b"object");
        assert_eq!(at(&boat, &[31, 1]), b"x-kubernetes-group-version-kind");
        assert_eq!(at(&boat, &[31, 2, 2]), b"[{\"kind\":\"Boat\"}]");
        assert_eq!(at(&boat, &[25, 1, 1]), b"size");
        let size = at(&boat, &[25, 1, 2]);
        assert_eq!(at(&size, &[2]), b"int64");
        assert_eq!(at(&size, &[9]), 1f64.to_le_bytes());
        assert_eq!((at(&size, &[20, 2]), at(&size, &[5, 2])), (b"7".to_vec(), b"7".to_vec()));
    }

    #[test]
    fn operations_have_their_parameters_by_place() {
        let operation = json!({
            "consumes": ["application/json"],
            "parameters": [
                {"name": "dryRun", "in": "query", "type": "string", "uniqueItems": true},
                {"name": "body", "in": "body", "required": true, "schema": {"$ref": "#/definitions/Boat"}},
            ],
            "responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/Boat"}}},
            "x-kubernetes-action": "post",
        });
        let path = json!({"post": operation, "parameters": [{"name": "namespace", "in": "path", "required": true, "type": "string"}]});
        let bytes = encode(&json!({"swagger": "2.0", "paths": {"/boats": path}}));
        let item = at(&bytes, &[8, 2, 2]);
        assert_eq!(at(&item, &[9, 1, 2, 4, 4]), b"namespace");
        let post = at(&item, &[4]);
        assert_eq!(at(&post, &[7]), b"application/json");
        assert_eq!(at(&post, &[8, 1, 2, 3, 4]), b"dryRun");
        let body = &raw(&post).into_iter().filter(|(number, _)| *number == 8).nth(1).unwrap().1;
        assert_eq!(at(body, &[1, 1, 5, 1]), b"#/definitions/Boat");
        assert_eq!(at(&post, &[9, 1, 2, 1, 2, 1, 1]), b"#/definitions/Boat");
        assert_eq!(at(&post, &[13, 2, 2]), b"\"post\"");
    }
}
