//! An API server in this process, and `orchctl` in processes of its own.

pub(crate) mod fake;
pub(crate) mod forgetful;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use orch_api::{Client, Clock, Params, Patch, Request, Target, Verb};
use orch_apiserver::{ApiServer, Config, History, HistoryConfig, HistoryRetention, Keyring};
use orch_client::manifest::Manifest;
use orch_client::{HttpClient, Kubeconfig, Overrides};
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_transport::Authority;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::task::JoinHandle;

/// Far longer than anything here takes.
const DEADLINE: Duration = Duration::from_secs(60);

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }
}

/// An API server on a store in a directory of its own, with the namespace `default`.
pub(crate) struct Server {
    directory: TempDir,
    client: HttpClient,
    serving: JoinHandle<()>,
    _api: ApiServer,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path().join("store"))).unwrap();
        let authority = Authority::open_or_create(directory.path().join("pki")).unwrap();
        let certificate = authority.issue_server(&["127.0.0.1"]).unwrap();
        let tls = orch_transport::server_config(&certificate, authority.certificate_pem()).unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let admin = authority.issue_client("admin", &["system:masters"]).unwrap();
        let text = orch_transport::kubeconfig(&url, authority.certificate_pem(), "admin", &admin);
        let kubeconfig = directory.path().join("kubeconfig");
        std::fs::write(&kubeconfig, &text).unwrap();
        let connection =
            Kubeconfig::parse(&text, &kubeconfig).unwrap().connection(&Overrides::default()).unwrap();
        let history = HistoryConfig {
            directory: directory.path().join("history"),
            retention: HistoryRetention::default(),
            keys: Keyring::default(),
        };
        let config = Config {
            history: Some(History::open(history).unwrap()),
            foresight: Arc::new(orch_controllers::ControllersForesight),
            ..Config::new(Arc::new(store), orch_ontology::KINDS.clone(), Arc::new(WallClock))
        };
        let api = ApiServer::start(config).unwrap();
        let router = api.router();
        let serving = tokio::spawn(async move {
            orch_transport::serve(listener, tls, router, Default::default(), std::future::pending()).await;
        });
        let server = Self { directory, client: HttpClient::new(&connection).unwrap(), serving, _api: api };
        server.make("{apiVersion: v1, kind: Namespace, metadata: {name: default}}").await;
        // Who pods act as.
        let account = "{apiVersion: v1, kind: ServiceAccount, metadata: {name: default}, automountServiceAccountToken: false}";
        server.make(account).await;
        server
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// Runs `orchctl` to its end.
    pub(crate) async fn ctl(&self, args: &[&str]) -> Run {
        self.ctl_with(args, "").await
    }

    /// Runs `orchctl` with something on its standard input.
    pub(crate) async fn ctl_with(&self, args: &[&str], input: &str) -> Run {
        run(args, &self.kubeconfig(), input).await
    }

    /// Starts an `orchctl` that goes on by itself until it is dropped.
    pub(crate) fn spawn(&self, args: &[&str]) -> Running {
        spawn(args, &self.kubeconfig())
    }

    /// Makes objects without `orchctl`.
    pub(crate) async fn make(&self, manifests: &str) {
        let discovery = self.client.discovery().await.unwrap();
        for manifest in Manifest::parse("test", manifests) {
            let object = manifest.unwrap().object;
            let kind = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
            let resource = discovery.of_kind(kind.0, kind.1).expect("a known kind");
            let target = resource.collection(Some("default"));
            let body = Some(orch_api::Body::json(&object).unwrap());
            let request = Request { verb: Verb::Create, target, params: Params::default(), body };
            self.client.send(request).await.unwrap();
        }
    }

    /// Changes a pod's status, as a node does.
    pub(crate) async fn set_status(&self, pod: &str, status: Value) {
        let path = format!("api/v1/namespaces/default/pods/{pod}/status");
        let target = Target::parse(path.split('/')).unwrap();
        let body = Some(Patch::Merge(json!({"status": status})).body().unwrap());
        let request = Request { verb: Verb::Patch, target, params: Params::default(), body };
        self.client.send(request).await.unwrap();
    }
}

/// An `orchctl` that has not been started.
pub(crate) fn command(args: &[&str], kubeconfig: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchctl"));
    command.args(args).env_clear().env("KUBECONFIG", kubeconfig).env("HOME", kubeconfig.parent().unwrap());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Starts an `orchctl` that goes on by itself until it is dropped.
pub(crate) fn spawn(args: &[&str], kubeconfig: &Path) -> Running {
    let mut child = command(args, kubeconfig).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    Running { child, stdout }
}

/// Runs `orchctl` to its end.
pub(crate) async fn run(args: &[&str], kubeconfig: &Path, input: &str) -> Run {
    finish(command(args, kubeconfig), input).await
}

/// Runs a command to its end.
pub(crate) async fn finish(mut command: Command, input: &str) -> Run {
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).await.unwrap();
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output()).await.expect("in time").unwrap();
    Run {
        code: output.status.code().expect("not killed"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// What an `orchctl` has said.
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// Its standard output, if all went well.
    pub(crate) fn succeeds(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// An `orchctl` that goes on. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Running {
    /// The next line of its output.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        tokio::time::timeout(DEADLINE, self.stdout.read_line(&mut line))
            .await
            .expect("a line in time")
            .unwrap();
        line
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) async fn exit_code(&mut self) -> i32 {
        let status =
            tokio::time::timeout(DEADLINE, self.child.wait()).await.expect("an end in time").unwrap();
        status.code().expect("not killed")
    }
}
