//! A control plane in the process, and agents.

use std::{future::Future, path::PathBuf, sync::Arc, time::Duration};

use jiff::Timestamp;
use orch_api::{Api, Client, Params, Resource};
use orch_apiserver::{ApiServer, Identity, TokenIssuer, TokenKeys};
use orch_controller_runtime::{Cache, ObjectKey, Reflector, SystemClock};
use orch_node::{Config, Machine, NodeAgent, ServerConfig};
use orch_ontology::{KINDS, Namespace, Pod, ServiceAccount};
use orch_runtime::{Observed, Runtime as _, Script, SimulatedRuntime, Simulation};
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// As long as a slow machine may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
pub(crate) const NODE: &str = "node-1";

pub(crate) struct Cluster {
    pub(crate) client: Arc<dyn Client>,
    pub(crate) pods: Arc<Cache<Pod>>,
    pub(crate) runtime: SimulatedRuntime,
    pub(crate) dir: TempDir,
    _api: ApiServer,
    _caches: tokio_util::sync::DropGuard,
}

/// A running agent; dropping it is as hard an end as a process can have.
pub(crate) struct Agent {
    pub(crate) cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Agent {
    /// Ends it like a process that is killed, and waits until nothing of it is left.
    pub(crate) async fn kill(mut self) {
        self.task.abort();
        drop((&mut self.task).await);
    }

    pub(crate) async fn stop(mut self) {
        self.cancel.cancel();
        (&mut self.task).await.unwrap();
    }
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        Self::with_script(Script::default()).await
    }

