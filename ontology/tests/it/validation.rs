//! Kubernetes' rules, each broken once, in Kubernetes' words.

use serde_json::{Value, json};

use crate::{admit, messages};

pub(crate) const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

/// The object with a JSON merge patch applied.
pub(crate) fn patched(mut object: Value, patch: &Value) -> Value {
    merge(&mut object, patch);
    object
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut target[name.as_str()], value);
        }
    }
}

/// Creates the object with each patch and compares the errors.
pub(crate) fn check(object: &Value, cases: Vec<(Value, Vec<String>)>) {
    for (patch, expected) in cases {
        let mut new = patched(object.clone(), &patch);
        assert_eq!(messages(admit(&mut new, None)), expected, "{patch}");
    }
}

/// Updates the stored object with each patch and compares the errors.
pub(crate) fn check_update(stored: &Value, cases: Vec<(Value, Vec<String>)>) {
    let mut old = stored.clone();
    assert_eq!(messages(admit(&mut old, None)), Vec::<String>::new());
    for (patch, expected) in cases {
        let mut new = patched(old.clone(), &patch);
        assert_eq!(messages(admit(&mut new, Some(&old))), expected, "{patch}");
    }
}

pub(crate) fn spec(fields: Value) -> Value {
    json!({"spec": fields})
}

pub(crate) fn says<const N: usize>(errors: [&str; N]) -> Vec<String> {
    errors.map(str::to_owned).to_vec()
}

#[test]
fn config_maps_and_secrets_are_checked() {
    let config_map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"a": "1"}});
    let frozen =
        |field: &str| vec![format!("{field}: Forbidden: field is immutable when `immutable` is set")];
    check(
        &config_map,
        vec![
            (
                json!({"binaryData": {"a": "YQ=="}}),
                says([
                    "data[a]: Invalid value: \"a\": duplicate of key present in binaryData",
                    "binaryData[a]: Invalid value: \"a\": duplicate of key present in data",
                ]),
            ),
            (
                json!({"data": {"a": "x".repeat(1024 * 1024 + 1)}}),
                says(["<nil>: Too long: may not be more than 1048576 bytes"]),
            ),
        ],
    );
    check_update(
        &patched(config_map, &json!({"immutable": true})),
        vec![
            (json!({"metadata": {"labels": {"a": "b"}}}), Vec::new()),
            (json!({"data": {"a": "2"}}), frozen("data")),
            (json!({"immutable": false}), frozen("immutable")),
        ],
    );
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"a": "1"}});
    check_update(
        &patched(secret.clone(), &json!({"immutable": true})),
        vec![
            (json!({"data": {"a": "Mg=="}}), frozen("data")),
            (json!({"type": ""}), Vec::new()),
            (
                json!({"type": "example.com/other"}),
                says(["type: Invalid value: \"example.com/other\": field is immutable"]),
            ),
        ],
    );
    check(
        &secret,
        vec![
            (
                json!({"type": "kubernetes.io/basic-auth"}),
                says(["data[username]: Required value", "data[password]: Required value"]),
            ),
            (json!({"type": "kubernetes.io/basic-auth", "stringData": {"username": "a"}}), Vec::new()),
            (
                json!({"type": "kubernetes.io/service-account-token"}),
                says(["metadata.annotations[kubernetes.io/service-account.name]: Required value"]),
            ),
            (
                json!({"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "nope"}}),
                says([
                    "data[.dockerconfigjson]: Invalid value: \"<secret contents redacted>\": expected ident at line 1 column 2",
                ]),
            ),
        ],
    );
}

#[test]
fn nodes_keep_what_they_were_given() {
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"},
        "spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"], "providerID": "a"},
    });
    check_update(
        &node,
        vec![
            (spec(json!({"unschedulable": true})), Vec::new()),
            (
                spec(json!({"podCIDR": "10.0.1.0/24", "podCIDRs": ["10.0.1.0/24"]})),
                says([
                    "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
                ]),
            ),
            (
                spec(json!({"providerID": "b"})),
                says([
                    "spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid",
                ]),
            ),
        ],
    );
}

#[test]
fn a_workload_checks_its_template_as_a_pod() {
    let workload = json!({
        "apiVersion": "orch.dev/v1", "kind": "Workload", "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [{"name": "web", "image": "nginx:1.27"}]}}},
    });
    check(
        &workload,
        vec![
            (json!({}), Vec::new()),
            (
                json!({"metadata": {"name": "a.b"}}),
                vec![format!("metadata.name: Invalid value: \"a.b\": {LABEL}")],
            ),
            (json!({"spec": null}), says(["spec.template.spec.containers: Required value"])),
            (
                spec(json!({"template": {"spec": {"containers": [{"name": "web"}]}}})),
                says(["spec.template.spec.containers[0].image: Required value"]),
            ),
            (
                spec(json!({"template": {"spec": {"containers": [{"name": "web", "imag": "nginx"}]}}})),
                says(["unknown field \"spec.template.spec.containers[0].imag\""]),
            ),
        ],
    );
}
