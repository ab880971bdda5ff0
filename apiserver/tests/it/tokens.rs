//! Service accounts' tokens: issued, verified, and everything that makes one worthless.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orch_apiserver::{TokenIssuer, TokenKeys};
use serde_json::{Value, json};

use crate::host::{Host, ISSUER, PODS, Reply, client, pod, text};

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const USER: &str = "system:serviceaccount:default:robot";

async fn account(host: &Host, name: &str) -> Value {
    host.post(ACCOUNTS, json!({"metadata": {"name": name}})).await.is(201)
}

async fn request(host: &Host, spec: Value) -> Reply {
    let body = json!({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": spec});
    host.post(&format!("{ACCOUNTS}/robot/token"), body).await
}

async fn token(host: &Host, spec: Value) -> String {
    text(&request(host, spec).await.is(201)["status"]["token"]).to_owned()
}

/// What the server says of whoever shows the token.
async fn whoami(host: &Host, token: &str) -> Reply {
    let stranger = client(&host.authority, None);
    let review = stranger.post(host.url("/apis/authentication.k8s.io/v1/selfsubjectreviews"));
    host.send(review.bearer_auth(token).json(&json!({}))).await
}

async fn review(host: &Host, token: &str, audiences: Value) -> Value {
    let body = json!({"spec": {"token": token, "audiences": audiences}});
    host.post("/apis/authentication.k8s.io/v1/tokenreviews", body).await.is(201)
}

fn part(token: &str, index: usize) -> Value {
    let part = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn forged(header: &Value, claims: &Value, signature: &str) -> String {
    let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}.{signature}")
}

#[tokio::test]
async fn a_token_is_its_service_account() {
    let host = Host::start().await;
    let uid = account(&host, "robot").await["metadata"]["uid"].clone();
    let answer = request(&host, json!({})).await.is(201);
    assert_eq!(answer["spec"], json!({"audiences": [ISSUER], "expirationSeconds": 3600}));
    assert_eq!(answer["status"]["expirationTimestamp"], "2026-01-01T01:00:00Z");
    let token = text(&answer["status"]["token"]);
    let user = &whoami(&host, token).await.is(201)["status"]["userInfo"];
    assert_eq!((&user["username"], &user["uid"]), (&json!(USER), &uid));
    let groups = ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"];
    assert_eq!(user["groups"], json!(groups));
    let claims = part(token, 1);
    assert_eq!(
        (&claims["sub"], &claims["iss"], &claims["aud"]),
        (&json!(USER), &json!(ISSUER), &json!([ISSUER]))
    );
    assert_eq!(
        user["extra"]["authentication.kubernetes.io/credential-id"],
        json!([format!("JTI={}", text(&claims["jti"]))])
    );
}

#[tokio::test]
async fn what_was_issued_can_be_verified_with_the_published_key() {
    let host = Host::start().await;
    account(&host, "robot").await;
    let token = token(&host, json!({"audiences": ["vault"]})).await;
    let configuration = host.get("/.well-known/openid-configuration").await.is(200);
    assert_eq!(configuration["issuer"], ISSUER);
    assert!(text(&configuration["jwks_uri"]).ends_with("/openid/v1/jwks"));
    let keys = host.get("/openid/v1/jwks").await.is(200);
    let key = &keys["keys"][0];
    assert_eq!((&key["kid"], &key["alg"]), (&part(&token, 0)["kid"], &json!("EdDSA")));
    let public = URL_SAFE_NO_PAD.decode(text(&key["x"])).unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, public)
        .verify(signed.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
        .unwrap();
}

#[tokio::test]
async fn an_expired_token_is_worth_nothing() {
    let host = Host::start().await;
    account(&host, "robot").await;
    let token = token(&host, json!({"expirationSeconds": 600})).await;
    host.clock.advance(Duration::from_secs(599));
    whoami(&host, &token).await.is(201);
    host.clock.advance(Duration::from_secs(1));
    whoami(&host, &token).await.fails(401, "Unauthorized", "");
    let status = &review(&host, &token, json!([])).await["status"];
    assert_eq!(*status, json!({"user": {}, "error": "the token has expired"}));
}

#[tokio::test]
async fn a_token_for_somebody_else_is_not_for_this_server() {
    let host = Host::start().await;
    account(&host, "robot").await;
    let token = token(&host, json!({"audiences": ["vault", "mail"]})).await;
    whoami(&host, &token).await.fails(401, "Unauthorized", "");
    let status = &review(&host, &token, json!(["mail", "other"])).await["status"];
    assert_eq!((&status["authenticated"], &status["audiences"]), (&json!(true), &json!(["mail"])));
    assert_eq!(status["user"]["username"], USER);
    for audiences in [json!([]), json!(["other"])] {
        let reviewed = review(&host, &token, audiences).await;
        assert_eq!(reviewed["status"]["authenticated"], Value::Null);
        assert!(text(&reviewed["status"]["error"]).contains("audiences"), "{reviewed}");
        assert_eq!(reviewed["spec"]["token"], Value::Null, "the token is not echoed");
    }
}

#[tokio::test]
async fn a_token_of_a_key_that_was_replaced_is_good_until_the_key_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sa.key");
    let keys = TokenKeys::open_or_create(&path).unwrap();
    let issuer = TokenIssuer { keys: keys.clone(), issuer: ISSUER.into(), jwks_uri: String::new() };
    let host = Host::with(|config| config.token_issuer = Some(issuer)).await;
    host.make_namespace("default").await;
    account(&host, "robot").await;
    let old = token(&host, json!({})).await;
    whoami(&host, &old).await.is(201);
    TokenKeys::rotate(&path).unwrap();
    keys.reload().unwrap();
    let new = token(&host, json!({})).await;
    let published = host.get("/openid/v1/jwks").await.is(200);
    let ids: Vec<&Value> = published["keys"].as_array().unwrap().iter().map(|key| &key["kid"]).collect();
    assert_eq!(ids, [&part(&new, 0)["kid"], &part(&old, 0)["kid"]]);
    for token in [&old, &new] {
        whoami(&host, token).await.is(201);
    }
    TokenKeys::forget(&path).unwrap();
    keys.reload().unwrap();
    whoami(&host, &old).await.fails(401, "Unauthorized", "");
    whoami(&host, &new).await.is(201);
}

#[tokio::test]
async fn forged_tokens_are_worth_nothing() {
    let host = Host::start().await;
    account(&host, "robot").await;
    let good = token(&host, json!({})).await;
    whoami(&host, &good).await.is(201);
    let (header, claims) = (part(&good, 0), part(&good, 1));
    let signature = good.rsplit('.').next().unwrap();
    let mut more = claims.clone();
    more["sub"] = "system:serviceaccount:kube-system:root".into();
    more["exp"] = 4_000_000_000_i64.into();
    let none = json!({"alg": "none", "kid": header["kid"]});
    let hmac = json!({"alg": "HS256", "kid": header["kid"]});
    let other_key = json!({"alg": "EdDSA", "kid": "another"});
    let directory = tempfile::tempdir().unwrap();
    let foreign = TokenKeys::open_or_create(directory.path().join("sa.key")).unwrap();
    let mut forgeries = vec![
        forged(&none, &claims, ""),
        forged(&none, &claims, signature),
        forged(&hmac, &claims, signature),
        forged(&header, &more, signature),
        forged(&other_key, &claims, signature),
        forged(&json!({"alg": "EdDSA"}), &claims, signature),
        foreign.sign(&claims),
    ];
    // The right kid on a foreign key's signature.
    let foreign = foreign.sign(&claims);
    forgeries.push(format!("{}.{}", good.rsplit_once('.').unwrap().0, foreign.rsplit('.').next().unwrap()));
    forgeries.push(format!("{good}A"));
    forgeries.push(good.trim_end_matches(|c| c != '.').to_owned());
    for token in forgeries {
        whoami(&host, &token).await.fails(401, "Unauthorized", "");
        assert_eq!(review(&host, &token, json!([])).await["status"]["user"], json!({}), "{token}");
    }
}

#[tokio::test]
async fn a_token_ends_with_its_service_account() {
    let host = Host::start().await;
    account(&host, "robot").await;
    let token = token(&host, json!({})).await;
    whoami(&host, &token).await.is(201);
    host.delete(&format!("{ACCOUNTS}/robot")).await.is(200);
    host.get(&format!("{ACCOUNTS}/robot")).await.is(404);
    whoami(&host, &token).await.fails(401, "Unauthorized", "");
    // Another account of the name is another account.
    account(&host, "robot").await;
    host.get(&format!("{ACCOUNTS}/robot")).await.is(200);
    whoami(&host, &token).await.fails(401, "Unauthorized", "");
}

#[tokio::test]
async fn a_token_of_a_pod_tells_of_it_and_ends_with_it() {
    let host = Host::start().await;
    account(&host, "robot").await;
    host.post("/api/v1/nodes", json!({"metadata": {"name": "n1"}})).await.is(201);
    let mut web = pod("web");
    web["spec"]["serviceAccountName"] = "robot".into();
    let uid = host.post(PODS, web).await.is(201)["metadata"]["uid"].clone();
    host.post(&format!("{PODS}/web/binding"), json!({"target": {"name": "n1"}})).await.is(201);
    let bound = |uid: &Value| json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "web", "uid": uid}});
    let token = token(&host, bound(&uid)).await;
    let user = whoami(&host, &token).await.is(201)["status"]["userInfo"].clone();
    let told =
        |what: &str| text(&user["extra"][format!("authentication.kubernetes.io/{what}")][0]).to_owned();
    assert_eq!(
        (told("pod-name"), told("pod-uid"), told("node-name")),
        ("web".into(), text(&uid).into(), "n1".into())
    );

    host.post(PODS, pod("other")).await.is(201);
    let other = json!({"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "other"}});
    request(&host, other).await.fails(400, "BadRequest", "running with different serviceaccount name");
    request(&host, bound(&json!("1"))).await.fails(
        409,
        "Conflict",
        "the UID in the bound object reference (1)",
    );
    let map = json!({"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1", "name": "web"}});
    request(&host, map).await.fails(400, "BadRequest", "cannot bind token to object of type");

    host.delete(&format!("{PODS}/web?gracePeriodSeconds=0")).await.is(200);
    host.get(&format!("{PODS}/web")).await.is(404);
    whoami(&host, &token).await.fails(401, "Unauthorized", "");
}

