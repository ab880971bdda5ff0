//! What somebody tries who wants more than they were given. Each attempt is made over TLS, with a certificate of their own.

use orch_apiserver::Identity;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::host::{Host, Lines, PODS, Reply, client_over, map, pod, text, workload};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

/// Somebody with a certificate.
struct Caller<'a> {
    host: &'a Host,
    client: Client,
}

impl Caller<'_> {
    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let request = self.client.request(method, self.host.url(path));
        self.host
            .send(match body {
                Some(body) => request.json(&body),
                None => request,
            })
            .await
    }

    async fn get(&self, path: &str) -> Reply {
        self.ask(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn patch(&self, path: &str, media_type: &str, body: Value) -> Reply {
        let request = self.client.patch(self.host.url(path)).header("content-type", media_type);
        self.host.send(request.body(body.to_string())).await
    }
}

fn caller<'a>(host: &'a Host, name: &str, groups: &[&str]) -> Caller<'a> {
    Caller { host, client: host.user(name, groups) }
}

fn rule(verbs: &[&str], group: &str, resources: &[&str]) -> Value {
    json!({"verbs": verbs, "apiGroups": [group], "resources": resources})
}

/// Gives a user rules in a namespace, by a role of the same name.
async fn give(host: &Host, namespace: &str, user: &str, rules: Value) {
    let path = format!("{RBAC}/namespaces/{namespace}");
    host.post(&format!("{path}/roles"), json!({"metadata": {"name": user}, "rules": rules})).await.is(201);
    bind(host, &format!("{path}/rolebindings"), user, "Role", user).await;
}

async fn bind(host: &Host, path: &str, user: &str, kind: &str, role: &str) {
    let binding = json!({
        "metadata": {"name": format!("{user}-{role}")},
        "roleRef": {"kind": kind, "name": role},
        "subjects": [{"kind": "User", "name": user}],
    });
    host.post(path, binding).await.is(201);
}

async fn view_in_default(host: &Host, user: &str) {
    bind(host, &format!("{RBAC}/namespaces/default/rolebindings"), user, "ClusterRole", "view").await;
}

fn secret(name: &str) -> Value {
    json!({"metadata": {"name": name}, "stringData": {"key": "value"}})
}

