//! The node's own object: made once, changed only when something about the node changed.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use orch_api::{Api, Client, Clock, Conditions, Metadata, Params, Patch, Reason, Status, Time};
use orch_controller_runtime::{Backoff, Reflector};
use orch_ontology::{Node, NodeAddress, NodeAddressType, NodeCondition, NodeStatus};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Config, Health, Machine,
    pressure::{self, Gauge, Pressure},
};

const RETRY: Backoff = Backoff { first: Duration::from_millis(100), limit: Duration::from_secs(10) };

/// The conditions that only the node itself can know.
const OWN: [&str; 4] = ["MemoryPressure", "DiskPressure", "PIDPressure", Node::READY];

/// Keeps the node's object as it should be.
pub(super) struct Registration {
    client: Arc<dyn Client>,
    api: Api<Node>,
    clock: Arc<dyn Clock>,
    about: About,
    health: watch::Receiver<Health>,
    gauge: Gauge,
    pressure: Pressure,
    /// The conditions that were told last.
    told: Arc<Mutex<Vec<NodeCondition>>>,
    /// Told when somebody else has changed the node's status.
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
    pub(super) fn new(config: &Config, port: Option<u16>, health: watch::Receiver<Health>) -> Self {
        let about = About {
            name: config.name.clone(),
            labels: config.labels.clone(),
            machine: config.machine.clone(),
            addresses: config.addresses.clone(),
            port: port.unwrap_or(0),
        };
        let (client, clock) = (config.client.clone(), config.clock.clone());
        let api = Api::all(client.clone()).manager("orch-node");
        let (gauge, pressure, told, again) = Default::default();
        Self { client, api, clock, about, health, gauge, pressure, told, again }
    }

    pub(super) async fn run(mut self, cancel: CancellationToken) {
        self.follow(&cancel);
        cancel.run_until_cancelled(self.keep()).await;
    }

    /// Notices when the node's object is deleted, or says of the node what the node did not say: somebody may have taken it for dead.
    fn follow(&self, cancel: &CancellationToken) {
        let (again, told) = (self.again.clone(), self.told.clone());
        let reflector = Reflector::<Node>::new(self.client.clone(), self.clock.clone())
            .fields(format!("metadata.name={}", self.about.name));
        reflector.cache().subscribe(move |change| {
            if change.new.is_none_or(|node| !says_all(&node.status.conditions, &told.lock())) {
                again.notify_one();
            }
        });
        reflector.spawn(cancel.clone());
    }

    async fn keep(&mut self) {
        let mut failures = 0;
        self.look();
        loop {
            let health = self.health.borrow_and_update().clone();
            let Err(status) = self.register(&health).await else {
                failures = 0;
                if !self.news().await {
                    return;
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

    /// Waits until there is something new to say about the node; false if there never will be.
    async fn news(&mut self) -> bool {
        loop {
            tokio::select! {
                changed = self.health.changed() => return changed.is_ok(),
                () = self.again.notified() => return true,
                () = self.clock.sleep(pressure::INTERVAL), if self.about.machine.data_dir.is_some() => {}
            }
            let before = self.pressure;
            self.look();
            if self.pressure != before {
                return true;
            }
        }
    }

    fn look(&mut self) {
        if let Some(directory) = &self.about.machine.data_dir {
            self.pressure = self.gauge.look(directory, self.clock.now());
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
        let status = self.about.status(&node.status, health, self.pressure, self.clock.now());
        // Before it is seen by who watches.
        (*self.told.lock()).clone_from(&status.conditions);
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
    fn status(&self, prior: &NodeStatus, health: &Health, pressure: Pressure, now: Timestamp) -> NodeStatus {
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
        status.conditions = conditions(&prior.conditions, health, pressure, now.into());
        status
    }

    fn addresses(&self) -> Vec<NodeAddress> {
        let ips = self.addresses.iter().map(ToString::to_string);
        let ips = ips.map(|address| NodeAddress { address_type: NodeAddressType::InternalIp, address });
        let name = NodeAddress { address_type: NodeAddressType::Hostname, address: self.name.clone() };
        ips.chain([name]).collect()
    }
}

/// The node's own conditions as they are, all others as they were.
fn conditions(prior: &[NodeCondition], health: &Health, pressure: Pressure, now: Time) -> Vec<NodeCondition> {
    let mut all = prior.to_vec();
    for fresh in own(health, pressure, now) {
        // The same again is no news: a node that idles writes nothing.
        if !says(&all, &fresh) {
            all.put(NodeCondition { last_heartbeat_time: Some(now), ..fresh });
        }
    }
    all
}

/// Whether a condition is among others, whenever they were told.
fn says(conditions: &[NodeCondition], condition: &NodeCondition) -> bool {
    let is_it = |said: &NodeCondition| {
        (&said.condition_type, said.status, &said.reason, &said.message)
            == (&condition.condition_type, condition.status, &condition.reason, &condition.message)
    };
    conditions.iter().any(is_it)
}

/// Whether the node's own conditions are said as they were told.
fn says_all(conditions: &[NodeCondition], told: &[NodeCondition]) -> bool {
    let is_own = |told: &&NodeCondition| OWN.contains(&told.condition_type.as_str());
    told.iter().filter(is_own).all(|told| says(conditions, told))
}

/// In kubelet's words, which programs look for.
fn own(health: &Health, pressure: Pressure, now: Time) -> [NodeCondition; 4] {
    let (is_ready, reason, message) = match health {
        Ok(_) => (true, "KubeletReady", "kubelet is posting ready status".to_owned()),
        Err(why) => (false, "KubeletNotReady", format!("container runtime is down: {why}")),
    };
    let memory = match pressure.memory {
        true => ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
        false => ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    };
    let disk = match pressure.disk {
        true => ("KubeletHasDiskPressure", "kubelet has disk pressure"),
        false => ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    };
    let pids = match pressure.pids {
        true => ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
        false => ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    };
    let [of_memory, of_disk, of_pids, ready] = OWN;
    [
        NodeCondition::new(of_memory, pressure.memory, memory.0, memory.1, now),
        NodeCondition::new(of_disk, pressure.disk, disk.0, disk.1, now),
        NodeCondition::new(of_pids, pressure.pids, pids.0, pids.1, now),
        NodeCondition::new(ready, is_ready, reason, message, now),
    ]
}
