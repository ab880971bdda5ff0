//! A control plane in the test's own process.

mod gate;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use orch_api::{
    Api, Body, Client, Clock, Kind, MediaType, Metadata, MicroTime, Object, Params, Patch, Request, Resource,
    Target, Time, Verb,
};
use orch_apiserver::{ApiServer, Config, Identity};
use orch_authorization::{Authorization, bootstrap, granted};
use orch_controller_runtime::{Cache, Cached, Reflector, TestClock, WholeObject};
use orch_controllers::certificate::Certify;
use orch_controllers::{Asker, Authority, Decisions, Means, Telemetry};
use orch_ontology::{KINDS, Lease, Namespace, Node, Pod};
use orch_store::Store;
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_transport::Usage;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use gate::Gated;
pub(crate) use gate::{Gatekeeper, Meanwhile};

const DEADLINE: Duration = Duration::from_secs(120);

/// An API server on an embedded store, every controller, and machines that are only played.
pub(crate) struct Plane {
    pub(crate) clock: TestClock,
    pub(crate) decisions: Decisions,
    client: Arc<dyn Client>,
    store: Arc<EmbeddedStore>,
    silent: Arc<Mutex<BTreeSet<String>>>,
    gate: watch::Sender<bool>,
    _cancel: DropGuard,
    server: Arc<ApiServer>,
    _directory: tempfile::TempDir,
}

pub(crate) fn workload(name: &str, replicas: usize) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "template": {
            "metadata": {"labels": {"app": name}},
            "spec": {"containers": [{"name": "web", "image": "web:1"}]},
        }},
    })
}

impl Plane {
    pub(crate) async fn start() -> Self {
        Self::start_after(async |_| ()).await
    }

    /// A plane whose controllers come to what somebody has done before.
    pub(crate) async fn start_after(before: impl AsyncFn(Arc<dyn Client>)) -> Self {
        Self::start_gated(|_, _| None, before).await
    }

    /// The same, with a gate that is shut between them and the server.
    pub(crate) async fn start_gated(keeper: Gatekeeper, before: impl AsyncFn(Arc<dyn Client>)) -> Self {
        // Shown for tests that fail; RUST_LOG says how much.
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        drop(tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init());
        let directory = tempfile::tempdir().unwrap();
        let store =
            Arc::new(EmbeddedStore::open(EmbeddedConfig::new(directory.path().join("store"))).unwrap());
        let clock = TestClock::new(Timestamp::now());
        let config = Config {
            authorizer: Arc::new(Authorization::new()),
            foresight: Arc::new(orch_controllers::ControllersForesight),
            ..Config::new(store.clone(), KINDS.clone(), Arc::new(clock.clone()))
        };
        let server = Arc::new(ApiServer::start(config).unwrap());
        server.ready().await;
        let client = server.local_client(Identity::new("tester", ["system:masters"]));
        let users = orch_controllers::users().into_iter().map(|(user, rules)| granted(&user, rules));
        bootstrap(client.clone(), users.collect()).await.unwrap();
        before(client.clone()).await;
        let (cancel, telemetry, silent) = (CancellationToken::new(), Telemetry::default(), Arc::default());
        let decisions = telemetry.decisions.clone();
        let of_user = server.clone();
        let (gate, open) = watch::channel(false);
        // Each controller with no more than its own rights.
        let controllers = orch_controllers::run(
            move |asker| match asker {
                Asker::User(user) => Arc::new(Gated {
                    client: of_user.local_client(Identity::new(user, [""; 0])),
                    user: user.to_owned(),
                    keeper,
                    open: open.clone(),
                }),
                Asker::Account { user, namespace, name } => {
                    let account = format!("system:serviceaccount:{namespace}:{name}");
                    of_user.local_client_as(Identity::new(user, [""; 0]), account)
                }
            },
            Arc::new(clock.clone()),
            Means { authority: authority(directory.path()), telemetry, ..Means::default() },
            cancel.clone(),
        );
        tokio::spawn(controllers);
        tokio::spawn(play_nodes(client.clone(), clock.clone(), Arc::clone(&silent), cancel.clone()));
        tokio::spawn(tick(clock.clone(), cancel.clone()));
        let _cancel = cancel.drop_guard();
        let plane =
            Self { clock, decisions, client, store, silent, gate, _cancel, server, _directory: directory };
        plane
            .until_list::<Namespace>("the system's namespaces", |namespaces| {
                let is_there =
                    |name: &&str| namespaces.iter().any(|namespace| namespace["metadata"]["name"] == *name);
                ["default", "kube-system", "kube-public", "kube-node-lease"].iter().all(is_there)
            })
            .await;
        plane
    }

