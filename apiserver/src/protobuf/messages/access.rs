//! Roles, certificates and policies.

use super::Type::{AnyText, Bytes, Int, List, Map, Message as Of, Positive, Text, Texts, Time};
use super::meta::{CONDITION, LABEL_SELECTOR, OBJECT_META};
use super::{Message, f, in_place};

pub(super) static VALIDATING_ADMISSION_POLICY: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "spec", Of(&VALIDATING_ADMISSION_POLICY_SPEC)),
    f(3, "status", Of(&VALIDATING_ADMISSION_POLICY_STATUS)),
]);
static VALIDATING_ADMISSION_POLICY_SPEC: Message = Message(&[
    f(1, "paramKind", Of(&PARAM_KIND)),
    f(2, "matchConstraints", Of(&MATCH_RESOURCES)),
    f(3, "validations", List(&Of(&VALIDATION))),
    f(4, "failurePolicy", AnyText),
    f(5, "auditAnnotations", List(&Of(&AUDIT_ANNOTATION))),
    f(6, "matchConditions", List(&Of(&MATCH_CONDITION))),
    f(7, "variables", List(&Of(&VARIABLE))),
]);
static PARAM_KIND: Message = Message(&[f(1, "apiVersion", Text), f(2, "kind", Text)]);
static MATCH_RESOURCES: Message = Message(&[
    f(1, "namespaceSelector", Of(&LABEL_SELECTOR)),
    f(2, "objectSelector", Of(&LABEL_SELECTOR)),
    f(3, "resourceRules", List(&Of(&NAMED_RULE_WITH_OPERATIONS))),
    f(4, "excludeResourceRules", List(&Of(&NAMED_RULE_WITH_OPERATIONS))),
    f(7, "matchPolicy", AnyText),
]);
static NAMED_RULE_WITH_OPERATIONS: Message =
    Message(&[f(1, "resourceNames", List(&Text)), in_place(2, &RULE_WITH_OPERATIONS)]);
static RULE_WITH_OPERATIONS: Message = Message(&[f(1, "operations", List(&Text)), in_place(2, &RULE)]);
static RULE: Message = Message(&[
    f(1, "apiGroups", List(&Text)),
    f(2, "apiVersions", List(&Text)),
    f(3, "resources", List(&Text)),
    f(4, "scope", AnyText),
]);
static VALIDATION: Message = Message(&[
    f(1, "expression", AnyText),
    f(2, "message", Text),
    f(3, "reason", AnyText),
    f(4, "messageExpression", Text),
]);
static AUDIT_ANNOTATION: Message = Message(&[f(1, "key", AnyText), f(2, "valueExpression", AnyText)]);
static MATCH_CONDITION: Message = Message(&[f(1, "name", AnyText), f(2, "expression", AnyText)]);
static VARIABLE: Message = Message(&[f(1, "name", AnyText), f(2, "expression", AnyText)]);
static VALIDATING_ADMISSION_POLICY_STATUS: Message = Message(&[
    f(1, "observedGeneration", Positive),
    f(2, "typeChecking", Of(&TYPE_CHECKING)),
    f(3, "conditions", List(&Of(&CONDITION))),
]);
static TYPE_CHECKING: Message = Message(&[f(1, "expressionWarnings", List(&Of(&EXPRESSION_WARNING)))]);
static EXPRESSION_WARNING: Message = Message(&[f(2, "fieldRef", AnyText), f(3, "warning", AnyText)]);
pub(super) static VALIDATING_ADMISSION_POLICY_BINDING: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "spec", Of(&VALIDATING_ADMISSION_POLICY_BINDING_SPEC)),
]);
static VALIDATING_ADMISSION_POLICY_BINDING_SPEC: Message = Message(&[
    f(1, "policyName", Text),
    f(2, "paramRef", Of(&PARAM_REF)),
    f(3, "matchResources", Of(&MATCH_RESOURCES)),
    f(4, "validationActions", List(&Text)),
]);
static PARAM_REF: Message = Message(&[
    f(1, "name", Text),
    f(2, "namespace", Text),
    f(3, "selector", Of(&LABEL_SELECTOR)),
    f(4, "parameterNotFoundAction", AnyText),
]);
pub(super) static CERTIFICATE_SIGNING_REQUEST: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "spec", Of(&CERTIFICATE_SIGNING_REQUEST_SPEC)),
    f(3, "status", Of(&CERTIFICATE_SIGNING_REQUEST_STATUS)),
]);
static CERTIFICATE_SIGNING_REQUEST_SPEC: Message = Message(&[
    f(1, "request", Bytes),
    f(2, "username", Text),
    f(3, "uid", Text),
    f(4, "groups", List(&Text)),
    f(5, "usages", List(&Text)),
    f(6, "extra", Map(&Texts)),
    f(7, "signerName", AnyText),
    f(8, "expirationSeconds", Int),
]);
static CERTIFICATE_SIGNING_REQUEST_STATUS: Message = Message(&[
    f(1, "conditions", List(&Of(&CERTIFICATE_SIGNING_REQUEST_CONDITION))),
    f(2, "certificate", Bytes),
]);
static CERTIFICATE_SIGNING_REQUEST_CONDITION: Message = Message(&[
    f(1, "type", AnyText),
    f(2, "reason", Text),
    f(3, "message", Text),
    f(4, "lastUpdateTime", Time),
    f(5, "lastTransitionTime", Time),
    f(6, "status", AnyText),
]);
pub(super) static ROLE: Message =
    Message(&[f(1, "metadata", Of(&OBJECT_META)), f(2, "rules", List(&Of(&POLICY_RULE)))]);
static POLICY_RULE: Message = Message(&[
    f(1, "verbs", List(&Text)),
    f(2, "apiGroups", List(&Text)),
    f(3, "resources", List(&Text)),
    f(4, "resourceNames", List(&Text)),
    f(5, "nonResourceURLs", List(&Text)),
]);
pub(super) static CLUSTER_ROLE: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "rules", List(&Of(&POLICY_RULE))),
    f(3, "aggregationRule", Of(&AGGREGATION_RULE)),
]);
static AGGREGATION_RULE: Message = Message(&[f(1, "clusterRoleSelectors", List(&Of(&LABEL_SELECTOR)))]);
pub(super) static ROLE_BINDING: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "subjects", List(&Of(&SUBJECT))),
    f(3, "roleRef", Of(&ROLE_REF)),
]);
static SUBJECT: Message =
    Message(&[f(1, "kind", AnyText), f(2, "apiGroup", Text), f(3, "name", AnyText), f(4, "namespace", Text)]);
static ROLE_REF: Message =
    Message(&[f(1, "apiGroup", AnyText), f(2, "kind", AnyText), f(3, "name", AnyText)]);
pub(super) static CLUSTER_ROLE_BINDING: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "subjects", List(&Of(&SUBJECT))),
    f(3, "roleRef", Of(&ROLE_REF)),
]);
