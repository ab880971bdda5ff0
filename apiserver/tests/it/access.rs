//! Who may reach what.

use orch_transport::Authority;
use reqwest::Method;
use serde_json::json;

use crate::host::{Host, client};

#[tokio::test]
async fn anonymous_callers_reach_only_what_says_how_the_server_is() {
    let host = Host::start().await;
    let anonymous = client(&host.authority, None);
    for (path, code) in [
        ("/livez", 200),
        ("/livez/", 200),
        ("/readyz?verbose", 200),
        ("/readyz/store", 200),
        ("/healthz", 200),
        ("/version", 200),
        ("/version/", 200),
        ("/versions", 401),
        ("/livezzz", 401),
        ("/livez/../api", 401),
        ("/", 401),
        ("/metrics", 401),
        ("/api", 401),
        ("/apis", 401),
        ("/openapi/v3", 401),
        ("/api/v1/pods", 401),
        ("/api/v1/namespaces/default", 401),
        ("/nowhere", 401),
    ] {
        let reply = host.send(anonymous.get(host.url(path))).await;
        assert_eq!(reply.code, code, "{path}: {}", reply.text);
        if code == 401 {
            reply.fails(401, "Unauthorized", "Unauthorized");
        }
    }
}

#[tokio::test]
async fn a_static_token_is_its_user_and_a_wrong_one_is_nobody() {
    let host = Host::start().await;
    let anonymous = client(&host.authority, None);
    let ask = |token: &str| {
        let review = anonymous.post(host.url("/apis/authentication.k8s.io/v1/selfsubjectreviews"));
        host.send(review.bearer_auth(token).json(&json!({})))
    };
    let user = &ask("secret").await.is(201)["status"]["userInfo"];
    assert_eq!(
        *user,
        json!({"username": "alice", "uid": "7", "groups": ["dev", "ops", "system:authenticated"]})
    );
    for wrong in ["", "secre", "secrets", "SECRET"] {
        ask(wrong).await.fails(401, "Unauthorized", "");
    }
    let basic = anonymous.get(host.url("/livez")).basic_auth("alice", Some("secret"));
    host.send(basic).await.fails(401, "Unauthorized", "");
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_not_let_in() {
    let host = Host::start().await;
    let directory = tempfile::tempdir().unwrap();
    let stranger = Authority::open_or_create(directory.path()).unwrap();
    let forged = stranger.issue_client("admin", &["system:masters"]).unwrap();
    let client = client(&host.authority, Some(&forged));
    client.get(host.url("/livez")).send().await.unwrap_err();
    host.get("/livez").await.is(200);
}

#[tokio::test]
async fn who_is_asking_is_told_by_the_certificate() {
    let host = Host::start().await;
    let review = host.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({})).await.is(201);
    assert_eq!(review["status"]["userInfo"]["username"], "admin");
    let spec = json!({"spec": {"resourceAttributes": {"verb": "create", "resource": "pods"}}});
    let review = host.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", spec).await.is(201);
    assert_eq!(review["status"]["allowed"], true);
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_say_so() {
    let host = Host::start().await;
    for (method, path, code) in [
        (Method::GET, "/nowhere", 404),
        (Method::GET, "/api/v2", 404),
        (Method::GET, "/api/v1/nothings", 404),
        (Method::GET, "/apis/nobody.dev/v1/things", 404),
        (Method::GET, "/api/v1/pods/p", 404),
        (Method::GET, "/api/v1/namespaces/default/nodes", 404),
        (Method::GET, "/api/v1/namespaces/default/pods/p/nothing", 404),
        (Method::GET, "/api/v1/namespaces/default/configmaps/a/status", 404),
        (Method::GET, "/openapi/v1", 404),
        (Method::POST, "/version", 405),
        (Method::POST, "/api/v1/pods", 405),
        (Method::PUT, "/api/v1/namespaces/default/pods", 405),
        (Method::PATCH, "/api/v1/namespaces/default/pods", 405),
        (Method::POST, "/api/v1/namespaces/default/pods/p", 405),
        (Method::DELETE, "/api/v1/namespaces/default/pods/p/status", 405),
        (Method::OPTIONS, "/api/v1/namespaces/default/pods", 405),
    ] {
        let reply = host.send(host.request(method.clone(), path)).await;
        assert_eq!(
            (reply.code, reply.body["kind"].as_str()),
            (code, Some("Status")),
            "{method} {path}: {}",
            reply.text
        );
    }
}
