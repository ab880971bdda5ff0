//! Where pods on this machine reach the API.
//!
//! An API that listens on loopback cannot be reached from a pod's own network. It then listens on the pods' gateway too, which
//! only they and this machine can reach. The address belongs to the bridge that the first pod makes: it can be listened on
//! before it is there.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket};

use super::config::{Config, RuntimeKind};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1_024;

/// The address at which pods reach an API that listens here, and whether it must be listened on besides. None without pods
/// that have a network.
pub(crate) fn address(config: &Config, listening: SocketAddr) -> Option<(SocketAddr, bool)> {
    if config.runtime.kind != RuntimeKind::Containerd {
        return None;
    }
    if !listening.ip().is_loopback() {
        return Some((listening, false));
    }
    let gateway = gateway(&config.node.pod_cidr)?;
    Some((SocketAddr::new(IpAddr::V4(gateway), listening.port()), true))
}

/// The first address of the pods' range: CNI's bridge takes it.
fn gateway(pod_cidr: &str) -> Option<Ipv4Addr> {
    let (network, bits) = pod_cidr.split_once('/')?;
    let (network, bits): (Ipv4Addr, u32) = (network.parse().ok()?, bits.parse().ok()?);
    let mask = u32::MAX.checked_shl(32_u32.checked_sub(bits)?).unwrap_or(0);
    Some(Ipv4Addr::from((u32::from(network) & mask) + 1))
}

/// Listens on an address that may not be this machine's yet.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener> {
    let listen = || -> std::io::Result<TcpListener> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        setsockopt(&socket, sockopt::IpFreebind, &true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().with_context(|| format!("cannot listen on {address} for pods"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_is_the_first_address_of_the_range() {
        for (cidr, expected) in [
            ("10.85.0.0/24", Some([10, 85, 0, 1])),
            ("10.85.3.77/16", Some([10, 85, 0, 1])),
            ("10.0.0.0/8", Some([10, 0, 0, 1])),
            ("10.0.0.0/40", None),
            ("fd00::/64", None),
            ("x", None),
        ] {
            assert_eq!(gateway(cidr), expected.map(Ipv4Addr::from), "{cidr}");
        }
    }

    #[tokio::test]
    async fn an_address_is_listened_on_before_it_is_there() {
        let listener = listen("203.0.113.1:0".parse().unwrap()).unwrap();
        assert_eq!(listener.local_addr().unwrap().ip().to_string(), "203.0.113.1");
    }
}
