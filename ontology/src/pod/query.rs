//! Questions about a pod that several components ask.

use orch_api::{Conditions, FieldPath, Quantity};

use super::{
    Container, ContainerStatus, Pod, PodPhase, PodSpec, QosClass, ResourceList, Toleration,
    TolerationOperator,
};
use crate::{Taint, TaintEffect, labels};

impl Pod {
    /// The condition that all containers are ready.
    pub const READY: &'static str = "Ready";
    /// The condition that a node has been found.
    pub const SCHEDULED: &'static str = "PodScheduled";
    /// The condition that all init containers have succeeded.
    pub const INITIALIZED: &'static str = "Initialized";
    /// The condition that all containers are ready, readiness gates aside.
    pub const CONTAINERS_READY: &'static str = "ContainersReady";

    /// The phase; a pod without a status is pending.
    pub fn phase(&self) -> PodPhase {
        self.status.phase.unwrap_or_default()
    }

    /// Whether all containers have ended for good.
    pub fn is_terminal(&self) -> bool {
        matches!(self.phase(), PodPhase::Succeeded | PodPhase::Failed)
    }

    /// Whether all containers are ready.
    pub fn is_ready(&self) -> bool {
        self.status.conditions.is_true(Self::READY)
    }

    /// Whether deletion has been asked for.
    pub fn is_terminating(&self) -> bool {
        self.metadata.is_terminating()
    }

    /// Whether the pod has a node.
    pub fn is_scheduled(&self) -> bool {
        !self.spec.node_name.is_empty()
    }

    /// The node that the pod runs on, if it has one.
    pub fn node_name(&self) -> Option<&str> {
        Some(self.spec.node_name.as_str()).filter(|name| !name.is_empty())
    }

    /// The Workload that made the pod, by its label.
    pub fn workload(&self) -> Option<&str> {
        self.metadata.labels.get(labels::WORKLOAD).map(String::as_str)
    }

    /// The status of a container or init container.
    pub fn container_status(&self, name: &str) -> Option<&ContainerStatus> {
        let statuses = self.status.container_statuses.iter().chain(&self.status.init_container_statuses);
        statuses.into_iter().find(|status| status.name == name)
    }

    /// Seconds that the containers have to end.
    pub fn grace_seconds(&self) -> i64 {
        let asked = self.metadata.deletion_grace_period_seconds;
        asked.or(self.spec.termination_grace_period_seconds).unwrap_or(30).max(0)
    }

    /// What the pod needs of a node: the sum over its containers, or what its greediest init container needs if that is
    /// more. Does not count the pod itself.
    pub fn requests(&self) -> ResourceList {
        self.spec.requests()
    }

    /// How the pod fares when the node runs out of resources.
    pub fn qos_class(&self) -> QosClass {
        let containers = || self.spec.all_containers().map(|(_, container)| container);
        let requests = sum(containers().map(|c| guaranteed_resources(&c.resources.requests)));
        let limits = sum(containers().map(|c| guaranteed_resources(&c.resources.limits)));
        let all_limited = containers().all(|c| guaranteed_resources(&c.resources.limits).len() == 2);
        if requests.is_empty() && limits.is_empty() {
            QosClass::BestEffort
        } else if all_limited && requests == limits {
            QosClass::Guaranteed
        } else {
            QosClass::Burstable
        }
    }
}

impl PodSpec {
    /// See [`Pod::requests`].
    pub fn requests(&self) -> ResourceList {
        let mut total = sum(self.containers.iter().map(|c| c.resources.requests.clone()));
        for container in &self.init_containers {
            for (resource, amount) in &container.resources.requests {
                let needed = total.entry(resource.clone()).or_default();
                *needed = (*needed).max(*amount);
            }
        }
        total
    }

    /// All containers with the name of their field: init containers first.
    pub fn all_containers(&self) -> impl Iterator<Item = (FieldPath, &Container)> {
        let init = self
            .init_containers
            .iter()
            .enumerate()
            .map(|(i, c)| (FieldPath::new("initContainers").index(i), c));
        let main =
            self.containers.iter().enumerate().map(|(i, c)| (FieldPath::new("containers").index(i), c));
        init.chain(main)
    }

    /// The node's ports that the pod takes: protocol, address and number.
    pub fn host_ports(&self) -> impl Iterator<Item = (super::Protocol, &str, i32)> {
        let ports = self.containers.iter().flat_map(|container| &container.ports);
        ports.filter_map(|port| {
            Some((port.protocol, port.host_ip.as_str(), port.host_port.filter(|p| *p > 0)?))
        })
    }

    /// The first of the taints that none of the pod's tolerations covers, among those that keep pods away for good.
    pub fn untolerated<'a>(&self, taints: &'a [Taint]) -> Option<&'a Taint> {
        let keeps_away = |taint: &&Taint| taint.effect != TaintEffect::PreferNoSchedule;
        taints.iter().filter(keeps_away).find(|taint| !self.tolerations.iter().any(|t| t.tolerates(taint)))
    }
}

impl Toleration {
    /// Whether the toleration covers the taint.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        let same_key = self.key.is_empty() || self.key == taint.key;
        let same_effect = self.effect.is_none_or(|effect| effect == taint.effect);
        same_key
            && same_effect
            && match self.operator.unwrap_or_default() {
                TolerationOperator::Exists => true,
                TolerationOperator::Equal => !self.key.is_empty() && self.value == taint.value,
            }
    }
}

/// What a quality of service is about: some CPU and some memory.
fn guaranteed_resources(amounts: &ResourceList) -> ResourceList {
    let counts = |(resource, amount): &(&String, &Quantity)| {
        matches!(resource.as_str(), "cpu" | "memory") && !amount.is_zero()
    };
    amounts.iter().filter(counts).map(|(resource, amount)| (resource.clone(), *amount)).collect()
}

/// Adds up amounts by resource. A sum that does not fit stays at the greatest amount there is.
fn sum(lists: impl Iterator<Item = ResourceList>) -> ResourceList {
    let mut total = ResourceList::new();
    for (resource, amount) in lists.flatten() {
        let sum = total.entry(resource).or_default();
        *sum = sum.checked_add(amount).unwrap_or(Quantity::new(i64::MAX, amount.notation()));
    }
    total
}
