//! What the containers of one pod share.

use std::{collections::BTreeMap, net::IpAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::SandboxId;

/// The pod that something belongs to, as the agent knows it. The runtime only gives it back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodIdentity {
    /// Unique in space and time.
    pub uid: String,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.namespace`.
    pub namespace: String,
}

/// A sandbox to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// See [`SandboxId::of_pod`].
    pub id: SandboxId,
    /// Whose it is.
    pub pod: PodIdentity,
    /// Which try at making the pod's sandbox this is.
    pub attempt: u32,
    /// Given back by `observe`.
    pub labels: BTreeMap<String, String>,
    /// Given back by `observe`: the place for what the agent must find again after a restart.
    pub annotations: BTreeMap<String, String>,
    /// Host name that the containers see; at most 63 characters. Unused with the host's network.
    pub hostname: String,
    /// Own network or the host's.
    pub network: Network,
    /// Content of `/etc/resolv.conf`; `None` is the host's own file.
    pub dns: Option<Dns>,
    /// More lines of `/etc/hosts`: an address and its names.
    pub host_aliases: Vec<(IpAddr, Vec<String>)>,
    /// Ports of the host that lead to the pod's. Unused with the host's network.
    pub port_mappings: Vec<PortMapping>,
    /// Cgroup below which the containers' cgroups are made, like `/orch/pod-uid`; `None` is the runtime's default.
    pub cgroup_parent: Option<String>,
}

/// The network that the containers of a sandbox see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// Its own interfaces and addresses.
    #[default]
    Pod,
    /// The host's interfaces, ports and host name.
    Host,
}

/// What `/etc/resolv.conf` says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// `nameserver` lines.
    pub servers: Vec<IpAddr>,
    /// The `search` line.
    pub searches: Vec<String>,
    /// The `options` line, as in `ndots:5`.
    pub options: Vec<String>,
}

/// A port of the host that leads to one of the pod's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortMapping {
    /// Transport.
    pub protocol: Protocol,
    /// Port inside the sandbox.
    pub container_port: u16,
    /// Port on the host.
    pub host_port: u16,
    /// Only on this address of the host; `None` is all.
    pub host_ip: Option<IpAddr>,
}

/// Transport protocols.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Whether containers can be created in a sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SandboxState {
    /// Its namespaces and addresses are there.
    Ready,
    /// It was never completed or lost its namespaces (a reboot): ensure it again, or remove it.
    NotReady,
}

/// A sandbox as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxStatus {
    /// As in its spec.
    pub id: SandboxId,
    /// As in its spec.
    pub pod: PodIdentity,
    /// As in its spec.
    pub attempt: u32,
    /// As in its spec.
    pub labels: BTreeMap<String, String>,
    /// As in its spec.
    pub annotations: BTreeMap<String, String>,
    /// As in its spec.
    pub network: Network,
    /// Whether it can be used.
    pub state: SandboxState,
    /// Its addresses, the primary one first; none with the host's network.
    pub ips: Vec<IpAddr>,
    /// When it was made. It is another time once it was made anew: what ran in it before ran in other namespaces.
    pub created_at: Timestamp,
}
