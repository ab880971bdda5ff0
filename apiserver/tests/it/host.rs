//! A whole API server in the test's process, and clients of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use orch_api::{Clock, KindEntry};
use orch_apiserver::{ApiServer, Config, Identity, TokenIssuer, TokenKeys, Tokens};
use orch_authorization::{Authorization, bootstrap};
use orch_store::Store;
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_transport::{Authority, Credentials, Limits, client_config, serve, server_config};
use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Nothing in these tests takes longer, even on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// Who issues service accounts' tokens.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc";
/// Where most tests' objects live.
pub(crate) const MAPS: &str = "/api/v1/namespaces/default/configmaps";
pub(crate) const PODS: &str = "/api/v1/namespaces/default/pods";
/// The group of roles and bindings.
pub(crate) const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
pub(crate) const WORKLOADS: &str = "/apis/orch.dev/v1/namespaces/default/workloads";

/// A clock that the test moves.
pub(crate) struct TestClock(watch::Sender<Timestamp>);

impl TestClock {
    pub(crate) fn advance(&self, by: Duration) {
        let by = SignedDuration::try_from(by).unwrap();
        self.0.send_modify(|now| *now += by);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let mut time = self.0.subscribe();
        let due = *time.borrow() + SignedDuration::try_from(duration).unwrap();
        async move {
            if time.wait_for(|now| *now >= due).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }
}

/// A running server.
pub(crate) struct Host {
    pub(crate) api: ApiServer,
    pub(crate) authority: Authority,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) address: SocketAddr,
    pub(crate) admin: Client,
    serving: JoinHandle<()>,
    _directory: TempDir,
}

impl Drop for Host {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A binding, named as the role of the cluster that it gives to a user.
pub(crate) fn binding(kind: &str, role: &str, user: &str) -> Value {
    let group = "rbac.authorization.k8s.io";
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": role},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    })
}

pub(crate) fn client(authority: &Authority, credentials: Option<&Credentials>) -> Client {
    client_over(authority, credentials, &[b"h2", b"http/1.1"])
}

/// A client that speaks only some protocols.
pub(crate) fn client_over(
    authority: &Authority,
    credentials: Option<&Credentials>,
    protocols: &[&[u8]],
) -> Client {
    let mut tls = client_config(authority.certificate_pem(), credentials).unwrap();
    tls.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent("tester/1.0")
        // For each read: a watch may go on for longer than that.
        .read_timeout(DEADLINE)
        .build()
        .unwrap()
}

impl Host {
    /// A server with the namespace `default`.
    pub(crate) async fn start() -> Self {
        let host = Self::start_empty().await;
        host.make_namespace("default").await;
        host
    }

    /// A namespace with the service account that pods act as.
    pub(crate) async fn make_namespace(&self, name: &str) {
        self.post("/api/v1/namespaces", json!({"metadata": {"name": name}})).await.is(201);
        let accounts = format!("/api/v1/namespaces/{name}/serviceaccounts");
        self.post(&accounts, json!({"metadata": {"name": "default"}})).await.is(201);
    }