    /// From now on everything gets through.
    pub(crate) fn open_gate(&self) {
        self.gate.send_replace(true);
    }

    /// Adds nodes that are ready, each with room for 100 pods.
    pub(crate) async fn nodes(&self, count: usize) {
        for number in 0..count {
            let allocatable = json!({"cpu": "32", "memory": "64Gi", "pods": "100"});
            self.node(&format!("node-{number}"), allocatable).await;
        }
    }

    pub(crate) async fn node(&self, name: &str, allocatable: Value) {
        let node = json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "status": {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]},
        });
        let mut node: Node = serde_json::from_value(node).unwrap();
        let status = node.status.clone();
        let api = Api::all(self.client.clone());
        node = api.create(&node).await.unwrap();
        node.status = status;
        // The node controller may have tainted the node already.
        node.metadata.resource_version.clear();
        api.update_status(&node).await.unwrap();
        let metadata = Metadata::named("kube-node-lease".to_owned(), name);
        let renewed = Lease { metadata, ..Lease::default() };
        Api::all(self.client.clone()).create(&renewed).await.unwrap();
    }

    /// From now on nothing is heard of the node.
    pub(crate) fn silence(&self, node: &str) {
        self.silent.lock().insert(node.to_owned());
    }

    /// Posts to a path, and answers with what the server says.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Value, orch_api::Status> {
        Self::post_as(&*self.client, path, body).await
    }

    /// The same as somebody else.
    pub(crate) async fn post_as(
        client: &dyn Client,
        path: &str,
        body: Value,
    ) -> Result<Value, orch_api::Status> {
        let target = Target::parse(path.trim_start_matches('/').split('/')).unwrap();
        let body = Some(Body::json(&body).unwrap());
        let answer =
            client.send(Request { verb: Verb::Create, target, params: Params::default(), body }).await?;
        Ok(serde_json::from_slice(&answer).unwrap())
    }

    /// The way to the server as somebody else.
    pub(crate) fn client_of(&self, user: &str, group: &str) -> Arc<dyn Client> {
        self.server.local_client(Identity::new(user, [group]))
    }

    pub(crate) async fn create<K: Resource>(&self, object: Value) {
        let object: K = serde_json::from_value(object).unwrap();
        Api::all(self.client.clone()).create(&object).await.unwrap();
    }

    pub(crate) async fn merge<K: Resource>(&self, name: &str, patch: Value) {
        self.merge_in::<K>("default", name, patch).await;
    }

    pub(crate) async fn merge_in<K: Resource>(&self, namespace: &str, name: &str, patch: Value) {
        let api = Api::<K>::namespaced(self.client.clone(), namespace);
        api.patch(name, &Patch::Merge(patch), Params::default()).await.unwrap();
    }

    pub(crate) async fn delete<K: Resource>(&self, name: &str, params: Params) {
        let api = match K::KIND.is_namespaced() {
            true => Api::<K>::namespaced(self.client.clone(), "default"),
            false => Api::<K>::all(self.client.clone()),
        };
        api.delete(name, params).await.unwrap();
    }

    pub(crate) async fn list<K: Resource>(&self) -> Vec<Value> {
        let list = Api::<K>::all(self.client.clone()).list(Params::default()).await.unwrap();
        list.items.iter().map(|object| serde_json::to_value(object).unwrap()).collect()
    }

    /// Makes an object of a kind that is known only here, in `default`.
    pub(crate) async fn create_of(&self, kind: &Kind, object: Value) -> Value {
        self.create_in(kind, "default", object).await
    }

    /// Makes an object of a kind that is known only here.
    pub(crate) async fn create_in(&self, kind: &Kind, namespace: &str, object: Value) -> Value {
        let body = Body::json(&object).unwrap();
        self.send(Verb::Create, Target::in_namespace(kind, namespace), body).await
    }

    /// Merges a patch into an object of a kind that is known only here.
    pub(crate) async fn patch_in(&self, kind: &Kind, namespace: &str, name: &str, patch: Value) -> Value {
        let body = Body { media_type: MediaType::MergePatch, ..Body::json(&patch).unwrap() };
        self.send(Verb::Patch, Target::in_namespace(kind, namespace).named(name), body).await
    }

    /// An object of a kind that is known only here.
    pub(crate) async fn get_in(&self, kind: &Kind, namespace: &str, name: &str) -> Value {
        self.send(Verb::Get, Target::in_namespace(kind, namespace).named(name), None).await
    }

    async fn send(&self, verb: Verb, target: Target, body: impl Into<Option<Body>>) -> Value {
        let request = Request { verb, target, params: Params::default(), body: body.into() };
        serde_json::from_slice(&self.client.send(request).await.unwrap()).unwrap()
    }

    /// Waits until there are just these objects of a kind that is known only here.
    pub(crate) async fn until_names_of(&self, kind: &Kind, names: &[&str]) {
        let reflector = Reflector::<WholeObject>::whole(self.client.clone(), self.shared_clock(), *kind);
        self.until_cache(reflector, &names.join(", "), |objects| {
            objects.iter().map(|object| object.name()).collect::<Vec<_>>() == names
        })
        .await;
    }

    fn shared_clock(&self) -> Arc<dyn Clock> {
        Arc::new(self.clock.clone())
    }

    /// The object of a kind and name in `default`.
    pub(crate) async fn get<K: Resource>(&self, name: &str) -> Value {
        let object = Api::<K>::namespaced(self.client.clone(), "default").get(name).await.unwrap();
        serde_json::to_value(object).unwrap()
    }

    /// Waits until an object of the kind is as the test wants it.
    pub(crate) async fn until<K: Resource>(&self, what: &str, there: impl Fn(&Value) -> bool) {
        self.until_list::<K>(what, |objects| objects.iter().any(&there)).await;
    }

    /// Waits until there are so many objects of the kind.
    pub(crate) async fn until_count<K: Resource>(&self, count: usize) {
        self.until_list::<K>(&format!("{count} {}", K::KIND.plural), |objects| objects.len() == count).await;
    }

    /// Waits until the objects of the kind are as the test wants them.
    pub(crate) async fn until_list<K: Resource>(&self, what: &str, there: impl Fn(&[Value]) -> bool) {
        let reflector = Reflector::<K>::new(self.client.clone(), self.shared_clock());
        self.until_cache(reflector, what, there).await;
    }

    async fn until_cache<K: Cached + serde::Serialize>(
        &self,
        reflector: Reflector<K>,
        what: &str,
        there: impl Fn(&[Value]) -> bool,
    ) {
        let cancel = CancellationToken::new();
        let _stop = cancel.clone().drop_guard();
        let cache = reflector.spawn(cancel);
        let mut changes = cache.changes();
        let wait = async {
            while !(cache.has_synced() && there(&values(&cache))) {
                changes.changed().await;
            }
        };
        if tokio::time::timeout(DEADLINE, wait).await.is_err() {
            panic!("not in time: {what}; there are {:#}", Value::from(values(&cache)));
        }
    }

    /// Lets the clock run, fast, until the future is complete.
    pub(crate) async fn while_time_passes<T>(&self, future: impl Future<Output = T>) -> T {
        let ticks = async {
            loop {
                self.clock.advance(Duration::from_secs(1));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            result = future => result,
            () = ticks => unreachable!("the clock never stops"),
        }
    }

    /// The store's revision once it has stood still for a while.
    pub(crate) async fn settled_revision(&self) -> u64 {
        let mut revision = self.store.revision().await.unwrap();
        loop {
            tokio::time::sleep(Duration::from_millis(300)).await;
            let now = self.store.revision().await.unwrap();
            if now == revision {
                return now.0;
            }
            revision = now;
        }
    }
}

