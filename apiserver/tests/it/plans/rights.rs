//! Who may plan what, and what nobody is shown.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use orch_admission::Policies;
use orch_apiserver::{EncryptedStore, Keyring};
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_store::{Prefix, ReadAt, Store};
use reqwest::Method;
use serde_json::{Value, json};

use super::{PLANS, applied, applied_to_the_cluster, name, of_map, plan};
use crate::host::{Host, MAPS, RBAC, Reply, binding, map};

/// A server on which ann may make and apply plans, and what these rules say.
async fn guarded(rules: Value) -> (Host, reqwest::Client) {
    let host = Host::guarded().await;
    let mut all = vec![
        json!({"apiGroups": ["orch.dev"], "resources": ["plans", "plans/apply"], "verbs": ["create", "get"]}),
    ];
    all.extend(rules.as_array().unwrap().clone());
    host.post(&format!("{RBAC}/clusterroles"), json!({"metadata": {"name": "ann"}, "rules": all}))
        .await
        .is(201);
    host.bind("ann", "ann", "").await;
    let ann = host.user("ann", &[]);
    (host, ann)
}

async fn post(host: &Host, client: &reqwest::Client, path: &str, body: Value) -> Reply {
    host.send(client.request(Method::POST, host.url(path)).json(&body)).await
}

#[tokio::test]
async fn a_plan_may_do_what_its_maker_may_and_is_asked_again_when_it_is_applied() {
    let maps = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "create", "patch"]});
    let (host, ann) = guarded(json!([maps])).await;
    let refused = plan(json!([applied(map("a", json!({}))), {"delete": {"target": of_map("a")}}]));
    let said = "spec.changes[1]: configmaps \"a\" is forbidden: User \"ann\" cannot delete";
    post(&host, &ann, PLANS, refused).await.fails(422, "Invalid", said);
    let made = post(&host, &ann, PLANS, plan(json!([applied(map("a", json!({})))]))).await.is(201);
    let path = format!("{PLANS}/{}/apply", name(&made));
    let by_admin = host.post(&path, json!({})).await;
    by_admin.fails(403, "Forbidden", "it can be applied only by \"ann\", who made it");

    host.merge(
        &format!("{RBAC}/clusterroles/ann"),
        json!({"rules": [
            {"apiGroups": ["orch.dev"], "resources": ["plans", "plans/apply"], "verbs": ["create", "get"]},
        ]}),
    )
    .await
    .is(200);
    post(&host, &ann, &path, json!({})).await.fails(422, "Invalid", "User \"ann\" cannot patch");
    host.get(&format!("{MAPS}/a")).await.is(404);
}

#[tokio::test]
async fn rights_given_by_a_plan_count_for_what_comes_after_them_in_it() {
    let host = Host::guarded_with(|_| {}).await;
    host.make_namespace("default").await;
    let rules = json!([
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": ["orch.dev"], "resources": ["plans", "plans/apply"], "verbs": ["*"]},
    ]);
    host.post(&format!("{RBAC}/clusterroles"), json!({"metadata": {"name": "granting"}, "rules": rules}))
        .await
        .is(201);
    host.bind("granting", "ann", "").await;
    let ann = host.user("ann", &[]);
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "mapping"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "patch"]}],
    });
    let map = applied(map("a", json!({})));
    let bound = applied_to_the_cluster(binding("ClusterRoleBinding", "mapping", "ann"));
    let changes = [applied_to_the_cluster(role), bound, map.clone()];
    post(&host, &ann, PLANS, plan(json!([map]))).await.is(422);
    let made = post(&host, &ann, PLANS, plan(json!(changes))).await.is(201);
    let path = format!("{PLANS}/{}/apply", name(&made));
    post(&host, &ann, &path, json!({})).await.is(200);
    let direct = post(&host, &ann, MAPS, json!({"metadata": {"name": "b"}})).await;
    direct.is(201);
}

