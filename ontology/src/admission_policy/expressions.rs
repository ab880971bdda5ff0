//! [`PolicyExpressions`]: the expressions of a policy, compiled.

use orch_api::{FieldError, FieldPath};
use orch_cel::Expression;

use super::ValidatingAdmissionPolicySpec;

/// What expressions of policies may name, beside `params`, `variables` and `authorizer`.
pub const POLICY_VARIABLES: [&str; 4] = ["object", "oldObject", "request", "namespaceObject"];
/// What asks for rights. Expressions for messages do not see it.
const AUTHORIZER: &str = "authorizer";

/// The expressions of a policy, compiled: each in the order in which it is written.
#[derive(Debug, Default)]
pub struct PolicyExpressions {
    /// Conditions on requests. They do not see the variables.
    pub match_conditions: Vec<Expression>,
    /// Expressions with names.
    pub variables: Vec<PolicyVariable>,
    /// The rules, each with the expression of its message.
    pub validations: Vec<(Expression, Option<Expression>)>,
    /// What is recorded.
    pub audit_annotations: Vec<Expression>,
}

/// An expression with a name.
#[derive(Debug)]
pub struct PolicyVariable {
    /// What it is called.
    pub name: String,
    /// What it stands for.
    pub expression: Expression,
}

impl PolicyExpressions {
    /// Compiles the expressions of a policy.
    ///
    /// # Errors
    /// What is wrong with each, with its path below `spec`. Cost: milliseconds.
    pub fn compile(spec: &ValidatingAdmissionPolicySpec) -> Result<Self, Vec<FieldError>> {
        let mut compiler = Compiler::of(spec);
        let path = FieldPath::new("spec");
        let mut found = Self::default();
        for (index, condition) in spec.match_conditions.iter().enumerate() {
            let at = path.child("matchConditions").index(index).child("expression");
            found.match_conditions.extend(compiler.compile(&condition.expression, &at));
        }
        compiler.names.push("variables");
        for (index, variable) in spec.variables.iter().enumerate() {
            let at = path.child("variables").index(index).child("expression");
            let expression = compiler.compile(&variable.expression, &at);
            let name = variable.name.clone();
            compiler.known.push(name.clone());
            found.variables.extend(expression.map(|expression| PolicyVariable { name, expression }));
        }
        for (index, validation) in spec.validations.iter().enumerate() {
            let at = path.child("validations").index(index);
            let message = validation.message_expression.as_deref().filter(|text| !text.trim().is_empty());
            // Messages do not depend on rights.
            compiler.names.retain(|name| *name != AUTHORIZER);
            let message = message.and_then(|text| compiler.compile(text, &at.child("messageExpression")));
            compiler.names.push(AUTHORIZER);
            let rule = compiler.compile(&validation.expression, &at.child("expression"));
            found.validations.extend(rule.map(|rule| (rule, message)));
        }
        for (index, annotation) in spec.audit_annotations.iter().enumerate() {
            let at = path.child("auditAnnotations").index(index).child("valueExpression");
            found.audit_annotations.extend(compiler.compile(&annotation.value_expression, &at));
        }
        if compiler.errors.is_empty() { Ok(found) } else { Err(compiler.errors) }
    }
}

struct Compiler {
    names: Vec<&'static str>,
    /// The variables that have been declared so far.
    known: Vec<String>,
    errors: Vec<FieldError>,
}

impl Compiler {
    fn of(spec: &ValidatingAdmissionPolicySpec) -> Self {
        let mut names = POLICY_VARIABLES.to_vec();
        names.push(AUTHORIZER);
        names.extend(spec.param_kind.as_ref().map(|_| "params"));
        Self { names, known: Vec::new(), errors: Vec::new() }
    }

    /// None if there is nothing to compile (which is another rule's to refuse) or it is wrong.
    fn compile(&mut self, source: &str, at: &FieldPath) -> Option<Expression> {
        if source.trim().is_empty() {
            return None;
        }
        let mut refuse = |why: String| self.errors.push(FieldError::invalid(at, source, why));
        match Expression::compile(source, &self.names) {
            Ok(expression) => {
                let fields = expression.fields_of("variables");
                let unknown = fields.into_iter().find(|field| !self.known.iter().any(|known| known == field));
                if let Some(field) = unknown {
                    refuse(format!("compilation failed: undefined field '{field}'"));
                    return None;
                }
                Some(expression)
            }
            Err(error) => {
                refuse(error.to_string());
                None
            }
        }
    }
}
