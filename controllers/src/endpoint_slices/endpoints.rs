//! From pods to endpoints. Pure.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use orch_ontology::{
    Endpoint, EndpointConditions, EndpointPort, IntOrString, ObjectReference, Pod, Service, ServicePort,
};

use super::World;

/// Endpoints that have the same ports, by the uid of the pod behind each.
pub(super) type Endpoints = BTreeMap<String, Endpoint>;

/// What the slices should say: pods whose containers have the named ports at other numbers come apart from the rest.
pub(super) fn wanted(world: &World) -> BTreeMap<Vec<EndpointPort>, Endpoints> {
    let mut groups: BTreeMap<Vec<EndpointPort>, Endpoints> = BTreeMap::new();
    for pod in &world.pods {
        if let Some(endpoint) = endpoint(world, pod) {
            let group = groups.entry(ports(&world.service, pod)).or_default();
            group.insert(pod.metadata.uid.clone(), endpoint);
        }
    }
    groups
}

/// None of a pod that has no address, or has ended. One that is on its way out may still answer.
fn endpoint(world: &World, pod: &Pod) -> Option<Endpoint> {
    if pod.is_terminal() {
        return None;
    }
    let addresses = pod.status.pod_ips.iter().map(|ip| &ip.ip).chain([&pod.status.pod_ip]);
    let address = addresses.into_iter().find(|address| address.parse::<Ipv4Addr>().is_ok())?;
    let (serving, terminating) = (pod.is_ready(), pod.is_terminating());
    let ready = world.service.spec.publish_not_ready_addresses || (serving && !terminating);
    let conditions =
        EndpointConditions { ready: Some(ready), serving: Some(serving), terminating: Some(terminating) };
    let target = ObjectReference {
        kind: "Pod".to_owned(),
        namespace: pod.metadata.namespace().to_owned(),
        name: pod.metadata.name.clone(),
        uid: pod.metadata.uid.clone(),
        ..ObjectReference::default()
    };
    Some(Endpoint {
        addresses: vec![address.clone()],
        conditions,
        hostname: None,
        target_ref: Some(target),
        node_name: pod.node_name().map(str::to_owned),
        zone: pod.node_name().and_then(|node| world.zones.get(node)).cloned(),
    })
}

/// The service's ports at a pod. A port whose name no container has is left out.
fn ports(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let at_pod = |port: &ServicePort| {
        Some(EndpointPort {
            name: Some(port.name.clone()),
            protocol: Some(port.protocol),
            port: Some(number(port, pod)?),
            app_protocol: port.app_protocol.clone(),
        })
    };
    let mut ports: Vec<_> = service.spec.ports.iter().filter_map(at_pod).collect();
    ports.sort();
    ports
}

fn number(port: &ServicePort, pod: &Pod) -> Option<i32> {
    let name = match &port.target_port {
        None => return Some(port.port),
        Some(IntOrString::Int(number)) => return Some(*number),
        Some(IntOrString::String(name)) => name,
    };
    let mut ports = pod.spec.containers.iter().flat_map(|container| &container.ports);
    let found = ports.find(|found| found.name == *name && found.protocol == port.protocol)?;
    Some(found.container_port)
}
