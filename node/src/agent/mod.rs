//! The agent: wiring of the loop, the node's registration and lease, and the server.

mod config;
mod core;
mod execute;
mod lease;
mod machine;
mod observe;
mod outcomes;
mod pressure;
mod registration;
mod shared;
mod sources;
mod tokens;
mod tracked;
mod wakes;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use orch_api::Resource as _;
use orch_controller_runtime::{Backoff, Recorder, Reflector};
use orch_ontology::{Event, Pod, labels};
use orch_runtime::Version;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

pub use self::{
    config::{Config, ServerConfig},
    machine::Machine,
};
use self::{core::Core, lease::LeaseKeeper, registration::Registration};
pub(crate) use self::{execute::chain, shared::Shared};
use crate::{
    Layout,
    plan::{Offer, Seen},
    server::Server,
    spec::NodeFacts,
};

/// What the runtime is, or why it cannot be reached.
pub(crate) type Health = Result<Version, String>;

const RETRY_RUNTIME: Backoff = Backoff { first: Duration::from_millis(250), limit: Duration::from_secs(10) };

/// One node's agent. See the crate's documentation for what it does.
pub struct NodeAgent {
    config: Config,
}

impl NodeAgent {
    /// An agent that does nothing yet.
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// Runs the node's pods until cancelled. What runs then goes on running; an agent of the same name, data directory and
    /// runtime takes it over.
    ///
    /// Never fails: what cannot be reached is tried again, and shown in the node's `Ready` condition.
    pub async fn run(self, cancel: CancellationToken) {
        // However this ends, the parts end with it.
        let cancel = cancel.child_token();
        let _ending = cancel.clone().drop_guard();
        let mut config = self.config;
        let server = config.server.take();
        let port = server
            .as_ref()
            .and_then(|server| server.listener.local_addr().ok())
            .map(|address| address.port());
        add_labels(&mut config);
        let (health, healthy) = watch::channel(Err("the container runtime was not seen yet".to_owned()));
        let registration = Registration::new(&config, port, healthy);
        let lease = LeaseKeeper::new(&config);
        let parts = async {
            tokio::join!(
                registration.run(cancel.clone()),
                lease.run(cancel.clone()),
                run_pods(config, server, health, cancel.clone())
            )
        };
        // The parts are many and their state is large.
        Box::pin(parts).await;
    }
}

async fn run_pods(
    config: Config,
    server: Option<ServerConfig>,
    health: watch::Sender<Health>,
    cancel: CancellationToken,
) {
    let reach = reach_runtime(&config, &health);
    let Some(version) = cancel.run_until_cancelled(reach).await else { return };
    let offer = Offer { labels: config.labels.clone(), allocatable: config.machine.capacity.clone() };
    let shared = Arc::new(share(config, &version, &cancel));
    let reflector = Reflector::<Pod>::new(shared.client.clone(), shared.clock.clone())
        .fields(format!("spec.nodeName={}", shared.facts.name));
    let cache = reflector.cache();
    let (seen, see) = watch::channel(Arc::<BTreeMap<String, Seen>>::default());
    let core = Core::new(shared.clone(), cache.clone(), offer, version, health, seen);
    let serve = async {
        if let Some(server) = server {
            Server::new(shared, cache, see).run(server, cancel.clone()).await;
        }
    };
    tokio::join!(reflector.run(cancel.clone()), core.run(cancel.clone()), serve);
}

/// Waits until the runtime answers.
async fn reach_runtime(config: &Config, health: &watch::Sender<Health>) -> Version {
    let mut failures = 0;
    loop {
        match config.runtime.version().await {
            Ok(version) => return version,
            Err(error) => {
                failures += 1;
                let message = chain(&error);
                warn!(message, "the container runtime cannot be reached, trying again");
                set(health, Err(message));
                config.clock.sleep(RETRY_RUNTIME.after(failures)).await;
            }
        }
    }
}

fn share(config: Config, version: &Version, cancel: &CancellationToken) -> Shared {
    let recorder = config.recorder.unwrap_or_else(|| {
        let (client, clock) = (config.client.clone(), config.clock.clone());
        let (recorder, writer) = Recorder::new(client, clock, Event::KIND, "orch-node");
        tokio::spawn(writer.run(cancel.clone()));
        recorder
    });
    let facts = NodeFacts {
        name: config.name,
        host_ips: config.addresses,
        layout: config.data_dir.map(Layout::new),
        api_server: config.api_server,
        cluster_dns: config.cluster_dns,
        cluster_domain: config.cluster_domain,
        memory_bytes: config.machine.memory_bytes(),
        runtime_name: version.name.clone(),
    };
    Shared {
        client: config.client,
        runtime: config.runtime,
        clock: config.clock,
        facts,
        recorder,
        starts: Semaphore::new(config.parallel_starts.max(1)),
        pulls: Semaphore::new(config.parallel_pulls.max(1)),
    }
}

fn add_labels(config: &mut Config) {
    let info = &config.machine.info;
    let own = [
        (labels::HOSTNAME, config.name.clone()),
        (labels::OS, info.operating_system.clone()),
        (labels::ARCH, info.architecture.clone()),
    ];
    for (label, value) in own {
        config.labels.entry(label.to_owned()).or_insert(value);
    }
}

/// Tells only what is news.
pub(crate) fn set(health: &watch::Sender<Health>, now: Health) {
    health.send_if_modified(|health| {
        let is_news = *health != now;
        *health = now;
        is_news
    });
}