    pub(crate) async fn start_empty() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path().join("store"))).unwrap();
        Self::start_on(directory, Arc::new(store)).await
    }

    /// A server on a store that holds no more in one transaction than etcd does.
    pub(crate) async fn limited() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = EmbeddedConfig::new(directory.path().join("store"));
        config.limits = orch_store::Limits::OF_ETCD;
        let host = Self::start_on(directory, Arc::new(EmbeddedStore::open(config).unwrap())).await;
        host.make_namespace("default").await;
        host
    }

    pub(crate) async fn start_on(directory: TempDir, store: Arc<dyn Store>) -> Self {
        Self::serving(directory, store, orch_ontology::KINDS.clone()).await
    }

    /// A server where roles and nodes count, with the default roles and the namespaces `default` and `other`.
    pub(crate) async fn guarded() -> Self {
        let host = Self::guarded_with(|_| {}).await;
        for name in ["default", "other", "kube-node-lease"] {
            host.make_namespace(name).await;
        }
        host
    }

    /// A server where roles count, with the default ones and no namespace, that differs from the others in its configuration.
    pub(crate) async fn guarded_with(change: impl FnOnce(&mut Config)) -> Self {
        let host = Self::with(|config| {
            config.authorizer = Arc::new(Authorization::new());
            change(config);
        })
        .await;
        let own = host.api.local_client(Identity::new("tester", ["system:masters"]));
        bootstrap(own, Vec::new()).await.unwrap();
        host
    }

    /// Gives a role of the cluster to a user, everywhere or in a namespace.
    pub(crate) async fn bind(&self, role: &str, user: &str, namespace: &str) {
        let (kind, path) = match namespace {
            "" => ("ClusterRoleBinding", format!("{RBAC}/clusterrolebindings")),
            namespace => ("RoleBinding", format!("{RBAC}/namespaces/{namespace}/rolebindings")),
        };
        self.post(&path, binding(kind, role, user)).await.is(201);
    }

    /// A client with a certificate of this name and these groups.
    pub(crate) fn user(&self, name: &str, groups: &[&str]) -> Client {
        client(&self.authority, Some(&self.authority.issue_client(name, groups).unwrap()))
    }

    pub(crate) async fn serving(directory: TempDir, store: Arc<dyn Store>, kinds: Vec<KindEntry>) -> Self {
        Self::configured(directory, store, kinds, |_| {}).await
    }

    /// An empty server that differs from the others in its configuration.
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path().join("store"))).unwrap();
        Self::configured(directory, Arc::new(store), orch_ontology::KINDS.clone(), change).await
    }

    pub(crate) async fn configured(
        directory: TempDir,
        store: Arc<dyn Store>,
        kinds: Vec<KindEntry>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let authority = Authority::open_or_create(directory.path().join("pki")).unwrap();
        let clock = Arc::new(TestClock(watch::Sender::new("2026-01-01T00:00:00Z".parse().unwrap())));
        let own = authority.issue_client("orch-apiserver", &["system:masters"]).unwrap();
        let backend = client_config(authority.certificate_pem(), Some(&own)).unwrap();
        let mut config = Config {
            tokens: Tokens::parse("secret,alice,7,\"dev,ops\"").unwrap(),
            token_issuer: Some(TokenIssuer {
                keys: TokenKeys::open_or_create(directory.path().join("sa.key")).unwrap(),
                issuer: ISSUER.into(),
                jwks_uri: "https://127.0.0.1:6443/openid/v1/jwks".into(),
            }),
            backend: Some(Arc::new(backend)),
            compact_after: Some(Duration::from_secs(300)),
            ..Config::new(store.clone(), kinds, clock.clone())
        };
        change(&mut config);
        let api = ApiServer::start(config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let credentials = authority.issue_server(&["localhost", "127.0.0.1"]).unwrap();
        let tls = server_config(&credentials, authority.certificate_pem()).unwrap();
        let router = api.router();
        let serving = tokio::spawn(async move {
            serve(listener, tls, router, Limits::default(), std::future::pending()).await
        });
        let credentials = authority.issue_client("admin", &["system:masters"]).unwrap();
        let admin = client(&authority, Some(&credentials));
        Self { api, authority, clock, store, address, admin, serving, _directory: directory }
    }

    /// Credentials of an administrator.
    pub(crate) fn credentials(&self) -> Credentials {
        self.authority.issue_client("admin", &["system:masters"]).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.admin.request(method, self.url(path))
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Reply {
        Reply::of(request.send().await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::POST, path).json(&body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::PUT, path).json(&body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub(crate) async fn patch(&self, path: &str, media_type: &str, body: Value) -> Reply {
        let request = self.request(Method::PATCH, path).header("content-type", media_type);
        self.send(request.body(body.to_string())).await
    }

    pub(crate) async fn merge(&self, path: &str, body: Value) -> Reply {
        self.patch(path, "application/merge-patch+json", body).await
    }

    pub(crate) async fn apply(&self, path: &str, manager: &str, body: Value) -> Reply {
        let path = format!("{path}?fieldManager={manager}");
        self.patch(&path, "application/apply-patch+yaml", body).await
    }

    /// A watch on a path with its query.
    pub(crate) async fn watch(&self, path: &str) -> Lines {
        let response = self.request(Method::GET, path).send().await.unwrap();
        assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
        Lines::of(response)
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) async fn of(response: Response) -> Self {
        let (code, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or_default();
        Self { code, headers, text, body }
    }

    #[track_caller]
    pub(crate) fn is(self, code: u16) -> Value {
        assert_eq!(self.code, code, "{}", self.text);
        self.body
    }

    /// Asserts a failure's code, reason and a part of its message.
    #[track_caller]
    pub(crate) fn fails(self, code: u16, reason: &str, message: &str) -> Value {
        let body = self.is(code);
        assert_eq!(
            (&body["kind"], &body["status"], &body["code"]),
            (&json!("Status"), &json!("Failure"), &json!(code))
        );
        assert_eq!(body["reason"], reason, "{body}");
        assert!(body["message"].as_str().unwrap().contains(message), "{body}");
        body
    }
}

/// The events of a watch.
pub(crate) struct Lines {
    response: Response,
    buffer: Vec<u8>,
}

impl Lines {
    pub(crate) fn of(response: Response) -> Self {
        Self { response, buffer: Vec::new() }
    }

    /// The next event, or none at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            let chunk =
                tokio::time::timeout(DEADLINE, self.response.chunk()).await.expect("no event in time");
            self.buffer.extend_from_slice(&chunk.unwrap()?);
        }
    }

    /// The next event's type and its object's name.
    pub(crate) async fn brief(&mut self) -> String {
        match self.next().await {
            Some(event) => format!("{} {}", text(&event["type"]), text(&event["object"]["metadata"]["name"])),
            None => "end".into(),
        }
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(crate) fn revision(object: &Value) -> u64 {
    text(&object["metadata"]["resourceVersion"]).parse().unwrap()
}

pub(crate) fn map(name: &str, data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})
}

pub(crate) fn workload(name: &str, replicas: u64) -> Value {
    json!({
        "apiVersion": "orch.dev/v1", "kind": "Workload", "metadata": {"name": name},
        "spec": {"replicas": replicas, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "web", "image": "busybox"}]},
        }},
    })
}

pub(crate) fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "web", "image": "busybox"}]},
    })
}
