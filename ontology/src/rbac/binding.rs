//! [`RoleBinding`] and [`ClusterRoleBinding`]: who has a role.

use orch_api::{
    ApiVersion, Column, FieldError, FieldPath, Kind, KindName, Metadata, OneOf, Ref, Resource, names,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ClusterRole, RBAC_GROUP, Role};
use crate::syntax::invalid_each;

/// Who has a role in one namespace: a Role of that namespace, or a ClusterRole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleBinding {
    /// Always `rbac.authorization.k8s.io/v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `RoleBinding`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// Who has the role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Subject>,
    /// The role. Cannot be changed: what a binding gives must be seen when it is made.
    #[serde(default)]
    pub role_ref: RoleRef<Ref<OneOf<Role, ClusterRole>>>,
}

/// Who has a ClusterRole in the whole cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterRoleBinding {
    /// Always `rbac.authorization.k8s.io/v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `ClusterRoleBinding`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// Who has the role.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<Subject>,
    /// The role. Cannot be changed: what a binding gives must be seen when it is made.
    #[serde(default)]
    pub role_ref: RoleRef<Ref<ClusterRole>>,
}

/// A role, named in full. A ClusterRole belongs to the cluster; a Role is one of the binding's own namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(inline, bound = "N: Default + Serialize + JsonSchema", extend("x-kubernetes-map-type" = "atomic"))]
pub struct RoleRef<N> {
    /// Always `rbac.authorization.k8s.io`, which need not be given.
    #[serde(default)]
    pub api_group: String,
    /// `ClusterRole`, or in a RoleBinding also `Role`.
    #[serde(default)]
    pub kind: String,
    /// The role's name.
    #[serde(default)]
    pub name: N,
}

/// Somebody who has a role.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct Subject {
    /// `User`, `Group` or `ServiceAccount`.
    #[serde(default)]
    pub kind: String,
    /// `rbac.authorization.k8s.io` for users and groups, which need not be given; empty for service accounts.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    /// The name of the user, group or service account.
    #[serde(default)]
    pub name: String,
    /// The namespace of a service account; that of the RoleBinding unless given.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

impl Subject {
    /// A user.
    pub fn user(name: impl Into<String>) -> Self {
        Self { api_group: RBAC_GROUP.into(), ..Self::of("User", name) }
    }

    /// A group.
    pub fn group(name: impl Into<String>) -> Self {
        Self { api_group: RBAC_GROUP.into(), ..Self::of("Group", name) }
    }

    fn of(kind: &str, name: impl Into<String>) -> Self {
        Self { kind: kind.into(), name: name.into(), ..Self::default() }
    }

    fn prepare(&mut self) {
        if self.api_group.is_empty() && ["User", "Group"].contains(&self.kind.as_str()) {
            self.api_group = RBAC_GROUP.into();
        }
    }

    fn validate(&self, path: &FieldPath, is_namespaced: bool) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.name.is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        }
        let group = match self.kind.as_str() {
            "ServiceAccount" => {
                if !self.name.is_empty() {
                    let problems = names::dns_subdomain(&self.name);
                    errors.extend(invalid_each(&path.child("name"), &self.name, problems));
                }
                if !is_namespaced && self.namespace.is_empty() {
                    errors.push(FieldError::required(path.child("namespace"), ""));
                }
                ""
            }
            "User" | "Group" => RBAC_GROUP,
            other => {
                let kinds = ["ServiceAccount", "User", "Group"];
                errors.push(FieldError::not_supported(path.child("kind"), other, &kinds));
                return errors;
            }
        };
        if self.api_group != group {
            let path = path.child("apiGroup");
            errors.push(FieldError::not_supported(path, self.api_group.as_str(), &[group]));
        }
        errors
    }
}

impl<N: AsName> RoleRef<N> {
    /// A ClusterRole.
    pub fn cluster_role(name: impl Into<N>) -> Self {
        Self { api_group: RBAC_GROUP.into(), kind: "ClusterRole".into(), name: name.into() }
    }

