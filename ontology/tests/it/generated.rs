use std::collections::BTreeMap;
use std::path::Path;

use orch_ontology::{KINDS, generated};
use serde_json::{Value, json};

/// Run with `BLESS=1` (or `cargo xtask codegen`) to write the files.
#[test]
fn the_committed_files_are_in_step_with_the_types() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("generated");
    let expected = generated();
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(&directory).unwrap();
        for (path, content) in &expected {
            std::fs::write(directory.join(path), content).unwrap();
        }
    }
    let found: BTreeMap<String, String> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), std::fs::read_to_string(file.path()).unwrap()))
        .collect();
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&found), names(&expected), "run `cargo xtask codegen`");
    for (path, content) in expected {
        assert!(found[&path] == content, "generated/{path} is out of step: run `cargo xtask codegen`");
    }
}

#[test]
fn the_graph_knows_who_needs_whom() {
    let graph: Value = serde_json::from_str(&generated()["graph.json"]).unwrap();
    let edges = graph["edges"].as_array().unwrap();
    for expected in [
        json!({"from": "Workload", "verb": "owns", "to": "Pod"}),
        json!({"from": "Pod", "verb": "runsOn", "to": "Node", "path": "spec.nodeName"}),
        json!({
            "from": "Pod", "verb": "references", "to": "ConfigMap",
            "path": "spec.volumes[].configMap.name",
        }),
        json!({
            "from": "Workload", "verb": "references", "to": "Secret",
            "path": "spec.template.spec.containers[].envFrom[].secretRef.name", "templated": true,
        }),
        json!({
            "from": "Pod", "verb": "selects", "to": "Pod",
            "path": "spec.topologySpreadConstraints[].labelSelector",
        }),
    ] {
        assert!(edges.contains(&expected), "{expected} is not among {edges:#?}");
    }
    let kinds: Vec<&str> = KINDS.iter().map(|entry| entry.kind.name).collect();
    for edge in edges {
        assert!(kinds.contains(&edge["to"].as_str().unwrap()), "{edge} leads to no kind");
    }
}

#[test]
fn every_field_is_explained() {
    for entry in KINDS.iter() {
        let undocumented = undocumented(entry.schema.root(), entry.kind.name, 0);
        assert_eq!(undocumented, Vec::<String>::new());
    }
}

fn undocumented(ty: orch_api::schema::Type<'_>, path: &str, depth: usize) -> Vec<String> {
    if depth > 12 {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (name, child) in ty.properties() {
        let path = format!("{path}.{name}");
        if child.node().description.as_deref().unwrap_or_default().is_empty() {
            found.push(path.clone());
        }
        found.extend(undocumented(child.element(), &path, depth + 1));
    }
    found
}
