//! [`JsonSchemaProps`]: a schema, as definitions write it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A schema in the words of OpenAPI v3 and of Kubernetes' extensions. Held as JSON: it is compiled, not computed with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonSchemaProps(pub Value);

/// Keywords with their JSON type and what they say.
const KEYWORDS: &[(&str, &str, &str)] = &[
    ("$ref", "string", "A reference. Not allowed in structural schemas."),
    ("$schema", "string", "The dialect of the schema."),
    ("description", "string", "What the value means, for people: `explain` prints it."),
    ("exclusiveMaximum", "boolean", "Whether `maximum` itself is too much."),
    ("exclusiveMinimum", "boolean", "Whether `minimum` itself is too little."),
    ("format", "string", "What a string or number must look like, such as `date-time` or `int32`."),
    ("id", "string", "A name of the schema."),
    ("maxItems", "integer", "The most items that a list may have."),
    ("maxLength", "integer", "The most characters that a string may have."),
    ("maxProperties", "integer", "The most fields that an object may have."),
    ("maximum", "number", "The largest number."),
    ("minItems", "integer", "The fewest items that a list may have."),
    ("minLength", "integer", "The fewest characters that a string may have."),
    ("minProperties", "integer", "The fewest fields that an object may have."),
    ("minimum", "number", "The smallest number."),
    ("multipleOf", "number", "What a number must be a multiple of."),
    ("nullable", "boolean", "Whether `null` is a value, rather than a way to say \"absent\"."),
    ("pattern", "string", "A regular expression that a string must match."),
    ("title", "string", "A title, for people."),
    ("type", "string", "`object`, `array`, `string`, `integer`, `number` or `boolean`."),
    ("uniqueItems", "boolean", "Not allowed to be true: use `x-kubernetes-list-type: set`."),
    (
        "x-kubernetes-embedded-resource",
        "boolean",
        "The value is an object with an apiVersion, a kind and metadata of its own.",
    ),
    ("x-kubernetes-int-or-string", "boolean", "The value is an integer or a string."),
    ("x-kubernetes-list-type", "string", "How a list merges: `atomic`, `set` or `map`."),
    ("x-kubernetes-map-type", "string", "How an object merges: `granular` or `atomic`."),
    ("x-kubernetes-preserve-unknown-fields", "boolean", "Fields that the schema does not know are kept."),
];

impl JsonSchema for JsonSchemaProps {
    fn schema_name() -> Cow<'static, str> {
        "JSONSchemaProps".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<Self>();
        let many = |what: &str| json!({"type": "array", "items": one, "description": what});
        let by_name =
            |what: &str| json!({"type": "object", "additionalProperties": one, "description": what});
        let any = |what: &str| json!({"description": what, "x-kubernetes-preserve-unknown-fields": true});
        let strings = |what: &str| json!({"type": "array", "items": {"type": "string"}, "description": what});
        let mut properties: serde_json::Map<String, Value> = KEYWORDS
            .iter()
            .map(|(name, of, what)| ((*name).to_owned(), json!({"type": of, "description": what})))
            .collect();
        for (name, schema) in [
            ("additionalItems", any("Not allowed in structural schemas.")),
            ("additionalProperties", any("The schema of all other fields: what makes an object a map.")),
            ("allOf", many("The value must fit all of these.")),
            ("anyOf", many("The value must fit one of these or more.")),
            ("default", any("The value of an absent field.")),
            ("definitions", by_name("Not allowed in structural schemas.")),
            ("dependencies", any("Not allowed in structural schemas.")),
            (
                "enum",
                json!({"type": "array", "items": {"x-kubernetes-preserve-unknown-fields": true},
                "description": "The values that are allowed."}),
            ),
            ("example", any("An example, for people.")),
            ("externalDocs", any("Where there is more to read.")),
            ("items", any("The schema of a list's items.")),
            ("not", json!({"allOf": [one], "description": "The value must not fit this."})),
            ("oneOf", many("The value must fit one of these and no other.")),
            ("patternProperties", by_name("Not allowed in structural schemas.")),
            ("properties", by_name("The fields of an object.")),
            ("required", strings("The fields that must be given.")),
            ("x-kubernetes-list-map-keys", strings("What tells the items of a list of type `map` apart.")),
            (
                "x-kubernetes-validations",
                json!({
                    "type": "array", "description": "Rules in CEL that the value must keep.",
                    "items": generator.subschema_for::<ValidationRule>(),
                    "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["rule"],
                }),
            ),
        ] {
            properties.insert(name.to_owned(), schema);
        }
        json_schema!({
            "type": "object", "additionalProperties": false, "properties": properties,
            "description": "A schema in the words of OpenAPI v3 and of Kubernetes' extensions.",
        })
    }
}

/// A rule that a value must keep.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidationRule {
    /// The rule in CEL, such as `self.min <= self.max`. A rule that names `oldSelf` is about changes.
    pub rule: String,
    /// What is said when the rule is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// An expression in CEL for what is said when the rule is broken. Wins over `message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_expression: Option<String>,
    /// `FieldValueInvalid`, `FieldValueForbidden`, `FieldValueRequired` or `FieldValueDuplicate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The field below the value that is at fault, such as `.replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_path: Option<String>,
    /// Whether a rule about changes is also asked of new values: `oldSelf` is then an optional.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional_old_self: Option<bool>,
}