#[tokio::test]
async fn policies_have_their_say_when_a_plan_is_made_and_again_when_it_is_applied() {
    let host = Host::with(|config| config.admission = Arc::new(Policies::new())).await;
    host.make_namespace("default").await;
    let group = "/apis/admissionregistration.k8s.io/v1";
    let rule = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "blue"},
        "spec": {
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["*"], "operations": ["*"], "resources": ["configmaps"]},
            ]},
            "validations": [{"expression": "object.data.colour == 'blue'", "message": "not blue"}],
        },
    });
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "blue"}, "spec": {"policyName": "blue", "validationActions": ["Deny"]},
    });
    let red = applied(map("a", json!({"colour": "red"})));
    let made = host.plan(json!([red])).await;
    // A policy that comes with the plan applies to what comes after it.
    let both = [applied_to_the_cluster(rule.clone()), applied_to_the_cluster(binding.clone()), red.clone()];
    host.post(PLANS, plan(json!(both))).await.fails(422, "Invalid", "not blue");
    host.post(&format!("{group}/validatingadmissionpolicies"), rule).await.is(201);
    host.post(&format!("{group}/validatingadmissionpolicybindings"), binding).await.is(201);
    host.post(PLANS, plan(json!([red]))).await.fails(422, "Invalid", "not blue");
    host.apply_plan(&made).await.fails(422, "Invalid", "not blue");
    let blue = host.plan(json!([applied(map("a", json!({"colour": "blue"})))])).await;
    host.apply_plan(&blue).await.is(200);
}

#[tokio::test]
async fn secrets_are_neither_shown_by_a_plan_nor_stored_unsealed() {
    let directory = tempfile::tempdir().unwrap();
    let inner: Arc<dyn Store> =
        Arc::new(EmbeddedStore::open(EmbeddedConfig::new(directory.path().join("store"))).unwrap());
    let key = directory.path().join("key");
    std::fs::write(&key, format!("a:{}\n", STANDARD.encode([1; 32]))).unwrap();
    let keys = Keyring::read(&key).unwrap();
    let store = EncryptedStore::new(inner.clone(), keys, &orch_ontology::KINDS).unwrap();
    let host = Host::start_on(directory, Arc::new(store)).await;
    host.make_namespace("default").await;
    let secrets = "/api/v1/namespaces/default/secrets";
    host.post(secrets, json!({"metadata": {"name": "old"}, "stringData": {"k": "hunter1"}})).await.is(201);
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "new", "annotations": {"last": "hunter2"}},
        "stringData": {"k": "hunter2"},
    });
    let target = json!({"apiVersion": "v1", "kind": "Secret", "namespace": "default", "name": "old"});
    let made = host
        .plan(json!([
            applied(secret),
            {"patch": {"target": target, "patch": {"stringData": {"k": "hunter3"}}}},
            applied(map("seen", json!({"a": "1"}))),
        ]))
        .await;
    let read = host.get(&format!("{PLANS}/{}", name(&made))).await.is(200);
    let told = |fields: &Value, path: &str| {
        let fields = fields.as_array().unwrap();
        fields.iter().find(|field| field["path"] == path).cloned().unwrap_or_default()
    };
    let changes = &read["status"]["changes"];
    assert_eq!(told(&changes[0]["fields"], "data.k")["after"], "(hidden)");
    assert_eq!(told(&changes[1]["fields"], "data.k")["before"], "(hidden)");
    assert_eq!(read["spec"]["changes"][0]["apply"]["manifest"]["stringData"]["k"], "(hidden)");
    assert_eq!(read["spec"]["changes"][2]["apply"]["manifest"]["data"]["a"], "1");
    for hidden in ["hunter", "aHVudGVy"] {
        assert!(!made.to_string().contains(hidden) && !read.to_string().contains(hidden), "{read}");
        let all = inner.list(&Prefix::all(), ReadAt::Latest, None, 0).await.unwrap();
        for entry in all.entries {
            assert!(!String::from_utf8_lossy(&entry.value).contains(hidden), "{}", entry.key);
        }
    }
    host.apply_plan(&made).await.is(200);
    assert_eq!(host.get(&format!("{secrets}/new")).await.is(200)["data"]["k"], "aHVudGVyMg==");
    assert_eq!(host.get(&format!("{secrets}/old")).await.is(200)["data"]["k"], "aHVudGVyMw==");
}
