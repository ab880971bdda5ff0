//! The scheduler: gives every pod without a node one, by [`orch_scheduler::place`].
//!
//! The snapshot follows the caches change by change. A placement counts from the moment it is decided, not when its binding
//! has come back around: decisions don't wait for bindings, of which many are under way at once. A pod that fits nowhere
//! waits until a change makes room on some node; it is not tried again for any other reason, and of pods that are alike one is
//! tried at a time.

mod decisions;
mod metrics;
mod state;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use orch_api::{Api, Clock, Conditions, Metadata, Status, Time};
use orch_controller_runtime::{
    Backoff, Cache, Context, Executor, Note, ObjectKey, Outcome, Plan, Reconciler, Recorder, WorkQueue,
    Write, work,
};
use orch_ontology::{Binding, Node, ObjectReference, Pod, PodCondition};
use orch_scheduler::Placement;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use decisions::{Decision, Decisions};
pub use metrics::Metrics;
use state::State;
pub(crate) use state::is_waiting;

const NAME: &str = "default-scheduler";
/// Pods that have been decided upon and whose outcome is not yet written. So many that a decision never waits for a write.
const WORKERS: usize = 16_384;
/// Writes under way at once: the server commits what comes together in one go.
const WRITES: usize = 256;
const RETRY: Backoff = Backoff { first: Duration::from_millis(50), limit: Duration::from_secs(10) };

struct Scheduler {
    pods: Arc<Cache<Pod>>,
    executor: Executor,
    recorder: Recorder,
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
    queue: Arc<WorkQueue<ObjectKey>>,
    decisions: Decisions,
    metrics: Metrics,
    writes: Semaphore,
}

/// Runs the scheduler until cancelled. What it decides can be read from `decisions`, how it fares from `metrics`.
pub async fn run(context: Context, decisions: Decisions, metrics: Metrics, cancel: CancellationToken) {
    let queue = Arc::new(WorkQueue::new(context.clock.clone(), RETRY));
    let state = Arc::new(Mutex::new(State::default()));
    let (pods, nodes) = (context.caches.of::<Pod>(), context.caches.of::<Node>());
    follow(&nodes, &pods, &state, &queue);
    if cancel.run_until_cancelled(context.caches.synced()).await.is_none() {
        return;
    }
    metrics.watch(&queue, &state);
    info!(controller = NAME, workers = WORKERS, "controller runs");
    let recorder = context.recorder.component(NAME);
    let executor = Executor {
        client: context.client.clone(),
        caches: context.caches.clone(),
        recorder: recorder.clone(),
        field_manager: NAME,
    };
    let scheduler = Scheduler {
        pods,
        executor,
        recorder,
        clock: context.clock,
        state,
        queue: queue.clone(),
        decisions,
        metrics,
        writes: Semaphore::new(WRITES),
    };
    queue.measure(&context.metrics, NAME);
    work(Arc::new(scheduler), queue, WORKERS, cancel).await;
}

/// Keeps the snapshot in step with the caches, and queues pods that have become placeable.
fn follow(
    nodes: &Cache<Node>,
    pods: &Cache<Pod>,
    state: &Arc<Mutex<State>>,
    queue: &Arc<WorkQueue<ObjectKey>>,
) {
    let (nodes_state, nodes_queue) = (state.clone(), queue.clone());
    nodes.subscribe(move |change| {
        let retry = match change.new {
            Some(node) => nodes_state.lock().node_changed(node),
            None => nodes_state.lock().node_removed(&change.key.name),
        };
        retry.into_iter().for_each(|key| nodes_queue.add(key));
    });
    let (pods_state, pods_queue) = (state.clone(), queue.clone());
    pods.subscribe(move |change| {
        let retry = pods_state.lock().pod_changed(change.old, change.new);
        retry.into_iter().for_each(|key| pods_queue.add(key));
    });
}

