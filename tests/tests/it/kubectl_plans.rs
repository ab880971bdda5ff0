//! Plans through a real kubectl, which knows nothing of them but what the server tells it.

use std::time::Duration;

use orch_tests::{Orchd, wait_for};
use serde_json::Value;

use crate::manifests::web;

const WORKLOAD: &str = web!("{name: web, image: 'registry.test/web:1'}");

const PLAN: &str = "
apiVersion: orch.dev/v1
kind: Plan
metadata: {generateName: shop-}
spec:
  reason: a shop
  changes:
  - apply:
      manifest: {apiVersion: v1, kind: Namespace, metadata: {name: shop}}
  - apply:
      manifest: {apiVersion: v1, kind: ConfigMap, metadata: {name: page, namespace: shop}, data: {title: one}}
  - patch:
      target: {apiVersion: orch.dev/v1, kind: Workload, namespace: default, name: web}
      patch: {spec: {replicas: 4}}
";

const WRONG: &str = "
apiVersion: orch.dev/v1
kind: Plan
metadata: {name: wrong}
spec:
  changes:
  - delete: {target: {apiVersion: v1, kind: ConfigMap, namespace: default, name: absent}}
";

const DRAIN: &str = "
apiVersion: orch.dev/v1
kind: Plan
metadata: {name: drain}
spec:
  changes:
  - drain: {node: sim-0}
";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn kubectl_makes_shows_and_applies_plans() {
    let orch = Orchd::simulated(2);
    orch.kubectl_with(&["apply", "--server-side", "-f", "-"], WORKLOAD).ok();
    let replicas =
        || json(&orch.kubectl(&["get", "workload", "web", "-o", "json"]).ok())["spec"]["replicas"].clone();
    let before = replicas();
    let tried = orch.kubectl_with(&["create", "--dry-run=server", "-f", "-"], PLAN).ok();
    assert!(tried.contains("(server dry run)"), "{tried}");
    let made = orch.kubectl_with(&["create", "-f", "-", "-o", "yaml"], PLAN).ok();
    for expected in ["phase: Ready", "path: data.title", "after: one", "because: Workload web wants it"] {
        assert!(made.contains(expected), "{expected:?} is not in:\n{made}");
    }
    assert_eq!(replicas(), before);
    let plans = orch.kubectl(&["get", "plans"]).ok();
    let lines: Vec<&str> = plans.lines().collect();
    assert!(
        lines[0].starts_with("NAME") && lines[0].contains("PHASE") && lines[0].contains("CREATED"),
        "{plans}"
    );
    assert!(lines[1].starts_with("shop-") && lines[1].contains("Ready"), "{plans}");
    let name = lines[1].split_whitespace().next().unwrap();

    let refused = orch.kubectl_with(&["create", "-f", "-"], WRONG).fails();
    assert!(refused.contains("spec.changes[0]: configmaps \"absent\" not found"), "{refused}");
    let explained = orch.kubectl(&["explain", "plan.spec.changes.drain"]).ok();
    assert!(
        explained.contains("FIELD: drain <") && explained.contains("The name of the node."),
        "{explained}"
    );

    let apply = format!("/apis/orch.dev/v1/plans/{name}/apply");
    let applied = json(&orch.kubectl_with(&["create", "--raw", &apply, "-f", "-"], "{}").ok());
    assert_eq!(applied["status"]["phase"], "Applied");
    assert_eq!(replicas(), 4);
    orch.kubectl(&["get", "configmap", "page", "-n", "shop"]).ok();
    wait_for("the pods that were foreseen", Duration::from_secs(30), || {
        let web = json(&orch.kubectl(&["get", "workload", "web", "-o", "json"]).ok());
        let ready = &web["status"]["readyReplicas"];
        if *ready == 4 { Ok(()) } else { Err(format!("{ready} are ready")) }
    });
    orch.kubectl(&["delete", "plan", name]).ok();
    let again = orch.kubectl_with(&["create", "--raw", &apply, "-f", "-"], "{}").fails();
    assert!(again.contains("not found") || again.contains("NotFound"), "{again}");

    let nodes = orch.kubectl(&["get", "nodes", "-o", "name"]).ok();
    let node = nodes.lines().next().unwrap().trim_start_matches("node/");
    let drained = orch.kubectl_with(&["create", "-f", "-", "-o", "yaml"], &DRAIN.replace("sim-0", node)).ok();
    assert!(
        drained.contains("because: the plan deletes it") && drained.contains("path: spec.unschedulable"),
        "{drained}"
    );
}
