//! [`Verdict`]: what a decision makes of one node.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::demand::Demand;
use crate::facts::Facts;

/// What a decision makes of one node. Two bytes, so that every decision can keep one for every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// The pod can run there; more is better.
    Fits {
        /// The node's score, in percent of the best conceivable.
        score: u8,
    },
    /// The node takes no new pods.
    Unschedulable,
    /// The pod asks for another node by name.
    OtherName,
    /// The pod doesn't tolerate the node's taint with this number.
    Tainted {
        /// The index among the node's taints.
        taint: u8,
    },
    /// The node lacks labels that the pod asks for.
    LabelsMismatch,
    /// A port of the node that the pod asks for is taken.
    PortsTaken,
    /// Too little of something is left.
    Insufficient {
        /// Of what.
        missing: Missing,
    },
    /// The pod would be spread too unevenly.
    SpreadTooUneven,
    /// The node lacks the label by which the pod is to be spread.
    SpreadLabelMissing,
    /// There is no such node any more.
    Absent,
}

/// A set of resources of which too little is left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Missing(u8);

impl Missing {
    /// Too many pods.
    pub const PODS: Self = Self(1);
    /// Too little CPU.
    pub const CPU: Self = Self(2);
    /// Too little memory.
    pub const MEMORY: Self = Self(4);
    /// Too little storage.
    pub const STORAGE: Self = Self(8);
    const EXTENDED: u8 = 4;

    /// Adds what another set has.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether the sets have something in common.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether nothing is missing.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The resource with a name of its own that comes at this place in the pod's demand. There is room for four; what comes
    /// later shares the last place.
    pub(crate) fn extended(place: usize) -> Self {
        Self(1 << (Self::EXTENDED + u8::try_from(place).unwrap_or(u8::MAX).min(3)))
    }
}

impl Verdict {
    /// Whether the pod can run there.
    pub fn fits(self) -> bool {
        matches!(self, Self::Fits { .. })
    }

    /// The verdict in kube-scheduler's words: several for a node that lacks several resources, none for one that fits.
    pub(crate) fn reasons(self, facts: &Facts, demand: &Demand) -> Vec<String> {
        let one = |reason: &str| vec![reason.to_owned()];
        match self {
            Self::Fits { .. } | Self::Absent => Vec::new(),
            Self::Unschedulable => one("node(s) were unschedulable"),
            Self::OtherName => one("node(s) didn't match the requested node name"),
            Self::Tainted { taint } => {
                let taint = facts.taints.get(usize::from(taint));
                let text = taint.map(|taint| format!("{}: {}", taint.key, taint.value)).unwrap_or_default();
                vec![format!("node(s) had untolerated taint {{{text}}}")]
            }
            Self::LabelsMismatch => one("node(s) didn't match Pod's node affinity/selector"),
            Self::PortsTaken => one("node(s) didn't have free ports for the requested pod ports"),
            Self::Insufficient { missing } => missing.reasons(demand),
            Self::SpreadTooUneven => one("node(s) didn't match pod topology spread constraints"),
            Self::SpreadLabelMissing => {
                one("node(s) didn't match pod topology spread constraints (missing required label)")
            }
        }
    }
}

impl Missing {
    fn reasons(self, demand: &Demand) -> Vec<String> {
        let common = [
            (Self::PODS, "Too many pods"),
            (Self::CPU, "Insufficient cpu"),
            (Self::MEMORY, "Insufficient memory"),
            (Self::STORAGE, "Insufficient ephemeral-storage"),
        ];
        let common =
            common.into_iter().filter(|(bit, _)| self.has(*bit)).map(|(_, reason)| reason.to_owned());
        let extended = demand.extended.iter().enumerate().take(4);
        let extended = extended.filter(|(place, _)| self.has(Self::extended(*place)));
        common.chain(extended.map(|(_, (name, _))| format!("Insufficient {name}"))).collect()
    }
}

/// `0/3 nodes are available: 1 Insufficient cpu, 2 node(s) were unschedulable.`, as kube-scheduler says it.
pub(crate) fn explain<'a>(verdicts: impl Iterator<Item = (&'a Facts, Verdict)>, demand: &Demand) -> String {
    let (mut nodes, mut counts) = (0, BTreeMap::<String, usize>::new());
    for (facts, verdict) in verdicts {
        nodes += 1;
        for reason in verdict.reasons(facts, demand) {
            *counts.entry(reason).or_default() += 1;
        }
    }
    if nodes == 0 {
        return "no nodes available to schedule pods".to_owned();
    }
    let mut reasons: Vec<String> =
        counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    reasons.sort();
    format!("0/{nodes} nodes are available: {}.", reasons.join(", "))
}
