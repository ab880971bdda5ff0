//! Roles and who has them: `rbac.authorization.k8s.io/v1`.
//!
//! [`Role`] and [`ClusterRole`] say what may be done; [`RoleBinding`] and [`ClusterRoleBinding`] say who may do it.

mod binding;
mod role;
mod rule;

pub use binding::{AsName, ClusterRoleBinding, RoleBinding, RoleRef, Subject};
pub use role::{AggregationRule, ClusterRole, Role};
pub use rule::PolicyRule;

/// The group of roles, of their bindings, and of the users and groups that are bound.
pub const RBAC_GROUP: &str = "rbac.authorization.k8s.io";
