//! How kinds relate, and what is said of references that lead nowhere.

use reqwest::Method;
use serde_json::json;

use crate::host::{Host, MAPS, WORKLOADS, map, text, workload};

#[tokio::test]
async fn the_relations_of_the_kinds_are_served_as_json_and_as_json_ld() {
    let host = Host::start().await;
    let reply = host.get("/ontology").await;
    assert_eq!(reply.headers["content-type"], "application/json");
    let etag = reply.headers["etag"].clone();
    let graph = reply.is(200);
    let owns = json!({"from": "Workload", "verb": "owns", "to": "Pod"});
    assert!(graph["edges"].as_array().unwrap().contains(&owns), "{graph}");
    let again = host.request(Method::GET, "/ontology").header("if-none-match", etag);
    host.send(again).await.is(304);

    let linked = host
        .request(Method::GET, "/ontology")
        .header("accept", "application/ld+json, application/json;q=0.5");
    let reply = host.send(linked).await;
    assert_eq!(reply.headers["content-type"], "application/ld+json");
    let linked = reply.is(200);
    assert_eq!(linked["@context"]["runsOn"], json!({"@id": "orch:runsOn", "@type": "@id"}));
    let classes = linked["@graph"].as_array().unwrap();
    let pod = classes.iter().find(|class| class["@id"] == "kind:v1/Pod").unwrap();
    assert_eq!((&pod["runsOn"], &pod["@type"]), (&json!(["kind:v1/Node"]), &json!("rdfs:Class")));
    assert!(text(&pod["comment"]).len() > 10, "{pod}");

    let refused = host.request(Method::GET, "/ontology").header("accept", "text/html");
    host.send(refused).await.fails(406, "NotAcceptable", "application/ld+json");
}

#[tokio::test]
async fn a_write_warns_of_what_it_names_and_is_not_there() {
    let host = Host::start().await;
    let mut web = workload("web", 1);
    web["spec"]["template"]["spec"]["volumes"] = json!([
        {"name": "a", "configMap": {"name": "config"}},
        {"name": "b", "configMap": {"name": "may-come", "optional": true}},
    ]);
    let warnings = |reply: &crate::host::Reply| {
        let all = reply.headers.get_all("warning").iter();
        all.map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let made = host.post(WORKLOADS, web.clone()).await;
    let expected =
        r#"299 - "spec.template.spec.volumes[].configMap.name: configmap \"config\" does not exist""#;
    assert_eq!(warnings(&made), [expected]);
    made.is(201);

    host.post(MAPS, map("config", json!({}))).await.is(201);
    host.get(&format!("{MAPS}/config")).await.is(200);
    let patched = host.merge(&format!("{WORKLOADS}/web"), json!({"spec": {"replicas": 2}})).await;
    assert!(warnings(&patched).is_empty(), "{:?}", patched.headers);
    patched.is(200);

    let bindings = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings";
    let binding = |name: &str, kind: &str| json!({"metadata": {"name": name}, "roleRef": {"kind": kind, "name": "nobody"}});
    for kind in ["Role", "ClusterRole"] {
        let made = host.post(bindings, binding(&kind.to_lowercase(), kind)).await;
        let expected =
            format!("299 - \"roleRef.name: {} \\\"nobody\\\" does not exist\"", kind.to_lowercase());
        assert_eq!(warnings(&made), [expected]);
        made.is(201);
    }
}
