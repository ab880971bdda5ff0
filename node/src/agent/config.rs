//! What an agent is told.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use orch_api::{Client, Clock};
use orch_controller_runtime::{Recorder, SystemClock};
use orch_runtime::Runtime;
use tokio::net::TcpListener;

use crate::Machine;

/// What an agent is told. [`Config::new`] fills in what few need to change.
pub struct Config {
    /// The node's name; its pods are those with this `spec.nodeName`.
    pub name: String,
    /// The way to the API, as the node's identity.
    pub client: Arc<dyn Client>,
    /// What runs containers.
    pub runtime: Arc<dyn Runtime>,
    /// The time. Must be the same that the runtime stamps exits with.
    pub clock: Arc<dyn Clock>,
    /// Where volumes and logs go. `None` keeps the agent off the disk: pods have neither.
    pub data_dir: Option<PathBuf>,
    /// Capacity and identity.
    pub machine: Machine,
    /// Labels of the node, on top of host name, operating system and architecture.
    pub labels: BTreeMap<String, String>,
    /// The node's addresses, the primary one first.
    pub addresses: Vec<IpAddr>,
    /// Where logs and exec are served; `None` serves neither.
    pub server: Option<ServerConfig>,
    /// Where events go; `None` makes a writer of the agent's own.
    pub recorder: Option<Recorder>,
    /// Where containers on this node reach the API server: told as `KUBERNETES_SERVICE_HOST` and `…_PORT`.
    pub api_server: Option<SocketAddr>,
    /// The cluster's name servers; empty leaves name resolution in pods as it is on the node.
    pub cluster_dns: Vec<IpAddr>,
    /// The domain that names in the cluster end with.
    pub cluster_domain: String,
    /// How often the node says that it lives.
    pub lease_interval: Duration,
    /// Sandboxes and containers made at the same time. More than the machine can take only makes each wait longer.
    pub parallel_starts: usize,
    /// Images pulled at the same time.
    pub parallel_pulls: usize,
}

/// The agent's HTTPS server.
pub struct ServerConfig {
    /// Bound already, so that the port is known.
    pub listener: TcpListener,
    /// Must verify client certificates against Orch's authority.
    pub tls: Arc<rustls::ServerConfig>,
    /// Common names of the certificates that are let in: the API servers'.
    pub allowed_names: Vec<String>,
}

impl Config {
    /// An agent for this machine that serves nothing and keeps off the disk.
    pub fn new(
        name: impl Into<String>,
        client: Arc<dyn Client>,
        runtime: Arc<dyn Runtime>,
        machine: Machine,
    ) -> Self {
        Self {
            name: name.into(),
            client,
            runtime,
            clock: Arc::new(SystemClock),
            data_dir: None,
            machine,
            labels: BTreeMap::new(),
            addresses: Vec::new(),
            server: None,
            recorder: None,
            api_server: None,
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
            lease_interval: Duration::from_secs(10),
            parallel_starts: 8,
            parallel_pulls: 4,
        }
    }
}
