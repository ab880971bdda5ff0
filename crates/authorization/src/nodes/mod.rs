//! What nodes may do: only what concerns themselves and the pods that are bound to them.
//!
//! `pods.rs` knows which pods are bound to which node and what they refer to; `decide.rs` says what may be asked for, and
//! `restriction.rs` what may be changed.

mod decide;
mod pods;
mod restriction;

use orch_api::{Attributes, Change, Decision, Status, Subject};

pub(crate) use pods::Nodes;

/// The group of all nodes.
const NODES: &str = "system:nodes";
/// What the names of nodes' users begin with.
const USER_PREFIX: &str = "system:node:";
/// Where nodes keep their leases.
const LEASES: &str = "kube-node-lease";

/// The node that somebody is; empty for a member of the group of nodes whose name is not a node's; none for all others.
pub(crate) fn node_of<'a>(subject: Subject<'a>) -> Option<&'a str> {
    subject.is_in(NODES).then(|| subject.user.strip_prefix(USER_PREFIX).unwrap_or_default())
}

impl Nodes {
    /// Whether a node may do something. None if it is not a node that asks; a refusal leaves it to the roles.
    pub(crate) fn decide(&self, attributes: &Attributes<'_>) -> Option<Decision> {
        let node = node_of(attributes.subject)?;
        Some(match node {
            "" => Decision::denied(format!("unknown node for user {:?}", attributes.subject.user)),
            node => match decide::decide(self, node, attributes) {
                Ok(()) => Decision::allowed(""),
                Err(reason) => Decision::denied(reason),
            },
        })
    }

    /// Whether a node may make a change, whatever its roles say.
    pub(crate) fn admit(&self, change: &Change<'_>) -> Result<(), Status> {
        match node_of(change.subject) {
            Some(node) => restriction::admit(self, node, change),
            None => Ok(()),
        }
    }
}
