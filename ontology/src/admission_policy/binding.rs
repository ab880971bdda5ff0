//! [`ValidatingAdmissionPolicyBinding`]: where a policy applies, and what follows.

use orch_api::{ApiVersion, Column, FieldError, Kind, KindName, LabelSelector, Metadata, Ref, Resource};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ADMISSION_GROUP, MatchResources, ValidatingAdmissionPolicy, validate};

/// Makes a ValidatingAdmissionPolicy apply.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidatingAdmissionPolicyBinding {
    /// Always `admissionregistration.k8s.io/v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `ValidatingAdmissionPolicyBinding`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// Which policy applies where, with which parameters, and what follows.
    #[serde(default)]
    #[schemars(extend("default" = {}))]
    pub spec: ValidatingAdmissionPolicyBindingSpec,
}

/// Which policy applies where, with which parameters, and what follows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidatingAdmissionPolicyBindingSpec {
    /// The name of the ValidatingAdmissionPolicy. It need not be there yet.
    #[serde(default, skip_serializing_if = "Ref::is_empty")]
    pub policy_name: Ref<ValidatingAdmissionPolicy>,
    /// The policy's parameters. Without it, `params` is null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param_ref: Option<ParamRef>,
    /// Which of the policy's requests are checked. All by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub match_resources: Option<MatchResources>,
    /// What happens to a request that breaks a rule: `Deny`, `Warn`, `Audit`, or several of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "set"))]
    pub validation_actions: Vec<ValidationAction>,
}

/// Which objects are parameters: one by name, or all that a selector selects. Every request is checked with each of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schemars(extend("x-kubernetes-map-type" = "atomic"))]
pub struct ParamRef {
    /// The name of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The namespace of the objects. The request's by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Selects the objects by their labels, in place of a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// What happens to a request if there is no such object: `Allow` or `Deny`. Must be said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameter_not_found_action: Option<ParameterNotFoundAction>,
}

/// What happens to a request if there are no parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ParameterNotFoundAction {
    /// It is not checked.
    Allow,
    /// It cannot be checked: the policy's `failurePolicy` says what happens.
    Deny,
}

/// What happens to a request that breaks a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ValidationAction {
    /// It is refused.
    Deny,
    /// Its answer has a warning.
    Warn,
    /// Its audit record says so.
    Audit,
}

impl Resource for ValidatingAdmissionPolicyBinding {
    const KIND: Kind = Kind::cluster(
        ADMISSION_GROUP,
        "v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        "validatingadmissionpolicybinding",
    )
    .categories(&["api-extensions"]);

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn prepare(&mut self, _: Option<&Self>) {
        if let Some(resources) = &mut self.spec.match_resources {
            resources.set_defaults();
        }
    }

    fn validate(&self, _: Option<&Self>) -> Vec<FieldError> {
        validate::binding(&self.spec)
    }

    fn columns() -> Vec<Column> {
        let policy = Column::at("PolicyName", "The policy that applies.", "/spec/policyName");
        let param = Column::new("ParamRef", "The parameters.", |object, _| {
            let part = |pointer| object.pointer(pointer).and_then(serde_json::Value::as_str);
            match (part("/spec/paramRef/namespace"), part("/spec/paramRef/name")) {
                (Some(namespace), Some(name)) => format!("{namespace}/{name}").into(),
                (None, Some(name)) => name.into(),
                _ => "<unset>".into(),
            }
        });
        vec![Column::object_name(), policy, param, Column::age()]
    }
}
