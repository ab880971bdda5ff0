//! Who changed what, as a real kubectl and orchctl show it.

use orch_tests::{Orchd, start_etcd};
use serde_json::Value;

/// The lines of `kubectl get changes` without the ages, which go on.
fn shown(orch: &Orchd, selector: &str) -> Vec<String> {
    let columns = "-o=custom-columns=V:.verb,K:.object.kind,N:.object.name,U:.user,R:.reason";
    let field_selector = format!("--field-selector={selector}");
    let table = orch.kubectl(&["get", "changes", &field_selector, columns, "--no-headers"]).ok();
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// What a kubectl does and sees on any store.
fn kubectl_sees_who_changed_what(orch: &Orchd) {
    orch.kubectl(&["create", "configmap", "page", "--from-literal=title=one"]).ok();
    let patch = r#"{"data": {"title": "two"}}"#;
    orch.kubectl(&[
        "patch",
        "configmap",
        "page",
        "--type=merge",
        "-p",
        patch,
        "--as=alice",
        "--as-group=system:masters",
    ])
    .ok();
    orch.kubectl(&["delete", "configmap", "page"]).ok();
    let selector = "object.kind=ConfigMap,object.name=page";
    let expected = [
        "deleted ConfigMap page orch-admin <none>",
        "updated ConfigMap page alice <none>",
        "created ConfigMap page orch-admin <none>",
    ];
    assert_eq!(shown(orch, selector)[..3], expected, "newest first");
    let table = orch.kubectl(&["get", "changes", "--field-selector=user=alice"]).ok();
    let (heading, line) = table.trim().split_once('\n').unwrap();
    assert!(heading.starts_with("NAME") && heading.contains("OBJECT"), "{table}");
    assert!(line.contains("updated") && line.contains("configmap/page") && line.contains("alice"), "{table}");
    let name = line.split_whitespace().next().unwrap();
    let change = orch.kubectl(&["get", "change", name, "-o=json"]).ok();
    let change: Value = serde_json::from_str(&change).unwrap();
    assert_eq!(change["impersonator"], "orch-admin");
    assert_eq!(change["fields"][0]["path"], "data.title");
    assert_eq!(change["before"]["data"]["title"], "one");
    let explained = orch.kubectl(&["explain", "change.impersonator"]).ok();
    assert!(explained.contains("an agent that acts for"), "{explained}");
    let refused = orch.kubectl(&["delete", "change", name]).fails();
    assert!(refused.contains("not allow") || refused.contains("MethodNotAllowed"), "{refused}");
}

#[test]
fn kubectl_sees_who_changed_what_also_after_a_restart() {
    let mut orch = Orchd::simulated(1);
    kubectl_sees_who_changed_what(&orch);
    let before = shown(&orch, "object.kind=ConfigMap,object.name=page");
    orch.stop();
    orch.start_again();
    assert_eq!(shown(&orch, "object.kind=ConfigMap,object.name=page"), before);
}

#[test]
fn each_of_two_servers_over_one_etcd_tells_the_whole_history() {
    let etcd = start_etcd();
    let store = ["--runtime", "none", "--store", "etcd", "--etcd-endpoints", etcd.endpoint()];
    let one = Orchd::start(&store);
    let two = Orchd::join(&one, &store);
    kubectl_sees_who_changed_what(&one);
    kubectl_sees_who_changed_what(&two);
    let selector = "object.kind=ConfigMap,object.name=page";
    assert_eq!(shown(&one, selector).len(), 6);
    assert_eq!(shown(&one, selector), shown(&two, selector));
}
