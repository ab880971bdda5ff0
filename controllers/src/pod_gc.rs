//! Pods that nobody runs any more: those on nodes that are gone, and those that were to go before they reached one.
//!
//! Worked on by node: the empty name stands for no node. A node that is gone may come back under its name (a living agent
//! registers again at once), so its pods stay for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use orch_api::{Api, Clock, Status};
use orch_controller_runtime::{
    Cache, Context, Controller, Executor, Note, ObjectKey, Outcome, Plan, Reconciler, Write,
};
use orch_ontology::{Node, Pod};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use crate::node_lifecycle::BY_NODE;

const NAME: &str = "pod-garbage-collector";
/// How long a node must be gone before its pods go.
const QUARANTINE: SignedDuration = SignedDuration::from_secs(40);

struct PodCollector {
    clock: Arc<dyn Clock>,
    /// Since when each node that is gone has been known to be.
    gone: Mutex<BTreeMap<String, Timestamp>>,
    nodes: Arc<Cache<Node>>,
    pods: Arc<Cache<Pod>>,
    api: Api<Node>,
    executor: Executor,
}

/// Runs the controller until cancelled.
pub async fn run(context: Context, cancel: CancellationToken) {
    let (nodes, pods) = (context.caches.of::<Node>(), context.caches.of::<Pod>());
    let executor = Executor {
        client: context.client.clone(),
        caches: context.caches.clone(),
        recorder: context.recorder.component(NAME),
        field_manager: NAME,
    };
    let known = nodes.clone();
    let of_pod = move |pod: &Pod| {
        let node = ObjectKey::new("", pod.spec.node_name.as_str());
        let stray = if node.name.is_empty() { pod.is_terminating() } else { known.get(&node).is_none() };
        if stray { vec![node] } else { Vec::new() }
    };
    let (clock, api) = (context.clock.clone(), Api::all(context.client.clone()));
    let collector = PodCollector { clock, gone: Mutex::default(), nodes, pods, api, executor };
    Controller::<Node>::new(&context).watches::<Pod>(of_pod).reconcile(Arc::new(collector), cancel).await;
}

#[async_trait]
impl Reconciler for PodCollector {
    type Key = ObjectKey;

    fn name(&self) -> &'static str {
        NAME
    }

    async fn reconcile(&self, node: &ObjectKey) -> Result<Outcome, Status> {
        let pods = self.pods.select(&BY_NODE, &node.name);
        if self.nodes.get(node).is_some() || pods.is_empty() {
            self.gone.lock().remove(&node.name);
            return Ok(Outcome::Done);
        }
        if let Some(wait) = self.quarantine(&node.name) {
            return Ok(Outcome::After(wait));
        }
        // A node may be younger than our cache: only the server can say that there is none.
        let gone = node.name.is_empty() || self.api.find(&node.name).await?.is_none();
        if gone {
            self.executor.execute(plan(&node.name, &pods)).await?;
        }
        Ok(Outcome::Done)
    }
}

impl PodCollector {
    /// How much longer a node must be gone; none if it has been for long enough.
    fn quarantine(&self, node: &str) -> Option<Duration> {
        if node.is_empty() {
            return None;
        }
        let now = self.clock.now();
        let since = *self.gone.lock().entry(node.to_owned()).or_insert(now);
        Duration::try_from(since + QUARANTINE - now).ok().filter(|left| !left.is_zero())
    }
}

/// Deletes at once, because nobody is there who could end the pods gracefully. Pure.
pub(crate) fn plan(node: &str, pods: &[Arc<Pod>]) -> Plan {
    let stray = pods.iter().filter(|pod| !node.is_empty() || pod.is_terminating());
    let delete = |pod: &Arc<Pod>| {
        let message = match node {
            "" => "Pod was to be deleted before it was placed".to_owned(),
            node => format!("Pod was on node {node}, which is gone"),
        };
        Write::force_delete(&**pod).on_success(Note::normal(&**pod, "PodGC", message))
    };
    Plan { writes: stray.map(delete).collect(), ..Plan::nothing() }
}

#[cfg(test)]
mod tests {
    use orch_controller_runtime::Action;
    use serde_json::json;

    use super::*;

    fn pod(terminating: bool) -> Arc<Pod> {
        let at = terminating.then_some("2026-01-01T00:00:00Z");
        let pod = json!({"metadata": {"name": "web", "uid": "p", "deletionTimestamp": at}, "spec": {"containers": []}});
        Arc::new(serde_json::from_value(pod).unwrap())
    }

    #[test]
    fn pods_of_a_gone_node_are_deleted_without_grace() {
        for terminating in [false, true] {
            let plan = plan("n1", &[pod(terminating)]);
            let Action::Delete { uid, grace_period_seconds, .. } = &plan.writes[0].action else {
                panic!("{plan:?}")
            };
            assert_eq!((uid.as_str(), *grace_period_seconds), ("p", Some(0)));
        }
    }

    #[test]
    fn pods_without_a_node_are_deleted_only_if_they_were_to_go() {
        assert_eq!(plan("", &[pod(false)]).writes.len(), 0);
        assert_eq!(plan("", &[pod(true)]).writes.len(), 1);
    }
}
