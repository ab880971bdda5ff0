//! From a pod to its sandbox.

use std::collections::BTreeMap;

use orch_ontology::{ContainerPort, DnsPolicy, Pod, Protocol};
use orch_runtime::{Dns, Network, PodIdentity, PortMapping, SandboxId, SandboxSpec};

use super::{facts::NodeFacts, label};

/// Host names are at most this long.
const LONGEST_HOSTNAME_BYTES: usize = 63;

/// The sandbox of a pod.
pub(crate) fn sandbox_spec(pod: &Pod, facts: &NodeFacts, attempt: u32) -> SandboxSpec {
    let metadata = &pod.metadata;
    let identity = PodIdentity {
        uid: metadata.uid.clone(),
        name: metadata.name.clone(),
        namespace: metadata.namespace().to_owned(),
    };
    let grace = grace_seconds(pod).to_string();
    SandboxSpec {
        id: SandboxId::of_pod(&metadata.uid, attempt),
        pod: identity,
        attempt,
        labels: label::of_pod(metadata),
        annotations: BTreeMap::from([(label::GRACE_SECONDS.to_owned(), grace)]),
        hostname: hostname(pod),
        network: if pod.spec.host_network { Network::Host } else { Network::Pod },
        dns: dns(pod, facts),
        host_aliases: Vec::new(),
        port_mappings: pod.spec.containers.iter().flat_map(|c| &c.ports).filter_map(port_mapping).collect(),
        cgroup_parent: None,
    }
}

/// Seconds that the pod's containers have between being asked to stop and being killed.
pub(crate) fn grace_seconds(pod: &Pod) -> u64 {
    let asked = pod.metadata.deletion_grace_period_seconds.or(pod.spec.termination_grace_period_seconds);
    asked.map_or(30, |seconds| u64::try_from(seconds).unwrap_or(0))
}

fn hostname(pod: &Pod) -> String {
    let name = if pod.spec.hostname.is_empty() { &pod.metadata.name } else { &pod.spec.hostname };
    let cut = name.get(..LONGEST_HOSTNAME_BYTES).unwrap_or(name);
    cut.trim_end_matches(['-', '.']).to_owned()
}

/// `None` is as on the node.
fn dns(pod: &Pod, facts: &NodeFacts) -> Option<Dns> {
    let by_cluster = match pod.spec.dns_policy {
        DnsPolicy::Default => false,
        DnsPolicy::ClusterFirst => !pod.spec.host_network,
        DnsPolicy::ClusterFirstWithHostNet => true,
    };
    if !by_cluster || facts.cluster_dns.is_empty() {
        return None;
    }
    let (namespace, domain) = (pod.metadata.namespace(), &facts.cluster_domain);
    Some(Dns {
        servers: facts.cluster_dns.clone(),
        searches: vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()],
        options: vec!["ndots:5".to_owned()],
    })
}

fn port_mapping(port: &ContainerPort) -> Option<PortMapping> {
    Some(PortMapping {
        protocol: match port.protocol {
            Protocol::Tcp => orch_runtime::Protocol::Tcp,
            Protocol::Udp => orch_runtime::Protocol::Udp,
            Protocol::Sctp => orch_runtime::Protocol::Sctp,
        },
        container_port: u16::try_from(port.container_port).ok()?,
        host_port: u16::try_from(port.host_port?).ok().filter(|port| *port > 0)?,
        host_ip: port.host_ip.parse().ok(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{facts, pod};

    #[test]
    fn host_names_are_cut_where_they_may_end() {
        let mut pod = pod(&format!("{}-tail", "x".repeat(62)));
        assert_eq!(hostname(&pod), "x".repeat(62));
        pod.spec.hostname = "own".into();
        assert_eq!(hostname(&pod), "own");
    }

    #[test]
    fn pods_ask_the_clusters_name_server_unless_told_otherwise() {
        let (mut pod, mut facts) = (pod("web"), facts());
        assert_eq!(dns(&pod, &facts), None);
        facts.cluster_dns = vec!["10.96.0.10".parse().unwrap()];
        let searches = dns(&pod, &facts).unwrap().searches;
        assert_eq!(searches, ["default.svc.cluster.local", "svc.cluster.local", "cluster.local"]);
        pod.spec.host_network = true;
        assert_eq!(dns(&pod, &facts), None);
        pod.spec.dns_policy = DnsPolicy::ClusterFirstWithHostNet;
        assert!(dns(&pod, &facts).is_some());
    }

    #[test]
    fn only_ports_with_a_host_port_are_mapped() {
        let mut pod = pod("web");
        pod.spec.containers[0].ports = serde_json::from_value(json!([
            {"containerPort": 80}, {"containerPort": 53, "hostPort": 5353, "protocol": "UDP", "hostIP": "127.0.0.1"},
        ]))
        .unwrap();
        let mapped = sandbox_spec(&pod, &facts(), 0).port_mappings;
        assert_eq!(mapped.len(), 1);
        assert_eq!((mapped[0].host_port, mapped[0].container_port), (5353, 53));
        assert_eq!(mapped[0].host_ip, "127.0.0.1".parse().ok());
    }
}
