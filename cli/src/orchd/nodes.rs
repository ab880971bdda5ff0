//! The node agents of this process: this machine's, or simulated ones.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use orch_api::{Client, Resource};
use orch_controller_runtime::{Recorder, SystemClock};
use orch_node::{Machine, NodeAgent, ServerConfig};
use orch_ontology::Event;
use orch_runtime::{SimulatedRuntime, Simulation};
use orch_runtime_containerd::PrivateContainerd;
use orch_transport::server_config;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::certificates::{API_SERVER, Certificates};
use super::config::{Config, RuntimeKind};
use super::containerd;
use super::data_dir::DataDir;
use super::faults::{Agent, Faults};

/// Many nodes in one process say more seldom that they live, so that together they write no more than a few.
const SIMULATED_LEASES_A_SECOND: u32 = 10;
const LEASE_INTERVAL: Duration = Duration::from_secs(10);

/// Where a node is, and where its pods find the API.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The node's address.
    pub(crate) address: IpAddr,
    /// Where the node's pods reach the API, if they have a network.
    pub(crate) api_server: Option<SocketAddr>,
}

/// What the configuration asks for, not yet running.
pub(crate) struct Nodes {
    pub(crate) agents: Vec<Agent>,
    /// The containerd that is to be kept running for them.
    pub(crate) containerd: Option<PrivateContainerd>,
}

/// The agents that the configuration asks for.
pub(crate) async fn agents(
    config: &Config,
    data: &DataDir,
    certificates: &Certificates,
    place: Place,
    client: impl Fn(&str) -> Arc<dyn Client>,
) -> Result<Nodes> {
    let agents = match config.runtime.kind {
        RuntimeKind::Containerd => return machine(config, data, certificates, place, client).await,
        RuntimeKind::Simulated => {
            let faults = Faults::read(config.runtime.simulate_faults.as_deref())?;
            simulated(config.runtime.simulate_nodes.max(1), &faults, client)
        }
        RuntimeKind::None => Vec::new(),
    };
    Ok(Nodes { agents, containerd: None })
}

/// The agent of this machine, with real containers.
async fn machine(
    config: &Config,
    data: &DataDir,
    certificates: &Certificates,
    Place { address, api_server }: Place,
    client: impl Fn(&str) -> Arc<dyn Client>,
) -> Result<Nodes> {
    let (runtime, containerd) = containerd::start(config, data).await?;
    let name = config
        .node
        .name
        .clone()
        .or_else(host_name)
        .context("this machine has no host name; set node.name")?;
    let listener = TcpListener::bind((address, 0)).await.context("the node agent cannot listen")?;
    let tls = server_config(&certificates.node(&name, address)?, certificates.authority())?;
    let agent = NodeAgent::new(orch_node::Config {
        data_dir: Some(data.node()),
        addresses: vec![address],
        api_server,
        server: Some(ServerConfig { listener, tls, allowed_names: vec![API_SERVER.to_owned()] }),
        ..orch_node::Config::new(&name, client(&name), Arc::new(runtime), Machine::detect(data.path()))
    });
    Ok(Nodes { agents: vec![Agent::new(agent)], containerd })
}

/// Agents of nodes that do not exist.
fn simulated(count: u32, faults: &Faults, client: impl Fn(&str) -> Arc<dyn Client>) -> Vec<Agent> {
    let lease_interval =
        LEASE_INTERVAL.max(Duration::from_secs((count / SIMULATED_LEASES_A_SECOND).min(30).into()));
    let name = |number: u32| format!("sim-{number:04}");
    // What one machine's agents tell goes through one writer, as one node's does: a thousand would drown all else.
    let (recorder, events) = Recorder::new(client(&name(0)), Arc::new(SystemClock), Event::KIND, "orch-node");
    tokio::spawn(events.run(CancellationToken::new()));
    let agent = |number: u32| {
        let name = name(number);
        // A range of 256 addresses for each node.
        let base_ip = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 128, 0, 1)) + (number << 8));
        let simulation = Simulation {
            seed: number.into(),
            epoch: Timestamp::now(),
            base_ip,
            script: faults.runtime.clone(),
            ..Simulation::default()
        };
        let runtime = Arc::new(SimulatedRuntime::new(simulation));
        let machine = Machine::simulated(8, 32 << 30, 110);
        let agent = NodeAgent::new(orch_node::Config {
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            lease_interval,
            recorder: Some(recorder.clone()),
            ..orch_node::Config::new(&name, client(&name), runtime, machine)
        });
        Agent::simulated(agent, &name, faults)
    };
    (0..count).map(agent).collect()
}

/// This machine's host name in the form of an object's name.
pub(crate) fn host_name() -> Option<String> {
    let name = nix::unistd::gethostname().ok()?.into_string().ok()?.to_ascii_lowercase();
    (!name.is_empty()).then_some(name)
}
