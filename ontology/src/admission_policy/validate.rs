//! The rules for policies and their bindings. Kubernetes' rules and words.

use std::collections::BTreeSet;

use orch_api::names::{dns_subdomain, dns1035_label, path_segment, qualified_name};
use orch_api::{FieldError, FieldPath, split_api_version};
use serde_json::json;

use super::{
    AuditAnnotation, MatchCondition, MatchResources, NamedRuleWithOperations, OperationType, ParamKind,
    ParamRef, PolicyExpressions, ValidatingAdmissionPolicyBindingSpec, ValidatingAdmissionPolicySpec,
    Validation, ValidationAction, Variable,
};
use crate::syntax::invalid_each;

const REASONS: [&str; 4] = ["Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized"];
const MOST_ANNOTATIONS: usize = 20;
const MOST_CONDITIONS: usize = 64;

/// Everything that is wrong with a policy.
pub(super) fn policy(spec: &ValidatingAdmissionPolicySpec) -> Vec<FieldError> {
    let path = FieldPath::new("spec");
    let mut errors = Vec::new();
    if let Some(kind) = &spec.param_kind {
        errors.extend(param_kind(kind, &path.child("paramKind")));
    }
    let at = path.child("matchConstraints");
    match &spec.match_constraints {
        None => errors.push(FieldError::required(&at, "")),
        Some(constraints) => {
            errors.extend(match_resources(constraints, &at));
            if constraints.resource_rules.is_empty() {
                errors.push(FieldError::required(at.child("resourceRules"), ""));
            }
        }
    }
    errors.extend(match_conditions(&spec.match_conditions, &path.child("matchConditions")));
    errors.extend(variables(&spec.variables, &path.child("variables")));
    if spec.validations.is_empty() && spec.audit_annotations.is_empty() {
        let why = "validations or auditAnnotations must contain at least one item";
        errors.push(FieldError::required(path.child("validations"), why));
        errors.push(FieldError::required(path.child("auditAnnotations"), why));
    }
    for (index, rule) in spec.validations.iter().enumerate() {
        errors.extend(validation(rule, &path.child("validations").index(index)));
    }
    errors.extend(audit_annotations(&spec.audit_annotations, &path.child("auditAnnotations")));
    errors.extend(PolicyExpressions::compile(spec).err().unwrap_or_default());
    errors
}

fn param_kind(of: &ParamKind, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let at = path.child("apiVersion");
    match of.api_version.matches('/').count() {
        _ if of.api_version.is_empty() => errors.push(FieldError::required(&at, "")),
        0 | 1 => {
            let (group, version) = split_api_version(&of.api_version);
            if !group.is_empty() {
                errors.extend(invalid_each(&at, group, dns_subdomain(group)));
            }
            errors.extend(invalid_each(&at, version, dns1035_label(version)));
        }
        _ => {
            let why = format!("unexpected GroupVersion string: {}", of.api_version);
            errors.push(FieldError::invalid(&at, of.api_version.clone(), why));
        }
    }
    let at = path.child("kind");
    if of.kind.is_empty() {
        errors.push(FieldError::required(&at, ""));
    } else {
        let why = |problem| format!("may have mixed case, but should otherwise match: {problem}");
        let problems = dns1035_label(&of.kind.to_lowercase()).into_iter().map(why).collect();
        errors.extend(invalid_each(&at, &of.kind, problems));
    }
    errors
}

fn match_resources(of: &MatchResources, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (name, selector) in
        [("namespaceSelector", &of.namespace_selector), ("objectSelector", &of.object_selector)]
    {
        errors.extend(selector.iter().flat_map(|selector| selector.validate(&path.child(name))));
    }
    for (name, rules) in
        [("resourceRules", &of.resource_rules), ("excludeResourceRules", &of.exclude_resource_rules)]
    {
        for (index, one) in rules.iter().enumerate() {
            errors.extend(rule(one, &path.child(name).index(index)));
        }
    }
    errors
}

fn rule(of: &NamedRuleWithOperations, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut seen = BTreeSet::new();
    for (index, name) in of.resource_names.iter().enumerate() {
        let at = path.child("resourceNames").index(index);
        errors.extend(invalid_each(&at, name, path_segment(name)));
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(&at, name.clone()));
        }
    }
    let operations = path.child("operations");
    if of.operations.is_empty() {
        errors.push(FieldError::required(&operations, ""));
    } else if of.operations.len() > 1 && of.operations.contains(&OperationType::All) {
        let why = "if '*' is present, must not specify other operations";
        errors.push(FieldError::invalid(&operations, json!(of.operations), why));
    }
    for (name, list) in
        [("apiGroups", &of.api_groups), ("apiVersions", &of.api_versions), ("resources", &of.resources)]
    {
        let at = path.child(name);
        if list.is_empty() {
            errors.push(FieldError::required(&at, ""));
        } else if list.len() > 1 && list.iter().any(|item| item == "*") && name != "resources" {
            let what = if name == "apiGroups" { "API groups" } else { "API versions" };
            let why = format!("if '*' is present, must not specify other {what}");
            errors.push(FieldError::invalid(&at, list.clone(), why));
        }
        for (index, item) in list.iter().enumerate().filter(|(_, item)| item.is_empty()) {
            if name != "apiGroups" {
                errors.push(FieldError::required(at.index(index), item.as_str()));
            }
        }
    }
    errors
}