#[tokio::test]
async fn a_right_in_one_namespace_is_none_in_another() {
    let host = Host::guarded().await;
    view_in_default(&host, "ann").await;
    host.post("/api/v1/namespaces/other/configmaps", map("hidden", json!({"a": "b"}))).await.is(201);
    let ann = caller(&host, "ann", &[]);
    ann.get(PODS).await.is(200);
    ann.get("/api/v1/namespaces/default").await.is(200);
    for path in [
        "/api/v1/namespaces/other/configmaps",
        "/api/v1/namespaces/other/configmaps/hidden",
        "/api/v1/configmaps",
        "/api/v1/configmaps?watch=true",
        "/api/v1/configmaps?fieldSelector=metadata.namespace%3Ddefault",
        "/api/v1/configmaps?fieldSelector=metadata.name%3Dhidden",
        "/api/v1/namespaces/other/configmaps?watch=true",
        "/api/v1/namespaces/other/configmaps?labelSelector=a%3Db&limit=1",
        "/api/v1/namespaces/other",
        "/api/v1/namespaces",
        "/api/v1/namespaces/default/secrets",
        "/api/v1/namespaces/default/secrets?watch=true",
        "/api/v1/nodes",
    ] {
        for accept in ["application/json", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"]
        {
            let request = ann.client.get(host.url(path)).header("accept", accept);
            host.send(request).await.fails(403, "Forbidden", "User \"ann\" cannot ");
        }
    }
    ann.get("/api/v1/namespaces/other/configmaps").await.fails(
        403,
        "Forbidden",
        r#"configmaps is forbidden: User "ann" cannot list resource "configmaps" in API group "" in the namespace "other""#,
    );
    // A token for the next page is no key to another place.
    host.post("/api/v1/namespaces/default/configmaps", map("a", json!({}))).await.is(201);
    host.post("/api/v1/namespaces/default/configmaps", map("b", json!({}))).await.is(201);
    let page = ann.get("/api/v1/namespaces/default/configmaps?limit=1").await.is(200);
    let cont = text(&page["metadata"]["continue"]);
    ann.get(&format!("/api/v1/namespaces/other/configmaps?limit=1&continue={cont}")).await.fails(
        403,
        "Forbidden",
        "",
    );
}

#[tokio::test]
async fn a_watch_shows_nothing_of_another_namespace() {
    let host = Host::guarded().await;
    view_in_default(&host, "ann").await;
    let ann = caller(&host, "ann", &[]);
    let path = "/api/v1/namespaces/default/configmaps?watch=true";
    let mut watch = Lines::of(ann.client.get(host.url(path)).send().await.unwrap());
    host.post("/api/v1/namespaces/other/configmaps", map("hidden", json!({}))).await.is(201);
    host.post("/api/v1/namespaces/default/configmaps", map("seen", json!({}))).await.is(201);
    assert_eq!(watch.brief().await, "ADDED seen");
}

#[tokio::test]
async fn other_spellings_of_a_path_lead_nowhere() {
    let host = Host::guarded().await;
    give(&host, "default", "ann", json!([rule(&["get", "list"], "", &["configmaps"])])).await;
    host.post("/api/v1/namespaces/default/secrets", secret("s")).await.is(201);
    let ann = caller(&host, "ann", &[]);
    ann.get("/api/v1/namespaces/default/configmaps/").await.is(200);
    for path in [
        "//api/v1/namespaces/default/secrets",
        "/api//v1/namespaces/default/secrets",
        "/api/v1//namespaces/default/secrets",
        "/api/v1/namespaces//secrets",
        "/api/v1/namespaces/default//secrets",
        "/api/v1/namespaces/default/secrets/",
        "/api/v1/namespaces/default/secrets//",
        "/api/v1/namespaces/default/secrets/s/",
        "/api/v1/namespaces/default/configmaps/..%2fsecrets",
        "/api/v1/namespaces/default/configmaps/..%2fsecrets%2fs",
        "/api/v1/namespaces/default%2fsecrets",
        "/api/v1/namespaces/default%2fsecrets%2fs",
        "/api/v1/namespaces/default/%73ecrets",
        "/api/v1/namespaces/default/SECRETS",
        "/api/v1/namespaces/Default/secrets",
        "/API/v1/namespaces/default/secrets",
        "/api/V1/namespaces/default/secrets",
        "/apis//v1/namespaces/default/secrets",
        "/apis/core/v1/namespaces/default/secrets",
        "/api/v1/secrets?namespace=default",
        "/api/v1/watch/namespaces/default/secrets",
        "/api/v1/namespaces/default/secrets;x=y",
        "/api/v1/namespaces/default/secrets%00",
        "//metrics",
        "/metrics/",
        "/metrics%2f",
        "/Metrics",
        "/openapi/../metrics",
        "/openapi/%2e%2e/metrics",
        "/healthz/../metrics",
        "/livez%2f..%2fmetrics",
    ] {
        let reply = ann.get(path).await;
        assert!([400, 403, 404].contains(&reply.code), "{path}: {} {}", reply.code, reply.text);
        assert!(
            !reply.text.contains("SecretList") && !reply.text.contains("apiserver_"),
            "{path}: {}",
            reply.text
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_told_to_who_may_not_look() {
    let host = Host::guarded().await;
    host.post("/api/v1/namespaces/default/secrets", secret("s")).await.is(201);
    let ann = caller(&host, "ann", &[]);
    let answers = ["secrets/s", "secrets/none", "nothings/x"]
        .map(|what| (what, format!("/api/v1/namespaces/default/{what}")));
    for (what, path) in answers {
        let status = ann.get(&path).await.fails(403, "Forbidden", "cannot get resource");
        assert!(text(&status["message"]).contains(what.split('/').next().unwrap()), "{status}");
    }
    host.get("/api/v1/namespaces/default/nothings/x").await.is(404);
}

#[tokio::test]
async fn each_verb_and_subresource_needs_its_own_right() {
    let host = Host::guarded().await;
    host.post(PODS, pod("p")).await.is(201);
    let deploy = "/apis/orch.dev/v1/namespaces/default/workloads";
    host.post(deploy, workload("w", 1)).await.is(201);
    let rules = json!([
        rule(&["get", "list", "watch", "delete", "patch"], "", &["pods"]),
        rule(&["get"], "", &["pods/exec"]),
        rule(&["get", "update", "patch"], "orch.dev", &["workloads"]),
    ]);
    give(&host, "default", "ann", rules).await;
    let ann = caller(&host, "ann", &[]);
    for (method, path) in [
        (Method::DELETE, PODS.to_owned()),
        (Method::POST, PODS.to_owned()),
        (Method::PUT, format!("{PODS}/p")),
        (Method::GET, format!("{PODS}/p/log")),
        (Method::GET, format!("{PODS}/p/status")),
        (Method::PATCH, format!("{PODS}/p/status")),
        (Method::PUT, format!("{PODS}/p/status")),
        (Method::POST, format!("{PODS}/p/binding")),
        (Method::POST, format!("{PODS}/p/exec?command=sh")),
        (Method::POST, format!("{PODS}/p/attach")),
        (Method::GET, format!("{deploy}/w/scale")),
        (Method::PUT, format!("{deploy}/w/scale")),
        (Method::PATCH, format!("{deploy}/w/status")),
        (Method::DELETE, format!("{deploy}/w")),
    ] {
        let reply = ann.ask(method.clone(), &path, Some(json!({}))).await;
        reply.fails(403, "Forbidden", "cannot");
        let dry = format!("{path}{}dryRun=All", if path.contains('?') { '&' } else { '?' });
        ann.ask(method, &dry, Some(json!({}))).await.fails(403, "Forbidden", "cannot");
    }
    // To run a command is more than to read, however it is asked for.
    let certificate = host.authority.issue_client("ann", &[""; 0]).unwrap();
    let upgrade = client_over(&host.authority, Some(&certificate), &[b"http/1.1"])
        .get(host.url(&format!("{PODS}/p/exec?command=sh")))
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    host.send(upgrade).await.fails(403, "Forbidden", r#"cannot create resource "pods/exec""#);
    // To apply something that is not there is to make it.
    let applied =
        ann.patch(&format!("{PODS}/new?fieldManager=x"), "application/apply-patch+yaml", pod("new")).await;
    applied.fails(403, "Forbidden", r#"cannot create resource "pods""#);
    let patched = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": "b"}}});
    ann.patch(&format!("{PODS}/p?fieldManager=x"), "application/apply-patch+yaml", patched).await.is(200);
}

#[tokio::test]
async fn a_right_to_one_object_is_none_to_its_neighbours() {
    let host = Host::guarded().await;
    for name in ["mine", "yours"] {
        host.post("/api/v1/namespaces/default/secrets", secret(name)).await.is(201);
    }
    let mut named = rule(&["get", "list", "watch", "deletecollection"], "", &["secrets"]);
    named["resourceNames"] = json!(["mine"]);
    give(&host, "default", "ann", json!([named])).await;
    let ann = caller(&host, "ann", &[]);
    let secrets = "/api/v1/namespaces/default/secrets";
    ann.get(&format!("{secrets}/mine")).await.is(200);
    let list = ann.get(&format!("{secrets}?fieldSelector=metadata.name%3Dmine")).await.is(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    for (method, path) in [
        (Method::GET, format!("{secrets}/yours")),
        (Method::GET, secrets.to_owned()),
        (Method::GET, format!("{secrets}?watch=true")),
        (Method::GET, format!("{secrets}?fieldSelector=metadata.name%21%3Dyours")),
        (Method::GET, format!("{secrets}?fieldSelector=metadata.name%3Dyours")),
        (Method::GET, format!("{secrets}?labelSelector=metadata.name%3Dmine")),
        (Method::DELETE, secrets.to_owned()),
    ] {
        ann.ask(method, &path, None).await.fails(403, "Forbidden", "secrets");
    }
    let both = ann.get(&format!("{secrets}?fieldSelector=metadata.name%3Dmine,metadata.name%3Dyours")).await;
    assert_eq!(both.is(200)["items"], json!([]), "what it asks for is nothing");
}

#[tokio::test]
async fn nobody_climbs_by_writing_roles() {
    let host = Host::guarded().await;
    let all = ["roles", "rolebindings", "clusterroles", "clusterrolebindings"];
    let writer = json!({"metadata": {"name": "rbac-writer"}, "rules":
        [rule(&["create", "update", "patch", "get", "delete"], "rbac.authorization.k8s.io", &all)]});
    host.post(&format!("{RBAC}/clusterroles"), writer).await.is(201);
    bind(&host, &format!("{RBAC}/clusterrolebindings"), "ann", "ClusterRole", "rbac-writer").await;
    let ann = caller(&host, "ann", &[]);
    let to = |kind: &str, role: &str| {
        json!({"metadata": {"name": "climb"}, "roleRef": {"kind": kind, "name": role},
        "subjects": [{"kind": "User", "name": "ann"}]})
    };
    let held = "is attempting to grant RBAC permissions not currently held:\n";
    let secrets = || json!({"metadata": {"name": "climb"}, "rules": [rule(&["get"], "", &["secrets"])]});
    for (path, body) in [
        ("/clusterrolebindings", to("ClusterRole", "cluster-admin")),
        ("/clusterrolebindings", to("ClusterRole", "view")),
        ("/namespaces/default/rolebindings", to("ClusterRole", "admin")),
        ("/clusterroles", secrets()),
        ("/namespaces/default/roles", secrets()),
    ] {
        ann.post(&format!("{RBAC}{path}"), body.clone()).await.fails(403, "Forbidden", held);
        ann.post(&format!("{RBAC}{path}?dryRun=All"), body).await.fails(403, "Forbidden", held);
    }
    let own = format!("{RBAC}/clusterroles/rbac-writer");
    let merge = "application/merge-patch+json";
    let more = json!({"rules": [rule(&["*"], "*", &["*"])]});
    ann.patch(&own, merge, more.clone()).await.fails(403, "Forbidden", held);
    let json_patch = json!([{"op": "add", "path": "/rules/-", "value": rule(&["*"], "*", &["*"])}]);
    ann.patch(&own, "application/json-patch+json", json_patch).await.fails(403, "Forbidden", held);
    let applied = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "rbac-writer"}, "rules": more["rules"]});
    let apply = format!("{own}?fieldManager=x&force=true");
    ann.patch(&apply, "application/apply-patch+yaml", applied).await.fails(403, "Forbidden", held);
    let gathering = json!({"metadata": {"name": "all"}, "rules": [],
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"kubernetes.io/bootstrapping": "rbac-defaults"}}]}});
    ann.post(&format!("{RBAC}/clusterroles"), gathering).await.fails(
        403,
        "Forbidden",
        "must have cluster-admin",
    );
    // What she has she may pass on; whom a binding of more names she may not choose.
    ann.post(&format!("{RBAC}/clusterrolebindings"), to("ClusterRole", "rbac-writer")).await.is(201);
    let subject = json!({"subjects": [{"kind": "User", "name": "ann"}]});
    ann.patch(&format!("{RBAC}/clusterrolebindings/cluster-admin"), merge, subject).await.fails(
        403,
        "Forbidden",
        held,
    );
    let other_role = json!({"roleRef": {"kind": "ClusterRole", "name": "cluster-admin"}});
    ann.patch(&format!("{RBAC}/clusterrolebindings/climb"), merge, other_role).await.fails(
        422,
        "Invalid",
        "cannot change roleRef",
    );
    ann.get("/api/v1/secrets").await.fails(403, "Forbidden", "");
}

