//! [`Facts`]: what a decision needs to know of a node, apart from the pods on it.

use std::collections::BTreeMap;

use orch_ontology::{Node, Taint, TaintEffect, Toleration, labels};

use crate::demand::{Amount, Amounts, amounts_of, is_extended};

/// What a decision needs to know of a node, apart from the pods on it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Facts {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// With those that stand for conditions not yet written as taints.
    pub(crate) taints: Vec<Taint>,
    pub(crate) unschedulable: bool,
    pub(crate) allocatable: Amounts,
    pub(crate) extended: BTreeMap<String, Amount>,
    /// Differs from node to node, the same everywhere and always: breaks ties.
    pub(crate) salt: u64,
}

impl Facts {
    pub(crate) fn of(node: &Node) -> Self {
        let given = amounts_of(node.allocatable());
        let amount = |name: &str| given.get(name).copied().unwrap_or_default();
        let allocatable = Amounts {
            cpu_milli: amount("cpu"),
            memory_bytes: amount("memory"),
            storage_bytes: amount("ephemeral-storage"),
            pods: amount("pods"),
        };
        Self {
            name: node.metadata.name.clone(),
            labels: node.metadata.labels.clone(),
            taints: effective_taints(node),
            unschedulable: node.spec.unschedulable,
            allocatable,
            extended: given.into_iter().filter(|(name, _)| is_extended(name)).collect(),
            salt: hash(node.metadata.name.as_bytes()),
        }
    }
}

/// A node that is not ready is as good as tainted: the taint itself is written a moment later by the node lifecycle
/// controller, and nothing should be placed there in between.
fn effective_taints(node: &Node) -> Vec<Taint> {
    let mut taints: Vec<Taint> =
        node.spec.taints.iter().cloned().map(|t| Taint { time_added: None, ..t }).collect();
    let says_so =
        taints.iter().any(|t| [labels::TAINT_NOT_READY, labels::TAINT_UNREACHABLE].contains(&t.key.as_str()));
    if !node.is_ready() && !says_so {
        let (key, effect) = (labels::TAINT_NOT_READY.to_owned(), TaintEffect::NoSchedule);
        taints.push(Taint { key, effect, ..Taint::default() });
    }
    taints
}

/// Whether some toleration tolerates the taint.
pub(crate) fn tolerated(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| toleration.tolerates(taint))
}

/// FNV-1a, then mixed: stable across processes and versions, unlike the standard library's hashers.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fnv))
}

/// The finalizer of SplitMix64.
pub(crate) fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
