//! Whether a request is one of those that a policy or a binding means. Pure.

use std::collections::BTreeMap;

use orch_api::{AdmissionRequest, Kind, LabelSelector, Operation, Resource as _, World};
use orch_ontology::{
    MatchPolicy, MatchResources, NamedRuleWithOperations, Namespace, OperationType, RuleScope,
};
use serde_json::Value;

/// The kind in whose version a rule speaks of the request, if it is meant.
///
/// # Errors
/// If that depends on a namespace that there is not.
pub(crate) fn matches(
    of: &MatchResources,
    request: &AdmissionRequest<'_>,
    world: &dyn World,
) -> Result<Option<Kind>, String> {
    let namespace = selects_namespace(of.namespace_selector.as_ref(), request, world);
    if namespace == Ok(false) || !selects_object(of.object_selector.as_ref(), request) {
        return Ok(None);
    }
    let by_rules = |rules: &[NamedRuleWithOperations]| by_rules(rules, of.match_policy, request, world);
    if by_rules(&of.exclude_resource_rules).is_some() {
        return Ok(None);
    }
    let kind = match of.resource_rules.as_slice() {
        [] => Some(*request.kind),
        rules => by_rules(rules),
    };
    // Only now does it matter whether the namespace is known.
    match (kind, namespace) {
        (Some(_), Err(problem)) => Err(problem),
        (kind, _) => Ok(kind),
    }
}

fn by_rules(
    rules: &[NamedRuleWithOperations],
    policy: Option<MatchPolicy>,
    request: &AdmissionRequest<'_>,
    world: &dyn World,
) -> Option<Kind> {
    let fits = |kind: &Kind| rules.iter().any(|rule| fits(rule, request, kind));
    if fits(request.kind) {
        return Some(*request.kind);
    }
    if policy != Some(MatchPolicy::Equivalent) || rules.is_empty() {
        return None;
    }
    world.other_versions(request.kind).into_iter().find(fits)
}

fn fits(rule: &NamedRuleWithOperations, request: &AdmissionRequest<'_>, kind: &Kind) -> bool {
    let has = |list: &[String], item: &str| list.iter().any(|known| known == "*" || known == item);
    in_scope(rule.scope, request)
        && rule.operations.iter().any(|operation| is_meant(*operation, request.operation))
        && has(&rule.api_groups, kind.group)
        && has(&rule.api_versions, kind.version)
        && rule.resources.iter().any(|resource| {
            let (resource, subresource) = split(resource);
            (resource == "*" || resource == kind.plural)
                && (subresource == "*" || subresource == request.subresource)
        })
        && (rule.resource_names.is_empty() || rule.resource_names.iter().any(|name| name == request.name))
}

/// `pods/status` is `pods` and `status`; of `pods`, the second part is empty.
pub(crate) fn split(resource: &str) -> (&str, &str) {
    resource.split_once('/').unwrap_or((resource, ""))
}

fn is_meant(rule: OperationType, operation: Operation) -> bool {
    match rule {
        OperationType::All => true,
        OperationType::Create => operation == Operation::Create,
        OperationType::Update => operation == Operation::Update,
        OperationType::Delete => operation == Operation::Delete,
        OperationType::Connect => operation == Operation::Connect,
    }
}

fn in_scope(scope: Option<RuleScope>, request: &AdmissionRequest<'_>) -> bool {
    match scope {
        None | Some(RuleScope::All) => true,
        Some(RuleScope::Namespaced) => request.kind.is_namespaced(),
        Some(RuleScope::Cluster) => !request.kind.is_namespaced(),
    }
}

fn selects_object(selector: Option<&LabelSelector>, request: &AdmissionRequest<'_>) -> bool {
    let Some(selector) = selector.filter(|selector| !selector.is_empty()) else { return true };
    [request.object, request.old].into_iter().flatten().any(|object| selector.matches(&labels(object)))
}

/// What is in no namespace is not held back, but a namespace is selected by its own labels.
fn selects_namespace(
    selector: Option<&LabelSelector>,
    request: &AdmissionRequest<'_>,
    world: &dyn World,
) -> Result<bool, String> {
    let Some(selector) = selector.filter(|selector| !selector.is_empty()) else { return Ok(true) };
    let is_namespace = *request.kind == Namespace::KIND;
    if !request.kind.is_namespaced() && !is_namespace {
        return Ok(true);
    }
    if is_namespace
        && request.subresource.is_empty()
        && let Some(object) = request.object
    {
        return Ok(selector.matches(&labels(object)));
    }
    let name = if is_namespace { request.name } else { request.namespace };
    match world.object(&Namespace::KIND, "", name) {
        Some(namespace) => Ok(selector.matches(&labels(&namespace))),
        None => Err(format!("namespaces {name:?} not found")),
    }
}

pub(crate) fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}
