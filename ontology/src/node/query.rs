//! Questions about a node that several components ask.

use orch_api::Conditions;

use std::net::IpAddr;

use super::{Node, NodeAddressType};
use crate::ResourceList;

impl Node {
    /// The condition that the node's agent is at work.
    pub const READY: &'static str = "Ready";

    /// Whether the node's agent says that it is at work.
    pub fn is_ready(&self) -> bool {
        self.status.conditions.is_true(Self::READY)
    }

    /// What pods may use: the allocatable resources, or all there are if those are not given.
    pub fn allocatable(&self) -> &ResourceList {
        if self.status.allocatable.is_empty() { &self.status.capacity } else { &self.status.allocatable }
    }

    /// The first address of a sort.
    pub fn address(&self, address_type: NodeAddressType) -> Option<&str> {
        let mut addresses = self.status.addresses.iter();
        addresses.find(|address| address.address_type == address_type).map(|address| address.address.as_str())
    }

    /// `host:port` of the agent's HTTPS server, which serves logs and exec; none if it has no port or no address.
    pub fn agent_address(&self) -> Option<String> {
        let port = Some(self.status.daemon_endpoints.kubelet_endpoint.port).filter(|port| *port > 0)?;
        let host =
            self.address(NodeAddressType::InternalIp).or_else(|| self.address(NodeAddressType::Hostname))?;
        match host.parse() {
            Ok(IpAddr::V6(address)) => Some(format!("[{address}]:{port}")),
            _ => Some(format!("{host}:{port}")),
        }
    }
}