#[tokio::test]
async fn a_right_holds_from_the_next_request_on_and_is_gone_from_the_next_request_on() {
    let host = Host::guarded().await;
    let ann = caller(&host, "ann", &[]);
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    for _ in 0..20 {
        ann.get(PODS).await.is(403);
        view_in_default(&host, "ann").await;
        ann.get(PODS).await.is(200);
        host.delete(&format!("{bindings}/ann-view")).await.is(200);
    }
}

#[tokio::test]
async fn a_node_reads_only_what_its_own_pods_name() {
    let host = Host::guarded().await;
    for (name, node) in [("p1", "n1"), ("p2", "n2")] {
        host.post("/api/v1/namespaces/default/secrets", secret(&format!("of-{name}"))).await.is(201);
        let mut pod = pod(name);
        pod["spec"]["volumes"] = json!([{"name": "v", "secret": {"secretName": format!("of-{name}")}}]);
        host.post(PODS, pod).await.is(201);
        let target = json!({"target": {"kind": "Node", "name": node}, "metadata": {"name": name}});
        host.post(&format!("{PODS}/{name}/binding"), target).await.is(201);
    }
    let node = caller(&host, "system:node:n1", &["system:nodes"]);
    let secrets = "/api/v1/namespaces/default/secrets";
    node.get(&format!("{secrets}/of-p1")).await.is(200);
    node.get(&format!("{secrets}/of-p2")).await.fails(
        403,
        "Forbidden",
        "no relationship found between node 'n1' and this object",
    );
    node.get(secrets).await.fails(403, "Forbidden", "");
    let watched =
        node.client.get(host.url(&format!("{secrets}?watch=true&fieldSelector=metadata.name%3Dof-p1")));
    assert_eq!(watched.send().await.unwrap().status(), 200);
    let own = node.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").await.is(200);
    assert_eq!(own["items"].as_array().unwrap().len(), 1);
    node.get("/api/v1/pods").await.fails(
        403,
        "Forbidden",
        "can only list/watch pods with spec.nodeName field selector",
    );
    node.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn2").await.is(403);
    node.get(&format!("{PODS}/p2")).await.is(403);
    node.ask(Method::DELETE, &format!("{PODS}/p2"), None).await.is(403);
    node.patch(&format!("{PODS}/p2/status"), "application/merge-patch+json", json!({"status": {}}))
        .await
        .is(403);
    node.post(PODS, pod("mirror")).await.is(403);
    // A pod that goes takes with it what it gave.
    host.delete(&format!("{PODS}/p1?gracePeriodSeconds=0")).await.is(200);
    node.get(&format!("{secrets}/of-p1")).await.is(403);
}

