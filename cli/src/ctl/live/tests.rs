use serde_json::json;

use super::*;

fn resource(kind: &str, namespaced: bool) -> ApiResource {
    ApiResource {
        version: "v1".into(),
        kind: kind.into(),
        singular: kind.to_lowercase(),
        plural: format!("{}s", kind.to_lowercase()),
        namespaced,
        ..ApiResource::default()
    }
}

fn rows(objects: Value) -> Value {
    let rows = objects.as_array().unwrap().iter();
    let rows: Vec<_> = rows
        .map(|object| json!({"cells": [object["metadata"]["name"], "Ready"], "object": object}))
        .collect();
    json!({"columnDefinitions": [{"name": "Name"}, {"name": "Status"}], "rows": rows})
}

/// Two pods of a workload on a node; one of them has another owner too, and mounts a map that is not there.
pub(in crate::ctl) fn shop() -> Live {
    let kinds = [("Workload", true), ("Pod", true), ("Node", false), ("ConfigMap", true)]
        .map(|(kind, namespaced)| resource(kind, namespaced));
    let meta = |name: &str, uid: &str, owners: &[&str]| {
        let owners: Vec<_> = owners.iter().map(|uid| json!({"uid": uid})).collect();
        json!({"name": name, "namespace": "shop", "uid": uid, "ownerReferences": owners})
    };
    let pods = json!([
        {"metadata": meta("web-a", "a", &["w"]), "spec": {"nodeName": "n1"}},
        {"metadata": meta("web-b", "b", &["w", "other"]), "spec": {"nodeName": "n1", "volumes": [{"configMap": {"name": "c"}}]}},
    ]);
    let tables = [
        rows(json!([{"metadata": meta("web", "w", &[])}])),
        rows(pods),
        rows(json!([{"metadata": {"name": "n1", "uid": "n"}}])),
        rows(json!([{"metadata": meta("other", "o", &["a"])}])),
    ];
    let edge = |verb: &str, to: &str, path: &str| RelationEdge {
        from: "Pod".into(),
        verb: verb.into(),
        to: to.into(),
        path: path.into(),
        ..RelationEdge::default()
    };
    let ontology = RelationGraph {
        edges: vec![
            edge("runsOn", "Node", "spec.nodeName"),
            edge("references", "ConfigMap", "spec.volumes[].configMap.name"),
        ],
        ..RelationGraph::default()
    };
    let (mut live, mut objects) = (Live::default(), Vec::new());
    kinds.iter().zip(&tables).for_each(|(kind, table)| live.add(kind, table, &mut objects));
    live.own();
    live.relate(&ontology, &kinds, &objects);
    live
}

fn edges(live: &Live) -> Vec<String> {
    let label = |place: usize| live.nodes[place].label();
    live.edges.iter().map(|edge| format!("{} {} {}", label(edge.from), edge.verb, label(edge.to))).collect()
}

#[test]
fn relations_are_found_in_the_objects() {
    let live = shop();
    let expected = [
        "workload/web owns pod/web-a",
        "workload/web owns pod/web-b",
        "pod/web-a owns configmap/other",
        "pod/web-a runsOn node/n1",
        "pod/web-b runsOn node/n1",
        "pod/web-b references configmap/c",
    ];
    assert_eq!(edges(&live), expected);
    let missing = live.nodes.iter().find(|node| node.name == "c").unwrap();
    assert!(!missing.exists && missing.status == "Missing" && missing.namespace == "shop");
}

#[test]
fn a_delete_takes_along_what_belongs_to_nobody_else() {
    let live = shop();
    let workload = live.find(&resource("Workload", true), "shop", "web").unwrap();
    let taken: Vec<_> =
        live.taken_along(workload).into_iter().map(|place| live.nodes[place].label()).collect();
    assert_eq!(taken, ["pod/web-a", "configmap/other"]);
}

#[test]
fn a_kind_of_several_versions_is_read_once() {
    let version = |kind: &str, version: &str| ApiResource { version: version.into(), ..resource(kind, true) };
    let resources = [version("Widget", "v2"), version("Widget", "v1"), version("Gadget", "v1")];
    let listed: Vec<_> = once_each(&resources).map(ApiResource::api_version).collect();
    assert_eq!(listed, ["v2", "v1"]);
}

#[test]
fn ten_thousand_pods_are_related_in_no_time() {
    let kinds = [resource("Service", true), resource("Pod", true), resource("Node", false)];
    let pods = (0..10_000).map(|n| {
        json!({"metadata": {"name": format!("p{n}"), "namespace": "shop", "uid": format!("u{n}"), "labels": {"app": "a"}},
            "spec": {"nodeName": format!("n{}", n % 100)}})
    });
    let service = json!({"metadata": {"name": "s", "namespace": "shop", "uid": "s"}, "spec": {"selector": {"app": "a"}}});
    let nodes = (0..100).map(|n| json!({"metadata": {"name": format!("n{n}"), "uid": format!("n{n}")}}));
    let tables = [rows(json!([service])), rows(pods.collect()), rows(nodes.collect())];
    let edge = |from: &str, to: &str, path: &str| RelationEdge {
        from: from.into(),
        to: to.into(),
        path: path.into(),
        ..RelationEdge::default()
    };
    let edges = vec![edge("Pod", "Node", "spec.nodeName"), edge("Service", "Pod", "spec.selector")];
    let ontology = RelationGraph { edges, ..RelationGraph::default() };
    let begun = std::time::Instant::now();
    let (mut live, mut objects) = (Live::default(), Vec::new());
    kinds.iter().zip(&tables).for_each(|(kind, table)| live.add(kind, table, &mut objects));
    live.own();
    live.relate(&ontology, &kinds, &objects);
    let all = (0..live.nodes.len()).collect();
    assert_eq!((live.edges.len(), live.only(&all).edges.len()), (20_000, 20_000));
    assert!(begun.elapsed() < std::time::Duration::from_secs(10), "{:?}", begun.elapsed());
}
