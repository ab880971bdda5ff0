//! [`Controller`]: which changes wake a planner for which keys.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use orch_api::{Client, Clock, Owns, Resource, split_api_version};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::planner::Planned;
use crate::{Backoff, Caches, Executor, Metrics, ObjectKey, Planner, Reconciler, Recorder, WorkQueue, work};

/// How a failing key is retried.
pub const RETRY: Backoff = Backoff { first: Duration::from_millis(10), limit: Duration::from_secs(60) };

/// The namespace of a service account and its name: the way to the server in its name.
pub type ActAs = Arc<dyn Fn(&str, &str) -> Arc<dyn Client> + Send + Sync>;

/// What all controllers of a process share.
#[derive(Clone)]
pub struct Context {
    /// The way to the server.
    pub client: Arc<dyn Client>,
    /// The same in the name of service accounts, for who may impersonate them.
    pub act_as: ActAs,
    /// One reflector per kind.
    pub caches: Arc<Caches>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where events go.
    pub recorder: Recorder,
    /// Where queues are counted.
    pub metrics: Metrics,
}

/// Which changes wake a controller of `K`s, and for which of them: every change of a `K` wakes it for that one; more is
/// added by [`Controller::owns`] and [`Controller::watches`].
pub struct Controller<K> {
    context: Context,
    queue: Arc<WorkQueue<ObjectKey>>,
    workers: usize,
    kind: PhantomData<fn() -> K>,
}

impl<K: Resource> Controller<K> {
    /// A controller woken by changes of `K`s.
    pub fn new(context: &Context) -> Self {
        let queue = Arc::new(WorkQueue::new(context.clock.clone(), RETRY));
        let controller = Self { context: context.clone(), queue, workers: 16, kind: PhantomData };
        controller.watches::<K>(|object| vec![ObjectKey::of(object.metadata())])
    }

    /// Changes of a `C` wake it for the `K` that manages the `C`. Compiles only where the ontology says that `K`s make
    /// `C`s.
    pub fn owns<C: Resource>(self) -> Self
    where
        K: Owns<C>,
    {
        self.watches::<C>(|object| managing::<K>(object.metadata()).into_iter().collect())
    }

    /// Changes of a `C` wake it for the keys that `map` says, before and after the change.
    pub fn watches<C: Resource>(self, map: impl Fn(&C) -> Vec<ObjectKey> + Send + Sync + 'static) -> Self {
        let queue = self.queue.clone();
        self.context.caches.of::<C>().subscribe(move |change| {
            let keys = change.old.into_iter().chain(change.new).flat_map(|object| map(object));
            keys.for_each(|key| queue.add(key));
        });
        self
    }

    /// Works on so many keys at once; 16 if not said.
    pub fn workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    /// The queue, to add keys from elsewhere or to read its numbers.
    pub fn queue(&self) -> Arc<WorkQueue<ObjectKey>> {
        self.queue.clone()
    }

    /// Waits for the caches, then plans and executes until cancelled.
    pub async fn run<P: Planner>(self, planner: P, cancel: CancellationToken) {
        let executor = Executor {
            client: self.context.client.clone(),
            caches: self.context.caches.clone(),
            recorder: self.context.recorder.component(P::NAME),
            field_manager: P::NAME,
        };
        let clock = self.context.clock.clone();
        self.reconcile(Arc::new(Planned { planner, executor, clock }), cancel).await;
    }

    /// Waits for the caches, then hands keys to a reconciler until cancelled.
    pub async fn reconcile<R: Reconciler<Key = ObjectKey>>(
        self,
        reconciler: Arc<R>,
        cancel: CancellationToken,
    ) {
        if cancel.run_until_cancelled(self.context.caches.synced()).await.is_none() {
            return;
        }
        info!(controller = reconciler.name(), workers = self.workers, "controller runs");
        self.queue.measure(&self.context.metrics, reconciler.name());
        work(reconciler, self.queue, self.workers, cancel).await;
    }
}

/// The key of the `K` that manages the object with this metadata.
pub fn managing<K: Resource>(metadata: &orch_api::Metadata) -> Option<ObjectKey> {
    let owner = metadata.controller()?;
    let (group, _) = split_api_version(&owner.api_version);
    let is_a = owner.kind == K::KIND.name && group == K::KIND.group;
    is_a.then(|| ObjectKey::of_owner(metadata, owner, K::KIND.is_namespaced()))
}
