//! Roles and bindings as they are stored, and which namespaces have to be looked at again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use orch_api::{Followed, OneOf, Ref, Resource};
use orch_ontology::{
    AsName, ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};
use serde::Deserialize;
use tracing::error;

use super::snapshot::{Grant, Grants, Rules};

type Key = Box<str>;

/// Roles and bindings. The cluster's own are those of the namespace `""`.
#[derive(Clone, Default)]
pub(super) struct Objects {
    places: BTreeMap<Key, Place>,
    changed: Changed,
}

/// What has to be made anew.
#[derive(Clone, Default)]
pub(super) struct Changed {
    /// All namespaces; none of the old ones counts.
    pub(super) all: bool,
    /// The grants of the cluster.
    pub(super) cluster: bool,
    /// The grants of these namespaces.
    pub(super) namespaces: BTreeSet<Key>,
}

#[derive(Clone, Default)]
struct Place {
    roles: BTreeMap<Key, Arc<[PolicyRule]>>,
    bindings: BTreeMap<Key, Binding>,
}

#[derive(Clone)]
struct Binding {
    subjects: Vec<Subject>,
    role: (RoleKind, String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RoleKind {
    Role,
    ClusterRole,
    Unknown,
}

/// As much of a role, a binding, as counts.
#[derive(Deserialize)]
struct Rulebook {
    #[serde(default)]
    rules: Vec<PolicyRule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bound {
    #[serde(default)]
    subjects: Vec<Subject>,
    role_ref: RoleRef<Ref<OneOf<Role, ClusterRole>>>,
}

impl Objects {
    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.changed = Changed { all: true, cluster: true, namespaces: BTreeSet::new() };
    }

    pub(super) fn note(&mut self, followed: &Followed<'_>) {
        let kind = *followed.kind;
        let place = self.places.entry(followed.namespace.into()).or_default();
        if kind == Role::KIND || kind == ClusterRole::KIND {
            match read::<Rulebook>(followed) {
                Some(book) => drop(place.roles.insert(followed.name.into(), book.rules.into())),
                None => drop(place.roles.remove(followed.name)),
            }
        } else if kind == RoleBinding::KIND || kind == ClusterRoleBinding::KIND {
            match read::<Bound>(followed) {
                Some(bound) => drop(place.bindings.insert(followed.name.into(), Binding::of(bound))),
                None => drop(place.bindings.remove(followed.name)),
            }
        }
        if place.roles.is_empty() && place.bindings.is_empty() {
            self.places.remove(followed.namespace);
        }
        match followed.namespace {
            "" => self.changed.cluster = true,
            namespace => drop(self.changed.namespaces.insert(namespace.into())),
        }
        if kind == ClusterRole::KIND {
            self.touch_users_of(followed.name);
        }
    }

    /// The namespaces whose bindings give a ClusterRole.
    fn touch_users_of(&mut self, role: &str) {
        let gives = |binding: &Binding| binding.role.0 == RoleKind::ClusterRole && binding.role.1 == role;
        let users = self.places.iter().filter(|(_, place)| place.bindings.values().any(gives));
        let users: Vec<Key> = users.map(|(name, _)| name.clone()).filter(|name| !name.is_empty()).collect();
        self.changed.namespaces.extend(users);
    }

    /// What has changed since it was last asked.
    pub(super) fn changed(&mut self) -> Option<Changed> {
        let changed = std::mem::take(&mut self.changed);
        (changed.all || changed.cluster || !changed.namespaces.is_empty()).then_some(changed)
    }

    /// What is granted in a namespace, or in the cluster as a whole.
    pub(super) fn grants(&self, namespace: &str) -> Option<Grants> {
        let place = self.places.get(namespace)?;
        let roles = place.roles.iter().map(|(name, rules)| (name.clone(), rules.clone()));
        let mut grants = Grants::among(roles.collect());
        for (name, binding) in &place.bindings {
            let rules = self.rules(namespace, &binding.role);
            for subject in &binding.subjects {
                let reason = binding.reason(namespace, name, subject);
                grants.add(subject, namespace, Grant { rules: rules.clone(), reason: reason.into() });
            }
        }
        Some(grants)
    }

    fn rules(&self, namespace: &str, (kind, name): &(RoleKind, String)) -> Rules {
        let place = match kind {
            RoleKind::Role => self.places.get(namespace),
            RoleKind::ClusterRole => self.places.get(""),
            RoleKind::Unknown => None,
        };
        let found = place.and_then(|place| place.roles.get(name.as_str()));
        found.cloned().ok_or_else(|| missing(*kind == RoleKind::Role, name).into())
    }
}

/// That there is no such role, as Kubernetes' listers say it: in decisions, of which the kind is part of the reason.
fn missing(is_namespaced: bool, name: &str) -> String {
    let kind = if is_namespaced { "role" } else { "clusterrole" };
    format!("{kind}.rbac.authorization.k8s.io {name:?} not found")
}

impl Binding {
    fn of(bound: Bound) -> Self {
        let kind = match bound.role_ref.kind.as_str() {
            "Role" => RoleKind::Role,
            "ClusterRole" => RoleKind::ClusterRole,
            _ => RoleKind::Unknown,
        };
        Self { subjects: bound.subjects, role: (kind, bound.role_ref.name.as_name().to_owned()) }
    }

    fn reason(&self, namespace: &str, name: &str, subject: &Subject) -> String {
        let (kind, role) = &self.role;
        let role_kind = if *kind == RoleKind::Role { "Role" } else { "ClusterRole" };
        let binding = match namespace {
            "" => format!("ClusterRoleBinding {name:?}"),
            namespace => format!("RoleBinding {:?}", format!("{name}/{namespace}")),
        };
        let who = match subject.kind.as_str() {
            "ServiceAccount" => {
                let namespace = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
                format!("{}/{namespace}", subject.name)
            }
            _ => subject.name.clone(),
        };
        format!("RBAC: allowed by {binding} of {role_kind} {role:?} to {} {who:?}", subject.kind)
    }
}

/// The object; none if it is gone, or damaged, which gives nobody anything.
fn read<T: for<'de> Deserialize<'de>>(followed: &Followed<'_>) -> Option<T> {
    let object = followed.object?;
    serde_json::from_slice(object)
        .inspect_err(|error| {
            error!(kind = %followed.kind, namespace = followed.namespace, name = followed.name, %error, "cannot be read and grants nothing");
        })
        .ok()
}
