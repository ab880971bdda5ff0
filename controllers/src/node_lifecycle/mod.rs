//! Node lifecycle: a node that nothing is heard of is marked, and in time its pods are evicted.
//!
//! A node is heard of when its Lease (in `kube-node-lease`, under the node's name) or its own status changes. When, is told
//! by this machine's clock, so that the nodes' clocks don't matter.

mod eviction;
mod health;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orch_api::Clock;
use orch_controller_runtime::{Cache, Context, Controller, Index, ObjectKey, Plan, Planner};
use orch_ontology::{Lease, Node, Pod};
use parking_lot::Mutex;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub(crate) use eviction::evict;
use health::{Health, mark_pods, set_taints};

/// A node of which nothing has been heard for so long is not at work.
pub const GRACE: SignedDuration = SignedDuration::from_secs(40);
/// Pods that don't say otherwise stay for so long on a node that is not at work.
pub const STAY: SignedDuration = SignedDuration::from_secs(300);
/// Where nodes keep their leases.
pub const LEASE_NAMESPACE: &str = "kube-node-lease";

/// The pods on a node.
pub(crate) const BY_NODE: Index<Pod> =
    Index { name: "node", values: |pod| vec![pod.spec.node_name.as_str().to_owned()] };

/// Marks nodes that nothing is heard of, and evicts their pods.
pub struct NodeLifecycle {
    nodes: Arc<Cache<Node>>,
    leases: Arc<Cache<Lease>>,
    pods: Arc<Cache<Pod>>,
    heard: Heard,
}

/// A node, when it was last heard of, and its pods.
#[derive(Debug, Clone, Serialize)]
pub struct World {
    /// The node.
    pub node: Node,
    /// When something was last heard of it, by this machine's clock.
    pub heard_at: Timestamp,
    /// The pods on it.
    #[serde(serialize_with = "crate::whole")]
    pub pods: Vec<Arc<Pod>>,
}

impl Planner for NodeLifecycle {
    type World = World;

    const NAME: &'static str = "node-controller";

    fn observe(&self, key: &ObjectKey) -> Option<World> {
        let node = self.nodes.get(key)?;
        let lease = self.leases.get(&ObjectKey::new(LEASE_NAMESPACE, key.name.clone()));
        let heard_at = self.heard.at(&node, lease.as_deref());
        let pods = self.pods.select(&BY_NODE, &key.name);
        Some(World { node: (*node).clone(), heard_at, pods })
    }

    fn plan(world: &World, now: Timestamp) -> Plan {
        let health = Health::of(world, now);
        let mut plan = Plan { status: health.report(&world.node), ..Plan::nothing() };
        health.next_change(now).into_iter().for_each(|delay| plan.again_within(delay));
        plan.events.extend(health.news(&world.node));
        if plan.status.is_none() {
            // Another write to the node: the change of its conditions wakes us for its taints.
            plan.writes.extend(set_taints(world, &health, now));
        }
        plan.writes.extend(mark_pods(world, &health, now));
        evict(&world.node, &world.pods, now, &mut plan);
        plan
    }
}

/// When each node was last heard of: the one thing that this controller remembers. Lost in a restart, after which every node
/// has the full time to be heard of again.
struct Heard {
    clock: Arc<dyn Clock>,
    nodes: Mutex<BTreeMap<String, (Sign, Timestamp)>>,
}

/// What differs when a node has said something.
#[derive(Debug, Clone, Default, PartialEq)]
struct Sign {
    renewed_at: Option<Timestamp>,
    beat_at: Option<Timestamp>,
}

impl Sign {
    fn of(node: &Node, lease: Option<&Lease>) -> Self {
        let beats = node.status.conditions.iter().filter_map(|condition| condition.last_heartbeat_time);
        let renewed_at = lease.and_then(|lease| lease.spec.renew_time);
        Self {
            renewed_at: renewed_at.map(|at| at.timestamp()),
            beat_at: beats.max().map(|at| at.timestamp()),
        }
    }
}

impl Heard {
    fn at(&self, node: &Node, lease: Option<&Lease>) -> Timestamp {
        let (sign, now) = (Sign::of(node, lease), self.clock.now());
        let mut nodes = self.nodes.lock();
        let heard = nodes.entry(node.metadata.uid.clone()).or_insert_with(|| (sign.clone(), now));
        if heard.0 != sign {
            *heard = (sign, now);
        }
        heard.1
    }

    fn forget(&self, uid: &str) {
        self.nodes.lock().remove(uid);
    }
}

/// Runs the controller until cancelled.
pub async fn run(context: Context, cancel: CancellationToken) {
    let heard = Heard { clock: context.clock.clone(), nodes: Mutex::default() };
    let planner = Arc::new(NodeLifecycle {
        nodes: context.caches.of(),
        leases: context.caches.of(),
        pods: context.caches.of(),
        heard,
    });
    let forget = planner.clone();
    planner.nodes.subscribe(move |change| {
        if let (Some(old), None) = (change.old, change.new) {
            forget.heard.forget(&old.metadata.uid);
        }
    });
    let of_lease = |lease: &Lease| match lease.metadata.namespace() {
        LEASE_NAMESPACE => vec![ObjectKey::new("", lease.metadata.name.clone())],
        _ => Vec::new(),
    };
    let of_pod = |pod: &Pod| pod.node_name().map(|node| ObjectKey::new("", node)).into_iter().collect();
    Controller::<Node>::new(&context)
        .watches::<Lease>(of_lease)
        .watches::<Pod>(of_pod)
        .run(planner, cancel)
        .await;
}

fn until(now: Timestamp, then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(now)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
