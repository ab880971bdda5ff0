use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::*;
use crate::{FieldError, LabelSelector, Quantity};

/// A kind with one field of every sort that the ontology uses.
#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
struct Widget {
    /// What should be.
    spec: Spec,
    status: Option<Status>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Spec {
    /// How many.
    #[schemars(range(min = 0))]
    replicas: Option<i32>,
    template: Template,
    #[serde(default)]
    selector: Option<LabelSelector>,
    update: Option<Update>,
    #[serde(default)]
    restart: Restart,
}

#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
struct Template {
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    containers: Vec<Container>,
    #[serde(default)]
    #[schemars(extend("x-relation" = {"verb": "runsOn", "target": "Node"}))]
    node_name: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    raw: Value,
}

#[derive(JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Container {
    name: String,
    image: Option<String>,
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["containerPort", "protocol"]))]
    ports: Vec<Port>,
    #[serde(default)]
    limits: BTreeMap<String, Quantity>,
    #[serde(default)]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    capabilities: Vec<String>,
}

#[derive(JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
struct Port {
    container_port: u16,
    #[serde(default = "tcp")]
    protocol: String,
}

fn tcp() -> String {
    "TCP".to_owned()
}

#[derive(JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
enum Update {
    Rolling { max_surge: u32 },
    Recreate(Empty),
}

#[derive(JsonSchema)]
struct Empty {}

