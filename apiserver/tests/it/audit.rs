//! The audit log: what is in it, what never is, and what becomes of it when the disk is full.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use orch_admission::Policies;
use orch_apiserver::{Audit, AuditFile, AuditLevel, AuditLog, AuditPolicy, AuditRule};
use serde_json::{Value, json};

use crate::host::{DEADLINE, Host, MAPS, map, text};
use crate::plans::applied;

const SECRETS: &str = "/api/v1/namespaces/default/secrets";

fn file(directory: &Path) -> AuditFile {
    AuditFile { path: directory.join("audit.log"), max_bytes: 1 << 20, keep: 2 }
}

async fn host(file: AuditFile, policy: AuditPolicy) -> Host {
    let log = AuditLog::open(file).unwrap();
    let host = Host::with(|config| config.audit = Some(Audit { log, policy })).await;
    host.post("/api/v1/namespaces", json!({"metadata": {"name": "default"}})).await.is(201);
    host
}

fn everything() -> AuditPolicy {
    let rule = AuditRule { level: AuditLevel::RequestResponse, ..AuditRule::default() };
    AuditPolicy { rules: vec![rule] }
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until the log says something.
async fn found(path: &Path, what: impl Fn(&Value) -> bool) -> Value {
    let start = Instant::now();
    loop {
        if let Some(line) = lines(path).into_iter().find(|line| what(line)) {
            return line;
        }
        assert!(start.elapsed() < DEADLINE, "it is not recorded in time");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_write_is_recorded_with_who_what_and_how_it_went() {
    let directory = tempfile::tempdir().unwrap();
    let file = file(directory.path());
    let host = host(file.clone(), AuditPolicy::default()).await;
    let made = host.post(MAPS, json!({"metadata": {"generateName": "a-"}, "data": {"k": "v"}})).await.is(201);
    let request = host.request(reqwest::Method::PUT, &format!("{MAPS}/none?dryRun=All"));
    let request = request.header("Impersonate-User", "bob").header("Impersonate-Group", "dev");
    host.send(request.json(&map("none", json!({})))).await.is(404);
    host.get(MAPS).await.is(200);

    let line = found(&file.path, |line| line["objectRef"]["resource"] == "configmaps").await;
    for (pointer, expected) in [
        ("/kind", json!("Event")),
        ("/apiVersion", json!("audit.k8s.io/v1")),
        ("/level", json!("Metadata")),
        ("/stage", json!("ResponseComplete")),
        ("/verb", json!("create")),
        ("/requestURI", json!(MAPS)),
        ("/user/username", json!("admin")),
        ("/user/groups", json!(["system:masters", "system:authenticated"])),
        ("/userAgent", json!("tester/1.0")),
        ("/sourceIPs", json!(["127.0.0.1"])),
        ("/responseStatus/code", json!(201)),
        ("/objectRef/name", made["metadata"]["name"].clone()),
        ("/objectRef/uid", made["metadata"]["uid"].clone()),
        ("/objectRef/namespace", json!("default")),
        ("/requestReceivedTimestamp", json!("2026-01-01T00:00:00.000000Z")),
    ] {
        assert_eq!(line.pointer(pointer), Some(&expected), "{pointer} of {line}");
    }
    assert_eq!((line.get("requestObject"), line.get("responseObject")), (None, None));

    let line = found(&file.path, |line| line["verb"] == "update").await;
    assert_eq!(
        (&line["user"]["username"], &line["impersonatedUser"]["username"]),
        (&json!("admin"), &json!("bob"))
    );
    assert_eq!(
        (&line["responseStatus"]["code"], &line["responseStatus"]["reason"]),
        (&json!(404), &json!("NotFound"))
    );
    assert_eq!(line["annotations"], json!({"orch.dev/dry-run": "true"}));
    assert!(lines(&file.path).iter().all(|line| line["verb"] != "list"), "reads are not recorded");
}

#[tokio::test]
async fn what_is_merely_asked_is_recorded_without_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let file = file(directory.path());
    let host = host(file.clone(), everything()).await;
    let asked = json!({"spec": {"changes": [], "note": "hush"}});
    host.post("/apis/orch.dev/v1/simulations", asked).await.is(400);
    let line = found(&file.path, |line| line["objectRef"]["resource"] == "simulations").await;
    assert_eq!((&line["verb"], &line["responseStatus"]["code"]), (&json!("create"), &json!(400)));
    assert!(line["level"] == "Metadata" && line.get("requestObject").is_none(), "{line}");
}

#[tokio::test]
async fn what_policies_say_of_the_changes_of_a_plan_is_recorded_of_whoever_applies_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = file(directory.path());
    let audit = Audit { log: AuditLog::open(file.clone()).unwrap(), policy: AuditPolicy::default() };
    let host = Host::with(|config| {
        config.audit = Some(audit);
        config.admission = Arc::new(Policies::new());
    })
    .await;
    host.make_namespace("default").await;
    let group = "/apis/admissionregistration.k8s.io/v1";
    let rules =
        json!([{"apiGroups": [""], "apiVersions": ["*"], "operations": ["*"], "resources": ["configmaps"]}]);
    let rule = json!({"metadata": {"name": "blue"}, "spec": {
        "matchConstraints": {"resourceRules": rules},
        "validations": [{"expression": "object.data.colour == 'blue'", "message": "not blue"}],
    }});
    host.post(&format!("{group}/validatingadmissionpolicies"), rule).await.is(201);
    let binding =
        json!({"metadata": {"name": "blue"}, "spec": {"policyName": "blue", "validationActions": ["Audit"]}});
    host.post(&format!("{group}/validatingadmissionpolicybindings"), binding).await.is(201);
    let plan = host.plan(json!([applied(map("a", json!({"colour": "red"})))])).await;
    host.apply_plan(&plan).await.is(200);
    let line = found(&file.path, |line| line["objectRef"]["subresource"] == "apply").await;
    let annotations = line["annotations"].to_string();
    assert!(annotations.contains("validation_failure") && annotations.contains("not blue"), "{line}");
}

#[tokio::test]
async fn bodies_are_recorded_where_the_policy_wants_them_but_never_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let file = file(directory.path());
    let host = host(file.clone(), everything()).await;
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"password": "hunter2"}});
    host.post(SECRETS, secret).await.is(201);
    host.get(&format!("{SECRETS}/s")).await.is(200);
    host.get(SECRETS).await.is(200);
    host.merge(&format!("{SECRETS}/s"), json!({"stringData": {"password": "hunter2"}})).await.is(200);
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    host.post(accounts, json!({"metadata": {"name": "robot"}})).await.is(201);
    let issued = host.post(&format!("{accounts}/robot/token"), json!({})).await.is(201);
    host.post(MAPS, map("open", json!({"k": "told"}))).await.is(201);

    let line = found(&file.path, |line| line["objectRef"]["resource"] == "configmaps").await;
    assert_eq!(
        (&line["requestObject"]["data"]["k"], &line["responseObject"]["data"]["k"]),
        (&json!("told"), &json!("told"))
    );
    let written = std::fs::read_to_string(&file.path).unwrap();
    let token = text(&issued["status"]["token"]);
    // "hunter2" in base64 is as telling.
    for secret in ["hunter2", "aHVudGVyMg", token] {
        assert!(!written.contains(secret), "{written}");
    }
    let secrets: Vec<Value> =
        lines(&file.path).into_iter().filter(|line| line["objectRef"]["resource"] == "secrets").collect();
    assert_eq!(secrets.len(), 4);
    assert!(secrets.iter().all(|line| line["level"] == "Metadata"));
}

