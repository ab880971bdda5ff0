//! A real kubectl, unmodified, with the administrator's kubeconfig.

use std::time::Duration;

use orch_tests::{Orchd, wait_for};
use serde_json::Value;

use crate::manifests::web;

const WORKLOAD: &str = web!("{name: web, image: 'registry.test/web:1'}");

const DEADLINE: Duration = Duration::from_secs(30);

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn kubectl_discovers_and_explains_the_kinds() {
    let orch = Orchd::simulated(1);
    let resources = orch.kubectl(&["api-resources"]).ok();
    for kind in
        ["Namespace", "Node", "Pod", "ConfigMap", "Secret", "Service", "EndpointSlice", "Event", "Workload"]
    {
        assert!(resources.lines().any(|line| line.ends_with(kind)), "{kind} is missing:\n{resources}");
    }
    let versions = orch.kubectl(&["api-versions"]).ok();
    let expected = [
        "admissionregistration.k8s.io/v1",
        "apiextensions.k8s.io/v1",
        "authentication.k8s.io/v1",
        "authorization.k8s.io/v1",
        "certificates.k8s.io/v1",
        "coordination.k8s.io/v1",
        "discovery.k8s.io/v1",
        "events.k8s.io/v1",
        "orch.dev/v1",
        "rbac.authorization.k8s.io/v1",
        "v1",
    ];
    assert_eq!(versions.lines().collect::<Vec<_>>(), expected);
    let explained = orch.kubectl(&["explain", "workload.spec.replicas"]).ok();
    assert!(explained.contains("FIELD: replicas <integer>"), "{explained}");
    let pod = orch.kubectl(&["explain", "pod.spec.containers", "--recursive"]).ok();
    assert!(pod.contains("imagePullPolicy"), "{pod}");
    let version = orch.kubectl(&["version"]).ok();
    assert!(version.contains("Server Version: v1."), "{version}");
    assert_eq!(orch.kubectl(&["auth", "can-i", "create", "pods"]).ok().trim(), "yes");
}

#[test]
fn kubectl_creates_changes_and_deletes_objects() {
    let orch = Orchd::simulated(1);
    orch.kubectl(&["create", "namespace", "shop"]).ok();
    orch.kubectl(&["create", "configmap", "page", "--from-literal=title=one", "-n", "shop"]).ok();
    orch.kubectl(&["create", "secret", "generic", "key", "--from-literal=password=hunter2", "-n", "shop"])
        .ok();
    orch.kubectl(&["create", "serviceaccount", "bot", "-n", "shop"]).ok();
    let again = orch.kubectl(&["create", "configmap", "page", "-n", "shop"]).fails();
    assert!(again.contains("configmaps \"page\" already exists"), "{again}");

    orch.kubectl(&["label", "configmap", "page", "tier=front", "-n", "shop"]).ok();
    orch.kubectl(&["annotate", "configmap", "page", "note=x", "-n", "shop"]).ok();
    let patch = r#"{"data":{"title":"two"}}"#;
    orch.kubectl(&["patch", "configmap", "page", "-n", "shop", "--type=merge", "-p", patch]).ok();
    let patch = r#"[{"op":"add","path":"/data/sub","value":"x"}]"#;
    orch.kubectl(&["patch", "configmap", "page", "-n", "shop", "--type=json", "-p", patch]).ok();
    let page = json(&orch.kubectl(&["get", "configmap", "page", "-n", "shop", "-o", "json"]).ok());
    assert_eq!(page["data"], serde_json::json!({"title": "two", "sub": "x"}));
    assert_eq!(page["metadata"]["labels"]["tier"], "front");

    let selected = orch.kubectl(&["get", "configmaps", "-A", "-l", "tier=front", "-o", "name"]).ok();
    assert_eq!(selected.trim(), "configmap/page");
    orch.kubectl(&["delete", "configmap", "page", "-n", "shop"]).ok();
    let gone = orch.kubectl(&["get", "configmap", "page", "-n", "shop"]).fails();
    assert!(gone.contains("configmaps \"page\" not found"), "{gone}");

    orch.kubectl(&["delete", "namespace", "shop", "--timeout=30s"]).ok();
    let gone = orch.kubectl(&["get", "secret", "key", "-n", "shop"]).fails();
    assert!(gone.contains("not found"), "{gone}");
}

#[test]
fn kubectl_edits_an_object_in_an_editor() {
    let orch = Orchd::simulated(1);
    orch.kubectl(&["create", "configmap", "page", "--from-literal=title=one"]).ok();
    let edited = orch.kubectl_env(&["edit", "configmap", "page"], "KUBE_EDITOR", "sed -i s/one/two/").ok();
    assert!(edited.contains("configmap/page edited"), "{edited}");
    let title = orch.kubectl(&["get", "configmap", "page", "-o", "jsonpath={.data.title}"]).ok();
    assert_eq!(title, "two");
}