fn match_conditions(conditions: &[MatchCondition], path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if conditions.len() > MOST_CONDITIONS {
        errors.push(FieldError::too_many(path, conditions.len(), MOST_CONDITIONS));
    }
    for (index, MatchCondition { name, expression }) in conditions.iter().enumerate() {
        let (at, expression_at) = (path.index(index).child("name"), path.index(index).child("expression"));
        if expression.trim().is_empty() {
            errors.push(FieldError::required(expression_at, ""));
        }
        if name.is_empty() {
            errors.push(FieldError::required(at, ""));
        } else {
            errors.extend(invalid_each(&at, name, qualified_name(name)));
        }
    }
    errors
}

fn variables(variables: &[Variable], path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (index, Variable { name, expression }) in variables.iter().enumerate() {
        let at = path.index(index);
        if name.trim().is_empty() {
            errors.push(FieldError::required(at.child("name"), "name is not specified"));
        } else if !orch_cel::is_identifier(name) {
            let why = "name is not a valid CEL identifier";
            errors.push(FieldError::invalid(at.child("name"), name.clone(), why));
        }
        if expression.trim().is_empty() {
            errors.push(FieldError::required(at.child("expression"), "expression is not specified"));
        }
    }
    errors
}

fn validation(of: &Validation, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if of.expression.trim().is_empty() {
        errors.push(FieldError::required(path.child("expression"), "expression is not specified"));
    }
    let is_blank = |text: &&String| !text.is_empty() && text.trim().is_empty();
    if let Some(text) = of.message_expression.as_ref().filter(is_blank) {
        let at = path.child("messageExpression");
        errors.push(FieldError::invalid(at, text.clone(), "must be non-empty if specified"));
    }
    let at = path.child("message");
    if let Some(text) = of.message.as_ref().filter(is_blank) {
        errors.push(FieldError::invalid(&at, text.clone(), "message must be non-empty if specified"));
    } else if let Some(text) = of.message.as_ref().filter(|text| text.trim().contains('\n')) {
        errors.push(FieldError::invalid(&at, text.clone(), "message must not contain line breaks"));
    }
    if let Some(reason) = of.reason.as_deref().filter(|reason| !REASONS.contains(reason)) {
        errors.push(FieldError::not_supported(path.child("reason"), reason, &REASONS));
    }
    errors
}

fn audit_annotations(annotations: &[AuditAnnotation], path: &FieldPath) -> Vec<FieldError> {
    let (mut errors, mut keys) = (Vec::new(), BTreeSet::new());
    if annotations.len() > MOST_ANNOTATIONS {
        let why = format!("must not have more than {MOST_ANNOTATIONS} auditAnnotations");
        errors.push(FieldError::invalid(path, json!(annotations), why));
    }
    for (index, AuditAnnotation { key, value_expression }) in annotations.iter().enumerate() {
        let at = path.index(index);
        if key.is_empty() {
            errors.push(FieldError::required(at.child("key"), ""));
        } else {
            errors.extend(invalid_each(&at.child("key"), key, qualified_name(key)));
        }
        if value_expression.trim().is_empty() {
            let why = "valueExpression is not specified";
            errors.push(FieldError::required(at.child("valueExpression"), why));
        }
        if !keys.insert(key) {
            errors.push(FieldError::duplicate(at.child("key"), key.clone()));
        }
    }
    errors
}

/// Everything that is wrong with a binding.
pub(super) fn binding(spec: &ValidatingAdmissionPolicyBindingSpec) -> Vec<FieldError> {
    let path = FieldPath::new("spec");
    let mut errors = Vec::new();
    let at = path.child("policyName");
    if spec.policy_name.is_empty() {
        errors.push(FieldError::required(at, ""));
    } else {
        let name = spec.policy_name.as_str();
        errors.extend(invalid_each(&at, name, dns_subdomain(name)));
    }
    errors.extend(spec.param_ref.iter().flat_map(|of| param_ref(of, &path.child("paramRef"))));
    let resources = spec.match_resources.iter();
    errors.extend(resources.flat_map(|of| match_resources(of, &path.child("matchResources"))));
    let (at, actions) = (path.child("validationActions"), &spec.validation_actions);
    if actions.is_empty() {
        errors.push(FieldError::required(&at, "at least one validation action is required"));
    }
    if actions.contains(&ValidationAction::Deny) && actions.contains(&ValidationAction::Warn) {
        let why = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)";
        errors.push(FieldError::invalid(&at, json!(actions), why));
    }
    errors
}

fn param_ref(of: &ParamRef, path: &FieldPath) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = of.name.as_deref().unwrap_or_default();
    if !name.is_empty() {
        errors.extend(invalid_each(&path.child("name"), name, path_segment(name)));
        if of.selector.is_some() {
            let why = "name and selector are mutually exclusive";
            errors.push(FieldError::forbidden(path.child("name"), why));
        }
    }
    if let Some(selector) = &of.selector {
        errors.extend(selector.validate(&path.child("selector")));
        if !name.is_empty() {
            let why = "name and selector are mutually exclusive";
            errors.push(FieldError::forbidden(path.child("selector"), why));
        }
    }
    if name.is_empty() && of.selector.is_none() {
        errors.push(FieldError::required(path, "one of name or selector must be specified"));
    }
    if of.parameter_not_found_action.is_none() {
        errors.push(FieldError::required(path.child("parameterNotFoundAction"), ""));
    }
    errors
}
