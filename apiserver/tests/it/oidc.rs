//! People who are known by the tokens of another issuer: a small one, on loopback.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orch_apiserver::{Oidc, OidcConfig};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::host::{Host, Reply, client};

/// 2026-01-01T01:00:00Z, an hour after the test begins.
const LATER: i64 = 1_767_229_200;

struct Issuer {
    url: String,
    /// The seeds of the keys that are published.
    published: Arc<Mutex<Vec<u8>>>,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

impl Issuer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (published, asked) = (Arc::new(Mutex::new(vec![1])), Arc::new(AtomicUsize::new(0)));
        let document = json!({"issuer": url, "jwks_uri": format!("{url}/keys")});
        let (keys, count) = (published.clone(), asked.clone());
        let jwks = move || {
            count.fetch_add(1, Ordering::SeqCst);
            let keys: Vec<Value> = keys
                .lock()
                .unwrap()
                .iter()
                .map(|seed| {
                    let x = URL_SAFE_NO_PAD.encode(key(*seed).public_key().as_ref());
                    json!({"kty": "OKP", "crv": "Ed25519", "kid": format!("k{seed}"), "x": x})
                })
                .chain([json!({"kty": "unheard-of"}), json!({"no": "key"})])
                .collect();
            std::future::ready(Json(json!({"keys": keys})))
        };
        let discovery = move || std::future::ready(Json(document.clone()));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(jwks));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, published, asked, serving }
    }

    fn token(&self, seed: u8, change: Value) -> String {
        let mut claims = json!({"iss": self.url, "aud": "orch", "sub": "7", "exp": LATER, "name": "ada",
            "roles": ["dev", "system:masters"], "jti": "1"});
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({"alg": "EdDSA", "kid": format!("k{seed}")});
        let signed = format!("{}.{}", part(&header), part(&claims));
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(key(seed).sign(signed.as_bytes())))
    }

    fn config(&self) -> OidcConfig {
        let directory = tempfile::tempdir().unwrap();
        let authority = orch_transport::Authority::open_or_create(directory.path()).unwrap();
        OidcConfig {
            issuer_url: self.url.clone(),
            client_id: "orch".into(),
            username_claim: "name".into(),
            username_prefix: Some("oidc:".into()),
            groups_claim: Some("roles".into()),
            groups_prefix: String::new(),
            tls: orch_transport::client_config(authority.certificate_pem(), None).unwrap(),
        }
    }
}

async fn host(config: OidcConfig) -> Host {
    let oidc = Oidc::new(config).unwrap();
    Host::with(|config| config.oidc = Some(oidc)).await
}

async fn whoami(host: &Host, token: &str) -> Reply {
    let review =
        client(&host.authority, None).post(host.url("/apis/authentication.k8s.io/v1/selfsubjectreviews"));
    host.send(review.bearer_auth(token).json(&json!({}))).await
}

#[tokio::test]
async fn a_token_of_the_issuer_is_its_person() {
    let issuer = Issuer::start().await;
    let host = host(issuer.config()).await;
    let user = &whoami(&host, &issuer.token(1, json!({}))).await.is(201)["status"]["userInfo"];
    assert_eq!(user["username"], "oidc:ada");
    assert_eq!(
        user["groups"],
        json!(["dev", "system:authenticated"]),
        "what only this server may say is left out"
    );
}

#[tokio::test]
async fn names_have_the_prefix_that_kubernetes_gives_them() {
    let issuer = Issuer::start().await;
    for (prefix, claim, expected) in [
        (None, "name", Some(format!("{}#ada", issuer.url))),
        (Some("-"), "name", Some("ada".to_owned())),
        (None, "email", Some("ada@example.org".to_owned())),
        (None, "nickname", None),
        (Some("system:"), "name", None),
    ] {
        let prefix = prefix.map(str::to_owned);
        let config = OidcConfig { username_claim: claim.into(), username_prefix: prefix, ..issuer.config() };
        let host = host(config).await;
        let reply = whoami(&host, &issuer.token(1, json!({"email": "ada@example.org"}))).await;
        match expected {
            Some(expected) => assert_eq!(reply.is(201)["status"]["userInfo"]["username"], expected),
            None => drop(reply.fails(401, "Unauthorized", "")),
        }
        if claim == "email" {
            let claims = json!({"email": "ada@example.org", "email_verified": false});
            whoami(&host, &issuer.token(1, claims)).await.is(401);
        }
    }
}

#[tokio::test]
async fn what_is_not_for_this_server_now_is_worth_nothing() {
    let issuer = Issuer::start().await;
    let host = host(issuer.config()).await;
    whoami(&host, &issuer.token(1, json!({"aud": ["other", "orch"]}))).await.is(201);
    for change in [
        json!({"aud": "other"}),
        json!({"aud": []}),
        json!({"exp": LATER - 3600}),
        json!({"exp": null}),
        json!({"nbf": LATER}),
        json!({"iss": "http://elsewhere"}),
        json!({"iss": format!("{}/", issuer.url)}),
    ] {
        whoami(&host, &issuer.token(1, change)).await.fails(401, "Unauthorized", "");
    }
    let good = issuer.token(1, json!({}));
    let foreign = issuer.token(9, json!({}));
    let swapped = format!("{}.{}", good.rsplit_once('.').unwrap().0, foreign.rsplit('.').next().unwrap());
    whoami(&host, &swapped).await.fails(401, "Unauthorized", "");
}

#[tokio::test]
async fn new_keys_are_found_and_made_up_ones_do_not_flood_the_issuer() {
    let issuer = Issuer::start().await;
    let host = host(issuer.config()).await;
    whoami(&host, &issuer.token(1, json!({}))).await.is(201);
    whoami(&host, &issuer.token(1, json!({}))).await.is(201);
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 1, "keys are remembered");
    host.clock.advance(Duration::from_secs(60));
    for _ in 0..5 {
        whoami(&host, &issuer.token(9, json!({}))).await.fails(401, "Unauthorized", "");
    }
    assert_eq!(issuer.asked.load(Ordering::SeqCst), 2);
    *issuer.published.lock().unwrap() = vec![2];
    host.clock.advance(Duration::from_secs(60));
    whoami(&host, &issuer.token(2, json!({}))).await.is(201);
    whoami(&host, &issuer.token(1, json!({}))).await.fails(401, "Unauthorized", "");
}

#[tokio::test]
async fn an_issuer_that_is_gone_is_not_the_callers_fault() {
    let issuer = Issuer::start().await;
    let host = host(issuer.config()).await;
    let token = issuer.token(1, json!({}));
    drop(issuer);
    whoami(&host, &token).await.fails(503, "ServiceUnavailable", "keys of the OIDC issuer");
}

#[test]
fn an_issuer_must_be_reached_safely() {
    let config = |url: &str| OidcConfig { issuer_url: url.into(), ..tls_only() };
    for url in ["http://example.org", "example.org", "ftp://example.org", "http://127.0.0.1.example.org"] {
        assert!(Oidc::new(config(url)).is_err(), "{url}");
    }
    assert!(Oidc::new(config("https://example.org")).is_ok());
}

fn tls_only() -> OidcConfig {
    let directory = tempfile::tempdir().unwrap();
    let authority = orch_transport::Authority::open_or_create(directory.path()).unwrap();
    OidcConfig {
        issuer_url: String::new(),
        client_id: String::new(),
        username_claim: "sub".into(),
        username_prefix: None,
        groups_claim: None,
        groups_prefix: String::new(),
        tls: orch_transport::client_config(authority.certificate_pem(), None).unwrap(),
    }
}