#[test]
fn kubectl_applies_a_workload_and_waits_for_its_pods() {
    let orch = Orchd::simulated(2);
    let apply = ["apply", "--server-side", "-f", "-"];
    assert_eq!(orch.kubectl_with(&apply, WORKLOAD).ok().trim(), "workload.orch.dev/web serverside-applied");
    orch.kubectl(&["wait", "pod", "-l", "app=web", "--for=create", "--timeout=30s"]).ok();
    orch.kubectl(&["wait", "pod", "-l", "app=web", "--for=condition=Ready", "--timeout=30s"]).ok();
    wait_for("two pods in the table", DEADLINE, || {
        let table = orch.kubectl(&["get", "pods", "-o", "wide"]).ok();
        let running = table.lines().filter(|line| line.contains("1/1") && line.contains("Running")).count();
        if running == 2 && table.starts_with("NAME") { Ok(()) } else { Err(table) }
    });
    let described = orch.kubectl(&["describe", "pod", "-l", "app=web"]).ok();
    for part in ["Controlled By:  Workload/web", "Scheduled", "Started"] {
        assert!(described.contains(part), "{part} is missing:\n{described}");
    }
    orch.kubectl(&["describe", "workload", "web"]).ok();
    orch.kubectl(&["describe", "node"]).ok();
    let yaml = orch.kubectl(&["get", "workload", "web", "-o", "yaml", "--show-managed-fields"]).ok();
    assert!(yaml.contains("manager: kubectl") && yaml.contains("operation: Apply"), "{yaml}");

    let other = ["apply", "--server-side", "--field-manager=other", "-f", "-"];
    let more = WORKLOAD.replace("replicas: 2", "replicas: 3");
    let conflict = orch.kubectl_with(&other, &more).fails();
    assert!(
        conflict.contains("conflict with \"kubectl\"") && conflict.contains(".spec.replicas"),
        "{conflict}"
    );
    orch.kubectl_with(
        &["apply", "--server-side", "--force-conflicts", "--field-manager=other", "-f", "-"],
        &more,
    )
    .ok();

    orch.kubectl(&["delete", "workload", "web", "--timeout=30s"]).ok();
    orch.kubectl(&["wait", "pod", "-l", "app=web", "--for=delete", "--timeout=30s"]).ok();
}

#[test]
fn kubectl_watches() {
    let orch = Orchd::simulated(1);
    let mut watch = orch.kubectl_spawn(&["get", "configmaps", "-w", "--no-headers"]);
    orch.kubectl(&["create", "configmap", "seen", "--from-literal=a=b"]).ok();
    let line = watch.line_with("seen", DEADLINE);
    assert!(line.contains('1'), "{line}");
    orch.kubectl(&["delete", "configmap", "seen"]).ok();
    watch.line_with("seen", DEADLINE);
}

#[test]
fn kubectl_is_told_what_is_wrong() {
    let orch = Orchd::simulated(1);
    let misspelt = WORKLOAD.replace("image:", "imagee:");
    let refused = orch.kubectl_with(&["apply", "--server-side", "-f", "-"], &misspelt).fails();
    assert!(refused.contains("imagee"), "{refused}");
    let invalid = WORKLOAD.replace("replicas: 2", "replicas: -1");
    let refused = orch.kubectl_with(&["create", "-f", "-"], &invalid).fails();
    assert!(
        refused.contains("Workload.orch.dev \"web\" is invalid")
            || refused.contains("The Workload \"web\" is invalid"),
        "{refused}"
    );
    assert!(refused.contains("spec.replicas: Invalid value: -1"), "{refused}");
    let dry = orch.kubectl_with(&["create", "--dry-run=server", "-f", "-"], WORKLOAD).ok();
    assert!(dry.contains("created (server dry run)"), "{dry}");
    assert!(orch.kubectl(&["get", "workload", "web"]).fails().contains("not found"));
}

#[test]
fn kubectl_makes_services_and_sees_where_pods_answer() {
    let orch = Orchd::simulated(1);
    orch.kubectl_with(&["create", "-f", "-"], WORKLOAD).ok();
    orch.kubectl(&["create", "service", "clusterip", "web", "--clusterip=None"]).ok();
    let count = "jsonpath={.items[*].endpoints[*].conditions.ready}";
    let slices = ["get", "endpointslices", "-l", "kubernetes.io/service-name=web", "-o", count];
    wait_for("two endpoints that are ready", DEADLINE, || {
        let ready = orch.kubectl(&slices).ok();
        if ready == "true true" { Ok(()) } else { Err(ready) }
    });
    let described = orch.kubectl(&["describe", "service", "web"]).ok();
    for part in ["Selector:                 app=web", "IP:                       None"] {
        assert!(described.contains(part), "{part} is missing:\n{described}");
    }
    let address = orch.kubectl(&["get", "pods", "-o", "jsonpath={.items[0].status.podIP}"]).ok();
    assert!(orch.kubectl(&["get", "endpointslices"]).ok().contains(&address), "{address}");

    let pod = orch.kubectl(&["get", "pods", "-o", "jsonpath={.items[0].metadata.name}"]).ok();
    orch.kubectl(&["expose", "pod", &pod, "--name=one", "--port=80", "--cluster-ip=None"]).ok();
    wait_for("a slice with the port", DEADLINE, || {
        let table = orch.kubectl(&["get", "endpointslices", "--no-headers"]).ok();
        let of_one = table.lines().find(|line| line.starts_with("one-")).unwrap_or_default();
        if of_one.contains("80") && of_one.contains(&address) { Ok(()) } else { Err(table) }
    });
    let refused = orch.kubectl(&["create", "service", "nodeport", "no", "--tcp=80"]).fails();
    assert!(refused.contains("what works is `clusterIP: None`"), "{refused}");

    let dns = "{apiVersion: v1, kind: Service, metadata: {name: dns, namespace: kube-system, labels: {kubernetes.io/cluster-service: 'true', kubernetes.io/name: DNS}}, spec: {clusterIP: None, ports: [{port: 53}]}}";
    orch.kubectl_with(&["create", "-f", "-"], dns).ok();
    let info = orch.kubectl(&["cluster-info"]).ok();
    assert!(info.contains("control plane") && info.contains("kube-system/services/dns"), "{info}");

    orch.kubectl(&["delete", "service", "web", "one"]).ok();
    wait_for("no slices", DEADLINE, || {
        let left = orch.kubectl(&["get", "endpointslices", "-o", "name"]).ok();
        if left.is_empty() { Ok(()) } else { Err(left) }
    });
}
