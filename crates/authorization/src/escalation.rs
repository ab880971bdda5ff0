//! Nobody gives away what they do not have: writes of roles and bindings are compared with what the writer may do.

use std::collections::{BTreeMap, BTreeSet};

use orch_api::{
    Asked, Attributes, Authorizer, Change, Kind, Object as _, Resource, ResourceAttributes, Status,
};
use orch_ontology::{ClusterRole, ClusterRoleBinding, PolicyRule, RBAC_GROUP, Role, RoleBinding, RoleRef};
use serde::Deserialize;
use serde_json::Value;

use crate::rbac::Snapshot;
use crate::wording::{compact, quoted};

/// A rule that says more than this many single things is not taken apart, but missing as a whole.
const MOST_ATOMS: usize = 10_000;

/// Refuses a role or binding that would give more than its writer has.
pub(crate) fn admit(
    authorizer: &impl Authorizer,
    snapshot: &Snapshot,
    change: &Change<'_>,
) -> Result<(), Status> {
    let Some(new) = change.new.filter(|_| change.subresource.is_empty()) else { return Ok(()) };
    if change.old.is_some_and(|old| differs_for_the_collector_only(old, new)) {
        return Ok(());
    }
    let check = Check { authorizer, snapshot, change };
    match *change.kind {
        Role::KIND | ClusterRole::KIND => check.role(new),
        RoleBinding::KIND | ClusterRoleBinding::KIND => check.binding(new),
        _ => Ok(()),
    }
}

struct Check<'a, A> {
    authorizer: &'a A,
    snapshot: &'a Snapshot,
    change: &'a Change<'a>,
}

impl<A: Authorizer> Check<'_, A> {
    fn role(&self, new: &Value) -> Result<(), Status> {
        // What is not there yet has no name that a rule could be limited to.
        let name = self.change.old.map(|old| old.name()).unwrap_or_default();
        if self.may("escalate", self.change.kind, name, new.namespace()) {
            return Ok(());
        }
        let rules = new.get("rules").cloned().unwrap_or_default();
        let rules: Vec<PolicyRule> =
            Option::deserialize(rules).map_err(Status::internal)?.unwrap_or_default();
        self.confirm(&rules, new).map_err(|why| self.forbidden(new, why))?;
        let aggregates = |object: &Value| object.get("aggregationRule").is_some_and(|rule| !rule.is_null());
        if aggregates(new) || self.change.old.is_some_and(aggregates) {
            let everything = [PolicyRule::on(&["*"], &["*"], &["*"]), PolicyRule::on_paths(&["*"], &["*"])];
            let why = "must have cluster-admin privileges to use the aggregationRule";
            self.confirm(&everything, new).map_err(|_| self.forbidden(new, why))?;
        }
        Ok(())
    }

    fn binding(&self, new: &Value) -> Result<(), Status> {
        let role = RoleRef::<String>::deserialize(&new["roleRef"]).map_err(Status::internal)?;
        let is_namespaced = role.kind == Role::KIND.name;
        let kind = if is_namespaced { Role::KIND } else { ClusterRole::KIND };
        if self.may("bind", &kind, &role.name, new.namespace()) {
            return Ok(());
        }
        let rules = self.snapshot.role(is_namespaced.then_some(new.namespace()), &role.name);
        let rules = rules.ok_or_else(|| Status::not_found(&kind, &role.name))?;
        self.confirm(&rules, new).map_err(|why| self.forbidden(new, why))
    }

    fn may(&self, verb: &str, kind: &Kind, name: &str, namespace: &str) -> bool {
        let asked = ResourceAttributes {
            group: RBAC_GROUP,
            version: kind.version,
            resource: kind.plural,
            namespace,
            name: name.to_owned(),
            ..ResourceAttributes::default()
        };
        let attributes =
            Attributes { subject: self.change.subject, verb, asked: Asked::Resource(Box::new(asked)) };
        self.authorizer.decide(&attributes).allowed
    }

    /// Whether the writer may do everything that the rules allow.
    fn confirm(&self, rules: &[PolicyRule], object: &Value) -> Result<(), String> {
        let subject = self.change.subject;
        let own = self.snapshot.rules(subject, object.namespace());
        let missing: BTreeSet<String> = compacted(missing(&own, rules)).iter().map(compact).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let missing: Vec<String> = missing.into_iter().collect();
        Err(format!(
            "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
            subject.user,
            quoted(subject.groups),
            missing.join("\n")
        ))
    }

    fn forbidden(&self, object: &Value, why: impl std::fmt::Display) -> Status {
        Status::forbidden(self.change.kind, object.name(), why)
    }
}

/// Everything in `wanted` that no rule of `own` covers, taken apart.
fn missing(own: &[&PolicyRule], wanted: &[PolicyRule]) -> Vec<PolicyRule> {
    let is_covered = |rule: &PolicyRule| own.iter().any(|own| own.covers(rule));
    let uncovered = wanted.iter().filter(|rule| !is_covered(rule));
    uncovered.flat_map(atoms).filter(|atom| !is_covered(atom)).collect()
}

/// A rule as rules that allow one thing each.
fn atoms(rule: &PolicyRule) -> Vec<PolicyRule> {
    let names = rule.resource_names.len().max(1);
    let sizes = [rule.verbs.len(), rule.api_groups.len(), rule.resources.len(), names];
    let objects = sizes.iter().fold(1_usize, |all, size| all.saturating_mul(*size));
    let paths = rule.verbs.len().saturating_mul(rule.non_resource_urls.len());
    if objects.saturating_add(paths) > MOST_ATOMS {
        return vec![rule.clone()];
    }
    let mut atoms = Vec::new();
    for group in &rule.api_groups {
        for resource in &rule.resources {
            for verb in &rule.verbs {
                let atom = PolicyRule::on(&[verb], &[group], &[resource]);
                match rule.resource_names.as_slice() {
                    [] => atoms.push(atom),
                    names => atoms.extend(names.iter().map(|name| atom.clone().named(&[name]))),
                }
            }
        }
    }
    for verb in &rule.verbs {
        atoms.extend(rule.non_resource_urls.iter().map(|path| PolicyRule::on_paths(&[verb], &[path])));
    }
    atoms
}

/// Rules that differ in nothing but the verb are written as one.
fn compacted(atoms: Vec<PolicyRule>) -> Vec<PolicyRule> {
    let mut by_object: BTreeMap<(Vec<String>, Vec<String>), PolicyRule> = BTreeMap::new();
    let mut others = Vec::new();
    for atom in atoms {
        if !atom.resource_names.is_empty() || !atom.non_resource_urls.is_empty() {
            others.push(atom);
            continue;
        }
        let key = (atom.api_groups.clone(), atom.resources.clone());
        match by_object.get_mut(&key) {
            Some(rule) => rule.verbs.extend(atom.verbs),
            None => drop(by_object.insert(key, atom)),
        }
    }
    others.extend(by_object.into_values());
    others
}

/// Whether a write changes only what garbage collection needs changed so that the object can go.
fn differs_for_the_collector_only(old: &Value, new: &Value) -> bool {
    let essence = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            for field in ["ownerReferences", "finalizers", "managedFields", "resourceVersion"] {
                metadata.remove(field);
            }
        }
        object
    };
    essence(old) == essence(new)
}
