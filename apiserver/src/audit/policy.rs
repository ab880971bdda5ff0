//! Which requests are recorded, and how much of them.

use orch_api::{Request, Target};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::authn::Identity;

/// How much of a request is recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum AuditLevel {
    /// Nothing.
    None,
    /// Who, what, when, from where and the result.
    #[default]
    Metadata,
    /// The request's body too.
    Request,
    /// The answer's body too.
    RequestResponse,
}

/// A rule of the audit policy. What is empty matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AuditRule {
    /// How much is recorded: `None`, `Metadata`, `Request` or `RequestResponse`. Secrets and tokens never go beyond
    /// `Metadata`.
    pub level: AuditLevel,
    /// Users, by name.
    pub users: Vec<String>,
    /// Groups, of which the user is in one.
    pub user_groups: Vec<String>,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verbs: Vec<String>,
    /// Resources such as `secrets`, `leases.coordination.k8s.io`, `pods/exec`; `pods/*` are all subresources of pods.
    pub resources: Vec<String>,
    /// Namespaces.
    pub namespaces: Vec<String>,
}

/// The first rule that matches a request says how much of it is recorded; if none does, nothing is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditPolicy {
    /// The rules, in order.
    pub rules: Vec<AuditRule>,
}

impl Default for AuditPolicy {
    /// What changes something, as metadata, and what runs in containers; not what components do every few seconds (leases,
    /// events), and not what only reads.
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let none = AuditRule { level: AuditLevel::None, ..AuditRule::default() };
        let streams = words(&["pods/exec", "pods/attach", "pods/portforward"]);
        let noise = words(&["leases.coordination.k8s.io", "events", "events.events.k8s.io"]);
        Self {
            rules: vec![
                AuditRule { resources: streams, ..AuditRule::default() },
                AuditRule { verbs: words(&["get", "list", "watch"]), ..none.clone() },
                AuditRule { resources: noise, ..none },
                AuditRule::default(),
            ],
        }
    }
}

impl AuditPolicy {
    /// How much of a request is recorded.
    pub(super) fn level(&self, identity: &Identity, request: &Request) -> AuditLevel {
        let rule = self.rules.iter().find(|rule| rule.matches(identity, request));
        rule.map_or(AuditLevel::None, |rule| rule.level)
    }
}

impl AuditRule {
    fn matches(&self, identity: &Identity, request: &Request) -> bool {
        let target = &request.target;
        let namespace = target.namespace.as_deref().unwrap_or_default();
        is_among(&self.verbs, request.verb.as_str())
            && is_among(&self.users, &identity.user)
            && is_among(&self.namespaces, namespace)
            && (self.user_groups.is_empty()
                || identity.groups.iter().any(|group| self.user_groups.contains(group)))
            && (self.resources.is_empty() || self.resources.iter().any(|name| is_of(name, target)))
    }
}

fn is_among(names: &[String], name: &str) -> bool {
    names.is_empty() || names.iter().any(|known| known == name)
}

fn is_of(name: &str, target: &Target) -> bool {
    let (resource, subresource) = name.split_once('/').unwrap_or((name, ""));
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    let asked = target.subresource.as_deref().unwrap_or_default();
    let fits = subresource == asked || (subresource == "*" && !asked.is_empty());
    (resource == "*" || (plural == target.plural && group == target.group)) && fits
}

#[cfg(test)]
mod tests {
    use orch_api::{Params, Verb};

    use super::*;

    fn level(policy: &AuditPolicy, verb: Verb, path: &str) -> AuditLevel {
        let target = Target::parse(path.split('/')).unwrap();
        let request = Request { verb, target, params: Params::default(), body: None };
        policy.level(&Identity::new("alice", ["dev"]), &request)
    }

    #[test]
    fn by_default_what_changes_something_is_recorded() {
        let policy = AuditPolicy::default();
        for (verb, path, expected) in [
            (Verb::Create, "api/v1/namespaces/a/pods", AuditLevel::Metadata),
            (Verb::Patch, "api/v1/namespaces/a/pods/p/status", AuditLevel::Metadata),
            (Verb::Get, "api/v1/namespaces/a/pods/p/exec", AuditLevel::Metadata),
            (Verb::Get, "api/v1/namespaces/a/pods/p/log", AuditLevel::None),
            (Verb::List, "api/v1/secrets", AuditLevel::None),
            (Verb::Update, "apis/coordination.k8s.io/v1/namespaces/a/leases/n", AuditLevel::None),
            (Verb::Create, "api/v1/namespaces/a/events", AuditLevel::None),
        ] {
            assert_eq!(level(&policy, verb, path), expected, "{verb} {path}");
        }
    }

    #[test]
    fn the_first_rule_that_matches_decides() {
        let rule = |level, resource: &str| AuditRule {
            level,
            resources: vec![resource.to_owned()],
            ..AuditRule::default()
        };
        let by_others = AuditRule {
            level: AuditLevel::RequestResponse,
            user_groups: vec!["ops".into()],
            ..AuditRule::default()
        };
        let rules = vec![
            by_others,
            rule(AuditLevel::Request, "pods/*"),
            rule(AuditLevel::None, "pods"),
            rule(AuditLevel::Metadata, "*"),
        ];
        let policy = AuditPolicy { rules };
        for (path, expected) in [
            ("api/v1/namespaces/a/pods/p/binding", AuditLevel::Request),
            ("api/v1/namespaces/a/pods/p", AuditLevel::None),
            ("apis/pods.dev/v1/namespaces/a/pods/p", AuditLevel::Metadata),
            ("apis/pods.dev/v1/namespaces/a/pods/p/status", AuditLevel::None),
        ] {
            assert_eq!(level(&policy, Verb::Update, path), expected, "{path}");
        }
    }
}
