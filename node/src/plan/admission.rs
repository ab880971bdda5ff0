//! Whether the node can take a pod: the scheduler's checks again, for pods that passed it by or came at the same time.

use std::collections::BTreeMap;

use orch_ontology::{Pod, PodSpec, Protocol, ResourceList};

use crate::spec::all_containers;

/// Why the node does not take a pod, in kubelet's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl Rejection {
    /// Whether other labels of the node could have made a difference.
    pub(crate) fn is_about_labels(&self) -> bool {
        self.reason == NODE_AFFINITY
    }
}

const NODE_AFFINITY: &str = "NodeAffinity";

/// What the node offers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Offer {
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) allocatable: ResourceList,
}

/// Checks a pod against the node and the pods that it has taken already.
pub(crate) fn admit<'a>(
    pod: &Pod,
    taken: impl Iterator<Item = &'a Pod> + Clone,
    offer: &Offer,
) -> Result<(), Rejection> {
    check_selector(&pod.spec, offer)?;
    check_ports(&pod.spec, taken.clone())?;
    check_resources(&pod.spec, taken, offer)
}

fn check_selector(spec: &PodSpec, offer: &Offer) -> Result<(), Rejection> {
    if spec.node_selector.iter().all(|(key, value)| offer.labels.get(key) == Some(value)) {
        return Ok(());
    }
    Err(predicate(NODE_AFFINITY, "node(s) didn't match Pod's node affinity/selector"))
}

fn check_ports<'a>(spec: &PodSpec, taken: impl Iterator<Item = &'a Pod>) -> Result<(), Rejection> {
    let used: Vec<_> = taken.flat_map(|pod| host_ports(&pod.spec)).collect();
    if host_ports(spec).any(|port| used.iter().any(|other| collide(port, *other))) {
        return Err(predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports"));
    }
    Ok(())
}

type HostPort<'a> = (Protocol, i32, &'a str);

fn host_ports(spec: &PodSpec) -> impl Iterator<Item = HostPort<'_>> {
    let ports = spec.containers.iter().flat_map(|container| &container.ports);
    ports.filter_map(move |port| {
        let on_host = port.host_port.or(spec.host_network.then_some(port.container_port))?;
        (on_host > 0).then_some((port.protocol, on_host, port.host_ip.as_str()))
    })
}

fn collide((protocol, port, ip): HostPort<'_>, (other_protocol, other_port, other_ip): HostPort<'_>) -> bool {
    let is_any = |ip: &str| ip.is_empty() || ip == "0.0.0.0" || ip == "::";
    (protocol, port) == (other_protocol, other_port) && (ip == other_ip || is_any(ip) || is_any(other_ip))
}

fn check_resources<'a>(
    spec: &PodSpec,
    taken: impl Iterator<Item = &'a Pod>,
    offer: &Offer,
) -> Result<(), Rejection> {
    let mut used = BTreeMap::from([("pods", 0_i128)]);
    for pod in taken {
        requests(&pod.spec).into_iter().for_each(|(name, amount)| *used.entry(name).or_default() += amount);
    }
    for (name, requested) in requests(spec) {
        let Some(capacity) = offer.allocatable.get(name).map(|quantity| amount(name, *quantity)) else {
            continue;
        };
        let used = used.get(name).copied().unwrap_or(0);
        if requested > 0 && used + requested > capacity {
            let message = format!(
                "Pod was rejected: Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}"
            );
            return Err(Rejection { reason: format!("OutOf{name}"), message });
        }
    }
    Ok(())
}

/// What a pod takes: all its containers together, or its most demanding init container. So wide that nothing is too much to be
/// added up.
fn requests(spec: &PodSpec) -> BTreeMap<&'static str, i128> {
    let request = |container: &orch_ontology::Container, name| {
        let (requests, limits) = (&container.resources.requests, &container.resources.limits);
        requests.get(name).or(limits.get(name)).map_or(0, |quantity| amount(name, *quantity))
    };
    let mut all = BTreeMap::from([("pods", 1)]);
    for name in ["cpu", "memory", "ephemeral-storage"] {
        let together = spec.containers.iter().map(|container| request(container, name)).sum();
        let most = all_containers(spec).map(|container| request(container, name)).max().unwrap_or(0);
        all.insert(name, most.max(together));
    }
    all
}

/// CPU counts in thousandths, all else in whole units.
fn amount(name: &str, quantity: orch_api::Quantity) -> i128 {
    if name == "cpu" { quantity.milli().into() } else { quantity.value().into() }
}

fn predicate(name: &str, why: &str) -> Rejection {
    Rejection {
        reason: name.to_owned(),
        message: format!("Pod was rejected: Predicate {name} failed: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::pod;

    fn asking(resources: serde_json::Value, ports: serde_json::Value) -> Pod {
        let mut pod = pod("new");
        pod.spec.containers[0].resources = serde_json::from_value(resources).unwrap();
        pod.spec.containers[0].ports = serde_json::from_value(ports).unwrap();
        pod
    }

    #[test]
    fn a_pod_is_taken_only_where_it_fits() {
        let allocatable = serde_json::from_value(json!({"cpu": "2", "memory": "1Gi", "pods": "2"})).unwrap();
        let offer = Offer { labels: [("disk".to_owned(), "ssd".to_owned())].into(), allocatable };
        let taken =
            asking(json!({"requests": {"cpu": "1500m"}}), json!([{"containerPort": 80, "hostPort": 80}]));
        let cases = [
            (json!({"requests": {"cpu": "500m", "memory": "1Gi"}}), json!([]), None),
            (json!({"limits": {"cpu": "501m"}}), json!([]), Some("OutOfcpu")),
            (json!({"requests": {"memory": "2Gi"}}), json!([]), Some("OutOfmemory")),
            (
                json!({}),
                json!([{"containerPort": 8080, "hostPort": 80, "hostIP": "127.0.0.1"}]),
                Some("NodePorts"),
            ),
            (json!({}), json!([{"containerPort": 80, "hostPort": 80, "protocol": "UDP"}]), None),
        ];
        for (resources, ports, reason) in cases {
            let verdict = admit(&asking(resources.clone(), ports), std::iter::once(&taken), &offer);
            assert_eq!(verdict.err().map(|rejection| rejection.reason).as_deref(), reason, "{resources}");
        }
        let two = [taken.clone(), asking(json!({}), json!([]))];
        let verdict = admit(&asking(json!({}), json!([])), two.iter(), &offer).unwrap_err();
        assert_eq!(
            verdict.message,
            "Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: 2, capacity: 2"
        );
        let most = i64::MAX.to_string();
        let greedy = asking(json!({"requests": {"memory": most}}), json!([]));
        for taken in [vec![greedy.clone()], vec![greedy.clone(), greedy.clone()]] {
            let offer = Offer {
                allocatable: serde_json::from_value(json!({"memory": "1Gi"})).unwrap(),
                ..Offer::default()
            };
            let rejection = admit(&greedy, taken.iter(), &offer).unwrap_err();
            assert_eq!(rejection.reason, "OutOfmemory");
        }
        let mut picky = asking(json!({}), json!([]));
        picky.spec.node_selector.insert("disk".into(), "hdd".into());
        assert_eq!(admit(&picky, std::iter::empty(), &offer).unwrap_err().reason, "NodeAffinity");
    }
}
