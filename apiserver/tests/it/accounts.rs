//! Who pods act as: the service account that must be there, and the token that they find.

use serde_json::{Value, json};

use crate::host::{Host, PODS, pod, text};

const ACCOUNTS: &str = "/api/v1/namespaces/default/serviceaccounts";
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

#[tokio::test]
async fn a_pod_gets_its_account_and_a_token_of_it() {
    let host = Host::start().await;
    let made = host.post(PODS, pod("web")).await.is(201);
    assert_eq!(made["spec"]["serviceAccountName"], "default");
    let mount = &made["spec"]["containers"][0]["volumeMounts"][0];
    assert_eq!((&mount["mountPath"], &mount["readOnly"]), (&json!(MOUNT), &json!(true)));
    let volume = &made["spec"]["volumes"][0];
    assert_eq!(volume["name"], mount["name"]);
    assert_eq!(volume["projected"]["defaultMode"], 0o644);
    assert_eq!(volume["projected"]["sources"][0]["serviceAccountToken"]["expirationSeconds"], 3_607);
    // What says nothing is not in the way.
    let mut quiet = pod("quiet");
    quiet["spec"]["volumes"] = Value::Null;
    quiet["spec"]["containers"][0]["volumeMounts"] = Value::Null;
    let quiet = host.post(PODS, quiet).await.is(201);
    assert_eq!(quiet["spec"]["serviceAccountName"], "default");
    assert_eq!(quiet["spec"]["containers"][0]["volumeMounts"][0]["mountPath"], MOUNT);
    // What is there is not completed again.
    let merged =
        host.merge(&format!("{PODS}/web"), json!({"metadata": {"labels": {"a": "b"}}})).await.is(200);
    assert_eq!(merged["spec"], made["spec"]);
}

#[tokio::test]
async fn a_pod_without_its_account_is_not_made() {
    let host = Host::start().await;
    let mut web = pod("web");
    web["spec"]["serviceAccountName"] = "robot".into();
    let why = r#"pods "web" is forbidden: error looking up service account default/robot: serviceaccount "robot" not found"#;
    host.post(PODS, web.clone()).await.fails(403, "Forbidden", why);
    let quiet = json!({"metadata": {"name": "robot"}, "automountServiceAccountToken": false});
    host.post(ACCOUNTS, quiet).await.is(201);
    let made = host.post(PODS, web.clone()).await.is(201);
    assert_eq!(
        (&made["spec"]["serviceAccountName"], &made["spec"]["volumes"]),
        (&json!("robot"), &Value::Null)
    );
    web["metadata"]["name"] = "wants".into();
    web["spec"]["automountServiceAccountToken"] = true.into();
    let made = host.post(PODS, web).await.is(201);
    assert!(text(&made["spec"]["volumes"][0]["name"]).starts_with("kube-api-access-"));
}

#[tokio::test]
async fn an_account_that_is_being_made_is_waited_for() {
    let host = Host::start_empty().await;
    host.post("/api/v1/namespaces", json!({"metadata": {"name": "default"}})).await.is(201);
    // Whichever of the two comes first.
    let account = json!({"metadata": {"name": "default"}});
    let (made, account) = tokio::join!(host.post(PODS, pod("web")), host.post(ACCOUNTS, account));
    account.is(201);
    made.is(201);
}

#[tokio::test]
async fn what_a_projected_volume_says_is_checked() {
    let host = Host::start().await;
    let mut web = pod("web");
    web["spec"]["volumes"] = json!([{"name": "v", "projected": {"sources": [
        {"serviceAccountToken": {"path": "../token", "expirationSeconds": 60}},
        {"configMap": {"name": "a", "items": [{"key": "k", "path": "same"}]}, "secret": {"name": "s"}},
        {"downwardAPI": {"items": [{"path": "same", "fieldRef": {"fieldPath": "spec.nodeName"}}]}},
        {},
    ]}}]);
    let refused = host.post(PODS, web).await.fails(422, "Invalid", "");
    for part in [
        "sources[0].serviceAccountToken.path: Invalid value: \"../token\": must not contain '..'",
        "sources[0].serviceAccountToken.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes",
        "sources[1]: Forbidden: may not specify more than 1 volume type per source",
        "sources[2]: Invalid value: \"same\": conflicting duplicate paths",
        "fieldRef.fieldPath: Unsupported value: \"spec.nodeName\"",
        "sources[3]: Required value: must specify a source",
    ] {
        assert!(text(&refused["message"]).contains(part), "{part}: {refused}");
    }
}