    fn prepare(&mut self) {
        if self.api_group.is_empty() {
            self.api_group = RBAC_GROUP.into();
        }
    }

    fn validate(&self, old: Option<&Self>, kinds: &[&str]) -> Vec<FieldError> {
        let path = FieldPath::new("roleRef");
        let mut errors = Vec::new();
        if self.api_group != RBAC_GROUP {
            let path = path.child("apiGroup");
            errors.push(FieldError::not_supported(path, self.api_group.as_str(), &[RBAC_GROUP]));
        }
        if !kinds.contains(&self.kind.as_str()) {
            errors.push(FieldError::not_supported(path.child("kind"), self.kind.as_str(), kinds));
        }
        let name = self.name.as_name();
        if name.is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        }
        errors.extend(invalid_each(&path.child("name"), name, names::path_segment(name)));
        if old.is_some_and(|old| old.key() != self.key()) {
            let (api_group, kind, name) = self.key();
            let value = json!({"apiGroup": api_group, "kind": kind, "name": name});
            errors.push(FieldError::invalid(path, value, "cannot change roleRef"));
        }
        errors
    }

    fn key(&self) -> (&str, &str, &str) {
        (&self.api_group, &self.kind, self.name.as_name())
    }
}

/// A name that may be a relation.
pub trait AsName {
    /// The name.
    fn as_name(&self) -> &str;
}

impl<K> AsName for Ref<K> {
    fn as_name(&self) -> &str {
        self.as_str()
    }
}

macro_rules! binding {
    ($type:ident, $kind:expr, $namespaced:literal, $roles:expr) => {
        impl Resource for $type {
            const KIND: Kind = $kind.path_segment_names();

            fn metadata(&self) -> &Metadata {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut Metadata {
                &mut self.metadata
            }

            fn prepare(&mut self, _: Option<&Self>) {
                self.role_ref.prepare();
                self.subjects.iter_mut().for_each(Subject::prepare);
            }

            fn validate(&self, old: Option<&Self>) -> Vec<FieldError> {
                let mut errors = self.role_ref.validate(old.map(|old| &old.role_ref), $roles);
                let subjects = FieldPath::new("subjects");
                for (index, subject) in self.subjects.iter().enumerate() {
                    errors.extend(subject.validate(&subjects.index(index), $namespaced));
                }
                errors
            }

            fn columns() -> Vec<Column> {
                columns()
            }
        }
    };
}

binding!(
    RoleBinding,
    Kind::namespaced(RBAC_GROUP, "v1", "RoleBinding", "rolebindings", "rolebinding"),
    true,
    &["Role", "ClusterRole"]
);
binding!(
    ClusterRoleBinding,
    Kind::cluster(RBAC_GROUP, "v1", "ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding"),
    false,
    &["ClusterRole"]
);

fn columns() -> Vec<Column> {
    let role = Column::new("Role", "The role that is given.", |object, _| {
        let field = |name| object["roleRef"][name].as_str().unwrap_or_default();
        format!("{}/{}", field("kind"), field("name")).into()
    });
    let of = |kind: &'static str| {
        move |object: &Value, _| {
            let subjects = object["subjects"].as_array().into_iter().flatten();
            let subjects = subjects.filter(|subject| subject["kind"] == kind);
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let names: Vec<String> = subjects
                .map(|subject| match kind {
                    "ServiceAccount" => format!("{}/{}", text(&subject["namespace"]), text(&subject["name"])),
                    _ => text(&subject["name"]),
                })
                .collect();
            names.join(", ").into()
        }
    };
    vec![
        Column::object_name(),
        role,
        Column::age(),
        Column::new("Users", "Users who have the role.", of("User")).wide(),
        Column::new("Groups", "Groups whose members have the role.", of("Group")).wide(),
        Column::new("ServiceAccounts", "Service accounts that have the role.", of("ServiceAccount")).wide(),
    ]
}