/// An authority that certifies clients.
fn authority(directory: &Path) -> Authority {
    let authority = orch_transport::Authority::open_or_create(directory.join("pki")).unwrap();
    let certificate_pem = authority.certificate_pem().to_owned();
    let sign = move |certify: &Certify| {
        let usages = [Usage::DigitalSignature, Usage::ClientAuth];
        authority.sign(&certify.request_pem, &usages, certify.lifetime).map_err(|error| error.to_string())
    };
    Authority { certificate_pem, signer: Arc::new(sign) }
}

fn values<K: Cached + serde::Serialize>(cache: &Cache<K>) -> Vec<Value> {
    cache.list().iter().map(|object| serde_json::to_value(&**object).unwrap()).collect()
}

/// The clock goes with real time; tests push it further.
async fn tick(clock: TestClock, cancel: CancellationToken) {
    let tick = Duration::from_millis(20);
    while cancel.run_until_cancelled(tokio::time::sleep(tick)).await.is_some() {
        clock.advance(tick);
    }
}

/// Plays the agents of all nodes: says of every bound pod that it runs, removes those that are to go, renews leases.
async fn play_nodes(
    client: Arc<dyn Client>,
    clock: TestClock,
    silent: Arc<Mutex<BTreeSet<String>>>,
    cancel: CancellationToken,
) {
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let pods = Reflector::<Pod>::new(client.clone(), shared.clone()).spawn(cancel.clone());
    let leases = Reflector::<Lease>::new(client.clone(), shared).spawn(cancel.clone());
    let mut changes = pods.changes();
    loop {
        let renew = clock.sleep(Duration::from_secs(10));
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = changes.changed() => {
                let speaks = |pod: &Arc<Pod>| pod.is_scheduled() && !silent.lock().contains(pod.spec.node_name.as_str());
                let pods: Vec<_> = pods.list().into_iter().filter(speaks).collect();
                futures::stream::iter(pods).for_each_concurrent(64, |pod| play_pod(client.clone(), &clock, pod)).await;
            }
            () = renew => {
                for lease in leases.list().iter().filter(|lease| !silent.lock().contains(&lease.metadata.name)) {
                    let mut lease = (**lease).clone();
                    lease.metadata.resource_version.clear();
                    lease.spec.renew_time = Some(MicroTime::new(clock.now()));
                    // A node that has just been removed has no lease to renew.
                    drop(Api::all(client.clone()).update(&lease).await);
                }
            }
        }
    }
}

async fn play_pod(client: Arc<dyn Client>, clock: &TestClock, pod: Arc<Pod>) {
    let api = Api::<Pod>::namespaced(client, pod.metadata.namespace());
    // Conflicts and pods that are gone already are the ordinary fate of whoever acts on a cache: the next change corrects it.
    if pod.is_terminating() {
        let now = Params { grace_period_seconds: Some(0), ..Params::default() };
        drop(api.delete(&pod.metadata.name, now).await);
    } else if !pod.is_ready() {
        let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": Time::new(clock.now())});
        let patch = json!({"status": {"phase": "Running", "conditions": [ready]}});
        let mut value = serde_json::to_value(&*pod).unwrap();
        value["status"] = patch["status"].clone();
        assert_eq!(value.name(), pod.metadata.name);
        drop(api.update_status(&serde_json::from_value(value).unwrap()).await);
    }
}
