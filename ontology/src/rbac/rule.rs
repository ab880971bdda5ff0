//! [`PolicyRule`]: what may be done with what.

use orch_api::{FieldError, FieldPath};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What may be done with what: the verbs, and either objects or paths that are not about objects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyRule {
    /// What may be done: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or `*` for
    /// everything.
    #[serde(default)]
    pub verbs: Vec<String>,
    /// The API groups of the resources: `""` is the core group, `*` all groups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    /// The resources, such as `pods`, their subresources, such as `pods/log`, or `*` for all of both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// The names of the objects; any if none is given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    /// Paths that are not about objects, such as `/metrics`; a `*` at the end stands for whatever follows. Only in a
    /// ClusterRole that is bound by a ClusterRoleBinding.
    #[serde(default, rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl PolicyRule {
    /// These verbs on these resources of these groups.
    pub fn on(verbs: &[&str], api_groups: &[&str], resources: &[&str]) -> Self {
        Self {
            verbs: owned(verbs),
            api_groups: owned(api_groups),
            resources: owned(resources),
            ..Self::default()
        }
    }

    /// The same rule for the objects of these names only.
    pub fn named(self, names: &[&str]) -> Self {
        Self { resource_names: owned(names), ..self }
    }

    /// These verbs on these paths.
    pub fn on_paths(verbs: &[&str], paths: &[&str]) -> Self {
        Self { verbs: owned(verbs), non_resource_urls: owned(paths), ..Self::default() }
    }

    /// Whether the rule has the verb.
    pub fn has_verb(&self, verb: &str) -> bool {
        has(&self.verbs, verb)
    }

    /// Whether the rule is about a resource, or a subresource if that is not empty, of a group.
    pub fn has_resource(&self, group: &str, resource: &str, subresource: &str) -> bool {
        has(&self.api_groups, group) && self.resources.iter().any(|own| is_of(own, resource, subresource))
    }

    /// Whether the rule is about the object of this name. An empty name stands for no one object in particular.
    pub fn has_name(&self, name: &str) -> bool {
        self.resource_names.is_empty() || self.resource_names.iter().any(|own| own == name)
    }

    /// Whether the rule is about a path.
    pub fn has_path(&self, path: &str) -> bool {
        self.non_resource_urls.iter().any(|own| covers_path(own, path))
    }

    /// Whether everything that `other` allows is allowed by this rule alone.
    pub fn covers(&self, other: &Self) -> bool {
        let all = |own: &[String], theirs: &[String]| theirs.iter().all(|word| has(own, word));
        let resources = other.resources.iter().all(|theirs| {
            let sub = theirs.split_once('/').map(|(_, sub)| format!("*/{sub}"));
            has(&self.resources, theirs) || sub.is_some_and(|sub| self.resources.contains(&sub))
        });
        let names = match other.resource_names.as_slice() {
            [] => self.resource_names.is_empty(),
            theirs => {
                self.resource_names.is_empty() || theirs.iter().all(|name| self.resource_names.contains(name))
            }
        };
        let paths = other.non_resource_urls.iter().all(|theirs| self.has_path(theirs));
        all(&self.verbs, &other.verbs)
            && all(&self.api_groups, &other.api_groups)
            && resources
            && names
            && paths
    }

    pub(super) fn validate(&self, path: &FieldPath, is_namespaced: bool) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.verbs.is_empty() {
            errors.push(FieldError::required(path.child("verbs"), "verbs must contain at least one value"));
        }
        if !self.non_resource_urls.is_empty() {
            let refuse = |why: &str| {
                FieldError::invalid(path.child("nonResourceURLs"), self.non_resource_urls.clone(), why)
            };
            if is_namespaced {
                errors.push(refuse("namespaced rules cannot apply to non-resource URLs"));
            }
            if [&self.api_groups, &self.resources, &self.resource_names].iter().any(|list| !list.is_empty()) {
                errors.push(refuse("rules cannot apply to both regular resources and non-resource URLs"));
            }
            return errors;
        }
        for (field, list, what) in
            [("apiGroups", &self.api_groups, "api group"), ("resources", &self.resources, "resource")]
        {
            if list.is_empty() {
                let detail = format!("resource rules must supply at least one {what}");
                errors.push(FieldError::required(path.child(field), detail));
            }
        }
        errors
    }
}

