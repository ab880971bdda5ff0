//! [`ValidatingAdmissionPolicy`]: what is checked, and how.

use orch_api::{ApiVersion, Column, Condition, FieldError, Kind, KindName, Metadata, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{ADMISSION_GROUP, MatchResources, validate};

/// Rules that requests must keep, in CEL. Does nothing until a ValidatingAdmissionPolicyBinding says where it applies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidatingAdmissionPolicy {
    /// Always `admissionregistration.k8s.io/v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `ValidatingAdmissionPolicy`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// What is checked, and how.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub spec: ValidatingAdmissionPolicySpec,
    /// What the server has found out about the policy.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub status: ValidatingAdmissionPolicyStatus,
}

/// What is checked, and how.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidatingAdmissionPolicySpec {
    /// The kind of the parameters, if the policy has any. Which objects they are is the binding's to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param_kind: Option<ParamKind>,
    /// The requests that are checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_constraints: Option<MatchResources>,
    /// What every checked request must fulfil.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub validations: Vec<Validation>,
    /// What happens to a request that cannot be checked, because an expression fails or a parameter is missing: `Fail` (by
    /// default) or `Ignore`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_policy: Option<FailurePolicy>,
    /// What is recorded with the request in the audit log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub audit_annotations: Vec<AuditAnnotation>,
    /// Conditions that narrow down further which requests are checked: all must hold. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub match_conditions: Vec<MatchCondition>,
    /// Expressions with names: others use them as `variables.NAME`, those after it only. Evaluated once, when first used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub variables: Vec<Variable>,
}

/// A kind whose objects are parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct ParamKind {
    /// The group and version, such as `v1` or `rules.example.com/v1`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// The kind, such as `ConfigMap`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

/// Something that a request must fulfil.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Validation {
    /// The rule in CEL: true if all is well. It sees `object` and `oldObject` (null if there is none), `request`, `params`,
    /// `namespaceObject`, `variables` and `authorizer`, which says what the caller may do.
    pub expression: String,
    /// What is said when it is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `Unauthorized`, `Forbidden`, `Invalid` (by default) or `RequestEntityTooLarge`: how the request is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// An expression in CEL for what is said when the rule is broken. Wins over `message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_expression: Option<String>,
}

/// Something that is recorded with a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditAnnotation {
    /// What it is recorded as: the policy's name and a slash are put before it.
    pub key: String,
    /// An expression in CEL for the text. Nothing is recorded if it is null or empty.
    pub value_expression: String,
}

/// A condition on requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MatchCondition {
    /// What the condition is called.
    pub name: String,
    /// The condition in CEL.
    pub expression: String,
}

/// An expression with a name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct Variable {
    /// What it is called: a word in CEL.
    pub name: String,
    /// The expression in CEL.
    pub expression: String,
}

/// What happens to a request that cannot be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FailurePolicy {
    /// It is let through.
    Ignore,
    /// It is refused.
    Fail,
}

/// What the server has found out about a policy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidatingAdmissionPolicyStatus {
    /// The generation of the policy that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Whether the expressions fit the kinds that the policy is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_checking: Option<TypeChecking>,
    /// What else has been observed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// What has been found by checking a policy's expressions against the kinds that it names. The policy applies all the same:
/// expressions that fail are treated as its `failurePolicy` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TypeChecking {
    /// What cannot be meant. Empty if all is well, or if the policy names no kinds: `*` is not checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub expression_warnings: Vec<ExpressionWarning>,
}

/// What is wrong with an expression.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpressionWarning {
    /// Where the expression stands, such as `spec.validations[0].expression`.
    pub field_ref: String,
    /// What is wrong, one line for each kind that it is wrong about.
    pub warning: String,
}

impl Resource for ValidatingAdmissionPolicy {
    const KIND: Kind = Kind::cluster(
        ADMISSION_GROUP,
        "v1",
        "ValidatingAdmissionPolicy",
        "validatingadmissionpolicies",
        "validatingadmissionpolicy",
    )
    .categories(&["api-extensions"])
    .with_status();

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn prepare(&mut self, _: Option<&Self>) {
        self.spec.failure_policy.get_or_insert(FailurePolicy::Fail);
        if let Some(constraints) = &mut self.spec.match_constraints {
            constraints.set_defaults();
        }
    }

    fn validate(&self, _: Option<&Self>) -> Vec<FieldError> {
        validate::policy(&self.spec)
    }

    fn columns() -> Vec<Column> {
        let count = |object: &Value, pointer: &str| {
            Value::from(object.pointer(pointer).and_then(Value::as_array).map_or(0, Vec::len))
        };
        let validations = Column::new("Validations", "How many rules there are.", move |object, _| {
            count(object, "/spec/validations")
        });
        let params = Column::new("ParamKind", "The kind of the parameters.", |object, _| {
            match object.pointer("/spec/paramKind") {
                Some(kind) => format!(
                    "{}/{}",
                    kind["apiVersion"].as_str().unwrap_or_default(),
                    kind["kind"].as_str().unwrap_or_default()
                )
                .into(),
                None => json!("<unset>"),
            }
        });
        vec![Column::object_name(), validations.cell_type("integer"), params, Column::age()]
    }
}
