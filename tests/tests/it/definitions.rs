//! Kinds that users define, as long as they live: their names, what their objects own and are owned by, and their end.

use std::time::Duration;

use orch_tests::{Orchd, wait_for};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(60);

/// A definition of one namespaced kind of the group `sea.example.com`.
fn definition(plural: &str, kind: &str) -> String {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.sea.example.com")},
        "spec": {
            "group": "sea.example.com", "scope": "Namespaced", "names": {"plural": plural, "kind": kind},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "x-kubernetes-preserve-unknown-fields": true,
            }}}],
        },
    })
    .to_string()
}

fn ship(name: &str, metadata: &Value) -> String {
    let mut ship = json!({"apiVersion": "sea.example.com/v1", "kind": "Ship", "metadata": {"name": name}});
    ship["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    ship.to_string()
}

fn map(name: &str, metadata: &Value) -> String {
    let mut map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    map["metadata"].as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    map.to_string()
}

fn create(orch: &Orchd, manifest: &str) {
    orch.kubectl_with(&["create", "-f", "-"], manifest).ok();
}

fn get(orch: &Orchd, object: &str, path: &str) -> String {
    orch.kubectl(&["get", object, "-o", &format!("jsonpath={path}")]).ok()
}

fn condition(orch: &Orchd, definition: &str, name: &str) -> String {
    let path = format!(
        "{{range .status.conditions[?(@.type==\"{name}\")]}}{{.status}} {{.reason}}: {{.message}}{{end}}"
    );
    get(orch, &format!("crd/{definition}"), &path)
}

fn until(orch: &Orchd, definition: &str, name: &str, expected: &str) {
    wait_for(&format!("{name} of {definition}"), DEADLINE, || {
        let found = condition(orch, definition, name);
        if found == expected { Ok(()) } else { Err(found) }
    });
}

/// Waits until exactly these objects of a kind, without what the system made, are there.
fn until_names(orch: &Orchd, kind: &str, expected: &[&str]) {
    wait_for(&format!("{kind}: {expected:?}"), DEADLINE, || {
        let found = orch.kubectl(&["get", kind, "-o", "jsonpath={.items[*].metadata.name}"]).ok();
        let found: Vec<&str> = found.split_whitespace().filter(|name| *name != "kube-root-ca.crt").collect();
        if found == expected { Ok(()) } else { Err(format!("{found:?}")) }
    });
}

/// kubectl keeps what it has found out about kinds, and believes it.
fn forget_kinds(orch: &Orchd) {
    orch.kubectl(&["api-resources", "--cached=false"]).ok();
}

fn owned_by(orch: &Orchd, api_version: &str, kind: &str, name: &str) -> Value {
    let uid = get(orch, &format!("{kind}/{name}"), "{.metadata.uid}");
    json!({"ownerReferences": [{
        "apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "blockOwnerDeletion": true,
    }]})
}

#[test]
fn a_name_that_is_taken_is_not_accepted_until_it_is_free() {
    let orch = Orchd::simulated(1);
    create(&orch, &definition("ships", "Ship"));
    until(
        &orch,
        "ships.sea.example.com",
        "Established",
        "True InitialNamesAccepted: the initial names have been accepted",
    );
    create(&orch, &definition("boats", "Ship"));
    let boats = "boats.sea.example.com";
    until(&orch, boats, "NamesAccepted", "False ListKindConflict: \"ShipList\" is already in use");
    until(&orch, boats, "Established", "False NotAccepted: not all names are accepted");
    orch.kubectl(&["get", boats]).fails();
    create(&orch, &ship("a", &json!({})));
    assert_eq!(orch.kubectl(&["get", "ships", "-o", "name"]).ok().trim(), "ship.sea.example.com/a");

    orch.kubectl(&["delete", "crd", "ships.sea.example.com", "--timeout=60s"]).ok();
    until(&orch, boats, "NamesAccepted", "True NoConflicts: no conflicts found");
    until(&orch, boats, "Established", "True InitialNamesAccepted: the initial names have been accepted");
    forget_kinds(&orch);
    create(&orch, &ship("b", &json!({})));
    assert_eq!(orch.kubectl(&["get", "boats", "-o", "name"]).ok().trim(), "ship.sea.example.com/b");
    assert_eq!(
        condition(&orch, boats, "NonStructuralSchema"),
        "",
        "such a schema is refused when it is written"
    );
}

#[test]
fn a_definition_waits_for_objects_that_do_not_let_go() {
    let orch = Orchd::simulated(1);
    let name = "ships.sea.example.com";
    create(&orch, &definition("ships", "Ship"));
    orch.kubectl(&["wait", "crd", name, "--for=condition=Established", "--timeout=60s"]).ok();
    create(&orch, &ship("stuck", &json!({"finalizers": ["example.com/held"]})));
    create(&orch, &ship("free", &json!({})));
    orch.kubectl(&["delete", "crd", name, "--wait=false"]).ok();
    until(
        &orch,
        name,
        "Terminating",
        "True InstanceDeletionInProgress: CustomResource deletion is in progress",
    );
    until_names(&orch, "ships", &["stuck"]);
    assert!(!get(&orch, "ship/stuck", "{.metadata.deletionTimestamp}").is_empty());
    let finalizers = get(&orch, &format!("crd/{name}"), "{.metadata.finalizers}");
    assert_eq!(finalizers, "[\"customresourcecleanup.apiextensions.k8s.io\"]");
    let refused = orch.kubectl_with(&["create", "-f", "-"], &ship("late", &json!({}))).fails();
    assert!(refused.contains("not allowed while custom resource definition is terminating"), "{refused}");

    let free = ["patch", "ship", "stuck", "--type=merge", "--patch", "{\"metadata\":{\"finalizers\":null}}"];
    orch.kubectl(&free).ok();
    orch.kubectl(&["wait", "crd", name, "--for=delete", "--timeout=60s"]).ok();
    forget_kinds(&orch);
    assert!(orch.kubectl(&["get", "ships"]).fails().contains("the server doesn't have a resource type"));
}

#[test]
fn objects_of_defined_kinds_own_and_are_owned_in_every_cascade() {
    let orch = Orchd::simulated(1);
    create(&orch, &definition("ships", "Ship"));
    orch.kubectl(&["wait", "crd", "ships.sea.example.com", "--for=condition=Established", "--timeout=60s"])
        .ok();
    for name in ["background", "foreground", "orphan"] {
        create(&orch, &ship(name, &json!({})));
        create(&orch, &map(name, &owned_by(&orch, "sea.example.com/v1", "Ship", name)));
        create(&orch, &ship(&format!("{name}-boat"), &owned_by(&orch, "v1", "ConfigMap", name)));
    }
    // Who is owned and does not let go keeps an owner that is deleted in the foreground.
    let hold = |finalizers: &str| {
        let patch = format!("{{\"metadata\":{{\"finalizers\":{finalizers}}}}}");
        orch.kubectl(&["patch", "ship", "foreground-boat", "--type=merge", "--patch", &patch]).ok();
    };
    hold("[\"example.com/held\"]");
    for cascade in ["background", "foreground", "orphan"] {
        orch.kubectl(&["delete", "ship", cascade, "--wait=false", &format!("--cascade={cascade}")]).ok();
    }
    until_names(&orch, "ships", &["foreground", "foreground-boat", "orphan-boat"]);
    until_names(&orch, "configmaps", &["foreground", "orphan"]);
    assert_eq!(get(&orch, "ship/foreground", "{.metadata.finalizers}"), "[\"foregroundDeletion\"]");
    assert_eq!(get(&orch, "configmap/orphan", "{.metadata.ownerReferences}"), "");

    hold("null");
    until_names(&orch, "ships", &["orphan-boat"]);
    until_names(&orch, "configmaps", &["orphan"]);
    orch.kubectl(&["delete", "configmap", "orphan", "--timeout=60s"]).ok();
    until_names(&orch, "ships", &[]);
}