/// Whether a list of words has a word or everything.
fn has(words: &[String], word: &str) -> bool {
    words.iter().any(|own| own == "*" || own == word)
}

/// Whether a rule's resource stands for a resource, or for a subresource of it.
fn is_of(own: &str, resource: &str, subresource: &str) -> bool {
    if own == "*" {
        return true;
    }
    if subresource.is_empty() {
        return own == resource;
    }
    own.split_once('/').is_some_and(|(of, sub)| sub == subresource && (of == "*" || of == resource))
}

fn covers_path(own: &str, path: &str) -> bool {
    own == "*" || own == path || (own.ends_with('*') && path.starts_with(own.trim_end_matches('*')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_about_what_it_names() {
        let rule = PolicyRule::on(&["get"], &["", "apps"], &["pods", "pods/log", "*/scale"]);
        for (group, resource, subresource, expected) in [
            ("", "pods", "", true),
            ("", "pods", "log", true),
            ("", "pods", "exec", false),
            ("", "Pods", "", false),
            ("apps", "deployments", "scale", true),
            ("apps", "deployments", "", false),
            ("batch", "pods", "", false),
        ] {
            assert_eq!(rule.has_resource(group, resource, subresource), expected, "{resource}/{subresource}");
        }
        assert!(PolicyRule::on(&["*"], &["*"], &["*"]).has_resource("any", "pods", "exec"));
        assert!(!PolicyRule::on(&["*"], &["*"], &["pods"]).has_resource("", "pods", "exec"));
        assert!(!PolicyRule::on(&["*"], &[""], &["pods"]).has_resource("orch.dev", "pods", ""));
    }

    #[test]
    fn a_rule_with_names_is_not_about_all() {
        let rule = PolicyRule::on(&["get"], &[""], &["secrets"]).named(&["a"]);
        assert!(rule.has_name("a") && !rule.has_name("b") && !rule.has_name(""));
    }

    #[test]
    fn paths_end_with_a_star_or_are_meant_as_they_are() {
        let rule = PolicyRule::on_paths(&["get"], &["/healthz", "/openapi/*"]);
        for (path, expected) in [
            ("/healthz", true),
            ("/healthz/", false),
            ("/healthz/etcd", false),
            ("/openapi/v3", true),
            ("/openapi", false),
            ("/", false),
        ] {
            assert_eq!(rule.has_path(path), expected, "{path}");
        }
        assert!(PolicyRule::on_paths(&["get"], &["*"]).has_path("/metrics"));
    }

    #[test]
    fn a_rule_covers_what_it_allows_and_no_more() {
        let all = PolicyRule::on(&["*"], &["*"], &["*"]);
        let pods = PolicyRule::on(&["get", "list"], &[""], &["pods"]);
        let log = PolicyRule::on(&["get"], &[""], &["pods/log"]);
        let named = pods.clone().named(&["a"]);
        let path = PolicyRule::on_paths(&["get"], &["/metrics"]);
        for (own, other, expected) in [
            (&all, &pods, true),
            (&pods, &all, false),
            (&pods, &log, false),
            (&pods, &named, true),
            (&named, &pods, false),
            (&all, &path, false),
            (&PolicyRule::on(&["get"], &[""], &["*/log"]), &log, true),
            (&PolicyRule::on_paths(&["*"], &["/m*"]), &path, true),
        ] {
            assert_eq!(own.covers(other), expected, "{own:?} {other:?}");
        }
    }
}
