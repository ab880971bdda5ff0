//! [`Demand`]: what a pod asks of a node, as numbers.

use std::collections::BTreeMap;

use orch_ontology::{Pod, Protocol, ResourceList};

/// How much of something. Wide enough for whatever pods may ask for together, so that what is added comes off again.
pub(crate) type Amount = i128;

/// Amounts of the resources that every node has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Amounts {
    pub(crate) cpu_milli: Amount,
    pub(crate) memory_bytes: Amount,
    pub(crate) storage_bytes: Amount,
    pub(crate) pods: Amount,
}

/// A port of the node itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostPort {
    protocol: Protocol,
    /// Empty: all addresses.
    ip: String,
    port: i32,
}

/// What a pod asks of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Demand {
    pub(crate) amounts: Amounts,
    /// Resources with a name of their own, in order of names. Those of which nothing is asked are left out.
    pub(crate) extended: Vec<(String, Amount)>,
    pub(crate) ports: Vec<HostPort>,
    /// CPU and memory for scoring, where a pod that asks for nothing still counts as a little one.
    pub(crate) weight: Weight,
}

/// CPU and memory as they count for scoring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) cpu_milli: Amount,
    pub(crate) memory_bytes: Amount,
}

/// What a pod that asks for nothing counts for, as in kube-scheduler.
const LEAST: Weight = Weight { cpu_milli: 100, memory_bytes: 200 * 1024 * 1024 };

impl Demand {
    pub(crate) fn of(pod: &Pod) -> Self {
        let requests = amounts_of(&pod.requests());
        let amount = |name: &str| requests.get(name).copied().unwrap_or_default();
        let amounts = Amounts {
            cpu_milli: amount("cpu"),
            memory_bytes: amount("memory"),
            storage_bytes: amount("ephemeral-storage"),
            pods: 1,
        };
        let weight = Weight {
            cpu_milli: if amounts.cpu_milli == 0 { LEAST.cpu_milli } else { amounts.cpu_milli },
            memory_bytes: if amounts.memory_bytes == 0 { LEAST.memory_bytes } else { amounts.memory_bytes },
        };
        let extended =
            requests.into_iter().filter(|(name, amount)| is_extended(name) && *amount > 0).collect();
        let ports = pod.spec.host_ports();
        let ports =
            ports.map(|(protocol, ip, port)| HostPort { protocol, ip: ip.to_owned(), port }).collect();
        Self { amounts, extended, ports, weight }
    }
}

/// Amounts by resource; CPU in thousandths, everything else whole.
pub(crate) fn amounts_of(list: &ResourceList) -> BTreeMap<String, Amount> {
    let amount = |name: &str, quantity: &orch_api::Quantity| match name {
        "cpu" => quantity.milli(),
        _ => quantity.value(),
    };
    list.iter().map(|(name, quantity)| (name.clone(), amount(name, quantity).into())).collect()
}

pub(crate) fn is_extended(name: &str) -> bool {
    !matches!(name, "cpu" | "memory" | "ephemeral-storage" | "pods")
}

impl Amounts {
    pub(crate) fn add(&mut self, other: &Self, sign: Amount) {
        self.cpu_milli += sign * other.cpu_milli;
        self.memory_bytes += sign * other.memory_bytes;
        self.storage_bytes += sign * other.storage_bytes;
        self.pods += sign * other.pods;
    }
}

impl Weight {
    pub(crate) fn add(&mut self, other: &Self, sign: Amount) {
        self.cpu_milli += sign * other.cpu_milli;
        self.memory_bytes += sign * other.memory_bytes;
    }
}

impl HostPort {
    /// Whether both cannot be had at once.
    pub(crate) fn collides(&self, other: &Self) -> bool {
        let same_address = self.ip == other.ip || self.is_wildcard() || other.is_wildcard();
        self.port == other.port && self.protocol == other.protocol && same_address
    }

    fn is_wildcard(&self) -> bool {
        matches!(self.ip.as_str(), "" | "0.0.0.0")
    }
}
