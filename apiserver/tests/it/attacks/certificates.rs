//! Certificates that are forged, foreign or over, and requests for certificates that would give too much.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use orch_transport::{Authority, CertificateRequest, Credentials, Usage, client_config};
use reqwest::Method;
use serde_json::{Value, json};

use super::{RBAC, bind, caller, rule};
use crate::host::{DEADLINE, Host, text};

const CSR: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
const NODE_CLIENT: &str = "kubernetes.io/kube-apiserver-client-kubelet";

fn request(name: &str, signer: &str, user: &str, groups: &[&str]) -> Value {
    let asked = CertificateRequest::new(user, groups).unwrap();
    json!({"metadata": {"name": name}, "spec": {
        "request": STANDARD.encode(asked.request_pem), "signerName": signer,
        "usages": ["digital signature", "client auth"],
    }})
}

fn decided(mut request: Value, decision: &str) -> Value {
    request["status"]["conditions"] =
        json!([{"type": decision, "status": "True", "reason": "Test", "message": "m"}]);
    request
}

/// Whether the server talks to somebody who shows these credentials.
async fn is_let_in(host: &Host, credentials: &Credentials) -> bool {
    let tls = client_config(host.authority.certificate_pem(), Some(credentials)).unwrap();
    let client = reqwest::Client::builder().tls_backend_preconfigured(tls).timeout(DEADLINE).build().unwrap();
    client.get(host.url("/api/v1/namespaces")).send().await.is_ok()
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_nobodys_whatever_it_says() {
    let host = Host::guarded().await;
    let directory = tempfile::tempdir().unwrap();
    let other = Authority::open_or_create(directory.path()).unwrap();
    let own = host.authority.issue_client("admin", &["system:masters"]).unwrap();
    assert!(is_let_in(&host, &own).await);
    let forged = other.issue_client("admin", &["system:masters"]).unwrap();
    assert!(!is_let_in(&host, &forged).await);
    // The forged leaf under the true authority's certificate, as a chain.
    let chained = format!("{}{}", forged.certificate_pem, host.authority.certificate_pem());
    assert!(!is_let_in(&host, &Credentials { certificate_pem: chained, ..forged.clone() }).await);
    // A true leaf signs no others.
    let below = format!("{}{}", forged.certificate_pem, own.certificate_pem);
    assert!(!is_let_in(&host, &Credentials { certificate_pem: below, ..forged }).await);
}

#[tokio::test]
async fn a_certificate_ends_and_is_good_for_what_it_was_made_for() {
    let host = Host::guarded().await;
    let signed = |usages: &[Usage], seconds: u64| {
        let asked = CertificateRequest::new("ann", &["dev"]).unwrap();
        let lifetime = Duration::from_secs(seconds);
        let certificate_pem = host.authority.sign(asked.request_pem.as_bytes(), usages, lifetime).unwrap();
        Credentials { certificate_pem, key_pem: asked.key_pem }
    };
    assert!(is_let_in(&host, &signed(&[Usage::DigitalSignature, Usage::ClientAuth], 600)).await);
    // It ends with the second in which it was made.
    let (brief, start) = (signed(&[Usage::DigitalSignature, Usage::ClientAuth], 0), Instant::now());
    while is_let_in(&host, &brief).await {
        assert!(start.elapsed() < DEADLINE, "it never ends");
    }
    assert!(!is_let_in(&host, &signed(&[Usage::DigitalSignature, Usage::ServerAuth], 600)).await);
    let server = host.authority.issue_server(&["localhost"]).unwrap();
    assert!(!is_let_in(&host, &server).await, "a server's certificate is no client's");
}

#[tokio::test]
async fn a_nodes_certificate_is_that_node_and_no_other() {
    let host = Host::guarded().await;
    let credentials = host.authority.issue_node("n1", &["n1", "127.0.0.1"]).unwrap();
    let node =
        super::Caller { host: &host, client: crate::host::client(&host.authority, Some(&credentials)) };
    let who = node.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({})).await.is(201);
    let info = &who["status"]["userInfo"];
    assert_eq!(info["username"], "system:node:n1");
    assert_eq!(info["groups"], json!(["system:nodes", "system:authenticated"]));
    for name in ["n1", "n2"] {
        host.post("/api/v1/nodes", json!({"metadata": {"name": name}})).await.is(201);
    }
    node.get("/api/v1/nodes/n1").await.is(200);
    node.get("/api/v1/nodes/n2").await.fails(403, "Forbidden", "only its own Node object");
    node.get("/api/v1/secrets").await.fails(403, "Forbidden", "");
}

