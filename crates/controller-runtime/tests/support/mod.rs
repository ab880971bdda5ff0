//! A real API server on a real store, and a client between that can be made to fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use orch_api::{Client, Request, Status, WatchStream};
use orch_apiserver::{ApiServer, Config, Identity};
use orch_controller_runtime::{ActAs, Caches, Context, Metrics, Recorder, SystemClock};
use orch_ontology::{Event, KINDS};
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// A real API server on a real store.
pub(crate) struct Server {
    api: ApiServer,
    _directory: tempfile::TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path())).unwrap();
        let config = Config::new(Arc::new(store), KINDS.clone(), Arc::new(SystemClock));
        let api = ApiServer::start(config).unwrap();
        api.ready().await;
        let server = Self { api, _directory: directory };
        let default = serde_json::json!({"metadata": {"name": "default"}});
        let namespaces = orch_api::Api::<orch_ontology::Namespace>::all(server.client());
        namespaces.create(&serde_json::from_value(default).unwrap()).await.unwrap();
        server
    }

    pub(crate) fn client(&self) -> Arc<dyn Client> {
        self.api.local_client(Identity::new("test", ["system:masters"]))
    }
}

/// Passes everything on, counts, and fails on demand.
pub(crate) struct Faulty {
    inner: Arc<dyn Client>,
    /// Raised to end all watches that are open.
    cut: watch::Sender<u64>,
    /// The next so many watches are refused as too old.
    pub(crate) expired: AtomicUsize,
    pub(crate) lists: AtomicUsize,
    pub(crate) watches: AtomicUsize,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn Client>) -> Arc<Self> {
        let (expired, lists, watches) = Default::default();
        Arc::new(Self { inner, cut: watch::Sender::new(0), expired, lists, watches })
    }

    pub(crate) fn cut_watches(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

#[async_trait]
impl Client for Faulty {
    async fn send(&self, request: Request) -> Result<Bytes, Status> {
        if request.verb == orch_api::Verb::List {
            self.lists.fetch_add(1, Ordering::SeqCst);
        }
        self.inner.send(request).await
    }

    async fn watch(&self, request: Request) -> Result<WatchStream, Status> {
        self.watches.fetch_add(1, Ordering::SeqCst);
        let refuse = |left: usize| left.checked_sub(1);
        if self.expired.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuse).is_ok() {
            return Err(Status::expired("too old resource version"));
        }
        let mut cut = self.cut.subscribe();
        cut.mark_unchanged();
        let cut = async move { drop(cut.changed().await) };
        Ok(self.inner.watch(request).await?.take_until(Box::pin(cut)).boxed())
    }
}

#[allow(dead_code, reason = "not every test file needs a context")]
pub(crate) fn context(client: Arc<dyn Client>, cancel: &CancellationToken) -> Context {
    use orch_api::Resource;
    let clock = Arc::new(SystemClock);
    let caches = Arc::new(Caches::new(client.clone(), clock.clone(), cancel.clone()));
    let (recorder, events) = Recorder::new(client.clone(), clock.clone(), Event::KIND, "test");
    tokio::spawn(events.run(cancel.clone()));
    let nobody = client.clone();
    let act_as: ActAs = Arc::new(move |_, _| nobody.clone());
    Context { client, act_as, caches, clock, recorder, metrics: Metrics::default() }
}

/// Fails the test if the future takes too long.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .unwrap_or_else(|_| panic!("not in time: {what}"))
}
