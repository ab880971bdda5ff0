//! Rules that are objects: `ValidatingAdmissionPolicy`, asked of every change on its one way to the store.

use std::sync::Arc;

use orch_admission::Policies;
use reqwest::Method;
use serde_json::{Value, json};

use crate::host::{Host, MAPS, PODS, WORKLOADS, map, pod, workload};

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies";
const BINDINGS: &str = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings";

async fn host() -> Host {
    let host = Host::with(|config| config.admission = Arc::new(Policies::new())).await;
    for name in ["default", "live"] {
        host.make_namespace(name).await;
    }
    host
}

/// A policy about some resources, which applies at once.
async fn rule(host: &Host, name: &str, (group, resource): (&str, &str), spec: Value) {
    let mut whole = json!({"matchConstraints": {"resourceRules": [
        {"apiGroups": [group], "apiVersions": ["*"], "operations": ["*"], "resources": [resource]},
    ]}});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    host.post(POLICIES, json!({"metadata": {"name": name}, "spec": whole})).await.is(201);
}

async fn bind(host: &Host, name: &str, spec: Value) {
    let mut whole = json!({"policyName": name, "validationActions": ["Deny"]});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    host.post(BINDINGS, json!({"metadata": {"name": name}, "spec": whole})).await.is(201);
}

#[tokio::test]
async fn a_rule_applies_to_every_way_of_changing_an_object_once_it_is_acknowledged() {
    let host = host().await;
    let few = json!({"validations": [{
        "expression": "object == null || object.spec.replicas <= 3",
        "messageExpression": "string(object.spec.replicas) + ' are too many'",
        "reason": "Forbidden",
    }]});
    rule(&host, "few", ("orch.dev", "workloads"), few).await;
    host.post(WORKLOADS, workload("a", 9)).await.is(201);
    bind(&host, "few", json!({})).await;
    let said = "workloads.orch.dev \"b\" is forbidden: ValidatingAdmissionPolicy 'few' with binding 'few' denied request: 4 are too many";
    let refusal = host.post(WORKLOADS, workload("b", 4)).await.fails(403, "Forbidden", said);
    assert_eq!(refusal["details"]["causes"].as_array().unwrap().len(), 1);
    host.post(&format!("{WORKLOADS}?dryRun=All"), workload("b", 4)).await.is(403);
    let made = host.post(WORKLOADS, workload("b", 3)).await.is(201);
    let path = format!("{WORKLOADS}/b");
    let mut more = made;
    more["spec"]["replicas"] = 5.into();
    host.put(&path, more).await.is(403);
    host.merge(&path, json!({"spec": {"replicas": 6}})).await.is(403);
    host.apply(&path, "ann&force=true", workload("b", 7)).await.is(403);
    host.apply(&format!("{WORKLOADS}/c"), "ann", workload("c", 7)).await.is(403);
    assert_eq!(host.get(&path).await.is(200)["spec"]["replicas"], 3);
    host.delete(&path).await.is(200);
    host.delete(&format!("{BINDINGS}/few")).await.is(200);
    host.post(WORKLOADS, workload("b", 4)).await.is(201);
}

#[tokio::test]
async fn rules_see_subresources_as_callers_do() {
    let host = host().await;
    host.post(WORKLOADS, workload("a", 1)).await.is(201);
    host.post(PODS, pod("p")).await.is(201);
    let scale = json!({"validations": [{"expression": "object.kind == 'Scale' && object.spec.replicas < 4 && oldObject.spec.replicas == 1"}]});
    rule(&host, "scale", ("orch.dev", "workloads/scale"), scale).await;
    bind(&host, "scale", json!({})).await;
    let path = format!("{WORKLOADS}/a/scale");
    host.merge(&path, json!({"spec": {"replicas": 4}})).await.fails(422, "Invalid", "failed expression");
    host.merge(&path, json!({"spec": {"replicas": 2}})).await.is(200);
    host.merge(&format!("{WORKLOADS}/a"), json!({"spec": {"replicas": 9}})).await.is(200);
    let binding = json!({"validations": [{"expression": "request.operation == 'CREATE' && object.kind == 'Binding' && object.target.name != 'forbidden'"}]});
    rule(&host, "binding", ("", "pods/binding"), binding).await;
    bind(&host, "binding", json!({})).await;
    let to = |node: &str| json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": node}});
    host.post(&format!("{PODS}/p/binding"), to("forbidden")).await.is(422);
    host.post(&format!("{PODS}/p/binding"), to("n")).await.is(201);
    let status = json!({"validations": [{"expression": "object.status.phase != 'Failed'"}]});
    rule(&host, "status", ("", "pods/status"), status).await;
    bind(&host, "status", json!({})).await;
    host.merge(&format!("{PODS}/p/status"), json!({"status": {"phase": "Failed"}})).await.is(422);
    host.merge(&format!("{PODS}/p/status"), json!({"status": {"phase": "Running"}})).await.is(200);
}

