//! [`Snapshot`]: by subject, what they may do. Never changes.

use std::collections::HashMap;
use std::sync::Arc;

use orch_api::{Asked, Attributes, Decision, ResourceAttributes, Rights, Subject};
use orch_ontology::{PolicyRule, Subject as Bound};
use serde_json::{Value, json};

/// The rules of a role; or why there are none.
pub(super) type Rules = Result<Arc<[PolicyRule]>, Arc<str>>;

/// What everybody may do, at one moment.
#[derive(Default)]
pub(crate) struct Snapshot {
    /// What is granted everywhere.
    pub(super) cluster: Arc<Grants>,
    /// What is granted in a namespace.
    pub(super) namespaces: HashMap<Box<str>, Arc<Grants>>,
}

/// What is granted in one place, and the roles that are there.
#[derive(Default)]
pub(super) struct Grants {
    roles: HashMap<Box<str>, Arc<[PolicyRule]>>,
    users: HashMap<Box<str>, Vec<Grant>>,
    groups: HashMap<Box<str>, Vec<Grant>>,
}

/// What one binding gives one subject.
pub(super) struct Grant {
    pub(super) rules: Rules,
    /// What is said if the grant is why something is allowed.
    pub(super) reason: Arc<str>,
}

impl Grants {
    /// Nothing is granted yet where these roles are.
    pub(super) fn among(roles: HashMap<Box<str>, Arc<[PolicyRule]>>) -> Self {
        Self { roles, ..Self::default() }
    }

    pub(super) fn add(&mut self, subject: &Bound, namespace: &str, grant: Grant) {
        let (map, name) = match subject.kind.as_str() {
            "User" => (&mut self.users, subject.name.clone()),
            "Group" => (&mut self.groups, subject.name.clone()),
            "ServiceAccount" => {
                let namespace = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
                (&mut self.users, format!("system:serviceaccount:{namespace}:{}", subject.name))
            }
            _ => return,
        };
        map.entry(name.into()).or_default().push(grant);
    }

    fn of(&self, subject: Subject<'_>) -> impl Iterator<Item = &Grant> {
        let groups = subject.groups.iter().filter_map(|group| self.groups.get(group.as_str()));
        self.users.get(subject.user).into_iter().chain(groups).flatten()
    }
}

impl Snapshot {
    /// Whether a rule allows it. Cost: the rules that the caller has in the cluster and in the namespace.
    pub(crate) fn decide(&self, attributes: &Attributes<'_>) -> Decision {
        let namespace = match &attributes.asked {
            Asked::Resource(asked) => asked.namespace,
            Asked::Path(_) => "",
        };
        let mut missing: Vec<Arc<str>> = Vec::new();
        for grant in self.grants(attributes.subject, namespace) {
            match &grant.rules {
                Ok(rules) => {
                    if rules.iter().any(|rule| allows(rule, attributes)) {
                        return Decision { allowed: true, reason: grant.reason.clone() };
                    }
                }
                Err(error) if !missing.contains(error) => missing.push(error.clone()),
                Err(_) => {}
            }
        }
        Decision::denied(match evaluation_error(&missing) {
            error if error.is_empty() => error,
            error => format!("RBAC: {error}"),
        })
    }

    /// Everything that somebody may do in a namespace.
    pub(crate) fn rights(&self, subject: Subject<'_>, namespace: &str) -> Rights {
        let (mut rights, mut missing) = (Rights::default(), Vec::new());
        for grant in self.grants(subject, namespace) {
            match &grant.rules {
                Ok(rules) => rules.iter().for_each(|rule| add_rule(&mut rights, rule)),
                Err(error) => missing.push(error.clone()),
            }
        }
        rights.evaluation_error = evaluation_error(&missing);
        rights
    }

    /// The rules that somebody has in a namespace, or in the cluster as a whole.
    pub(crate) fn rules<'a>(&'a self, subject: Subject<'a>, namespace: &str) -> Vec<&'a PolicyRule> {
        let known = self.grants(subject, namespace).filter_map(|grant| grant.rules.as_ref().ok());
        known.flat_map(|rules| &**rules).collect()
    }

    /// The rules of a role of a namespace, or of a ClusterRole.
    pub(crate) fn role(&self, namespace: Option<&str>, name: &str) -> Option<Arc<[PolicyRule]>> {
        let grants = match namespace {
            Some(namespace) => self.namespaces.get(namespace)?,
            None => &self.cluster,
        };
        grants.roles.get(name).cloned()
    }

    fn grants<'a>(&'a self, subject: Subject<'a>, namespace: &str) -> impl Iterator<Item = &'a Grant> {
        let local = if namespace.is_empty() { None } else { self.namespaces.get(namespace) };
        self.cluster.of(subject).chain(local.into_iter().flat_map(move |grants| grants.of(subject)))
    }
}

fn allows(rule: &PolicyRule, attributes: &Attributes<'_>) -> bool {
    rule.has_verb(attributes.verb)
        && match &attributes.asked {
            Asked::Path(path) => rule.has_path(path),
            Asked::Resource(asked) => {
                let ResourceAttributes { group, resource, subresource, .. } = **asked;
                rule.has_resource(group, resource, subresource) && rule.has_name(&asked.name)
            }
        }
}

fn add_rule(rights: &mut Rights, rule: &PolicyRule) {
    if !rule.resources.is_empty() {
        let mut listed =
            json!({"verbs": rule.verbs, "apiGroups": rule.api_groups, "resources": rule.resources});
        if !rule.resource_names.is_empty() {
            listed["resourceNames"] = Value::from(rule.resource_names.clone());
        }
        rights.resource_rules.push(listed);
    }
    if !rule.non_resource_urls.is_empty() {
        let listed = json!({"verbs": rule.verbs, "nonResourceURLs": rule.non_resource_urls});
        rights.non_resource_rules.push(listed);
    }
}

/// What Go makes of several errors.
fn evaluation_error(missing: &[Arc<str>]) -> String {
    match missing {
        [] => String::new(),
        [one] => one.to_string(),
        many => format!("[{}]", many.iter().map(|error| &**error).collect::<Vec<_>>().join(", ")),
    }
}
