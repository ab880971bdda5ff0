//! What a node may change: Kubernetes' NodeRestriction. Pure.

use std::collections::BTreeSet;

use orch_api::{Change, Object as _, Status, Verb};
use orch_ontology::{CERTIFICATES_GROUP, CertificateSigningRequest};
use serde_json::{Map, Value};

use super::{LEASES, Nodes, USER_PREFIX};
use crate::certificates;

/// Labels of Kubernetes' own that a node says of itself.
const OWN_LABELS: [&str; 11] = [
    "kubernetes.io/hostname",
    "kubernetes.io/arch",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/instance-type",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
];
/// Prefixes of labels that a node says of itself.
const OWN_PREFIXES: [&str; 2] = ["kubelet.kubernetes.io", "node.kubernetes.io"];
/// The prefix of labels that people trust because no node can set them.
const RESTRICTED: &str = "node-restriction.kubernetes.io";

/// Refuses what a node may not change.
pub(super) fn admit(nodes: &Nodes, node: &str, change: &Change<'_>) -> Result<(), Status> {
    let refused = match (change.kind.group, change.kind.plural) {
        ("", "pods") => pod(node, change),
        ("", "nodes") => own_node(node, change),
        ("", "serviceaccounts") => token(nodes, node, change),
        ("coordination.k8s.io", "leases") => lease(node, change),
        (CERTIFICATES_GROUP, "certificatesigningrequests") => certificate(node, change),
        _ => Ok(()),
    };
    let name = change.old.or(change.new).map(|object| object.name()).unwrap_or_default();
    refused.map_err(|why| Status::forbidden(change.kind, name, why))
}

