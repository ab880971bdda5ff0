//! The node's own object: made once, changed only when something about the node changed.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use orch_api::{Api, Clock, ConditionStatus, Metadata, Params, Patch, Reason, Status, Time};
use orch_controller_runtime::Backoff;
use orch_ontology::{Node, NodeAddress, NodeAddressType, NodeCondition, NodeStatus};
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Config, Health, Machine};

const RETRY: Backoff = Backoff { first: Duration::from_millis(100), limit: Duration::from_secs(10) };

/// Keeps the node's object as it should be.
pub(super) struct Registration {
    api: Api<Node>,
    clock: Arc<dyn Clock>,
    about: About,
    health: watch::Receiver<Health>,
    /// Told when somebody else may have changed the node's status.
    again: Arc<Notify>,
}

/// What there is to say about the node, but its health.
struct About {
    name: String,
    labels: BTreeMap<String, String>,
    machine: Machine,
    addresses: Vec<IpAddr>,
    port: u16,
}

impl Registration {
    pub(super) fn new(
        config: &Config,
        port: Option<u16>,
        health: watch::Receiver<Health>,
        again: Arc<Notify>,
    ) -> Self {
        let about = About {
            name: config.name.clone(),
            labels: config.labels.clone(),
            machine: config.machine.clone(),
            addresses: config.addresses.clone(),
            port: port.unwrap_or(0),
        };
        let api = Api::all(config.client.clone()).manager("orch-node");
        Self { api, clock: config.clock.clone(), about, health, again }
    }

    pub(super) async fn run(mut self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.keep()).await;
    }

    async fn keep(&mut self) {
        let mut failures = 0;
        loop {
            let health = self.health.borrow_and_update().clone();
            let Err(status) = self.register(&health).await else {
                failures = 0;
                tokio::select! {
                    changed = self.health.changed() => if changed.is_err() { return },
                    () = self.again.notified() => {}
                }
                continue;
            };
            failures += 1;
            if !status.is(&Reason::Conflict) {
                warn!(node = self.about.name, %status, "cannot register the node, trying again");
            }
            self.clock.sleep(RETRY.after(failures)).await;
        }
    }

    async fn register(&self, health: &Health) -> Result<(), Status> {
        let node = match self.api.find(&self.about.name).await? {
            Some(node) => self.label(node).await?,
            None => {
                info!(node = self.about.name, "registering the node");
                let metadata =
                    Metadata { labels: self.about.labels.clone(), ..Metadata::named(None, &self.about.name) };
                self.api.create(&Node { metadata, ..Node::default() }).await?
            }
        };
        let status = self.about.status(&node.status, health, self.clock.now());
        if status != node.status {
            self.api.update_status(&Node { status, ..node }).await?;
        }
        Ok(())
    }

    /// Adds the labels that are missing; what people added stays.
    async fn label(&self, node: Node) -> Result<Node, Status> {
        let is_there = |(label, value): (&String, &String)| node.metadata.labels.get(label) == Some(value);
        if self.about.labels.iter().all(is_there) {
            return Ok(node);
        }
        let patch = Patch::Merge(json!({"metadata": {"labels": self.about.labels}}));
        self.api.patch(&self.about.name, &patch, Params::default()).await
    }
}

impl About {
    fn status(&self, prior: &NodeStatus, health: &Health, now: Timestamp) -> NodeStatus {
        let mut info = self.machine.info.clone();
        match health {
            Ok(version) => info.container_runtime_version = format!("{}://{}", version.name, version.version),
            Err(_) => info.container_runtime_version.clone_from(&prior.node_info.container_runtime_version),
        }
        let mut status = NodeStatus {
            capacity: self.machine.capacity.clone(),
            allocatable: self.machine.capacity.clone(),
            addresses: self.addresses(),
            node_info: info,
            images: prior.images.clone(),
            ..NodeStatus::default()
        };
        status.daemon_endpoints.kubelet_endpoint.port = i32::from(self.port);
        status.conditions = conditions(&prior.conditions, health, now);
        status
    }

    fn addresses(&self) -> Vec<NodeAddress> {
        let ips = self.addresses.iter().map(ToString::to_string);
        let ips = ips.map(|address| NodeAddress { address_type: NodeAddressType::InternalIp, address });
        let name = NodeAddress { address_type: NodeAddressType::Hostname, address: self.name.clone() };
        ips.chain([name]).collect()
    }
}

/// `Ready` as it is, all others as they were.
fn conditions(prior: &[NodeCondition], health: &Health, now: Timestamp) -> Vec<NodeCondition> {
    let (status, reason, message) = match health {
        Ok(_) => (ConditionStatus::True, "KubeletReady", "kubelet is posting ready status".to_owned()),
        Err(why) => (ConditionStatus::False, "KubeletNotReady", format!("container runtime is down: {why}")),
    };
    let now = Some(Time::new(now));
    let fresh = NodeCondition {
        condition_type: "Ready".to_owned(),
        status,
        last_heartbeat_time: now,
        last_transition_time: now,
        reason: reason.to_owned(),
        message,
    };
    let (ready, others): (Vec<_>, Vec<_>) =
        prior.iter().cloned().partition(|condition| condition.condition_type == "Ready");
    let ready = match ready.into_iter().next() {
        // The same again is no news: a node that idles writes nothing.
        Some(prior)
            if (prior.status, &prior.reason, &prior.message) == (status, &fresh.reason, &fresh.message) =>
        {
            prior
        }
        Some(prior) if prior.status == status => {
            NodeCondition { last_transition_time: prior.last_transition_time, ..fresh }
        }
        _ => fresh,
    };
    others.into_iter().chain([ready]).collect()
}
