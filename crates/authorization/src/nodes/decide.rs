//! What a node may ask for. Pure.

use orch_api::{Asked, Attributes, ResourceAttributes};

use super::{LEASES, Nodes};

const READ: [&str; 3] = ["get", "list", "watch"];

/// Allows it, or says why not.
pub(super) fn decide(nodes: &Nodes, node: &str, attributes: &Attributes<'_>) -> Result<(), String> {
    let Asked::Resource(asked) = &attributes.asked else { return Err(String::new()) };
    let verb = attributes.verb;
    match (asked.group, asked.resource, asked.subresource) {
        ("", "secrets" | "configmaps" | "persistentvolumeclaims" | "serviceaccounts", "") => {
            named(nodes, node, verb, asked)
        }
        ("", "serviceaccounts", "token") => token(nodes, node, verb, asked),
        ("", "pods", "") => pod(nodes, node, verb, asked),
        ("", "pods", "status") => of_own_pod(nodes, node, &["update", "patch"], verb, asked),
        ("", "nodes", "") => {
            own_node(node, &["get", "list", "watch", "create", "update", "patch"], verb, asked)
        }
        ("", "nodes", "status") => own_node(node, &["get", "update", "patch"], verb, asked),
        ("coordination.k8s.io", "leases", "") => lease(node, verb, asked),
        // Which requests a node may make is seen when it makes them.
        ("certificates.k8s.io", "certificatesigningrequests", "") => {
            one_of(&["create", "get", "list", "watch"], verb)
        }
        ("" | "events.k8s.io", "events", "") => one_of(&["create", "patch", "update"], verb),
        // What a node needs in order to route.
        ("", "services", "") | ("discovery.k8s.io", "endpointslices", "") => one_of(&READ, verb),
        _ => Err(String::new()),
    }
}

fn one_of(verbs: &[&str], verb: &str) -> Result<(), String> {
    if verbs.contains(&verb) { Ok(()) } else { Err(String::new()) }
}

fn related(is_related: bool, node: &str) -> Result<(), String> {
    match is_related {
        true => Ok(()),
        false => Err(format!("no relationship found between node '{node}' and this object")),
    }
}

/// What pods of the node name may be read, one by one.
fn named(nodes: &Nodes, node: &str, verb: &str, asked: &ResourceAttributes<'_>) -> Result<(), String> {
    if !READ.contains(&verb) {
        return Err("can only read resources of this type".into());
    }
    if asked.namespace.is_empty() {
        return Err("can only read namespaced object of this type".into());
    }
    if asked.name.is_empty() {
        return Err("No Object name found".into());
    }
    related(nodes.refer_to(node, asked.namespace, asked.resource, &asked.name), node)
}

/// A node acts for the accounts of its pods. Whether the token is bound to such a pod is seen when it is made.
fn token(nodes: &Nodes, node: &str, verb: &str, asked: &ResourceAttributes<'_>) -> Result<(), String> {
    if verb != "create" {
        return Err("can only create tokens for individual service accounts".into());
    }
    if asked.name.is_empty() {
        return Err("can only create tokens for individual service accounts".into());
    }
    related(nodes.refer_to(node, asked.namespace, "serviceaccounts", &asked.name), node)
}

fn pod(nodes: &Nodes, node: &str, verb: &str, asked: &ResourceAttributes<'_>) -> Result<(), String> {
    match verb {
        "list" | "watch" if asked.fields.required_value("spec.nodeName") == Some(node) => Ok(()),
        "list" | "watch" if asked.name.is_empty() => {
            Err("can only list/watch pods with spec.nodeName field selector".into())
        }
        _ => of_own_pod(nodes, node, &["get", "list", "watch", "delete"], verb, asked),
    }
}

fn of_own_pod(
    nodes: &Nodes,
    node: &str,
    verbs: &[&str],
    verb: &str,
    asked: &ResourceAttributes<'_>,
) -> Result<(), String> {
    one_of(verbs, verb)?;
    related(nodes.pod(node, asked.namespace, &asked.name).is_some(), node)
}

fn own_node(node: &str, verbs: &[&str], verb: &str, asked: &ResourceAttributes<'_>) -> Result<(), String> {
    one_of(verbs, verb)?;
    // The name of what is created is seen when it is created.
    if asked.name == node || (verb == "create" && asked.name.is_empty()) {
        return Ok(());
    }
    Err(format!("node '{node}' cannot read '{}', only its own Node object", asked.name))
}

fn lease(node: &str, verb: &str, asked: &ResourceAttributes<'_>) -> Result<(), String> {
    one_of(&["get", "create", "update", "patch", "delete"], verb)?;
    if asked.namespace != LEASES {
        return Err(format!("can only access leases in the {LEASES:?} system namespace"));
    }
    if asked.name != node && !(verb == "create" && asked.name.is_empty()) {
        return Err("can only access node lease with the same name as the requesting node".into());
    }
    Ok(())
}