#[tokio::test]
async fn deletions_are_asked_about_one_by_one() {
    let host = host().await;
    let keep = json!({"matchConstraints": {"resourceRules": [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["configmaps"]},
    ]}, "validations": [{"expression": "!has(oldObject.data) || !has(oldObject.data.keep)", "message": "is to be kept"}]});
    rule(&host, "keep", ("", "configmaps"), keep).await;
    bind(&host, "keep", json!({})).await;
    host.post(MAPS, map("a", json!({}))).await.is(201);
    host.post(MAPS, map("b", json!({"keep": "yes"}))).await.is(201);
    host.delete(&format!("{MAPS}/b")).await.fails(422, "Invalid", "is to be kept");
    host.delete(MAPS).await.fails(422, "Invalid", "is to be kept");
    host.get(&format!("{MAPS}/b")).await.is(200);
    host.merge(&format!("{MAPS}/b"), json!({"data": {"keep": null}})).await.is(200);
    host.delete(MAPS).await.is(200);
    assert_eq!(host.get(MAPS).await.is(200)["items"], json!([]));
}

#[tokio::test]
async fn warnings_are_headers_and_the_request_goes_on() {
    let host = host().await;
    let rules = json!({"validations": [{"expression": "has(object.data)", "message": "has no data"}]});
    rule(&host, "data", ("", "configmaps"), rules).await;
    bind(&host, "data", json!({"validationActions": ["Warn"]})).await;
    let bare = json!({"metadata": {"name": "bare"}});
    let reply = host.post(MAPS, bare).await;
    let warning = reply.headers["warning"].to_str().unwrap().to_owned();
    assert_eq!(
        warning,
        "299 - \"Validation failed for ValidatingAdmissionPolicy 'data' with binding 'data': has no data\""
    );
    reply.is(201);
    assert!(!host.post(MAPS, map("full", json!({"a": "b"}))).await.headers.contains_key("warning"));
}

#[tokio::test]
async fn what_rules_depend_on_counts_from_the_moment_it_is_acknowledged() {
    let host = host().await;
    let rules = json!({
        "paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "validations": [{"expression": "object == null || object.metadata.name.startsWith(params.data.prefix)"}],
    });
    rule(&host, "names", ("", "secrets"), rules).await;
    let reference = json!({"name": "names", "parameterNotFoundAction": "Deny"});
    let selector = json!({"namespaceSelector": {"matchLabels": {"tier": "live"}}});
    bind(&host, "names", json!({"paramRef": reference, "matchResources": selector})).await;
    let secrets = "/api/v1/namespaces/live/secrets";
    let secret = |name: &str| json!({"metadata": {"name": name}});
    host.post(secrets, secret("any")).await.is(201);
    host.merge("/api/v1/namespaces/live", json!({"metadata": {"labels": {"tier": "live"}}})).await.is(200);
    host.post(secrets, secret("other")).await.fails(422, "Invalid", "no params found for policy binding");
    let params = |prefix: &str| map("names", json!({"prefix": prefix}));
    host.post("/api/v1/namespaces/live/configmaps", params("live-")).await.is(201);
    host.post(secrets, secret("other")).await.is(422);
    host.post(secrets, secret("live-a")).await.is(201);
    host.merge("/api/v1/namespaces/live/configmaps/names", params("new-")).await.is(200);
    host.post(secrets, secret("live-b")).await.is(422);
    host.post("/api/v1/namespaces/default/secrets", secret("other")).await.is(201);
}

#[tokio::test]
async fn rules_that_cannot_be_compiled_are_refused_with_their_place() {
    let host = host().await;
    for (expression, problem) in [
        ("object.spec.", "spec.validations[0].expression: Invalid value"),
        ("objekt == null", "undeclared reference to 'objekt'"),
        ("variables.none == 1", "undefined field 'none'"),
        ("params.a == 1", "undeclared reference to 'params'"),
        ("authoriser.path('/x').check('get').allowed()", "undeclared reference to 'authoriser'"),
    ] {
        let spec = json!({
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["pods"]},
            ]},
            "validations": [{"expression": expression}],
        });
        let refused = host.post(POLICIES, json!({"metadata": {"name": "bad"}, "spec": spec})).await;
        refused.fails(422, "Invalid", problem);
    }
}

#[tokio::test]
async fn a_policy_against_everything_can_be_taken_back() {
    let host = host().await;
    rule(&host, "no", ("*", "*"), json!({"validations": [{"expression": "false"}]})).await;
    bind(&host, "no", json!({})).await;
    host.post(MAPS, map("a", json!({}))).await.is(422);
    host.send(host.request(Method::DELETE, "/api/v1/namespaces/live")).await.is(422);
    host.delete(&format!("{POLICIES}/no")).await.is(200);
    host.post(MAPS, map("a", json!({}))).await.is(201);
}