#[tokio::test]
async fn a_node_makes_itself_and_no_other() {
    let host = Host::guarded().await;
    let node = caller(&host, "system:node:n1", &["system:nodes"]);
    let named = |name: &str, labels: Value| json!({"metadata": {"name": name, "labels": labels}});
    node.post("/api/v1/nodes", named("n2", json!({}))).await.fails(
        403,
        "Forbidden",
        r#"node "n1" is not allowed to modify node "n2""#,
    );
    let trusted = json!({"node-restriction.kubernetes.io/vault": "yes"});
    node.post("/api/v1/nodes", named("n1", trusted.clone())).await.fails(
        403,
        "Forbidden",
        "not allowed to set the following labels",
    );
    node.post("/api/v1/nodes", named("n1", json!({"kubernetes.io/hostname": "n1"}))).await.is(201);
    host.post("/api/v1/nodes", named("n2", json!({}))).await.is(201);
    let merge = "application/merge-patch+json";
    for (path, patch) in [
        ("/api/v1/nodes/n1", json!({"metadata": {"labels": trusted}})),
        ("/api/v1/nodes/n1", json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}})),
        ("/api/v1/nodes/n2", json!({"metadata": {"labels": {"a": "b"}}})),
        ("/api/v1/nodes/n2/status", json!({"status": {}})),
    ] {
        node.patch(path, merge, patch).await.fails(403, "Forbidden", "");
    }
    node.patch("/api/v1/nodes/n1", merge, json!({"metadata": {"labels": {"team": "x"}}})).await.is(200);
    let leases = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
    node.post(leases, json!({"metadata": {"name": "n2"}})).await.is(403);
    node.post(leases, json!({"metadata": {"name": "n1"}})).await.is(201);
    // The name of a node without the group of nodes is just a name.
    caller(&host, "system:node:n1", &[]).get("/api/v1/nodes/n1").await.is(403);
}