fn pod(node: &str, change: &Change<'_>) -> Result<(), String> {
    let Some(old) = change.old else {
        return Err(format!("node {node:?} cannot create pods"));
    };
    let is_own = old.text(&["spec", "nodeName"]) == node;
    match (change.verb, change.subresource) {
        (Verb::Delete | Verb::DeleteCollection, _) if is_own => Ok(()),
        (Verb::Delete | Verb::DeleteCollection, _) => {
            Err(format!("node {node:?} can only delete pods with spec.nodeName set to itself"))
        }
        (_, "status") if is_own => Ok(()),
        (_, "status") => {
            Err(format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself"))
        }
        (verb, _) => Err(format!("node {node:?} cannot {verb} pods")),
    }
}

fn own_node(node: &str, change: &Change<'_>) -> Result<(), String> {
    let named = change.old.or(change.new).map(|object| object.name()).unwrap_or_default();
    if named != node {
        return Err(format!("node {node:?} is not allowed to modify node {named:?}"));
    }
    let Some(new) = change.new else { return Ok(()) };
    let labels = forbidden(&modified_labels(change.old, new));
    match change.old {
        None if !labels.is_empty() => {
            Err(format!("node {node:?} is not allowed to set the following labels: {labels}"))
        }
        None => Ok(()),
        Some(old) => {
            if !same(old, new, "/spec/taints") {
                return Err(format!("node {node:?} is not allowed to modify taints"));
            }
            if !labels.is_empty() {
                return Err(format!("is not allowed to modify labels: {labels}"));
            }
            if !same(old, new, "/metadata/ownerReferences") {
                return Err(format!("node {node:?} is not allowed to modify ownerReferences"));
            }
            Ok(())
        }
    }
}

/// Whether a list is the same in both; an absent one is empty.
fn same(old: &Value, new: &Value, pointer: &str) -> bool {
    let list =
        |object: &Value| object.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    list(old) == list(new)
}

fn modified_labels(old: Option<&Value>, new: &Value) -> BTreeSet<String> {
    let none = Map::new();
    let (before, after) = (old.and_then(|old| old.labels()).unwrap_or(&none), new.labels().unwrap_or(&none));
    let differs = |label: &&String| before.get(*label) != after.get(*label);
    before.keys().chain(after.keys()).filter(differs).cloned().collect()
}

fn forbidden(labels: &BTreeSet<String>) -> String {
    let is_in = |namespace: &str, domain: &str| {
        namespace == domain || namespace.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
    };
    let is_forbidden = |label: &&String| {
        let namespace = label.split_once('/').map_or("", |(namespace, _)| namespace);
        let is_kubernetes = is_in(namespace, "kubernetes.io") || is_in(namespace, "k8s.io");
        let is_own = OWN_LABELS.contains(&label.as_str())
            || OWN_PREFIXES.iter().any(|prefix| is_in(namespace, prefix));
        is_in(namespace, RESTRICTED) || (is_kubernetes && !is_own)
    };
    labels.iter().filter(is_forbidden).map(String::as_str).collect::<Vec<_>>().join(", ")
}

/// A node asks for certificates of its own.
fn certificate(node: &str, change: &Change<'_>) -> Result<(), String> {
    let (Some(new), None) = (change.new, change.old) else { return Ok(()) };
    let own = [CertificateSigningRequest::NODE_CLIENT_SIGNER, CertificateSigningRequest::NODE_SERVING_SIGNER];
    if !own.contains(&new.text(&["spec", "signerName"])) {
        return Ok(());
    }
    let asked = certificates::read(new).map_err(|status| status.message)?;
    let name = format!("{USER_PREFIX}{node}");
    if asked.common_name == name { Ok(()) } else { Err(format!("can only create a node CSR with CN={name}")) }
}

fn lease(node: &str, change: &Change<'_>) -> Result<(), String> {
    let lease = change.old.or(change.new);
    if lease.is_some_and(|lease| lease.namespace() != LEASES) {
        return Err(format!("can only access leases in the {LEASES:?} system namespace"));
    }
    if lease.is_some_and(|lease| lease.name() != node) {
        return Err("can only access node lease with the same name as the requesting node".into());
    }
    Ok(())
}

/// A node asks for tokens of its pods, which end with them.
fn token(nodes: &Nodes, node: &str, change: &Change<'_>) -> Result<(), String> {
    let (Some(account), Some(request), "token") = (change.old, change.new, change.subresource) else {
        return Ok(());
    };
    let bound_to = &request["spec"]["boundObjectRef"];
    let text = |field: &str| bound_to[field].as_str().unwrap_or_default();
    if (text("apiVersion"), text("kind")) != ("v1", "Pod") || text("name").is_empty() {
        return Err("node requested token not bound to a pod".into());
    }
    if text("uid").is_empty() {
        return Err("node requested token with a pod binding without a uid".into());
    }
    let Some(pod) = nodes.pod(node, account.namespace(), text("name")) else {
        return Err("node requested token bound to a pod scheduled on a different node".into());
    };
    if *pod.uid != *text("uid") {
        return Err(format!(
            "the UID in the bound object reference ({}) does not match the UID in record",
            text("uid")
        ));
    }
    if !pod.refers_to("serviceaccounts", account.name()) {
        return Err("node requested token for a service account that the pod does not use".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use orch_api::{Resource as _, Subject};
    use orch_ontology::{Lease, Node, Pod};
    use serde_json::json;

    use super::*;

    fn check(
        kind: &orch_api::Kind,
        verb: Verb,
        subresource: &str,
        old: Option<Value>,
        new: Option<Value>,
    ) -> String {
        let groups = ["system:nodes".to_owned()];
        let subject = Subject { user: "system:node:a", groups: &groups };
        let change = Change { subject, verb, kind, subresource, new: new.as_ref(), old: old.as_ref() };
        match Nodes::default().admit(&change) {
            Ok(()) => "ok".into(),
            Err(status) => status.message,
        }
    }

    fn node(name: &str, labels: Value, taints: Value) -> Value {
        json!({"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}})
    }

    #[test]
    fn a_node_changes_itself_only_and_not_what_people_trust() {
        let plain = || Some(node("a", json!({}), json!([])));
        let labelled = |labels| Some(node("a", labels, json!([])));
        for (old, new, expected) in [
            (None, plain(), "ok"),
            (plain(), labelled(json!({"team": "x", "kubernetes.io/hostname": "a"})), "ok"),
            (plain(), labelled(json!({"node.kubernetes.io/gpu": "x"})), "ok"),
            (None, Some(node("a", json!({}), json!([{"key": "k", "effect": "NoSchedule"}]))), "ok"),
            (
                None,
                Some(node("b", json!({}), json!([]))),
                r#"nodes "b" is forbidden: node "a" is not allowed to modify node "b""#,
            ),
            (
                None,
                labelled(
                    json!({"node-restriction.kubernetes.io/x": "1", "x.node-restriction.kubernetes.io/y": "1"}),
                ),
                r#"nodes "a" is forbidden: node "a" is not allowed to set the following labels: node-restriction.kubernetes.io/x, x.node-restriction.kubernetes.io/y"#,
            ),
            (
                plain(),
                labelled(json!({"node-role.kubernetes.io/control-plane": ""})),
                r#"nodes "a" is forbidden: is not allowed to modify labels: node-role.kubernetes.io/control-plane"#,
            ),
            (
                labelled(json!({"topology.k8s.io/x": "1"})),
                plain(),
                r#"nodes "a" is forbidden: is not allowed to modify labels: topology.k8s.io/x"#,
            ),
            (
                plain(),
                Some(node("a", json!({}), json!([{"key": "k", "effect": "NoSchedule"}]))),
                r#"nodes "a" is forbidden: node "a" is not allowed to modify taints"#,
            ),
        ] {
            let verb = if old.is_some() { Verb::Patch } else { Verb::Create };
            assert_eq!(check(&Node::KIND, verb, "", old, new), expected);
        }
    }

    #[test]
    fn a_node_reports_on_its_own_pods_only() {
        let pod = |node: &str| Some(json!({"metadata": {"name": "p"}, "spec": {"nodeName": node}}));
        let own = "can only update pod status for pods with spec.nodeName set to itself";
        assert_eq!(check(&Pod::KIND, Verb::Update, "status", pod("a"), pod("a")), "ok");
        assert!(check(&Pod::KIND, Verb::Update, "status", pod("b"), pod("b")).ends_with(own));
        assert_eq!(check(&Pod::KIND, Verb::Delete, "", pod("a"), None), "ok");
        assert!(check(&Pod::KIND, Verb::Delete, "", pod("b"), None).contains("can only delete pods"));
        assert!(check(&Pod::KIND, Verb::Create, "", None, pod("a")).contains("cannot create pods"));
        assert!(check(&Pod::KIND, Verb::Update, "", pod("a"), pod("a")).contains("cannot update pods"));
    }

    #[test]
    fn a_node_keeps_its_own_lease_only() {
        let lease =
            |namespace: &str, name: &str| Some(json!({"metadata": {"name": name, "namespace": namespace}}));
        assert_eq!(check(&Lease::KIND, Verb::Create, "", None, lease("kube-node-lease", "a")), "ok");
        assert!(
            check(&Lease::KIND, Verb::Create, "", None, lease("kube-node-lease", "b")).contains("same name")
        );
        assert!(
            check(&Lease::KIND, Verb::Create, "", None, lease("default", "a")).contains("system namespace")
        );
    }
}
