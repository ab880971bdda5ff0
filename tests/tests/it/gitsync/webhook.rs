//! Pushes, told by curl as Git servers tell them: without credentials, signed with what both know.

use std::process::Command;

use orch_ontology::GitSync;
use orch_tests::{Orchd, Run, wait_for};
use serde_json::Value;

use super::{DEADLINE, annotation, gitsync, without_controllers};

pub(super) const SHOP: &str = "/webhooks/gitsync/default/shop";
pub(super) const TOKEN: &str = "shared by both";
/// Each with its signature: `printf %s BODY | openssl dgst -sha256 -hmac 'shared by both'`.
const MAIN: (&str, &str) = (
    r#"{"ref":"refs/heads/main","after":"1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d"}"#,
    "925f85aa0e3c167c956175563f706f4f9e7a03b8ad72090c6d64a5bbaea578c7",
);
const TOPIC: (&str, &str) =
    (r#"{"ref":"refs/heads/topic"}"#, "4b899692e13a0eb9cfd259417ac5c797af7475c0adf18987b4ab5929d3fbc3b7");
const PING: (&str, &str) =
    (r#"{"zen":"Design for failure."}"#, "554fe13b908b7f61b37a4316d947f7154cee3c44a6f89d9646bf89c2401a4c39");

/// One that is told of pushes, and others that lack something for it.
const OBJECTS: &str = r#"
apiVersion: v1
kind: Secret
metadata: {name: hook}
stringData: {token: "shared by both\n"}
---
apiVersion: v1
kind: Secret
metadata: {name: without-token}
stringData: {password: shared by both}
---
apiVersion: v1
kind: Secret
metadata: {name: empty}
stringData: {token: ""}
---
apiVersion: orch.dev/v1
kind: GitSync
metadata: {name: shop}
spec: {url: "https://git.invalid/shop.git", ref: {branch: main}, suspend: true, webhook: {secretRef: {name: hook}}}
---
apiVersion: orch.dev/v1
kind: GitSync
metadata: {name: no-webhook}
spec: {url: "https://git.invalid/shop.git", suspend: true}
---
apiVersion: orch.dev/v1
kind: GitSync
metadata: {name: no-secret}
spec: {url: "https://git.invalid/shop.git", suspend: true, webhook: {secretRef: {name: absent}}}
---
apiVersion: orch.dev/v1
kind: GitSync
metadata: {name: no-token}
spec: {url: "https://git.invalid/shop.git", suspend: true, webhook: {secretRef: {name: without-token}}}
---
apiVersion: orch.dev/v1
kind: GitSync
metadata: {name: empty-token}
spec: {url: "https://git.invalid/shop.git", suspend: true, webhook: {secretRef: {name: empty}}}
"#;

fn start() -> Orchd {
    let orch = without_controllers();
    orch.kubectl_with(&["apply", "--server-side", "-f", "-"], OBJECTS).ok();
    orch
}

/// Sends a delivery. Answers with the code and the body.
pub(super) fn send(orch: &Orchd, path: &str, headers: &[&str], body: &str) -> (u16, String) {
    let url = format!("https://{}{path}", orch.address());
    let mut curl = Command::new("curl");
    curl.args([
        "--silent",
        "--insecure",
        "--path-as-is",
        "--write-out",
        "\n%{http_code}",
        "--data-binary",
        "@-",
    ]);
    headers.iter().for_each(|header| {
        curl.args(["--header", header]);
    });
    let answer = Run::new(curl.args(["--header", "Content-Type: application/json", &url]), body).ok();
    let (body, code) = answer.rsplit_once('\n').unwrap();
    (code.parse().unwrap(), body.to_owned())
}

fn requested(orch: &Orchd, name: &str) -> String {
    annotation(orch, name, GitSync::PUSHED)
}

#[test]
fn every_server_s_push_of_what_is_followed_asks_for_a_look() {
    let orch = start();
    let (body, signature) = MAIN;
    let ways = [
        vec!["X-GitHub-Event: push".to_owned(), format!("X-Hub-Signature-256: sha256={signature}")],
        vec!["X-Gitea-Event: push".to_owned(), format!("X-Gitea-Signature: {signature}")],
        vec!["X-Gitlab-Event: Push Hook".to_owned(), format!("X-Gitlab-Token: {TOKEN}")],
        vec![format!("X-Signature: sha256={signature}")],
        vec![format!("Authorization: Bearer {TOKEN}")],
    ];
    let mut seen = vec![requested(&orch, "shop")];
    assert_eq!(seen, [""]);
    for headers in &ways {
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let (code, answer) = send(&orch, SHOP, &headers, body);
        assert_eq!(code, 202, "{headers:?}: {answer}");
        let requested = requested(&orch, "shop");
        assert!(!seen.contains(&requested), "{headers:?}: nothing new is asked for: {requested}");
        seen.push(requested);
    }
    assert_eq!(gitsync(&orch, "shop")["metadata"]["generation"], 1, "what is wanted has not changed");

    let told = wait_for("the history to have it", DEADLINE, || {
        let history = orch.orchctl(&["history", "gitsync/shop", "--limit", "1"]);
        if history.stdout.contains("push-told") { Ok(history.stdout) } else { Err(format!("{history:?}")) }
    });
    for expected in
        ["updated by system:orch:webhook (orch-webhook)", "because: a push of refs/heads/main was told"]
    {
        assert!(told.contains(expected), "{expected:?} is not in:\n{told}");
    }
}

#[test]
fn what_is_of_no_concern_is_taken_notice_of_and_changes_nothing() {
    let orch = start();
    for ((body, signature), event, expected) in
        [(TOPIC, "push", 202), (PING, "ping", 200), (PING, "issues", 202), (MAIN, "create", 202)]
    {
        let event = format!("X-GitHub-Event: {event}");
        let signature = format!("X-Hub-Signature-256: sha256={signature}");
        let (code, answer) = send(&orch, SHOP, &[&event, &signature], body);
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!((code, &answer["status"]), (expected, &"Success".into()), "{event}: {answer}");
        assert_eq!(requested(&orch, "shop"), "", "{event}");
    }
}

#[test]
fn nothing_that_is_not_right_is_told_apart() {
    let orch = start();
    let (body, signature) = MAIN;
    let right = format!("X-Gitea-Signature: {signature}");
    let wrong = format!("X-Gitea-Signature: {}", TOPIC.1);
    let token = format!("X-Gitlab-Token: {TOKEN}");
    let at = |place: &str| format!("/webhooks/gitsync/{place}");
    let refused = send(&orch, &at("default/absent"), &[&right], body);
    assert_eq!(refused.0, 401);
    for (place, headers) in [
        ("absent/shop", vec![right.as_str()]),
        ("default/no-webhook", vec![&right, &token]),
        ("default/no-secret", vec![&right, &token]),
        ("default/no-token", vec![&right, &token]),
        ("default/empty-token", vec![&right, "X-Gitlab-Token:", "Authorization: Bearer "]),
        ("default/shop", vec![]),
        ("default/shop", vec![&wrong]),
        ("default/shop", vec!["X-Gitlab-Token: shared by bot", "Authorization: Bearer nobody's"]),
        ("default/shop/status", vec![&right]),
        ("default/../default/shop", vec![&right]),
        ("default/%73hop", vec![&right]),
        ("default", vec![&right]),
        ("", vec![&right]),
    ] {
        assert_eq!(send(&orch, &at(place), &headers, body), refused, "{place}: {headers:?}");
    }
    // The body is what is signed.
    assert_eq!(send(&orch, SHOP, &[&right], &body.replace("main", "Main")), refused);
    for name in ["shop", "no-webhook", "no-secret", "no-token", "empty-token"] {
        assert_eq!(requested(&orch, name), "", "{name}");
    }

    let (code, answer) =
        send(&orch, SHOP, &["X-Gitlab-Event: Push Hook", &token], &" ".repeat(1024 * 1024 + 1));
    assert_eq!(code, 413, "{answer}");
    let mut get = Command::new("curl");
    get.args(["--silent", "--insecure", "--output", "/dev/null", "--write-out", "%{http_code}"]);
    let got = Run::new(get.arg(format!("https://{}{SHOP}", orch.address())), "").ok();
    assert_eq!(got, "405");
}