#[async_trait]
impl Reconciler for Scheduler {
    type Key = ObjectKey;

    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, key: &ObjectKey) -> Result<Outcome, Status> {
        let start = self.clock.now();
        let Some((pod, placement)) = self.decide(key) else { return Ok(Outcome::Done) };
        let node = placement.node.clone();
        let message = node.is_none().then(|| placement.message());
        self.decisions.remember(&pod, self.clock.now(), placement);
        // Never closed, so there always is one in the end.
        let _permit = self.writes.acquire().await;
        let (result, outcome) = match node {
            Some(node) => ("scheduled", self.bind(&pod, &node).await),
            None => ("unschedulable", self.refuse(&pod, "Unschedulable", &message.unwrap_or_default()).await),
        };
        let took = Duration::try_from(self.clock.now().duration_since(start)).unwrap_or_default();
        self.metrics.attempt(if outcome.is_ok() { result } else { "error" }, took);
        outcome.map(|()| Outcome::Done)
    }
}

impl Scheduler {
    /// Decides about a pod, if it waits. The cache is read under the lock under which its changes are taken in: what becomes of the pod
    /// meanwhile is taken in afterwards.
    fn decide(&self, key: &ObjectKey) -> Option<(Arc<Pod>, Placement)> {
        let (decision, retry) = {
            let mut state = self.state.lock();
            match self.pods.get(key).filter(|pod| state::is_waiting(pod)) {
                Some(pod) => {
                    let (placement, retry) = state.place(&pod);
                    (placement.map(|placement| (pod, placement)), retry)
                }
                None => (None, state.dismiss(key)),
            }
        };
        self.try_again(retry);
        decision
    }

    /// Takes back a placement whose binding has failed, unless the cache, read as by [`Scheduler::decide`], shows that it has not.
    fn forget(&self, pod: &Pod) {
        let retry = {
            let mut state = self.state.lock();
            let now = self.pods.get(&ObjectKey::of(&pod.metadata));
            state.forget(pod, now.as_ref())
        };
        self.try_again(retry);
    }

    fn try_again(&self, pods: Vec<ObjectKey>) {
        pods.into_iter().for_each(|key| self.queue.add(key));
    }

    async fn bind(&self, pod: &Arc<Pod>, node: &str) -> Result<(), Status> {
        let named = Metadata::named(pod.metadata.namespace.clone(), pod.metadata.name.clone());
        let metadata = Metadata { uid: pod.metadata.uid.clone(), ..named };
        let target =
            ObjectReference { kind: "Node".into(), name: node.to_owned(), ..ObjectReference::default() };
        let binding = Binding { metadata, target, ..Binding::default() };
        let client = self.executor.client.clone();
        let api = Api::<Pod>::namespaced(client, pod.metadata.namespace()).manager(NAME);
        match api.post(&pod.metadata.name, "binding", &binding).await {
            Ok(_) => {
                let (namespace, name) = (pod.metadata.namespace(), &pod.metadata.name);
                let message = format!("Successfully assigned {namespace}/{name} to {node}");
                self.recorder.record(Note::normal(&**pod, "Scheduled", message));
                Ok(())
            }
            Err(status) => {
                self.forget(pod);
                match status.code {
                    404 => Ok(()),
                    409 => Err(status),
                    // Somebody may be able to do something about it, such as with a policy that is against it.
                    _ => {
                        let message = format!("binding rejected: {status}");
                        self.refuse(pod, "SchedulerError", &message).await.and(Err(status))
                    }
                }
            }
        }
    }

    /// Says that the pod has no node, and why; once, as long as the reasons are the same.
    async fn refuse(&self, pod: &Arc<Pod>, reason: &str, message: &str) -> Result<(), Status> {
        let said = pod.status.conditions.of_type(Pod::SCHEDULED);
        if said.is_some_and(|condition| condition.reason == reason && condition.message == message) {
            return Ok(());
        }
        self.recorder.record(Note::warning(&**pod, "FailedScheduling", message));
        let mut conditions = pod.status.conditions.clone();
        let now = Time::new(self.clock.now());
        conditions.put(PodCondition::new(Pod::SCHEDULED, false, reason, message, now));
        let write = Write::merge_status(&**pod, json!({"conditions": conditions}));
        let plan = Plan { status: Some(write), ..Default::default() };
        self.executor.execute(plan).await
    }
}
