//! Who may do what: Kubernetes' role-based access control and its node authorizer, over indexes that follow the objects.
//!
//! [`Authorization`] is the [`Authorizer`] that the API server is handed. It is told every change of roles, bindings and pods
//! before anybody can read it, and answers from what it has made of them: by subject, what they may do; by node, what its
//! pods refer to. [`bootstrap`](bootstrap()) makes the roles that every cluster has.
//!
//! It deliberately does no I/O to decide, caches no decision and knows nothing of how callers prove who they are.
//!
//! # Invariants
//!
//! - Decisions read immutable snapshots and wait for nobody.
//! - Rules only add up: whatever is not allowed by one is refused.
//! - Nobody gives away what they do not have, unless they may `escalate` or `bind`.
//! - A node reaches its own object and lease, the pods that are bound to it, and what those name; nothing else.
//!
//! Start reading at [`Authorization`], then `rbac/snapshot.rs`, `nodes/decide.rs`, `escalation.rs`.
#![deny(missing_docs)]

mod bootstrap;
mod certificates;
mod escalation;
mod nodes;
mod rbac;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod told;
mod wording;

use std::sync::Arc;

use orch_api::{
    Acknowledge, Attributes, Authorizer, Change, Decision, Followed, Kind, MASTERS, Resource, Rights, Status,
    Subject,
};
use orch_ontology::{ClusterRole, ClusterRoleBinding, Pod, Role, RoleBinding};
use serde_json::json;

pub use bootstrap::{bootstrap, default_role_bindings, default_roles, granted};

use nodes::Nodes;
use rbac::Rbac;

/// Decides by the node authorizer first, then by roles, as Kubernetes does with `--authorization-mode=Node,RBAC`.
///
/// Knows of nothing at first: the API server tells it. A decision takes less than a microsecond, among 10,000 bindings and
/// 10,000 pods (`examples/decisions.rs`); a change of a binding costs
/// the bindings of its namespace, a change of a pod the pods of its node.
#[derive(Default)]
pub struct Authorization {
    rbac: Rbac,
    nodes: Nodes,
}

impl Authorization {
    /// An authorizer that knows no roles and no pods yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn note(&self, objects: &mut dyn Iterator<Item = Followed<'_>>) {
        let (mut rbac, mut nodes) = (self.rbac.writer(), self.nodes.writer());
        for object in objects {
            if *object.kind == Pod::KIND { nodes.note(&object) } else { rbac.note(&object) }
        }
        rbac.publish();
    }
}

impl Authorizer for Authorization {
    fn decide(&self, attributes: &Attributes<'_>) -> Decision {
        if attributes.subject.is_in(MASTERS) {
            return Decision::allowed("");
        }
        let by_node = self.nodes.decide(attributes);
        if by_node.as_ref().is_some_and(|decision| decision.allowed) {
            return by_node.unwrap_or_else(|| Decision::denied(""));
        }
        let by_role = self.rbac.snapshot().decide(attributes);
        match by_node {
            Some(no_opinion) if !by_role.allowed => join(&no_opinion, &by_role),
            _ => by_role,
        }
    }

    fn rights(&self, subject: Subject<'_>, namespace: &str) -> Rights {
        if subject.is_in(MASTERS) {
            return everything();
        }
        let rights = self.rbac.snapshot().rights(subject, namespace);
        match nodes::node_of(subject) {
            None => rights,
            Some(_) => Rights {
                incomplete: true,
                evaluation_error: "node authorizer does not support user rule resolution".into(),
                ..rights
            },
        }
    }

    fn admit(&self, change: &Change<'_>) -> Result<(), Status> {
        certificates::restrict(change)?;
        if change.subject.is_in(MASTERS) {
            return Ok(());
        }
        self.nodes.admit(change)?;
        certificates::admit(self, change)?;
        escalation::admit(self, &self.rbac.snapshot(), change)
    }

    fn follows(&self) -> Vec<(Kind, Acknowledge)> {
        let roles = [Role::KIND, ClusterRole::KIND, RoleBinding::KIND, ClusterRoleBinding::KIND];
        let roles = roles.into_iter().map(|kind| (kind, Acknowledge::Known));
        roles.chain([(Pod::KIND, Acknowledge::Stored)]).collect()
    }

    fn replace(&self, objects: &mut dyn Iterator<Item = Followed<'_>>) {
        self.rbac.writer().clear();
        self.nodes.writer().clear();
        self.note(objects);
    }

    fn take(&self, changes: &mut dyn Iterator<Item = Followed<'_>>) {
        self.note(changes);
    }

    fn fork(&self) -> Arc<dyn Authorizer> {
        Arc::new(Self { rbac: self.rbac.fork(), nodes: self.nodes.fork() })
    }
}

/// Both refused: each with its reason, if it has one.
fn join(first: &Decision, second: &Decision) -> Decision {
    let reasons: Vec<&str> =
        [&*first.reason, &*second.reason].into_iter().filter(|reason| !reason.is_empty()).collect();
    Decision::denied(reasons.join("\n"))
}

fn everything() -> Rights {
    Rights {
        resource_rules: vec![json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})],
        non_resource_rules: vec![json!({"verbs": ["*"], "nonResourceURLs": ["*"]})],
        ..Rights::default()
    }
}
