//! [`Review`]: what all policies taken together say of one request.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use orch_api::{AdmissionRequest, Admitted, Kind, Reason, Status, StatusCause, World};
use orch_cel::Outcome;
use orch_ontology::{
    FailurePolicy, PolicyExpressions, ValidatingAdmissionPolicyBinding, Validation, ValidationAction,
};
use serde_json::{Value, json};

use crate::evaluate::{Evaluation, Facts};
use crate::index::Policy;
use crate::{matching, params};

/// The most failures that an audit record tells of.
const MOST_AUDITED: usize = 50;
/// The longest audit annotation, and the longest message that an expression makes, in bytes.
const LONGEST_ANNOTATION: usize = 10 * 1024;
const LONGEST_MESSAGE: usize = 5 * 1024;

/// What all policies taken together say of one request.
pub(crate) struct Review<'a> {
    request: &'a AdmissionRequest<'a>,
    world: &'a dyn World,
    /// What expressions see, by the version of the kind that policies speak of.
    facts: Vec<(Kind, Rc<Facts<'a>>)>,
    denied: Vec<Denied>,
    failures: Vec<Value>,
    admitted: Admitted,
}

/// A refusal.
struct Denied {
    message: String,
    reason: String,
}

/// A rule that is broken, or that cannot be asked.
struct Broken {
    index: usize,
    message: String,
    reason: String,
}

/// A policy where it applies.
#[derive(Clone, Copy)]
struct Place<'p> {
    policy: &'p Policy,
    binding: &'p ValidatingAdmissionPolicyBinding,
}

impl<'a> Review<'a> {
    pub(crate) fn new(request: &'a AdmissionRequest<'a>, world: &'a dyn World) -> Self {
        Self {
            request,
            world,
            facts: Vec::new(),
            denied: Vec::new(),
            failures: Vec::new(),
            admitted: Admitted::default(),
        }
    }

    /// Asks one policy, wherever it applies.
    pub(crate) fn policy(&mut self, policy: &Policy, bindings: &[Arc<ValidatingAdmissionPolicyBinding>]) {
        let constraints = policy.object.spec.match_constraints.as_ref();
        let constraints = constraints.ok_or("policy contained no match constraints, a required field".into());
        let kind = constraints.and_then(|of| matching::matches(of, self.request, self.world));
        let kind = match kind {
            Ok(Some(kind)) => kind,
            Ok(None) => return,
            Err(problem) => return self.misconfigured(policy, None, &problem),
        };
        let mut annotations = BTreeMap::new();
        for binding in bindings {
            if let Err(problem) = self.binding(Place { policy, binding }, &kind, &mut annotations) {
                self.misconfigured(policy, Some(binding), &problem);
            }
        }
        for (key, values) in annotations {
            self.admitted.annotations.insert(format!("{}/{key}", policy.name()), values.join(", "));
        }
    }

    /// Asks a policy where a binding makes it apply.
    ///
    /// # Errors
    /// If it cannot be found out whether it does, or with which parameters.
    fn binding(
        &mut self,
        place: Place<'_>,
        kind: &Kind,
        annotations: &mut BTreeMap<String, Vec<String>>,
    ) -> Result<(), String> {
        let (spec, binding) = (&place.policy.object.spec, &place.binding.spec);
        if let Some(resources) = &binding.match_resources
            && matching::matches(resources, self.request, self.world)?.is_none()
        {
            return Ok(());
        }
        let params = params::collect(
            spec.param_kind.as_ref(),
            binding.param_ref.as_ref(),
            self.request.namespace,
            self.world,
        )?;
        let facts = self.facts(kind);
        for param in &params {
            match &place.policy.expressions {
                Err(problem) => self.uncheckable(place, problem.clone()),
                Ok(expressions) => {
                    let evaluation = Evaluation::new(expressions, &facts, param);
                    self.check(place, expressions, evaluation, annotations);
                }
            }
        }
        Ok(())
    }

