//! Rules in CEL for the objects of other kinds: `admissionregistration.k8s.io/v1`.
//!
//! [`ValidatingAdmissionPolicy`] says what is checked and how; [`ValidatingAdmissionPolicyBinding`] says where, with which
//! parameters, and what follows. A policy without a binding does nothing.

mod binding;
mod checking;
mod expressions;
mod matching;
mod policy;
mod validate;

pub use binding::{
    ParamRef, ParameterNotFoundAction, ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicyBindingSpec, ValidationAction,
};
pub use checking::{CheckedKind, named_resources, type_check};
pub use expressions::{POLICY_VARIABLES, PolicyExpressions, PolicyVariable};
pub use matching::{MatchPolicy, MatchResources, NamedRuleWithOperations, OperationType, RuleScope};
pub use policy::{
    AuditAnnotation, ExpressionWarning, FailurePolicy, MatchCondition, ParamKind, TypeChecking,
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicySpec, ValidatingAdmissionPolicyStatus, Validation,
    Variable,
};

/// The group of admission policies.
pub const ADMISSION_GROUP: &str = "admissionregistration.k8s.io";
