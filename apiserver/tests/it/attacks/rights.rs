//! Verbs, subresources and names that a right is not about, and climbing by writing rights.

use reqwest::Method;
use serde_json::json;

use super::{RBAC, bind, caller, give, rule, secret, view_in_default};
use crate::host::{Host, PODS, client_over, pod, workload};
#[tokio::test]
async fn each_verb_and_subresource_needs_its_own_right() {
    let host = Host::guarded().await;
    host.post(PODS, pod("p")).await.is(201);
    let deploy = "/apis/orch.dev/v1/namespaces/default/workloads";
    host.post(deploy, workload("w", 1)).await.is(201);
    let rules = json!([
        rule(&["get", "list", "watch", "delete", "patch"], "", &["pods"]),
        rule(&["get"], "", &["pods/exec"]),
        rule(&["get", "update", "patch"], "orch.dev", &["workloads"]),
    ]);
    give(&host, "default", "ann", rules).await;
    let ann = caller(&host, "ann", &[]);
    for (method, path) in [
        (Method::DELETE, PODS.to_owned()),
        (Method::POST, PODS.to_owned()),
        (Method::PUT, format!("{PODS}/p")),
        (Method::GET, format!("{PODS}/p/log")),
        (Method::GET, format!("{PODS}/p/status")),
        (Method::PATCH, format!("{PODS}/p/status")),
        (Method::PUT, format!("{PODS}/p/status")),
        (Method::POST, format!("{PODS}/p/binding")),
        (Method::POST, format!("{PODS}/p/exec?command=sh")),
        (Method::POST, format!("{PODS}/p/attach")),
        (Method::GET, format!("{deploy}/w/scale")),
        (Method::PUT, format!("{deploy}/w/scale")),
        (Method::PATCH, format!("{deploy}/w/status")),
        (Method::DELETE, format!("{deploy}/w")),
    ] {
        let reply = ann.ask(method.clone(), &path, Some(json!({}))).await;
        reply.fails(403, "Forbidden", "cannot");
        let dry = format!("{path}{}dryRun=All", if path.contains('?') { '&' } else { '?' });
        ann.ask(method, &dry, Some(json!({}))).await.fails(403, "Forbidden", "cannot");
    }
    // To run a command is more than to read, however it is asked for.
    let certificate = host.authority.issue_client("ann", &[""; 0]).unwrap();
    let upgrade = client_over(&host.authority, Some(&certificate), &[b"http/1.1"])
        .get(host.url(&format!("{PODS}/p/exec?command=sh")))
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    host.send(upgrade).await.fails(403, "Forbidden", r#"cannot create resource "pods/exec""#);
    // To apply something that is not there is to make it.
    let applied =
        ann.patch(&format!("{PODS}/new?fieldManager=x"), "application/apply-patch+yaml", pod("new")).await;
    applied.fails(403, "Forbidden", r#"cannot create resource "pods""#);
    let patched = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": "b"}}});
    ann.patch(&format!("{PODS}/p?fieldManager=x"), "application/apply-patch+yaml", patched).await.is(200);
}

#[tokio::test]
async fn a_right_to_one_object_is_none_to_its_neighbours() {
    let host = Host::guarded().await;
    for name in ["mine", "yours"] {
        host.post("/api/v1/namespaces/default/secrets", secret(name)).await.is(201);
    }
    let mut named = rule(&["get", "list", "watch", "deletecollection"], "", &["secrets"]);
    named["resourceNames"] = json!(["mine"]);
    give(&host, "default", "ann", json!([named])).await;
    let ann = caller(&host, "ann", &[]);
    let secrets = "/api/v1/namespaces/default/secrets";
    ann.get(&format!("{secrets}/mine")).await.is(200);
    let list = ann.get(&format!("{secrets}?fieldSelector=metadata.name%3Dmine")).await.is(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    for (method, path) in [
        (Method::GET, format!("{secrets}/yours")),
        (Method::GET, secrets.to_owned()),
        (Method::GET, format!("{secrets}?watch=true")),
        (Method::GET, format!("{secrets}?fieldSelector=metadata.name%21%3Dyours")),
        (Method::GET, format!("{secrets}?fieldSelector=metadata.name%3Dyours")),
        (Method::GET, format!("{secrets}?labelSelector=metadata.name%3Dmine")),
        (Method::DELETE, secrets.to_owned()),
    ] {
        ann.ask(method, &path, None).await.fails(403, "Forbidden", "secrets");
    }
    let both = ann.get(&format!("{secrets}?fieldSelector=metadata.name%3Dmine,metadata.name%3Dyours")).await;
    assert_eq!(both.is(200)["items"], json!([]), "what it asks for is nothing");
}

#[tokio::test]
async fn nobody_climbs_by_writing_roles() {
    let host = Host::guarded().await;
    let all = ["roles", "rolebindings", "clusterroles", "clusterrolebindings"];
    let writer = json!({"metadata": {"name": "rbac-writer"}, "rules":
        [rule(&["create", "update", "patch", "get", "delete"], "rbac.authorization.k8s.io", &all)]});
    host.post(&format!("{RBAC}/clusterroles"), writer).await.is(201);
    bind(&host, &format!("{RBAC}/clusterrolebindings"), "ann", "ClusterRole", "rbac-writer").await;
    let ann = caller(&host, "ann", &[]);
    let to = |kind: &str, role: &str| {
        json!({"metadata": {"name": "climb"}, "roleRef": {"kind": kind, "name": role},
        "subjects": [{"kind": "User", "name": "ann"}]})
    };
    let held = "is attempting to grant RBAC permissions not currently held:\n";
    let secrets = || json!({"metadata": {"name": "climb"}, "rules": [rule(&["get"], "", &["secrets"])]});
    for (path, body) in [
        ("/clusterrolebindings", to("ClusterRole", "cluster-admin")),
        ("/clusterrolebindings", to("ClusterRole", "view")),
        ("/namespaces/default/rolebindings", to("ClusterRole", "admin")),
        ("/clusterroles", secrets()),
        ("/namespaces/default/roles", secrets()),
    ] {
        ann.post(&format!("{RBAC}{path}"), body.clone()).await.fails(403, "Forbidden", held);
        ann.post(&format!("{RBAC}{path}?dryRun=All"), body).await.fails(403, "Forbidden", held);
    }
    let own = format!("{RBAC}/clusterroles/rbac-writer");
    let merge = "application/merge-patch+json";
    let more = json!({"rules": [rule(&["*"], "*", &["*"])]});
    ann.patch(&own, merge, more.clone()).await.fails(403, "Forbidden", held);
    let json_patch = json!([{"op": "add", "path": "/rules/-", "value": rule(&["*"], "*", &["*"])}]);
    ann.patch(&own, "application/json-patch+json", json_patch).await.fails(403, "Forbidden", held);
    let applied = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "rbac-writer"}, "rules": more["rules"]});
    let apply = format!("{own}?fieldManager=x&force=true");
    ann.patch(&apply, "application/apply-patch+yaml", applied).await.fails(403, "Forbidden", held);
    let gathering = json!({"metadata": {"name": "all"}, "rules": [],
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}]}});
    ann.post(&format!("{RBAC}/clusterroles"), gathering).await.fails(
        403,
        "Forbidden",
        "must have cluster-admin",
    );
    // What she has she may pass on; whom a binding of more names she may not choose.
    ann.post(&format!("{RBAC}/clusterrolebindings"), to("ClusterRole", "rbac-writer")).await.is(201);
    let subject = json!({"subjects": [{"kind": "User", "name": "ann"}]});
    ann.patch(&format!("{RBAC}/clusterrolebindings/cluster-admin"), merge, subject).await.fails(
        403,
        "Forbidden",
        held,
    );
    let other_role = json!({"roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}});
    ann.patch(&format!("{RBAC}/clusterrolebindings/climb"), merge, other_role).await.fails(
        422,
        "Invalid",
        "cannot change roleRef",
    );
    ann.get("/api/v1/secrets").await.fails(403, "Forbidden", "");
}

#[tokio::test]
async fn a_right_holds_from_the_next_request_on_and_is_gone_from_the_next_request_on() {
    let host = Host::guarded().await;
    let ann = caller(&host, "ann", &[]);
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    for _ in 0..20 {
        ann.get(PODS).await.is(403);
        view_in_default(&host, "ann").await;
        ann.get(PODS).await.is(200);
        host.delete(&format!("{bindings}/ann-view")).await.is(200);
    }
}