    fn facts(&mut self, kind: &Kind) -> Rc<Facts<'a>> {
        if let Some((_, facts)) = self.facts.iter().find(|(known, _)| known == kind) {
            return facts.clone();
        }
        let facts = Rc::new(Facts::of(self.request, kind, self.world));
        self.facts.push((*kind, facts.clone()));
        facts
    }

    fn check<'e>(
        &mut self,
        place: Place<'_>,
        expressions: &'e PolicyExpressions,
        mut evaluation: Evaluation<'e>,
        annotations: &mut BTreeMap<String, Vec<String>>,
    ) {
        match is_meant(place.policy, expressions, &mut evaluation) {
            Ok(true) => {}
            Ok(false) => return,
            Err(problem) => return self.uncheckable(place, problem),
        }
        let rules = place.policy.object.spec.validations.iter().zip(&expressions.validations);
        for (index, (written, (rule, message))) in rules.enumerate() {
            match evaluation.outcome(rule, &written.expression) {
                Ok(Outcome::Bool(true)) => {}
                Err(problem) if place.policy.ignores_failures() => drop(problem),
                Err(message) => self.broken(place, Broken { index, message, reason: String::new() }),
                Ok(_) => {
                    let source = written.message_expression.as_deref().unwrap_or_default();
                    let said = message.as_ref().and_then(|said| evaluation.outcome(said, source).ok());
                    let reason = written.reason.clone().unwrap_or_default();
                    self.broken(place, Broken { index, message: message_of(written, said), reason });
                }
            }
        }
        let written = place.policy.object.spec.audit_annotations.iter();
        for (written, value) in written.zip(&expressions.audit_annotations) {
            match evaluation.outcome(value, &written.value_expression) {
                Ok(Outcome::Null) => {}
                Ok(Outcome::Text(text)) => annotate(annotations, &written.key, text.trim()),
                Ok(_) => {
                    let why = format!(
                        "valueExpression '{}' resulted in unsupported return type. Return type must be either string or null.",
                        written.value_expression
                    );
                    self.deny(place, why, String::new());
                }
                Err(problem) if place.policy.ignores_failures() => drop(problem),
                Err(problem) => self.deny(place, problem, String::new()),
            }
        }
    }

    /// The policy says what happens to a request that cannot be checked.
    fn uncheckable(&mut self, place: Place<'_>, message: String) {
        if !place.policy.ignores_failures() {
            self.broken(place, Broken { index: 0, message, reason: String::new() });
        }
    }

    /// The binding says what follows from a broken rule.
    fn broken(&mut self, place: Place<'_>, broken: Broken) {
        let (policy, binding) = (place.policy.name(), &place.binding.metadata.name);
        for action in &place.binding.spec.validation_actions {
            match action {
                ValidationAction::Deny => self.deny(place, broken.message.clone(), broken.reason.clone()),
                ValidationAction::Warn => self.admitted.warnings.push(format!(
                    "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding}': {}",
                    broken.message
                )),
                ValidationAction::Audit => self.failures.push(json!({
                    "message": broken.message,
                    "policy": policy,
                    "binding": binding,
                    "expressionIndex": broken.index,
                    "validationActions": place.binding.spec.validation_actions,
                })),
            }
        }
    }

    fn deny(&mut self, place: Place<'_>, message: String, reason: String) {
        let (policy, binding) = (place.policy.name(), &place.binding.metadata.name);
        let message = format!(
            "ValidatingAdmissionPolicy '{policy}' with binding '{binding}' denied request: {message}"
        );
        self.denied.push(Denied { message, reason });
    }

    /// A policy that cannot even be asked refuses requests, unless it says that it is to be ignored.
    fn misconfigured(
        &mut self,
        policy: &Policy,
        binding: Option<&ValidatingAdmissionPolicyBinding>,
        problem: &str,
    ) {
        if policy.ignores_failures() {
            return;
        }
        let (name, reason) = (policy.name(), String::new());
        let message = match binding {
            None => format!(
                "ValidatingAdmissionPolicy '{name}' denied request: failed to configure policy: {problem}"
            ),
            Some(binding) => format!(
                "ValidatingAdmissionPolicy '{name}' with binding '{}' denied request: failed to configure binding: {problem}",
                binding.metadata.name
            ),
        };
        self.denied.push(Denied { message, reason });
    }

    /// The outcome: the first refusal, if there is one.
    pub(crate) fn end(mut self, said: &mut Admitted) -> Result<(), Status> {
        if !self.failures.is_empty() {
            self.failures.truncate(MOST_AUDITED);
            let key = "validation.policy.admission.k8s.io/validation_failure".to_owned();
            self.admitted.annotations.insert(key, Value::Array(self.failures).to_string());
        }
        *said = self.admitted;
        match self.denied.first() {
            None => Ok(()),
            Some(denied) => Err(refusal(self.request, denied)),
        }
    }
}

impl Policy {
    fn ignores_failures(&self) -> bool {
        self.object.spec.failure_policy == Some(FailurePolicy::Ignore)
    }
}

/// Whether all of the policy's conditions hold. One that does not decides, whatever is wrong with others.
fn is_meant<'e>(
    policy: &Policy,
    expressions: &'e PolicyExpressions,
    evaluation: &mut Evaluation<'e>,
) -> Result<bool, String> {
    let mut problems = Vec::new();
    let written = policy.object.spec.match_conditions.iter();
    for (written, condition) in written.zip(&expressions.match_conditions) {
        match evaluation.outcome(condition, &written.expression) {
            Ok(Outcome::Bool(false)) => return Ok(false),
            Ok(_) => {}
            Err(problem) => problems.push(problem),
        }
    }
    match problems.as_slice() {
        [] => Ok(true),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

/// What is said of a broken rule: what its expression says, or else its message, or else the rule.
fn message_of(written: &Validation, said: Option<Outcome>) -> String {
    if let Some(Outcome::Text(text)) = said {
        let text = text.trim();
        if !text.is_empty() && text.len() <= LONGEST_MESSAGE && !text.contains('\n') {
            return text.to_owned();
        }
    }
    match written.message.as_deref().map(str::trim) {
        Some(message) if !message.is_empty() => message.to_owned(),
        _ => format!("failed expression: {}", written.expression.trim()),
    }
}

fn annotate(annotations: &mut BTreeMap<String, Vec<String>>, key: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    let end = (0..=value.len().min(LONGEST_ANNOTATION)).rev().find(|end| value.is_char_boundary(*end));
    let value = value[..end.unwrap_or(0)].to_owned();
    let values = annotations.entry(key.to_owned()).or_default();
    if !values.contains(&value) {
        values.push(value);
    }
}

/// 422 unless the rule says otherwise, worded as what is forbidden.
fn refusal(request: &AdmissionRequest<'_>, denied: &Denied) -> Status {
    let reason = match denied.reason.as_str() {
        "Forbidden" => Reason::Forbidden,
        "Unauthorized" => Reason::Unauthorized,
        "RequestEntityTooLarge" => Reason::RequestEntityTooLarge,
        _ => Reason::Invalid,
    };
    let mut status = Status::forbidden(request.kind, request.name, &denied.message);
    status.code = reason.code();
    status.reason = Some(reason);
    if let Some(details) = &mut status.details {
        details.causes.push(StatusCause { message: denied.message.clone(), ..StatusCause::default() });
    }
    status
}