#[tokio::test]
async fn a_token_request_is_checked() {
    let host = Host::start().await;
    request(&host, json!({})).await.fails(404, "NotFound", "serviceaccounts \"robot\" not found");
    account(&host, "robot").await;
    for (seconds, message) in [
        (json!(599), "may not specify a duration less than 10 minutes"),
        (json!(-1), "may not specify a duration less than 10 minutes"),
        (json!(i64::MAX), "may not specify a duration larger than 2^32 seconds"),
        (json!("3600"), "must be a whole number"),
    ] {
        request(&host, json!({"expirationSeconds": seconds})).await.fails(422, "Invalid", message);
    }
    let path = format!("{ACCOUNTS}/robot/token");
    host.get(&path).await.fails(405, "MethodNotAllowed", "");
    host.put(&path, json!({})).await.fails(405, "MethodNotAllowed", "");
    host.post(&path, json!({"kind": "Pod"})).await.fails(
        400,
        "BadRequest",
        "does not match the expected kind",
    );
    let dry = host.post(&format!("{path}?dryRun=All"), json!({})).await.is(201);
    assert_eq!(dry["status"]["token"], "", "nothing is signed on a dry run");
    host.post("/apis/authentication.k8s.io/v1/tokenreviews", json!({})).await.fails(
        400,
        "BadRequest",
        "token is required",
    );
}
