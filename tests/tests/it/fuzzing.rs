//! Requests made up from the server's own OpenAPI documents: whatever is sent, the answer is the server's, not its failure.

use std::fs;

use orch_tests::{Orchd, client};
use serde_json::{Map, Value, json};

/// How long requests are made up, at most.
const BUDGET_SECONDS: &str = "25";

/// All documents of `/openapi/v3` as one: their paths and components have names of their own.
fn document(orch: &Orchd) -> Value {
    let get =
        |path: &str| -> Value { serde_json::from_str(&orch.kubectl(&["get", "--raw", path]).ok()).unwrap() };
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    for path in get("/openapi/v3")["paths"].as_object().unwrap().keys() {
        let mut one = get(&format!("/openapi/v3/{path}"));
        let mut take = |pointer: &str, all: &mut Map<String, Value>| {
            let Value::Object(fields) = one.pointer_mut(pointer).unwrap().take() else {
                panic!("{path}{pointer}")
            };
            all.extend(fields);
        };
        take("/paths", &mut paths);
        take("/components/schemas", &mut schemas);
    }
    json!({"openapi": "3.0.0", "info": {"title": "Orch", "version": "1"}, "paths": paths, "components": {"schemas": schemas}})
}

/// A value of the administrator's kubeconfig.
fn credential(orch: &Orchd, template: &str) -> String {
    orch.kubectl(&["config", "view", "--raw", "-o", &format!("go-template={template}")]).ok()
}

#[test]
fn made_up_requests_are_answered() {
    let orch = Orchd::simulated(1);
    let directory = orch.data_dir().join("fuzzing");
    fs::create_dir(&directory).unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let of_user = |field: &str| format!("{{{{index (index .users 0).user {field:?} | base64decode}}}}");
    let of_cluster = |field: &str| format!("{{{{index (index .clusters 0).cluster {field:?}");
    let schema = file("openapi.json", &document(&orch).to_string());
    let certificate = file("client.pem", &credential(&orch, &of_user("client-certificate-data")));
    let key = file("key.pem", &credential(&orch, &of_user("client-key-data")));
    let authority = format!("{} | base64decode}}}}", of_cluster("certificate-authority-data"));
    let authority = file("ca.pem", &credential(&orch, &authority));
    let url = credential(&orch, &format!("{}}}}}", of_cluster("server")));
    // A watch that is asked for goes on until its time is up: it is not a request that hangs.
    let config = file("schemathesis.toml", "[parameters]\n\"query.watch\" = \"false\"\n");
    let args = [
        "--config-file",
        &config,
        "run",
        &schema,
        "--url",
        &url,
        "--tls-verify",
        &authority,
        "--request-cert",
        &certificate,
        "--request-cert-key",
        &key,
        "--request-timeout",
        "20",
        "--checks",
        "not_a_server_error",
        "--phases",
        "fuzzing",
        "--max-examples",
        "8",
        "--workers",
        "2",
        "--max-time",
        BUDGET_SECONDS,
        "--continue-on-failure",
        "--suppress-health-check",
        "all",
        "--warnings",
        "off",
        "--no-color",
    ];
    let run = orch.run(&client("python/bin/schemathesis"), &args, "", &[]);
    let said = run.ok();
    assert!(said.contains("Fuzzing (in"), "no requests were made:\n{said}");
    assert_eq!(orch.kubectl(&["get", "--raw", "/readyz"]).ok(), "ok");
    assert!(!orch.log().contains("panicked"), "{}", orch.log());
}
