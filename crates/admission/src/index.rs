//! [`Index`]: which policies concern a kind.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use orch_api::{Concern, Kind};
use orch_cel::{Expression, REQUEST_RESOURCE};
use orch_ontology::{
    MatchResources, PolicyExpressions, ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};

use crate::matching;

/// The variables whose values are not in the request.
const REACHES_OUT: [&str; 3] = ["namespaceObject", "authorizer", REQUEST_RESOURCE];

/// A policy, ready to be asked.
pub(crate) struct Policy {
    /// As it is written.
    pub(crate) object: ValidatingAdmissionPolicy,
    /// Its expressions, or why they cannot be compiled: they were refused when the policy was written, unless another
    /// release of the server did that.
    pub(crate) expressions: Result<PolicyExpressions, String>,
}

impl Policy {
    /// Compiles a policy's expressions. Cost: milliseconds.
    pub(crate) fn compile(object: ValidatingAdmissionPolicy) -> Self {
        let expressions = PolicyExpressions::compile(&object.spec).map_err(|errors| {
            let problems: Vec<String> = errors.iter().map(ToString::to_string).collect();
            problems.join("; ")
        });
        Self { object, expressions }
    }

    pub(crate) fn name(&self) -> &str {
        &self.object.metadata.name
    }

    /// Whether what it says of a request depends on other objects.
    fn needs_world(&self, bindings: &[Arc<ValidatingAdmissionPolicyBinding>]) -> bool {
        let selects = |of: &Option<MatchResources>| {
            of.as_ref().and_then(|of| of.namespace_selector.as_ref()).is_some_and(|of| !of.is_empty())
        };
        let reaches_out = self.expressions.as_ref().is_ok_and(|expressions| {
            let rules = expressions
                .validations
                .iter()
                .flat_map(|(rule, message)| std::iter::once(rule).chain(message));
            let variables = expressions.variables.iter().map(|variable| &variable.expression);
            let others = expressions.match_conditions.iter().chain(&expressions.audit_annotations);
            let is_one = |expression: &Expression| REACHES_OUT.iter().any(|name| expression.uses(name));
            rules.chain(variables).chain(others).any(is_one)
        });
        self.object.spec.param_kind.is_some()
            || reaches_out
            || selects(&self.object.spec.match_constraints)
            || bindings.iter().any(|binding| selects(&binding.spec.match_resources))
    }
}

/// A policy with the bindings that make it apply.
pub(crate) struct Bound {
    pub(crate) policy: Arc<Policy>,
    pub(crate) bindings: Vec<Arc<ValidatingAdmissionPolicyBinding>>,
    concern: Concern,
}

/// The policies that apply, by what they are about.
#[derive(Default)]
pub(crate) struct Index {
    /// By group and plural, in order of names.
    by_resource: HashMap<(String, String), Vec<Arc<Bound>>>,
    /// Those with a rule that leaves the group or the resource open, in order of names.
    open: Vec<Arc<Bound>>,
}

impl Index {
    /// An index of these policies. One without a binding does not apply.
    pub(crate) fn of<'a>(
        policies: impl Iterator<Item = &'a Arc<Policy>>,
        bindings: impl Iterator<Item = &'a Arc<ValidatingAdmissionPolicyBinding>>,
    ) -> Self {
        let mut by_policy: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for binding in bindings {
            by_policy.entry(binding.spec.policy_name.as_str()).or_default().push(binding.clone());
        }
        let mut index = Self::default();
        for policy in policies {
            let Some(bindings) = by_policy.remove(policy.name()) else { continue };
            let concern = if policy.needs_world(&bindings) { Concern::World } else { Concern::Request };
            index.add(&Arc::new(Bound { policy: policy.clone(), bindings, concern }));
        }
        index
    }

    fn add(&mut self, bound: &Arc<Bound>) {
        let rules = bound.policy.object.spec.match_constraints.iter().flat_map(|of| &of.resource_rules);
        let pairs: Vec<(&String, &str)> = rules
            .flat_map(|rule| {
                let resources = rule.resources.iter().map(|resource| matching::split(resource).0);
                resources.flat_map(|resource| rule.api_groups.iter().map(move |group| (group, resource)))
            })
            .collect();
        if pairs.iter().any(|(group, resource)| *group == "*" || *resource == "*") {
            self.open.push(bound.clone());
            return;
        }
        for (group, resource) in pairs {
            let known = self.by_resource.entry((group.clone(), resource.to_owned())).or_default();
            if !known.iter().any(|known| Arc::ptr_eq(known, bound)) {
                known.push(bound.clone());
            }
        }
    }

    /// The policies that may have something to say about requests of a kind.
    pub(crate) fn of_kind(&self, kind: &Kind) -> impl Iterator<Item = &Arc<Bound>> {
        let named = if self.by_resource.is_empty() {
            None
        } else {
            self.by_resource.get(&(kind.group.to_owned(), kind.plural.to_owned()))
        };
        named.into_iter().flatten().chain(&self.open)
    }

    pub(crate) fn concern(&self, kind: &Kind) -> Concern {
        self.of_kind(kind).map(|bound| bound.concern).max().unwrap_or(Concern::Nothing)
    }
}
