//! [`MatchResources`]: which requests are meant.

use orch_api::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which requests are meant: those that fit a rule, and no rule of exceptions, and whose namespace and object are selected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MatchResources {
    /// Only requests in namespaces with these labels. Requests about objects that are in no namespace are not held back by
    /// it, but for those about namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Only requests about objects with these labels, before or after the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_selector: Option<LabelSelector>,
    /// The requests: those that fit one of these. All, if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub resource_rules: Vec<NamedRuleWithOperations>,
    /// Requests that are not meant although they fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub exclude_resource_rules: Vec<NamedRuleWithOperations>,
    /// Whether a rule for one version of a kind is also meant for its others. `Equivalent` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_policy: Option<MatchPolicy>,
}

impl MatchResources {
    pub(super) fn set_defaults(&mut self) {
        self.namespace_selector.get_or_insert_default();
        self.object_selector.get_or_insert_default();
        self.match_policy.get_or_insert(MatchPolicy::Equivalent);
        for rule in self.resource_rules.iter_mut().chain(&mut self.exclude_resource_rules) {
            rule.scope.get_or_insert(RuleScope::All);
        }
    }
}

/// Whether a rule for one version of a kind is meant for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MatchPolicy {
    /// Only requests in the very version.
    Exact,
    /// Requests in other versions too.
    Equivalent,
}

/// Requests, by what they do to what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamedRuleWithOperations {
    /// Only objects of these names; of all names if there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub resource_names: Vec<String>,
    /// What is done. `*` is everything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub operations: Vec<OperationType>,
    /// The groups. `*` is all, an empty string the core group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub api_groups: Vec<String>,
    /// The versions. `*` is all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub api_versions: Vec<String>,
    /// The resources, such as `pods`, `pods/status`, `pods/*`, `*/scale`, `*` or `*/*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub resources: Vec<String>,
    /// Only what is in namespaces, or only what is not. `*` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<RuleScope>,
}

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OperationType {
    /// Everything.
    #[serde(rename = "*")]
    All,
    /// Makes an object.
    #[serde(rename = "CREATE")]
    Create,
    /// Changes an object.
    #[serde(rename = "UPDATE")]
    Update,
    /// Deletes an object.
    #[serde(rename = "DELETE")]
    Delete,
    /// Opens a stream.
    #[serde(rename = "CONNECT")]
    Connect,
}

/// Where objects are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RuleScope {
    /// Anywhere.
    #[serde(rename = "*")]
    All,
    /// In no namespace. Namespaces themselves are in none.
    Cluster,
    /// In a namespace.
    Namespaced,
}