#[tokio::test]
async fn reviews_say_what_is_decided_and_to_whom_they_may() {
    let host = Host::guarded().await;
    view_in_default(&host, "ann").await;
    let ann = caller(&host, "ann", &[]);
    let reviews = "/apis/authorization.k8s.io/v1";
    let attributes =
        |verb: &str, namespace: &str| json!({"verb": verb, "resource": "pods", "namespace": namespace});
    for (verb, namespace, allowed) in
        [("list", "default", true), ("list", "other", false), ("delete", "default", false)]
    {
        let asked = json!({"spec": {"resourceAttributes": attributes(verb, namespace)}});
        let own = ann.post(&format!("{reviews}/selfsubjectaccessreviews"), asked.clone()).await.is(201);
        assert_eq!(own["status"]["allowed"], allowed, "{own}");
        let mut of_ann = asked;
        of_ann["spec"]["user"] = "ann".into();
        let by_admin = host.post(&format!("{reviews}/subjectaccessreviews"), of_ann.clone()).await.is(201);
        assert_eq!(by_admin["status"], own["status"]);
        ann.post(&format!("{reviews}/subjectaccessreviews"), of_ann.clone()).await.fails(
            403,
            "Forbidden",
            "",
        );
        let local = format!("{reviews}/namespaces/{namespace}/localsubjectaccessreviews");
        assert_eq!(host.post(&local, of_ann.clone()).await.is(201)["status"], own["status"]);
        of_ann["spec"]["resourceAttributes"]["namespace"] = "kube-system".into();
        host.post(&local, of_ann).await.fails(422, "Invalid", "must match");
    }
    let reason = ann
        .post(
            &format!("{reviews}/selfsubjectaccessreviews"),
            json!({"spec": {"resourceAttributes": attributes("list", "default")}}),
        )
        .await
        .is(201);
    assert_eq!(
        reason["status"]["reason"],
        r#"RBAC: allowed by RoleBinding "ann-view/default" of ClusterRole "view" to User "ann""#
    );
    let rules = ann
        .post(&format!("{reviews}/selfsubjectrulesreviews"), json!({"spec": {"namespace": "default"}}))
        .await
        .is(201);
    assert!(rules["status"]["resourceRules"].to_string().contains("pods/log"), "{rules}");
    assert!(rules["status"]["nonResourceRules"].to_string().contains("/openapi/*"), "{rules}");
    host.post(&format!("{reviews}/selfsubjectaccessreviews"), json!({"spec": {}})).await.fails(
        422,
        "Invalid",
        "exactly one of",
    );
    let path = json!({"spec": {"nonResourceAttributes": {"verb": "get", "path": "/metrics"}}});
    assert_eq!(
        ann.post(&format!("{reviews}/selfsubjectaccessreviews"), path).await.is(201)["status"]["allowed"],
        false
    );
    let who = ann.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({})).await.is(201);
    assert_eq!(who["status"]["userInfo"]["username"], "ann");
}

#[tokio::test]
async fn a_known_caller_finds_out_what_there_is_and_no_more() {
    let host = Host::guarded().await;
    let ann = caller(&host, "ann", &[]);
    for path in [
        "/api",
        "/apis",
        "/api/v1",
        "/apis/orch.dev/v1",
        "/openapi/v3",
        "/version",
        "/healthz",
        "/livez",
        "/readyz",
    ] {
        ann.get(path).await.is(200);
    }
    ann.get("/metrics").await.fails(403, "Forbidden", r#"forbidden: User "ann" cannot get path "/metrics""#);
    caller(&host, "prometheus", &["system:monitoring"]).get("/metrics").await.is(200);
    let local = host.api.local_client(Identity::new("ann", ["dev"]));
    let pods = orch_api::Api::<orch_ontology::Pod>::all(local).list(orch_api::Params::default()).await;
    assert_eq!(pods.unwrap_err().code, 403, "what is asked within the process passes the same gate");
}
