//! What the object becomes.

use serde_json::{Value, json};

use super::World;

/// live (made by a first manager), applied by a second, merged.
#[test]
fn what_is_applied_is_merged_by_the_schema() {
    let spec = |spec: Value| json!({"spec": spec});
    let cases = [
        (
            "scalars are set",
            json!({"replicas": 1}),
            json!({"paused": true}),
            json!({"replicas": 1, "paused": true}),
        ),
        (
            "objects merge field by field",
            json!({"strategy": {"type": "A"}}),
            json!({"strategy": {"surge": "10%"}}),
            json!({"strategy": {"type": "A", "surge": "10%"}}),
        ),
        (
            "atomic maps and lists are replaced",
            json!({"selector": {"a": "b"}, "args": ["x", "y"]}),
            json!({"selector": {"c": "d"}, "args": ["z"]}),
            json!({"selector": {"c": "d"}, "args": ["z"]}),
        ),
        (
            "map lists merge by key",
            json!({"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}),
            json!({"containers": [{"name": "b", "limits": {"cpu": "1"}}, {"name": "c", "image": "z"}]}),
            json!({"containers": [
                {"name": "a", "image": "x"},
                {"name": "b", "image": "y", "limits": {"cpu": "1"}},
                {"name": "c", "image": "z"},
            ]}),
        ),
        (
            "an absent key field is its default",
            json!({"containers": [{"name": "a", "ports": [{"port": 53}, {"port": 53, "protocol": "UDP"}]}]}),
            json!({"containers": [{"name": "a", "ports": [{"port": 53, "protocol": "TCP", "name": "dns"}]}]}),
            json!({"containers": [{"name": "a", "ports": [
                {"port": 53, "protocol": "TCP", "name": "dns"},
                {"port": 53, "protocol": "UDP"},
            ]}]}),
        ),
        (
            "what is not described is deduced: objects merge, lists are replaced",
            json!({"free": {"a": {"b": 1}, "list": [1, 2], "x": [1]}}),
            json!({"free": {"a": {"c": {"d": null}}, "list": [3], "x": {"y": 1}}}),
            json!({"free": {"a": {"b": 1, "c": {"d": null}}, "list": [3], "x": {"y": 1}}}),
        ),
        (
            "empty objects and lists are kept",
            json!({"paused": true}),
            json!({"free": {}, "args": []}),
            json!({"paused": true, "free": {}, "args": []}),
        ),
        (
            "null is no value",
            json!({"paused": true, "replicas": 1}),
            json!({"replicas": null}),
            json!({"paused": true}),
        ),
    ];
    for (what, live, applied, expected) in cases {
        let mut world = World::new();
        world.apply("first", spec(live)).force("second", spec(applied));
        assert_eq!(world.body(), spec(expected), "{what}");
    }
}

#[test]
fn list_order_follows_the_applied_configuration_where_it_differs() {
    let names = |names: &str| -> Value {
        let items: Vec<Value> = names.chars().map(|c| json!({"name": c.to_string()})).collect();
        json!({"spec": {"containers": items}})
    };
    for (live, applied, expected) in [
        ("abc", "abc", "abc"),
        ("abc", "cba", "cba"),
        ("abc", "b", "abc"),
        ("abc", "d", "abcd"),
        ("abc", "ca", "bca"),
        ("abcd", "dxb", "acdxb"),
        ("ab", "xb", "axb"),
        ("", "ab", "ab"),
        ("aXbYc", "cba", "XYcba"),
        ("abcde", "ed", "abced"),
    ] {
        let mut world = World::new();
        world.apply("first", names(live)).apply("second", names(applied));
        let body = world.body();
        let merged = body["spec"]["containers"].as_array().unwrap();
        let merged: String = merged.iter().map(|item| item["name"].as_str().unwrap()).collect();
        assert_eq!(merged, expected, "{live} + {applied}");
    }
}

#[test]
fn sets_unite() {
    let mut world = World::new();
    world
        .apply("first", json!({"metadata": {"finalizers": ["a", "b"]}}))
        .apply("second", json!({"metadata": {"finalizers": ["b", "c"]}}));
    assert_eq!(world.body(), json!({"metadata": {"finalizers": ["a", "b", "c"]}}));
    assert_eq!(world.owned("second"), [r#".metadata.finalizers[="b"]"#, r#".metadata.finalizers[="c"]"#]);
    world.apply("first", json!({"metadata": {}}));
    assert_eq!(world.body(), json!({"metadata": {"finalizers": ["b", "c"]}}));
}

#[test]
fn malformed_configurations_are_refused() {
    let cases = [
        (
            json!({"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}),
            "spec.containers[1].name: Duplicate value: \"a\"",
        ),
        (json!({"spec": {"containers": [{"image": "a"}]}}), "spec.containers[0].name: Required value"),
        (json!({"metadata": {"finalizers": ["a", "a"]}}), "metadata.finalizers[1]: Duplicate value: \"a\""),
        (
            json!({"spec": {"replicas": "1"}}),
            "spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\"",
        ),
    ];
    for (body, message) in cases {
        let error = World::new().try_apply("m", body, false).unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (422, message));
    }
}

#[test]
fn requests_that_cannot_be_applied_are_bad() {
    for (body, message) in [
        (json!({"metadata": {"managedFields": []}}), "metadata.managedFields must be nil"),
        (
            json!({"apiVersion": "v2"}),
            "Incorrect version specified in apply patch. Specified patch version: v2, expected: v1",
        ),
    ] {
        let error = World::new().try_apply("m", body, false).unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), (400, message));
    }
}