#[tokio::test]
async fn what_is_said_of_a_refused_secret_is_not_recorded_for_it_may_quote_it() {
    let directory = tempfile::tempdir().unwrap();
    let file = file(directory.path());
    let host = host(file.clone(), everything()).await;
    let values =
        [json!({"data": {"p": "hunter2-!"}}), json!({"data": {"p": ["hunter2-!"]}}), json!({"hunter2-!": 1})];
    for (index, mut secret) in values.into_iter().enumerate() {
        secret["metadata"] = json!({"name": format!("s{index}")});
        let answer = host.post(SECRETS, secret).await;
        assert!(answer.code >= 400, "{}", answer.text);
    }
    host.post(MAPS, json!({"metadata": {"name": "UPPER"}})).await.is(422);
    let line = found(&file.path, |line| line["objectRef"]["resource"] == "configmaps").await;
    assert!(text(&line["responseStatus"]["message"]).contains("UPPER"), "others are told: {line}");
    let refused: Vec<Value> =
        lines(&file.path).into_iter().filter(|line| line["objectRef"]["resource"] == "secrets").collect();
    assert_eq!(refused.len(), 3);
    assert!(refused.iter().all(|line| line["responseStatus"]["reason"].is_string()));
    assert!(!std::fs::read_to_string(&file.path).unwrap().contains("hunter2"), "{refused:?}");
}

#[tokio::test]
async fn the_log_is_rotated_and_old_files_go() {
    let directory = tempfile::tempdir().unwrap();
    let file = AuditFile { max_bytes: 4_000, ..file(directory.path()) };
    let host = host(file.clone(), AuditPolicy::default()).await;
    for index in 0..40 {
        let name = format!("m{index}");
        host.post(MAPS, map(&name, json!({}))).await.is(201);
        // One at a time, so that each is a batch of its own.
        found(&file.path, |line| line["objectRef"]["name"] == name.as_str()).await;
    }
    let mut names: Vec<String> = std::fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["audit.log", "audit.log.1", "audit.log.2"]);
    for name in names {
        assert!(std::fs::metadata(directory.path().join(name)).unwrap().len() <= 4_000);
    }
}

#[tokio::test]
async fn a_full_disk_is_counted_and_holds_nobody_up() {
    // Every write to it fails with ENOSPC.
    let file = AuditFile { path: "/dev/full".into(), max_bytes: u64::MAX, keep: 1 };
    let host = host(file, AuditPolicy::default()).await;
    host.post(MAPS, map("a", json!({}))).await.is(201);
    let start = Instant::now();
    loop {
        let metrics = host.get("/metrics").await.text;
        let dropped = metrics.lines().find_map(|line| line.strip_prefix("apiserver_audit_dropped_total "));
        if dropped.unwrap().parse::<u64>().unwrap() >= 2 {
            assert!(metrics.contains("apiserver_audit_events_total 0"), "{metrics}");
            break;
        }
        assert!(start.elapsed() < DEADLINE, "{metrics}");
    }
}
