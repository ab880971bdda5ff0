//! Faults as they happen, and what `diagnose` makes of them.

use std::time::Duration;

use orch_tests::{Orchd, eventually};
use serde_json::{Value, json};

use super::Agent;

fn workload(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: orch.dev/v1\nkind: Workload\nmetadata: {{name: {name}}}\nspec:\n  replicas: 1\n  template:\n    \
         metadata: {{labels: {{app: {name}}}}}\n    spec: {spec}\n"
    )
}

/// So many nodes, and nothing wrong with them: a node that has just come is not ready for a moment.
fn healthy(nodes: u32) -> Orchd {
    let orch = Orchd::simulated(nodes);
    eventually("the nodes to be ready", Duration::from_secs(20), || orch.orchctl(&["why"]).code == Some(0));
    orch
}

/// Waits until a cause is found first for an object. Answers with that cause.
fn found(agent: &mut Agent, kind: &str, name: &str, cause: &str) -> Value {
    let mut last = Value::Null;
    eventually(&format!("{cause} of {kind} {name}"), Duration::from_secs(40), || {
        last = agent.call("diagnose", json!({"kind": kind, "name": name}));
        last["causes"][0]["cause"] == cause
    });
    assert_eq!(last["healthy"], false);
    assert!(last["causes"][0]["evidence"].as_array().is_some_and(|all| !all.is_empty()), "{last}");
    last["causes"][0].clone()
}

/// The seeded faults, which the benchmark has too.
fn seeded() -> Value {
    let text = include_str!("../../../faults.yaml");
    orch_client::manifest::Manifest::parse("faults.yaml", text).remove(0).unwrap().object
}

/// A node is noticed to be down 40 s after its agent was last heard of.
#[test]
fn each_of_ten_seeded_faults_is_found_first() {
    let seeded = seeded();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), seeded["simulated"].to_string()).unwrap();
    let orch = Orchd::start(&[
        "--runtime",
        "simulated",
        "--simulate-nodes=3",
        "--simulate-faults",
        file.path().to_str().unwrap(),
    ]);
    let three_nodes = || orch.orchctl(&["get", "nodes", "-o", "name"]).stdout.lines().count() == 3;
    eventually("all nodes to be there", Duration::from_secs(20), three_nodes);
    let mut agent = Agent::start(&orch, &[]);
    let faults = seeded["faults"].as_array().unwrap();
    for fault in faults {
        for object in fault["apply"].as_array().unwrap() {
            agent.call("apply", json!({"manifests": object.to_string(), "force": true}));
        }
        if fault["delete"].is_object() {
            agent.call("delete", fault["delete"].clone());
        }
    }
    for fault in faults {
        let cause = fault["cause"].as_str().unwrap();
        let mut last = Value::Null;
        eventually(&format!("{cause} to be found"), Duration::from_secs(90), || {
            last = agent.call("diagnose", fault["ask"].clone());
            last["causes"][0]["cause"] == cause
        });
        assert!(!last["causes"][0]["evidence"].as_array().unwrap().is_empty(), "{last}");
    }
    assert_eq!(faults.len(), 10);
    let whole = agent.call("diagnose", json!({}));
    assert_eq!(whole["causes"][0]["cause"], "node_down", "of all the root of most: {whole}");
}

#[test]
fn faults_are_found_first_in_the_ranking() {
    let orch = healthy(2);
    let mut agent = Agent::start(&orch, &[]);
    let image = "image: 'registry.example/app:1'";
    let faults = [
        (
            "no-capacity",
            format!("{{containers: [{{name: c, {image}, resources: {{requests: {{cpu: '9999'}}}}}}]}}"),
            "no_capacity",
        ),
        (
            "selector",
            format!("{{nodeSelector: {{disk: none}}, containers: [{{name: c, {image}}}]}}"),
            "selector_matches_nothing",
        ),
        (
            "crash",
            format!("{{containers: [{{name: c, {image}, command: [sh, -c, 'echo broken; exit 3']}}]}}"),
            "crash_loop",
        ),
        (
            "settings",
            format!("{{containers: [{{name: c, {image}, envFrom: [{{configMapRef: {{name: none}}}}]}}]}}"),
            "missing_reference",
        ),
    ];
    for (name, spec, _) in &faults {
        agent.call("apply", json!({"manifests": workload(name, spec)}));
    }
    for (name, _, cause) in &faults {
        found(&mut agent, "workload", name, cause);
    }
    let capacity = found(&mut agent, "workload", "no-capacity", "no_capacity");
    assert!(capacity["says"].as_str().unwrap().contains("9999"), "{capacity}");
    let crash = found(&mut agent, "workload", "crash", "crash_loop");
    assert!(crash["says"].as_str().unwrap().contains("exit code 3"), "{crash}");

    let whole = agent.call("diagnose", json!({}));
    let causes: Vec<_> = whole["causes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cause| cause["cause"].as_str().unwrap().to_owned())
        .collect();
    for (_, _, cause) in &faults {
        assert!(causes.iter().any(|found| found == cause), "{cause} is not among {causes:?}");
    }

    // What fitted before fits no more.
    orch.kubectl(&["taint", "nodes", "--all", "dedicated=db:NoSchedule"]).ok();
    let tainted = workload("tainted", &format!("{{containers: [{{name: c, {image}}}]}}"));
    agent.call("apply", json!({"manifests": tainted}));
    let taint = found(&mut agent, "workload", "tainted", "taint");
    assert!(taint["fix"]["changes"].to_string().contains("dedicated"), "{taint}");
}

#[test]
fn a_finalizer_that_holds_an_object_is_found() {
    let orch = healthy(1);
    let mut agent = Agent::start(&orch, &[]);
    let held = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: held, finalizers: [example.com/guard]}\n";
    agent.call("apply", json!({"manifests": held}));
    let deleted = agent.call("delete", json!({"kind": "cm", "name": "held"}));
    assert!(deleted["pending"].as_str().unwrap().contains("example.com/guard"), "{deleted}");
    let stuck = found(&mut agent, "cm", "held", "stuck_finalizer");
    let patch = stuck["fix"]["changes"][0]["patch"]["patch"].to_string();
    orch.kubectl(&["patch", "cm", "held", "--type=merge", "-p", &patch]).ok();
    assert_eq!(agent.refused("get", json!({"kind": "cm", "name": "held"}))["code"], "not_found");
}

#[test]
fn why_says_it_in_words_and_by_its_exit_code() {
    let orch = healthy(1);
    let spec = "{nodeSelector: {disk: none}, containers: [{name: c, image: 'registry.example/app:1'}]}";
    orch.orchctl_with(&["apply", "-f", "-"], &workload("web", spec)).ok();
    eventually("the pod to be refused", Duration::from_secs(20), || {
        let said = orch.orchctl(&["why", "workload/web"]);
        said.code == Some(1)
            && said.stdout.contains("asks for a node with disk=none")
            && said.stdout.contains("fix: label a node")
    });
    let said = orch.orchctl(&["why", "-o", "json"]).stdout;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["causes"][0]["cause"], "selector_matches_nothing", "{said}");
    orch.orchctl(&["delete", "workload", "web"]).ok();
    eventually("nothing to be wrong", Duration::from_secs(20), || orch.orchctl(&["why"]).code == Some(0));
}