    pub(crate) async fn with_script(script: Script) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(EmbeddedConfig::new(dir.path().join("store"))).unwrap();
        let issuer = TokenIssuer {
            keys: TokenKeys::open_or_create(dir.path().join("sa.key")).unwrap(),
            issuer: "https://kubernetes.default.svc".into(),
            jwks_uri: String::new(),
        };
        let config = orch_apiserver::Config {
            token_issuer: Some(issuer),
            ..orch_apiserver::Config::new(Arc::new(store), KINDS.clone(), Arc::new(SystemClock))
        };
        let api = ApiServer::start(config).unwrap();
        let client = api.local_client(Identity::new("admin", ["system:masters"]));
        for name in ["default", "kube-node-lease"] {
            let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
            let made = Api::<Namespace>::all(client.clone()).create(&namespace).await;
            assert!(made.as_ref().is_ok_and(|_| true) || made.is_err_and(|status| status.code == 409));
        }
        // Few of these tests are about tokens.
        let account = json!({
            "metadata": {"name": "default", "namespace": "default"}, "automountServiceAccountToken": false,
        });
        let account: ServiceAccount = serde_json::from_value(account).unwrap();
        Api::all(client.clone()).create(&account).await.unwrap();
        let cancel = CancellationToken::new();
        let pods = Reflector::<Pod>::new(client.clone(), Arc::new(SystemClock)).spawn(cancel.clone());
        let simulation =
            Simulation { epoch: Timestamp::now(), script, write_logs: true, ..Simulation::default() };
        let runtime = SimulatedRuntime::new(simulation);
        Self { client, pods, runtime, dir, _api: api, _caches: cancel.drop_guard() }
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.dir.path().join("node")
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new(
            NODE,
            self.client.clone(),
            Arc::new(self.runtime.clone()),
            Machine::simulated(4, 8 << 30, 110),
        );
        config.data_dir = Some(self.data_dir());
        config.addresses = vec!["127.0.0.1".parse().unwrap()];
        config
    }

    pub(crate) fn agent(&self) -> Agent {
        self.agent_of(self.config())
    }

    pub(crate) fn serving(&self, server: ServerConfig) -> Agent {
        self.agent_of(Config { server: Some(server), ..self.config() })
    }

    pub(crate) fn agent_of(&self, config: Config) -> Agent {
        let cancel = CancellationToken::new();
        let task = tokio::spawn(NodeAgent::new(config).run(cancel.clone()));
        Agent { cancel, task }
    }

    pub(crate) async fn create<K: Resource>(&self, object: Value) -> K {
        let object: K = serde_json::from_value(object).unwrap();
        Api::all(self.client.clone()).create(&object).await.unwrap()
    }

    /// Makes a pod on the node with one container `main` of these fields.
    pub(crate) async fn pod(&self, name: &str, main: Value) -> Pod {
        self.pod_with(name, main, json!({})).await
    }

    pub(crate) async fn pod_with(&self, name: &str, main: Value, spec: Value) -> Pod {
        let mut container = json!({"name": "main", "image": "busybox"});
        container.as_object_mut().unwrap().extend(main.as_object().unwrap().clone());
        let mut pod = json!({
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"nodeName": NODE, "containers": [container]},
        });
        pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        self.create(pod).await
    }

    pub(crate) fn api(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), "default")
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.api().delete(name, Params::default()).await.unwrap();
    }

    /// Waits until the pod is as it should be, and answers with it.
    pub(crate) async fn until(&self, name: &str, what: &str, is_so: impl Fn(&Pod) -> bool) -> Arc<Pod> {
        let key = ObjectKey::new("default", name);
        let found = self.pods_until(|| self.pods.get(&key).filter(|pod| is_so(pod))).await;
        let status = || self.pods.get(&key).map(|pod| serde_json::to_string_pretty(&pod.status).unwrap());
        found.unwrap_or_else(|| panic!("pod {name} is never {what}: {}", status().unwrap_or_default()))
    }

    pub(crate) async fn until_running(&self, name: &str) -> Arc<Pod> {
        self.until(name, "running", |pod| ready(pod) && state(pod) == "running").await
    }

    pub(crate) async fn until_gone(&self, name: &str) {
        let key = ObjectKey::new("default", name);
        let is_gone = self.pods_until(|| self.pods.get(&key).is_none().then_some(())).await;
        assert!(is_gone.is_some(), "pod {name} is never gone");
    }

    async fn pods_until<T>(&self, found: impl Fn() -> Option<T>) -> Option<T> {
        let mut changes = self.pods.changes();
        let search = async {
            loop {
                if let Some(found) = found() {
                    return found;
                }
                changes.changed().await;
            }
        };
        tokio::time::timeout(DEADLINE, search).await.ok()
    }

    pub(crate) async fn observe(&self) -> Observed {
        self.runtime.observe().await.unwrap()
    }

    /// Waits until the runtime has nothing any more.
    pub(crate) async fn until_empty(&self) {
        eventually("the runtime is empty", || async {
            let observed = self.observe().await;
            (observed.sandboxes.is_empty() && observed.containers.is_empty()).then_some(())
        })
        .await;
    }
}

/// For what tells nobody when it changes: looks again and again until the deadline.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let search = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, search)
        .await
        .unwrap_or_else(|_| panic!("it never comes to pass that {what}"))
}

pub(crate) fn ready(pod: &Pod) -> bool {
    pod.status
        .conditions
        .iter()
        .any(|condition| condition.condition_type == "Ready" && condition.status == true.into())
}

/// `running`, `terminated`, or the reason for waiting, of the container `main`.
pub(crate) fn state(pod: &Pod) -> String {
    let Some(main) = pod.status.container_statuses.first() else { return String::new() };
    match (&main.state.running, &main.state.terminated, &main.state.waiting) {
        (Some(_), _, _) => "running".to_owned(),
        (_, Some(_), _) => "terminated".to_owned(),
        (_, _, Some(waiting)) => waiting.reason.clone(),
        _ => String::new(),
    }
}

pub(crate) fn restarts(pod: &Pod) -> i32 {
    pod.status.container_statuses.first().map_or(0, |main| main.restart_count)
}

/// The code that the run before the present one of `main` ended with.
pub(crate) fn last_exit_code(pod: &Pod) -> Option<i32> {
    let main = pod.status.container_statuses.first()?;
    main.last_state.terminated.as_ref().map(|terminated| terminated.exit_code)
}
