//! The layout's rule: who may depend on whom. Dev-dependencies are free.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Each package and the packages of this workspace that it may depend on.
const ALLOWED: &[(&str, &[&str])] = &[
    ("orch-api", &[]),
    ("orch-cel", &[]),
    ("orch-ontology", &["orch-api", "orch-cel"]),
    ("orch-store", &[]),
    ("orch-transport", &[]),
    ("orch-spdy", &[]),
    ("orch-client", &["orch-api", "orch-spdy"]),
    ("orch-mcp", &["orch-api", "orch-client", "orch-diagnose"]),
    ("orch-diagnose", &["orch-api", "orch-ontology"]),
    ("orch-gitops", &["orch-api", "orch-client", "orch-ontology"]),
    ("orch-controller-runtime", &["orch-api"]),
    ("orch-admission", &["orch-api", "orch-cel", "orch-ontology"]),
    ("orch-authorization", &["orch-api", "orch-ontology"]),
    ("orch-scheduler", &["orch-api", "orch-ontology"]),
    ("orch-runtime", &[]),
    ("orch-runtime-containerd", &["orch-runtime"]),
    ("orch-apiserver", &["orch-api", "orch-store", "orch-transport"]),
    (
        "orch-controllers",
        &["orch-api", "orch-ontology", "orch-controller-runtime", "orch-gitops", "orch-scheduler"],
    ),
    (
        "orch-node",
        &[
            "orch-api",
            "orch-ontology",
            "orch-controller-runtime",
            "orch-runtime",
            "orch-spdy",
            "orch-transport",
        ],
    ),
];

/// Packages at the top, which may depend on everything.
const UNBOUND: &[&str] = &["orch-cli", "orch-tests", "orch-fuzz", "xtask"];

/// Packages from outside that only one of ours may see.
const GUARDED: &[(&str, &[&str])] = &[
    ("containerd-client", &["orch-runtime-containerd"]),
    ("etcd-client", &["orch-store", "xtask"]),
    ("git2", &["orch-gitops"]),
    ("kube-cel", &["orch-cel"]),
    ("pgp", &["orch-gitops"]),
    ("rmcp", &["orch-mcp", "orch-tests"]),
    (
        "tokio",
        &[
            "*",
            "!orch-api",
            "!orch-admission",
            "!orch-authorization",
            "!orch-diagnose",
            "!orch-ontology",
            "!orch-scheduler",
        ],
    ),
];

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.map(|package| (text(&package["name"]), normal_dependencies(package))).collect()
}

fn normal_dependencies(package: &Value) -> BTreeSet<String> {
    let all = package["dependencies"].as_array().unwrap().iter();
    all.filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| text(&dependency["name"]))
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn packages_depend_only_on_what_the_layout_allows() {
    let found = dependencies();
    let ours: BTreeSet<&str> = found.keys().map(String::as_str).collect();
    for (package, dependencies) in &found {
        if UNBOUND.contains(&package.as_str()) {
            continue;
        }
        let (_, allowed) = ALLOWED.iter().find(|(name, _)| name == package).unwrap_or_else(|| {
            panic!("{package} is not in the layout: add it to ALLOWED and to ARCHITECTURE.md")
        });
        for dependency in dependencies.iter().filter(|name| ours.contains(name.as_str())) {
            assert!(allowed.contains(&dependency.as_str()), "{package} may not depend on {dependency}");
        }
    }
    for (package, _) in ALLOWED {
        assert!(ours.contains(package), "{package} is in ALLOWED, but not in the workspace");
    }
}

#[test]
fn guarded_packages_are_seen_only_where_they_may_be() {
    for (package, dependencies) in dependencies() {
        for (guarded, seers) in GUARDED.iter().filter(|(guarded, _)| dependencies.contains(*guarded)) {
            let barred = seers.contains(&format!("!{package}").as_str());
            let allowed = seers.contains(&"*") || seers.contains(&package.as_str());
            assert!(allowed && !barred, "{package} may not depend on {guarded}");
        }
    }
}
