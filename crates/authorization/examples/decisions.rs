//! How long a decision takes, and a change, in a cluster of 1,000 namespaces with 10 bindings each, 200 ClusterRoleBindings,
//! 1,000 nodes and 10,000 pods.
//!
//! ```text
//! cargo run --release -p orch-authorization --example decisions
//! ```

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement: it prints, and what goes wrong ends it"
)]

#[path = "../src/told.rs"]
mod told;

use std::time::Instant;

use orch_api::{Asked, Attributes, Authorizer, ResourceAttributes, Subject};
use orch_authorization::{Authorization, default_role_bindings, default_roles};
use serde_json::{Value, json};
use told::tell;

const NAMESPACES: usize = 1_000;
const ROUNDS: u32 = 200_000;

fn main() {
    let mut objects: Vec<Value> = Vec::new();
    objects.extend(default_roles().iter().filter_map(|role| serde_json::to_value(role).ok()));
    objects.extend(default_role_bindings().iter().filter_map(|binding| serde_json::to_value(binding).ok()));
    objects.extend((0..200).map(|n| binding("", &format!("c{n}"), &format!("group-{n}"), "Group")));
    for namespace in 0..NAMESPACES {
        objects
            .extend((0..10).map(|n| {
                binding(&format!("ns-{namespace}"), &format!("b{n}"), &format!("user-{n}"), "User")
            }));
        objects.extend((0..10).map(|n| pod(&format!("ns-{namespace}"), n, &format!("node-{namespace}"))));
    }
    let authorization = Authorization::new();
    let started = Instant::now();
    tell(&authorization, &objects, true);
    println!("{} objects taken in within {:?}", objects.len(), started.elapsed());

    let user = [String::from("system:authenticated"), String::from("group-7")];
    let node = [String::from("system:nodes"), String::from("system:authenticated")];
    measure("allowed in a namespace", &authorization, ("user-3", &user), "get", ("pods", "ns-500", "web"));
    measure("allowed by a group", &authorization, ("nobody", &user), "list", ("configmaps", "", ""));
    measure("refused", &authorization, ("user-3", &user), "delete", ("nodes", "", "n"));
    measure(
        "a node's secret",
        &authorization,
        ("system:node:node-7", &node),
        "get",
        ("secrets", "ns-7", "s-3"),
    );
    measure(
        "another node's secret",
        &authorization,
        ("system:node:node-7", &node),
        "get",
        ("secrets", "ns-8", "s-3"),
    );

    let changed = [binding("ns-1", "b1", "user-1", "User")];
    let started = Instant::now();
    (0..1_000).for_each(|round| tell(&authorization, &changed, round % 2 == 0));
    println!("a binding of a namespace comes or goes: {:?}", started.elapsed() / 1_000);
    let changed = [binding("", "c1", "group-1", "Group")];
    let started = Instant::now();
    (0..1_000).for_each(|round| tell(&authorization, &changed, round % 2 == 0));
    println!("a binding of the cluster comes or goes: {:?}", started.elapsed() / 1_000);
}

fn measure(
    what: &str,
    authorization: &Authorization,
    (user, groups): (&str, &[String]),
    verb: &str,
    (resource, namespace, name): (&str, &str, &str),
) {
    let started = Instant::now();
    let mut allowed = 0;
    for _ in 0..ROUNDS {
        let asked =
            ResourceAttributes { resource, namespace, name: name.into(), ..ResourceAttributes::default() };
        let attributes =
            Attributes { subject: Subject { user, groups }, verb, asked: Asked::Resource(Box::new(asked)) };
        allowed += u32::from(authorization.decide(&attributes).allowed);
    }
    println!("{what} ({}): {:?}", if allowed == ROUNDS { "yes" } else { "no" }, started.elapsed() / ROUNDS);
}

fn binding(namespace: &str, name: &str, subject: &str, subject_kind: &str) -> Value {
    json!({
        "kind": if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" },
        "metadata": {"namespace": namespace, "name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": subject_kind, "name": subject, "apiGroup": "rbac.authorization.k8s.io"}],
    })
}

fn pod(namespace: &str, number: usize, node: &str) -> Value {
    json!({
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": format!("p-{number}"), "uid": format!("{namespace}-{number}"), "generation": 1},
        "spec": {"nodeName": node, "serviceAccountName": "default", "containers": [],
            "volumes": [{"name": "v", "secret": {"secretName": format!("s-{number}")}}]},
    })
}