/// When to start again.
#[derive(JsonSchema, Default, serde::Serialize)]
#[expect(dead_code, reason = "only its schema is used")]
enum Restart {
    /// Whatever happens.
    #[default]
    Always,
    /// When it failed.
    OnFailure,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct Status {
    /// Nested without end.
    children: Vec<Status>,
    ready: bool,
}

fn widget() -> Arc<Schema> {
    Schema::compile(schemars::schema_for!(Widget).as_value()).unwrap()
}

fn object(containers: Value) -> Value {
    json!({"spec": {"replicas": 1, "template": {"containers": containers}}})
}

fn shown(errors: &[FieldError]) -> Vec<String> {
    let hint = |e: &FieldError| e.hint().map(|h| format!(" ({h})")).unwrap_or_default();
    errors.iter().map(|e| format!("{e}{}", hint(e))).collect()
}

#[test]
fn a_good_object_has_no_errors() {
    let good = json!({
        "spec": {
            "replicas": null,
            "restart": "OnFailure",
            "update": {"rolling": {"max_surge": 1}},
            "selector": {"matchLabels": {"a": "b"}},
            "template": {
                "labels": {"any.thing/at-all": "x"},
                "raw": {"deep": [1, null, {"er": true}]},
                "containers": [
                    {"name": "a", "limits": {"cpu": 1, "memory": "1Gi"}, "ports": [{"containerPort": 80}]},
                    {"name": "b", "image": null, "ports": [
                        {"containerPort": 53}, {"containerPort": 53, "protocol": "UDP"}]},
                ],
            },
        },
        "status": {"ready": true, "children": [{"ready": false, "children": []}]},
    });
    assert_eq!(shown(&widget().check(&good)), Vec::<String>::new());
}

#[test]
fn every_error_is_collected_with_its_path() {
    let bad = json!({
        "spec": {
            "replicas": -1,
            "restart": "Alway",
            "update": {"rolling": {"max_surge": 1}, "recreate": {}},
            "template": {
                "nodeName": 3,
                "containers": [
                    {"name": "a", "imagee": "x", "limits": {"cpu": "1x"}},
                    {"name": "a", "capabilities": ["X", "Y", "X"], "containerPort": 80},
                    {"image": "y", "replicas": 1, "ports": [{"containerPort": 80}, {"containerPort": 80, "protocol": "TCP"}]},
                ],
            },
        },
        "status": {"ready": true, "children": [{"children": [], "ready": "yes"}]},
    });
    insta::assert_snapshot!(shown(&widget().check(&bad)).join("\n"));
}

#[test]
fn unknown_fields_are_found_and_pruned_alike() {
    let schema = widget();
    let mut object = object(json!([{"name": "a", "foo": 1, "image": null}]));
    object["spec"]["template"]["raw"] = json!({"kept": 1});
    object["kindd"] = json!("x");
    assert_eq!(
        shown(&schema.unknown_fields(&object)),
        ["unknown field \"kindd\"", "unknown field \"spec.template.containers[0].foo\""]
    );
    schema.prune(&mut object);
    assert_eq!(
        object,
        json!({"spec": {"replicas": 1, "template": {"containers": [{"name": "a"}], "raw": {"kept": 1}}}})
    );
    assert_eq!(schema.check(&object), []);
}

#[test]
fn a_partial_object_may_lack_required_fields_but_not_list_keys() {
    let schema = widget();
    assert_eq!(schema.check_partial(&json!({"spec": {"replicas": 2}})), []);
    assert_eq!(
        shown(&schema.check_partial(&object(json!([{"image": "x"}])))),
        ["spec.template.containers[0].name: Required value"]
    );
}

#[test]
fn relations_are_read_back_from_the_schema() {
    let relation = Relation { verb: "runsOn".into(), target: "Node".into(), by_kind: false };
    let path = "spec.template.nodeName".to_owned();
    assert_eq!(widget().relations(), [RelationAt { path, relation, templated: true }]);
}

#[test]
fn fields_are_found_by_dotted_path() {
    let schema = widget();
    let described = |path: &str| schema.at(path).and_then(|t| t.node().description.clone());
    assert_eq!(described("spec").as_deref(), Some("What should be."));
    assert_eq!(described("spec.replicas").as_deref(), Some("How many."));
    assert_eq!(described("status.children.children.children").as_deref(), Some("Nested without end."));
    assert_eq!(schema.at("spec.template.containers.ports.containerPort").unwrap().types, Types::INTEGER);
    assert_eq!(schema.at("spec.template.containers[0].image").unwrap().type_name(), "string");
    assert!(schema.at("spec.nope").is_none());
}

#[test]
fn list_and_map_types_are_kept() {
    let schema = widget();
    let list = |path: &str| schema.at(path).unwrap().list.clone();
    // `at` sees through lists, so ask the parent for the list itself.
    let containers = schema.at("spec.template").unwrap().property("containers").unwrap();
    assert_eq!(containers.list, ListType::Map(vec!["name".into()]));
    assert_eq!(list("spec"), ListType::Atomic);
    assert!(schema.at("spec.selector").unwrap().atomic_map);
}

#[test]
fn null_is_the_empty_string_in_maps_of_strings_and_nowhere_else() {
    let map = |of: Value| json!({"type": "object", "additionalProperties": of});
    let schema = Schema::compile(&json!({
        "type": "object",
        "properties": {
            "a": map(json!({"type": "string"})),
            "b": map(json!({"type": "integer"})),
            "c": {"type": "array", "items": map(json!({"type": "string"}))},
            "d": {"type": "string"},
        }
    }))
    .unwrap();
    let mut object = json!({"a": {"x": null, "y": "1"}, "b": {"x": null}, "c": [{"x": null}], "d": null});
    schema.empty_nulls(&mut object);
    assert_eq!(object, json!({"a": {"x": "", "y": "1"}, "b": {"x": null}, "c": [{"x": ""}], "d": null}));
}

#[test]
fn defaults_are_filled_below_what_is_there() {
    let schema = Schema::compile(&json!({
        "type": "object",
        "properties": {
            "a": {"type": "object", "default": {}, "properties": {"b": {"type": "integer", "default": 3}}},
            "c": {"type": "object", "properties": {"d": {"type": "string", "default": "x"}}},
            "e": {"type": "array", "items": {"type": "object", "properties": {"f": {"type": "boolean", "default": true}}}},
            "g": {"type": "string", "nullable": true, "default": "y"},
        }
    }))
    .unwrap();
    let mut object = json!({"e": [{}, {"f": false}], "g": null});
    schema.apply_defaults(&mut object);
    assert_eq!(object, json!({"a": {"b": 3}, "e": [{"f": true}, {"f": false}], "g": null}));
}

#[test]
fn alternatives_of_user_defined_kinds_are_checked() {
    let schema = Schema::compile(&json!({
        "type": "object",
        "properties": {
            "port": {"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]},
            "one": {
                "type": "object",
                "properties": {"a": {"type": "string", "pattern": "^x"}, "b": {"type": "string"}},
                "oneOf": [{"required": ["a"]}, {"required": ["b"]}],
            },
            "size": {"type": "integer", "minimum": 1, "exclusiveMaximum": 10, "multipleOf": 3},
            "list": {"type": "array", "maxItems": 1, "items": {"type": "string", "maxLength": 2}},
            "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }
    }))
    .unwrap();
    let errors = |object: Value| shown(&schema.check(&object));
    assert_eq!(
        errors(json!({"port": 80, "one": {"a": "x"}, "size": 9, "open": {"any": 1}})),
        Vec::<String>::new()
    );
    assert_eq!(errors(json!({"port": "http", "size": 3})), Vec::<String>::new());
    assert_eq!(
        errors(json!({"port": true, "one": {"a": "x", "b": "y"}, "size": 10, "list": ["abc", "d"]})),
        [
            "list[0]: Too long: may not be more than 2 bytes",
            "list: Too many: 2: must have at most 1 item",
            "one: Invalid value: {\"a\":\"x\",\"b\":\"y\"}: \"one\" must validate one and only one schema (oneOf). Found 2 valid alternatives",
            "port: Invalid value: \"boolean\": port in body must be of type integer or string: \"boolean\"",
            "size: Invalid value: 10: must be less than 10",
            "size: Invalid value: 10: must be a multiple of 3",
        ]
    );
    assert_eq!(
        errors(json!({"one": {"a": "y"}})),
        ["one.a: Invalid value: \"y\": one.a in body should match '^x'"]
    );
}

#[test]
fn documents_that_are_no_schemas_are_refused() {
    let problem = |document: &Value| match Schema::compile(document).unwrap_err() {
        SchemaError::DanglingRef(_) => "dangling",
        SchemaError::Cycle(_) => "cycle",
        SchemaError::Keyword { keyword, .. } => keyword,
        SchemaError::Pattern { .. } => "pattern",
        SchemaError::TooLarge => "size",
    };
    for (document, expected) in [
        (json!({"$ref": "#/$defs/x"}), "dangling"),
        (json!({"$ref": "http://x/y"}), "dangling"),
        (json!({"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}), "cycle"),
        (json!({"type": "strin"}), "type"),
        (json!({"properties": {"a": {"pattern": "("}}}), "pattern"),
        (json!({"type": "array", "x-kubernetes-list-type": "map"}), "x-kubernetes-list-map-keys"),
        (
            json!({"properties": (0..=MAX_NODES).map(|n| (format!("p{n}"), json!({"minimum": n}))).collect::<serde_json::Map<_, _>>()}),
            "size",
        ),
    ] {
        assert_eq!(problem(&document), expected);
    }
}

#[test]
fn what_has_not_changed_is_not_asked_again() {
    let schema = Schema::compile_structural(&json!({
        "type": "object",
        "properties": {
            "short": {"type": "string", "maxLength": 2},
            "inner": {"type": "object", "required": ["new"], "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
            "parts": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "properties": {"name": {"type": "string"}, "size": {"type": "integer", "maximum": 5}}},
            },
            "words": {"type": "array", "items": {"type": "string", "maxLength": 2}},
        },
    }))
    .unwrap();
    let old = json!({
        "short": "long", "inner": {"a": 1}, "words": ["long"],
        "parts": [{"name": "a", "size": 9}, {"name": "b", "size": 9}],
    });
    let errors = |change: &dyn Fn(&mut Value)| {
        let mut new = old.clone();
        change(&mut new);
        shown(&schema.check_change(&new, &old))
    };
    assert_eq!(errors(&|new| new["other"] = json!(1)), Vec::<String>::new());
    assert_eq!(
        errors(&|new| new["short"] = json!("other")),
        ["short: Too long: may not be more than 2 bytes"]
    );
    assert_eq!(errors(&|new| new["inner"]["b"] = json!(1)), ["inner.new: Required value"]);
    // Items are known by their keys, wherever they stand.
    assert_eq!(errors(&|new| new["parts"].as_array_mut().unwrap().reverse()), Vec::<String>::new());
    assert_eq!(
        errors(&|new| new["parts"][1]["size"] = json!(8)),
        ["parts[1].size: Invalid value: 8: parts[1].size in body should be less than or equal to 5"]
    );
    assert_eq!(
        errors(&|new| new["parts"][1]["name"] = json!("a")).last().unwrap(),
        "parts[1].name: Duplicate value: \"a\""
    );
    // Items without keys could be any of the old ones.
    assert_eq!(
        errors(&|new| new["words"] = json!(["long", "x"])),
        ["words[0]: Too long: may not be more than 2 bytes"]
    );
}

#[test]
fn an_outline_has_the_fields_and_their_types_in_place() {
    let schema = Schema::compile(&json!({
        "type": "object",
        "properties": {
            "size": {"type": ["integer", "null"], "description": "How large.", "minimum": 1},
            "next": {"$ref": "#/$defs/Next"},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "port": {"x-kubernetes-int-or-string": true},
        },
        "$defs": {"Next": {"type": "object", "properties": {"again": {"$ref": "#/$defs/Next"}}}},
    }))
    .unwrap();
    let expected = json!({
        "type": "object",
        "properties": {
            "size": {"type": "integer"},
            "next": {"type": "object", "properties": {"again": {}}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "port": {},
        },
    });
    assert_eq!(schema.outline(), expected);
}

/// Each item costs the same, however many there are: item by item, this would take many minutes.
#[test]
fn long_lists_are_checked_in_little_time() {
    const MANY: usize = 100_000;
    let schema = Schema::compile(&json!({
        "type": "object",
        "properties": {
            "words": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "parts": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "side"],
                "items": {"type": "object", "properties": {"name": {"type": "string"}, "side": {"type": "string", "default": "a"}}},
            },
        },
    }))
    .unwrap();
    let parts = |numbers: &mut dyn Iterator<Item = usize>| -> Vec<Value> {
        numbers.map(|n| json!({"name": n.to_string()})).collect()
    };
    let words: Vec<String> = (0..MANY).map(|n| n.to_string()).collect();
    let mut object = json!({"words": words, "parts": parts(&mut (0..MANY))});
    assert_eq!(schema.check(&object), []);
    let old = std::mem::replace(&mut object["parts"], parts(&mut (0..MANY).rev()).into());
    assert_eq!(schema.check_change(&object, &json!({"words": [], "parts": old})), []);
    object["words"].as_array_mut().unwrap().push("7".into());
    object["parts"].as_array_mut().unwrap().push(json!({"name": "8", "side": "a"}));
    assert_eq!(
        shown(&schema.check(&object)),
        [
            "parts[100000]: Duplicate value: {\"name\":\"8\",\"side\":\"a\"}",
            "words[100000]: Duplicate value: \"7\"",
        ]
    );
}

#[test]
fn of_very_many_errors_the_first_are_told_and_the_others_counted() {
    let schema = widget();
    let unknown: serde_json::Map<String, Value> =
        (0..300_000).map(|n| (format!("replica{n:06}"), json!(1))).collect();
    let errors = schema.unknown_fields(&json!({"spec": unknown}));
    assert_eq!(errors.len(), 101);
    assert_eq!(errors[99].to_string(), "unknown field \"spec.replica000099\"");
    assert_eq!(errors[100].to_string(), "and 299900 more");
    let unknown: serde_json::Map<String, Value> =
        (0..50).map(|n| (format!("replica{n:02}"), json!(1))).collect();
    let errors = schema.unknown_fields(&json!({"spec": unknown}));
    assert_eq!(errors.iter().filter(|error| error.hint().is_some()).count(), 10, "{errors:?}");
    assert_eq!(errors.len(), 50);
    let wrong = vec![json!(1); 200];
    let object = object(json!([{"name": "a", "capabilities": wrong}]));
    let errors = schema.check(&object);
    assert_eq!((errors.len(), errors[100].to_string().as_str()), (101, "and 299 more"));
    // A name that is much longer than all others is like none of them, and not compared with them.
    let long = json!({"spec": {"r".repeat(3_000_000): 1}});
    assert_eq!(schema.unknown_fields(&long)[0].hint(), None);
}
