//! [`Role`] and [`ClusterRole`]: what may be done, by whoever has the role.

use std::collections::HashSet;

use orch_api::{ApiVersion, Column, FieldError, FieldPath, Kind, KindName, Metadata, Resource, Selector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PolicyRule, RBAC_GROUP};

/// What may be done in one namespace, by whoever a RoleBinding gives the role to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Role {
    /// Always `rbac.authorization.k8s.io/v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `Role`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// What may be done. Rules add up; none takes away.
    #[serde(default)]
    pub rules: Vec<PolicyRule>,
}

impl Resource for Role {
    const KIND: Kind = Kind::namespaced(RBAC_GROUP, "v1", "Role", "roles", "role").path_segment_names();

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn validate(&self, _: Option<&Self>) -> Vec<FieldError> {
        validate_rules(&self.rules, true)
    }

    fn columns() -> Vec<Column> {
        columns()
    }
}

/// What may be done in the whole cluster, by whoever a ClusterRoleBinding gives the role to; or in one namespace, if it is
/// a RoleBinding that does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterRole {
    /// Always `rbac.authorization.k8s.io/v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `ClusterRole`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// What may be done. Rules add up; none takes away.
    #[serde(default)]
    pub rules: Vec<PolicyRule>,
    /// Where the rules come from, if not from here: what is written in `rules` is then replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggregation_rule: Option<AggregationRule>,
}

/// The roles that a ClusterRole is put together from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AggregationRule {
    /// The ClusterRoles whose rules are taken over: those that any of these selects.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_role_selectors: Vec<Selector<ClusterRole>>,
}

impl Resource for ClusterRole {
    const KIND: Kind =
        Kind::cluster(RBAC_GROUP, "v1", "ClusterRole", "clusterroles", "clusterrole").path_segment_names();

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn validate(&self, _: Option<&Self>) -> Vec<FieldError> {
        let mut errors = validate_rules(&self.rules, false);
        if let Some(aggregation) = &self.aggregation_rule {
            let path = FieldPath::new("aggregationRule").child("clusterRoleSelectors");
            if aggregation.cluster_role_selectors.is_empty() {
                let detail = "at least one clusterRoleSelector required if aggregationRule is non-nil";
                errors.push(FieldError::required(&path, detail));
            }
            let selectors = aggregation.cluster_role_selectors.iter().enumerate();
            errors.extend(selectors.flat_map(|(index, selector)| selector.validate(&path.index(index))));
        }
        errors
    }

    fn columns() -> Vec<Column> {
        columns()
    }
}

impl ClusterRole {
    /// Whether the role takes over the rules of another one. No role takes over its own.
    pub fn takes_from(&self, other: &Self) -> bool {
        let selectors = self.aggregation_rule.iter().flat_map(|rule| &rule.cluster_role_selectors);
        self.metadata.name != other.metadata.name
            && selectors.into_iter().any(|selector| selector.matches(&other.metadata.labels))
    }

    /// The rules that the role has, being put together from others: each once, in the order of the others' names.
    pub fn aggregate<'a>(&self, others: impl IntoIterator<Item = &'a Self>) -> Vec<PolicyRule> {
        let mut sources: Vec<&Self> = others.into_iter().filter(|other| self.takes_from(other)).collect();
        sources.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        let mut seen = HashSet::new();
        let rules = sources.into_iter().flat_map(|source| &source.rules);
        rules.filter(|rule| seen.insert(*rule)).cloned().collect()
    }
}

fn validate_rules(rules: &[PolicyRule], is_namespaced: bool) -> Vec<FieldError> {
    let path = FieldPath::new("rules");
    let rules = rules.iter().enumerate();
    rules.flat_map(|(index, rule)| rule.validate(&path.index(index), is_namespaced)).collect()
}

/// As Kubernetes prints roles: the time itself, not how long ago it was.
fn columns() -> Vec<Column> {
    let created = Column::at("Created At", "When the role was made.", "/metadata/creationTimestamp");
    vec![Column::object_name(), created.cell_type("date")]
}

#[cfg(test)]
mod tests {
    use orch_api::LabelSelector;

    use super::*;

    fn role(name: &str, label: &str, verbs: &[&str]) -> ClusterRole {
        let labels = [(label.to_owned(), "true".to_owned())].into();
        ClusterRole {
            metadata: Metadata { labels, ..Metadata::named(None, name) },
            rules: vec![PolicyRule::on(verbs, &[""], &["pods"])],
            ..ClusterRole::default()
        }
    }

    #[test]
    fn an_aggregated_role_has_the_rules_of_those_that_it_selects() {
        let selector = Selector::new(LabelSelector::match_labels([("to-view", "true")]));
        let view = ClusterRole {
            aggregation_rule: Some(AggregationRule { cluster_role_selectors: vec![selector] }),
            ..role("view", "to-view", &["delete"])
        };
        let others = [
            role("b", "to-view", &["get"]),
            role("a", "to-view", &["list"]),
            role("c", "to-edit", &["create"]),
        ];
        let same = role("d", "to-view", &["get"]);
        let rules = view.aggregate(others.iter().chain([&same, &view]));
        let verbs: Vec<&str> = rules.iter().flat_map(|rule| &rule.verbs).map(String::as_str).collect();
        assert_eq!(verbs, ["list", "get"]);
    }
}
