//! [`Evaluation`]: a policy's expressions, evaluated for one request and one parameter.

use std::collections::BTreeMap;

use orch_api::{AdmissionRequest, Kind, Resource as _, World};
use orch_cel::{Budget, CelError, Computed, Expression, Outcome, REQUEST_RESOURCE, Variable};
use orch_ontology::{Namespace, PolicyExpressions};
use serde_json::{Value, json};

use crate::rights::{self, Rights};

/// What expressions see of a request, in the version of its kind that a policy speaks of.
pub(crate) struct Facts<'a> {
    object: Variable<'a>,
    old: Variable<'a>,
    request: Variable<'a>,
    namespace: Variable<'a>,
    authorizer: Variable<'a>,
    request_resource: Variable<'a>,
}

static NULL: Value = Value::Null;

impl<'a> Facts<'a> {
    /// Cost: linear in the objects.
    pub(crate) fn of(request: &AdmissionRequest<'a>, kind: &Kind, world: &dyn World) -> Self {
        let seen = |object: Option<&'a Value>| match object {
            None => Variable::raw(std::borrow::Cow::Borrowed(&NULL)),
            Some(object) if kind == request.kind => Variable::raw(std::borrow::Cow::Borrowed(object)),
            // Versions differ in nothing but what they are called.
            Some(object) => {
                let mut converted = object.clone();
                converted["apiVersion"] = kind.api_version().into();
                Variable::raw(std::borrow::Cow::Owned(converted))
            }
        };
        let namespace = match request.namespace {
            "" => None,
            name => world.object(&Namespace::KIND, "", name),
        };
        let rights = Rights::of(request, world);
        Self {
            authorizer: Variable::authorizer(rights.clone()),
            request_resource: Variable::request_resource(rights, rights::resource(request, kind)),
            object: seen(request.object),
            old: seen(request.old),
            request: Variable::raw(std::borrow::Cow::Owned(shown(request, kind))),
            namespace: Variable::raw(std::borrow::Cow::Owned(namespace.unwrap_or_default())),
        }
    }
}

/// The request as `admission.k8s.io/v1` writes an `AdmissionRequest`.
fn shown(request: &AdmissionRequest<'_>, kind: &Kind) -> Value {
    let resource = |of: &Kind| json!({"group": of.group, "version": of.version, "resource": of.plural});
    let named = |of: &Kind| json!({"group": of.group, "version": of.version, "kind": of.name});
    let own = if request.object_kind == request.kind { kind } else { request.object_kind };
    let mut shown = json!({
        "kind": named(own),
        "resource": resource(kind),
        "requestKind": named(request.object_kind),
        "requestResource": resource(request.kind),
        "name": request.name,
        "operation": request.operation.as_str(),
        "userInfo": request.user,
        "dryRun": request.dry_run,
    });
    for (field, value) in [
        ("subResource", request.subresource),
        ("requestSubResource", request.subresource),
        ("namespace", request.namespace),
    ] {
        if !value.is_empty() {
            shown[field] = value.into();
        }
    }
    shown
}

/// A policy's expressions, evaluated for one request and one parameter. The variables of the policy are evaluated once, when
/// an expression that names them is.
pub(crate) struct Evaluation<'a> {
    expressions: &'a PolicyExpressions,
    facts: &'a Facts<'a>,
    params: Variable<'a>,
    budget: Budget,
    computed: Computed,
    /// The variables that have been evaluated, with why they have no value.
    done: BTreeMap<&'a str, Option<CelError>>,
}

impl<'a> Evaluation<'a> {
    pub(crate) fn new(expressions: &'a PolicyExpressions, facts: &'a Facts<'a>, params: &'a Value) -> Self {
        Self {
            expressions,
            facts,
            params: Variable::raw(std::borrow::Cow::Borrowed(params)),
            budget: Budget::of_an_object(),
            computed: Computed::default(),
            done: BTreeMap::new(),
        }
    }

    /// What an expression evaluates to.
    ///
    /// # Errors
    /// Why it does not, in Kubernetes' words; `source` is the expression.
    pub(crate) fn outcome(&mut self, expression: &'a Expression, source: &str) -> Result<Outcome, String> {
        let names = expression.fields_of("variables");
        names.iter().for_each(|name| self.variable(name));
        let computed = self.computed.variable();
        expression.evaluate(&given(self.facts, &self.params, &computed), &mut self.budget).map_err(|error| {
            let error = names.iter().find_map(|name| self.cause(name, &error)).unwrap_or(error.to_string());
            match error.as_str() {
                "cost limit exceeded" => {
                    "validation failed due to running out of cost budget, no further validation rules will be run"
                        .to_owned()
                }
                error => format!("expression '{}' resulted in error: {error}", source.trim()),
            }
        })
    }

    /// Why a variable has no value, if that is why the expression that names it has none.
    fn cause(&self, name: &str, error: &CelError) -> Option<String> {
        let missing = CelError::Evaluate(format!("no such key: {name}"));
        let cause = self.done.get(name)?.as_ref().filter(|_| *error == missing)?;
        Some(format!("composited variable {name:?} fails to evaluate: {cause}"))
    }

    fn variable(&mut self, name: &str) {
        if self.done.contains_key(name) {
            return;
        }
        let Some(variable) = self.expressions.variables.iter().find(|known| known.name == name) else {
            return;
        };
        // Variables name only those before them, so that this ends.
        variable.expression.fields_of("variables").into_iter().for_each(|name| self.variable(name));
        let computed = self.computed.variable();
        let value =
            variable.expression.compute(&given(self.facts, &self.params, &computed), &mut self.budget);
        let problem = match value {
            Ok(value) => {
                self.computed.put(&variable.name, value);
                None
            }
            Err(error) => Some(error),
        };
        self.done.insert(&variable.name, problem);
    }
}

fn given<'g>(
    facts: &'g Facts<'_>,
    params: &'g Variable<'g>,
    computed: &'g Variable<'g>,
) -> [(&'g str, &'g Variable<'g>); 8] {
    [
        ("object", &facts.object),
        ("oldObject", &facts.old),
        ("request", &facts.request),
        ("namespaceObject", &facts.namespace),
        ("authorizer", &facts.authorizer),
        (REQUEST_RESOURCE, &facts.request_resource),
        ("params", params),
        ("variables", computed),
    ]
}
