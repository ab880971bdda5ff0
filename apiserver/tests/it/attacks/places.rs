//! Other namespaces, other spellings of a path, and what lists and watches show.

use orch_apiserver::Identity;
use serde_json::json;

use super::{caller, give, rule, secret, view_in_default};
use crate::host::{Host, Lines, PODS, map, text};
#[tokio::test]
async fn a_right_in_one_namespace_is_none_in_another() {
    let host = Host::guarded().await;
    view_in_default(&host, "ann").await;
    host.post("/api/v1/namespaces/other/configmaps", map("hidden", json!({"a": "b"}))).await.is(201);
    let ann = caller(&host, "ann", &[]);
    ann.get(PODS).await.is(200);
    ann.get("/api/v1/namespaces/default").await.is(200);
    for path in [
        "/api/v1/namespaces/other/configmaps",
        "/api/v1/namespaces/other/configmaps/hidden",
        "/api/v1/configmaps",
        "/api/v1/configmaps?watch=true",
        "/api/v1/configmaps?fieldSelector=metadata.namespace%3Ddefault",
        "/api/v1/configmaps?fieldSelector=metadata.name%3Dhidden",
        "/api/v1/namespaces/other/configmaps?watch=true",
        "/api/v1/namespaces/other/configmaps?labelSelector=a%3Db&limit=1",
        "/api/v1/namespaces/other",
        "/api/v1/namespaces",
        "/api/v1/namespaces/default/secrets",
        "/api/v1/namespaces/default/secrets?watch=true",
        "/api/v1/nodes",
    ] {
        for accept in ["application/json", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"]
        {
            let request = ann.client.get(host.url(path)).header("accept", accept);
            host.send(request).await.fails(403, "Forbidden", "User \"ann\" cannot ");
        }
    }
    ann.get("/api/v1/namespaces/other/configmaps").await.fails(
        403,
        "Forbidden",
        r#"configmaps is forbidden: User "ann" cannot list resource "configmaps" in API group "" in the namespace "other""#,
    );
    // A token for the next page is no key to another place.
    host.post("/api/v1/namespaces/default/configmaps", map("a", json!({}))).await.is(201);
    host.post("/api/v1/namespaces/default/configmaps", map("b", json!({}))).await.is(201);
    let page = ann.get("/api/v1/namespaces/default/configmaps?limit=1").await.is(200);
    let cont = text(&page["metadata"]["continue"]);
    ann.get(&format!("/api/v1/namespaces/other/configmaps?limit=1&continue={cont}")).await.fails(
        403,
        "Forbidden",
        "",
    );
}

#[tokio::test]
async fn a_watch_shows_nothing_of_another_namespace() {
    let host = Host::guarded().await;
    view_in_default(&host, "ann").await;
    let ann = caller(&host, "ann", &[]);
    let path = "/api/v1/namespaces/default/configmaps?watch=true";
    let mut watch = Lines::of(ann.client.get(host.url(path)).send().await.unwrap());
    host.post("/api/v1/namespaces/other/configmaps", map("hidden", json!({}))).await.is(201);
    host.post("/api/v1/namespaces/default/configmaps", map("seen", json!({}))).await.is(201);
    assert_eq!(watch.brief().await, "ADDED seen");
}

#[tokio::test]
async fn other_spellings_of_a_path_lead_nowhere() {
    let host = Host::guarded().await;
    give(&host, "default", "ann", json!([rule(&["get", "list"], "", &["configmaps"])])).await;
    host.post("/api/v1/namespaces/default/secrets", secret("s")).await.is(201);
    let ann = caller(&host, "ann", &[]);
    ann.get("/api/v1/namespaces/default/configmaps/").await.is(200);
    for path in [
        "//api/v1/namespaces/default/secrets",
        "/api//v1/namespaces/default/secrets",
        "/api/v1//namespaces/default/secrets",
        "/api/v1/namespaces//secrets",
        "/api/v1/namespaces/default//secrets",
        "/api/v1/namespaces/default/secrets/",
        "/api/v1/namespaces/default/secrets//",
        "/api/v1/namespaces/default/secrets/s/",
        "/api/v1/namespaces/default/configmaps/..%2fsecrets",
        "/api/v1/namespaces/default/configmaps/..%2fsecrets%2fs",
        "/api/v1/namespaces/default%2fsecrets",
        "/api/v1/namespaces/default%2fsecrets%2fs",
        "/api/v1/namespaces/default/%73ecrets",
        "/api/v1/namespaces/default/SECRETS",
        "/api/v1/namespaces/Default/secrets",
        "/API/v1/namespaces/default/secrets",
        "/api/V1/namespaces/default/secrets",
        "/apis//v1/namespaces/default/secrets",
        "/apis/core/v1/namespaces/default/secrets",
        "/api/v1/secrets?namespace=default",
        "/api/v1/watch/namespaces/default/secrets",
        "/api/v1/namespaces/default/secrets;x=y",
        "/api/v1/namespaces/default/secrets%00",
        "//metrics",
        "/metrics/",
        "/metrics%2f",
        "/Metrics",
        "/openapi/../metrics",
        "/openapi/%2e%2e/metrics",
        "/healthz/../metrics",
        "/livez%2f..%2fmetrics",
    ] {
        let reply = ann.get(path).await;
        assert!([400, 403, 404].contains(&reply.code), "{path}: {} {}", reply.code, reply.text);
        assert!(
            !reply.text.contains("SecretList") && !reply.text.contains("apiserver_"),
            "{path}: {}",
            reply.text
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_told_to_who_may_not_look() {
    let host = Host::guarded().await;
    host.post("/api/v1/namespaces/default/secrets", secret("s")).await.is(201);
    let ann = caller(&host, "ann", &[]);
    let answers = ["secrets/s", "secrets/none", "nothings/x"]
        .map(|what| (what, format!("/api/v1/namespaces/default/{what}")));
    for (what, path) in answers {
        let status = ann.get(&path).await.fails(403, "Forbidden", "cannot get resource");
        assert!(text(&status["message"]).contains(what.split('/').next().unwrap()), "{status}");
    }
    host.get("/api/v1/namespaces/default/nothings/x").await.is(404);
}

#[tokio::test]
async fn a_known_caller_finds_out_what_there_is_and_no_more() {
    let host = Host::guarded().await;
    let ann = caller(&host, "ann", &[]);
    for path in [
        "/api",
        "/apis",
        "/api/v1",
        "/apis/orch.dev/v1",
        "/openapi/v3",
        "/version",
        "/healthz",
        "/livez",
        "/readyz",
    ] {
        ann.get(path).await.is(200);
    }
    ann.get("/metrics").await.fails(403, "Forbidden", r#"forbidden: User "ann" cannot get path "/metrics""#);
    caller(&host, "prometheus", &["system:monitoring"]).get("/metrics").await.is(200);
    let local = host.api.local_client(Identity::new("ann", ["dev"]));
    let pods = orch_api::Api::<orch_ontology::Pod>::all(local).list(orch_api::Params::default()).await;
    assert_eq!(pods.unwrap_err().code, 403, "what is asked within the process passes the same gate");
}