#[tokio::test]
async fn who_asks_for_a_certificate_is_said_by_the_server() {
    let host = Host::guarded().await;
    let rules = json!([rule(
        &["create", "get", "update", "patch"],
        "certificates.k8s.io",
        &["certificatesigningrequests"]
    )]);
    host.post(&format!("{RBAC}/clusterroles"), json!({"metadata": {"name": "asker"}, "rules": rules}))
        .await
        .is(201);
    bind(&host, &format!("{RBAC}/clusterrolebindings"), "ann", "ClusterRole", "asker").await;
    let ann = caller(&host, "ann", &["dev"]);
    let mut asked = request("own", CLIENT, "ann", &["dev"]);
    asked["spec"]["username"] = "root".into();
    asked["spec"]["groups"] = json!(["system:masters"]);
    asked["spec"]["extra"] = json!({"a": ["b"]});
    asked["status"] = json!({"conditions": [{"type": "Approved", "status": "True"}], "certificate": "eA=="});
    let made = ann.post(CSR, asked).await.is(201);
    assert_eq!(made["spec"]["username"], "ann");
    assert_eq!(made["spec"]["groups"], json!(["dev", "system:authenticated"]));
    assert_eq!((&made["spec"]["extra"], &made["status"]), (&Value::Null, &json!({})));
    // What is asked for stays as it was.
    let mut changed = made.clone();
    changed["spec"]["signerName"] = "example.com/other".into();
    changed["spec"]["username"] = "root".into();
    let kept = ann.ask(Method::PUT, &format!("{CSR}/own"), Some(changed)).await.is(200);
    assert_eq!(kept["spec"], made["spec"]);
}

#[tokio::test]
async fn nobody_is_certified_as_a_master() {
    let host = Host::guarded().await;
    let asked = request("climb", CLIENT, "ann", &["dev", "system:masters"]);
    for path in [CSR.to_owned(), format!("{CSR}?dryRun=All")] {
        host.post(&path, asked.clone()).await.fails(
            403,
            "Forbidden",
            "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed",
        );
    }
}

#[tokio::test]
async fn approving_and_signing_take_a_right_to_the_signer() {
    let host = Host::guarded().await;
    let resources = [
        "certificatesigningrequests",
        "certificatesigningrequests/approval",
        "certificatesigningrequests/status",
    ];
    let mut approve = rule(&["approve"], "certificates.k8s.io", &["signers"]);
    approve["resourceNames"] = json!(["example.com/*"]);
    let rules =
        json!([rule(&["create", "get", "update", "patch"], "certificates.k8s.io", &resources), approve]);
    host.post(&format!("{RBAC}/clusterroles"), json!({"metadata": {"name": "approver"}, "rules": rules}))
        .await
        .is(201);
    bind(&host, &format!("{RBAC}/clusterrolebindings"), "ann", "ClusterRole", "approver").await;
    let ann = caller(&host, "ann", &[]);
    let own = ann.post(CSR, request("own", CLIENT, "ann", &["ops"])).await.is(201);
    let approval = format!("{CSR}/own/approval");
    ann.ask(Method::PUT, &approval, Some(decided(own.clone(), "Approved"))).await.fails(
        403,
        "Forbidden",
        "user not permitted to approve requests with signerName \"kubernetes.io/kube-apiserver-client\"",
    );
    // Neither by the status, which keeps decisions as they are, nor by the object itself.
    let merge = "application/merge-patch+json";
    let approved = json!({"status": {"conditions": [{"type": "Approved", "status": "True"}]}});
    ann.patch(&format!("{CSR}/own/status"), merge, approved.clone()).await.is(200);
    ann.patch(&format!("{CSR}/own"), merge, approved).await.is(200);
    assert_eq!(ann.get(&format!("{CSR}/own")).await.is(200)["status"], json!({}));
    let certificate = json!({"status": {"certificate": STANDARD.encode(host.authority.certificate_pem())}});
    ann.patch(&format!("{CSR}/own/status"), merge, certificate).await.fails(
        403,
        "Forbidden",
        "user not permitted to sign",
    );

    let theirs = ann.post(CSR, request("theirs", "example.com/any", "ann", &[])).await.is(201);
    let approval = format!("{CSR}/theirs/approval");
    let done = ann.ask(Method::PUT, &approval, Some(decided(theirs, "Approved"))).await.is(200);
    let condition = &done["status"]["conditions"][0];
    assert!(
        !text(&condition["lastUpdateTime"]).is_empty() && !text(&condition["lastTransitionTime"]).is_empty()
    );
    ann.ask(Method::PUT, &approval, Some(decided(done.clone(), "Denied"))).await.fails(
        422,
        "Invalid",
        "updates may not remove a condition of type \"Approved\"",
    );
    let mut both = done;
    both["status"]["conditions"].as_array_mut().unwrap().push(json!({"type": "Denied", "status": "True"}));
    ann.ask(Method::PUT, &approval, Some(both)).await.fails(422, "Invalid", "mutually exclusive");
}

#[tokio::test]
async fn a_node_asks_for_itself_only() {
    let host = Host::guarded().await;
    let node = caller(&host, "system:node:n1", &["system:nodes"]);
    let of = |name: &str, user: &str| request(name, NODE_CLIENT, user, &["system:nodes"]);
    node.post(CSR, of("other", "system:node:n2")).await.fails(
        403,
        "Forbidden",
        "can only create a node CSR with CN=system:node:n1",
    );
    let own = node.post(CSR, of("own", "system:node:n1")).await.is(201);
    node.ask(Method::PUT, &format!("{CSR}/own/approval"), Some(decided(own, "Approved"))).await.fails(
        403,
        "Forbidden",
        "",
    );
}
