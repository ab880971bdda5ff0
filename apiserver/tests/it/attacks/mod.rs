//! What somebody tries who wants more than they were given. Each attempt is made over TLS, with a certificate of their own.

mod certificates;
mod nodes;
mod places;
mod reviews;
mod rights;

use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::host::{Host, Reply};

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
