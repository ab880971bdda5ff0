//! Field numbers, from Kubernetes' published `generated.proto` files, of the few messages that clients send as protobuf
//! without being asked to.

use Type::{Bool, Bytes, Int, IntOrString, Json, List, Map, Message as Of, Positive, Text, Time};

/// The type of a field.
pub(super) enum Type {
    Text,
    /// Base64 in JSON.
    Bytes,
    Int,
    /// A number that is never zero: zero stands for none.
    Positive,
    Bool,
    /// `intstr.IntOrString`
    IntOrString,
    /// Seconds since 1970; RFC 3339 in JSON.
    Time,
    /// A message that holds JSON as bytes.
    Json,
    Message(&'static Message),
    List(&'static Type),
    /// Keys are strings.
    Map(&'static Type),
}

/// A field and its number.
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) name: &'static str,
    pub(super) of: Type,
}

/// The fields of a message. Fields that are not listed are skipped.
pub(super) struct Message(pub(super) &'static [Field]);

const fn f(number: u64, name: &'static str, of: Type) -> Field {
    Field { number, name, of }
}

/// The table of a kind, if there is one.
pub(super) fn find(api_version: &str, kind: &str) -> Option<&'static Message> {
    let (_, message) = KINDS.iter().find(|(names, _)| match *names {
        // Delete options are sent in the version of the group that they are sent to.
        ("*", name) => name == kind,
        (version, name) => version == api_version && name == kind,
    })?;
    Some(message)
}

const KINDS: &[((&str, &str), &Message)] = &[
    (("v1", "Namespace"), &NAMESPACE),
    (("v1", "ConfigMap"), &CONFIG_MAP),
    (("v1", "Secret"), &SECRET),
    (("v1", "ServiceAccount"), &SERVICE_ACCOUNT),
    (("v1", "Service"), &SERVICE),
    (("*", "DeleteOptions"), &DELETE_OPTIONS),
    (("policy/v1", "Eviction"), &EVICTION),
    (("authorization.k8s.io/v1", "SelfSubjectAccessReview"), &ACCESS_REVIEW),
    (("authorization.k8s.io/v1", "SelfSubjectRulesReview"), &RULES_REVIEW),
    (("authentication.k8s.io/v1", "SelfSubjectReview"), &SELF_REVIEW),
    (("authorization.k8s.io/v1", "SubjectAccessReview"), &ACCESS_REVIEW),
    (("authorization.k8s.io/v1", "LocalSubjectAccessReview"), &ACCESS_REVIEW),
    (("rbac.authorization.k8s.io/v1", "Role"), &ROLE),
    (("rbac.authorization.k8s.io/v1", "ClusterRole"), &ROLE),
    (("rbac.authorization.k8s.io/v1", "RoleBinding"), &ROLE_BINDING),
    (("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"), &ROLE_BINDING),
    (("authentication.k8s.io/v1", "TokenRequest"), &TOKEN_REQUEST),
    (("authentication.k8s.io/v1", "TokenReview"), &TOKEN_REVIEW),
    (("certificates.k8s.io/v1", "CertificateSigningRequest"), &CERTIFICATE_SIGNING_REQUEST),
];

/// `runtime.Unknown`
pub(super) const UNKNOWN: Message = Message(&[f(1, "typeMeta", Of(&TYPE_META)), f(2, "raw", Bytes)]);
/// `metav1.Time`
pub(super) const TIME: Message = Message(&[f(1, "seconds", Int), f(2, "nanos", Int)]);
/// `intstr.IntOrString`: the type is 1 for a string.
pub(super) const INT_OR_STRING: Message =
    Message(&[f(1, "type", Int), f(2, "intVal", Int), f(3, "strVal", Text)]);
/// `metav1.FieldsV1`
pub(super) const RAW: Message = Message(&[f(1, "raw", Bytes)]);

static TYPE_META: Message = Message(&[f(1, "apiVersion", Text), f(2, "kind", Text)]);

static OBJECT_META: Message = Message(&[
    f(1, "name", Text),
    f(2, "generateName", Text),
    f(3, "namespace", Text),
    f(5, "uid", Text),
    f(6, "resourceVersion", Text),
    f(7, "generation", Int),
    f(8, "creationTimestamp", Time),
    f(9, "deletionTimestamp", Time),
    f(10, "deletionGracePeriodSeconds", Int),
    f(11, "labels", Map(&Text)),
    f(12, "annotations", Map(&Text)),
    f(13, "ownerReferences", List(&Of(&OWNER_REFERENCE))),
    f(14, "finalizers", List(&Text)),
    f(17, "managedFields", List(&Of(&MANAGED_FIELDS))),
]);

static OWNER_REFERENCE: Message = Message(&[
    f(1, "kind", Text),
    f(3, "name", Text),
    f(4, "uid", Text),
    f(5, "apiVersion", Text),
    f(6, "controller", Bool),
    f(7, "blockOwnerDeletion", Bool),
]);

static MANAGED_FIELDS: Message = Message(&[
    f(1, "manager", Text),
    f(2, "operation", Text),
    f(3, "apiVersion", Text),
    f(4, "time", Time),
    f(6, "fieldsType", Text),
    f(7, "fieldsV1", Json),
    f(8, "subresource", Text),
]);

static NAMESPACE: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "spec", Of(&NAMESPACE_SPEC)),
    f(3, "status", Of(&NAMESPACE_STATUS)),
]);
static NAMESPACE_SPEC: Message = Message(&[f(1, "finalizers", List(&Text))]);
static NAMESPACE_STATUS: Message = Message(&[f(1, "phase", Text)]);

static CONFIG_MAP: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "data", Map(&Text)),
    f(3, "binaryData", Map(&Bytes)),
    f(4, "immutable", Bool),
]);

static SECRET: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "data", Map(&Bytes)),
    f(3, "type", Text),
    f(4, "stringData", Map(&Text)),
    f(5, "immutable", Bool),
]);

static SERVICE_ACCOUNT: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "secrets", List(&Of(&OBJECT_REFERENCE))),
    f(3, "imagePullSecrets", List(&Of(&LOCAL_REFERENCE))),
    f(4, "automountServiceAccountToken", Bool),
]);
static OBJECT_REFERENCE: Message = Message(&[
    f(1, "kind", Text),
    f(2, "namespace", Text),
    f(3, "name", Text),
    f(4, "uid", Text),
    f(5, "apiVersion", Text),
    f(6, "resourceVersion", Text),
    f(7, "fieldPath", Text),
]);
static LOCAL_REFERENCE: Message = Message(&[f(1, "name", Text)]);

static SERVICE: Message = Message(&[f(1, "metadata", Of(&OBJECT_META)), f(2, "spec", Of(&SERVICE_SPEC))]);
static SERVICE_SPEC: Message = Message(&[
    f(1, "ports", List(&Of(&SERVICE_PORT))),
    f(2, "selector", Map(&Text)),
    f(3, "clusterIP", Text),
    f(4, "type", Text),
    f(5, "externalIPs", List(&Text)),
    f(7, "sessionAffinity", Text),
    f(8, "loadBalancerIP", Text),
    f(9, "loadBalancerSourceRanges", List(&Text)),
    f(10, "externalName", Text),
    f(11, "externalTrafficPolicy", Text),
    f(12, "healthCheckNodePort", Positive),
    f(13, "publishNotReadyAddresses", Bool),
    f(17, "ipFamilyPolicy", Text),
    f(18, "clusterIPs", List(&Text)),
    f(19, "ipFamilies", List(&Text)),
    f(20, "allocateLoadBalancerNodePorts", Bool),
    f(21, "loadBalancerClass", Text),
    f(22, "internalTrafficPolicy", Text),
    f(23, "trafficDistribution", Text),
]);
static SERVICE_PORT: Message = Message(&[
    f(1, "name", Text),
    f(2, "protocol", Text),
    f(3, "port", Int),
    f(4, "targetPort", IntOrString),
    f(5, "nodePort", Positive),
    f(6, "appProtocol", Text),
]);

static DELETE_OPTIONS: Message = Message(&[
    f(1, "gracePeriodSeconds", Int),
    f(2, "preconditions", Of(&PRECONDITIONS)),
    f(3, "orphanDependents", Bool),
    f(4, "propagationPolicy", Text),
    f(5, "dryRun", List(&Text)),
]);
static EVICTION: Message =
    Message(&[f(1, "metadata", Of(&OBJECT_META)), f(2, "deleteOptions", Of(&DELETE_OPTIONS))]);
static PRECONDITIONS: Message = Message(&[f(1, "uid", Text), f(2, "resourceVersion", Text)]);

static ACCESS_REVIEW: Message =
    Message(&[f(1, "metadata", Of(&OBJECT_META)), f(2, "spec", Of(&ACCESS_REVIEW_SPEC))]);
static ACCESS_REVIEW_SPEC: Message = Message(&[
    f(1, "resourceAttributes", Of(&RESOURCE_ATTRIBUTES)),
    f(2, "nonResourceAttributes", Of(&PATH_ATTRIBUTES)),
    // Of a review about somebody else.
    f(3, "user", Text),
    f(4, "groups", List(&Text)),
    f(6, "uid", Text),
]);
static RESOURCE_ATTRIBUTES: Message = Message(&[
    f(1, "namespace", Text),
    f(2, "verb", Text),
    f(3, "group", Text),
    f(4, "version", Text),
    f(5, "resource", Text),
    f(6, "subresource", Text),
    f(7, "name", Text),
]);
static PATH_ATTRIBUTES: Message = Message(&[f(1, "path", Text), f(2, "verb", Text)]);
static RULES_REVIEW: Message =
    Message(&[f(1, "metadata", Of(&OBJECT_META)), f(2, "spec", Of(&RULES_REVIEW_SPEC))]);
static RULES_REVIEW_SPEC: Message = Message(&[f(1, "namespace", Text)]);
static SELF_REVIEW: Message = Message(&[f(1, "metadata", Of(&OBJECT_META))]);

/// A Role has no aggregation rule.
static ROLE: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "rules", List(&Of(&POLICY_RULE))),
    f(3, "aggregationRule", Of(&AGGREGATION_RULE)),
]);
static POLICY_RULE: Message = Message(&[
    f(1, "verbs", List(&Text)),
    f(2, "apiGroups", List(&Text)),
    f(3, "resources", List(&Text)),
    f(4, "resourceNames", List(&Text)),
    f(5, "nonResourceURLs", List(&Text)),
]);
static AGGREGATION_RULE: Message = Message(&[f(1, "clusterRoleSelectors", List(&Of(&LABEL_SELECTOR)))]);
static LABEL_SELECTOR: Message =
    Message(&[f(1, "matchLabels", Map(&Text)), f(2, "matchExpressions", List(&Of(&SELECTOR_REQUIREMENT)))]);
static SELECTOR_REQUIREMENT: Message =
    Message(&[f(1, "key", Text), f(2, "operator", Text), f(3, "values", List(&Text))]);

static ROLE_BINDING: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "subjects", List(&Of(&SUBJECT))),
    f(3, "roleRef", Of(&ROLE_REF)),
]);
static SUBJECT: Message =
    Message(&[f(1, "kind", Text), f(2, "apiGroup", Text), f(3, "name", Text), f(4, "namespace", Text)]);
static ROLE_REF: Message = Message(&[f(1, "apiGroup", Text), f(2, "kind", Text), f(3, "name", Text)]);

static TOKEN_REQUEST: Message =
    Message(&[f(1, "metadata", Of(&OBJECT_META)), f(2, "spec", Of(&TOKEN_REQUEST_SPEC))]);
static TOKEN_REQUEST_SPEC: Message = Message(&[
    f(1, "audiences", List(&Text)),
    f(3, "boundObjectRef", Of(&BOUND_OBJECT_REFERENCE)),
    f(4, "expirationSeconds", Int),
]);
static BOUND_OBJECT_REFERENCE: Message =
    Message(&[f(1, "kind", Text), f(2, "apiVersion", Text), f(3, "name", Text), f(4, "uid", Text)]);
static TOKEN_REVIEW: Message =
    Message(&[f(1, "metadata", Of(&OBJECT_META)), f(2, "spec", Of(&TOKEN_REVIEW_SPEC))]);
static TOKEN_REVIEW_SPEC: Message = Message(&[f(1, "token", Text), f(2, "audiences", List(&Text))]);

/// Who asks is left out: the server says so, whatever a client sends.
static CERTIFICATE_SIGNING_REQUEST: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "spec", Of(&CERTIFICATE_SIGNING_REQUEST_SPEC)),
    f(3, "status", Of(&CERTIFICATE_SIGNING_REQUEST_STATUS)),
]);
static CERTIFICATE_SIGNING_REQUEST_SPEC: Message = Message(&[
    f(1, "request", Bytes),
    f(5, "usages", List(&Text)),
    f(7, "signerName", Text),
    f(8, "expirationSeconds", Int),
]);
static CERTIFICATE_SIGNING_REQUEST_STATUS: Message =
    Message(&[f(1, "conditions", List(&Of(&CERTIFICATE_CONDITION))), f(2, "certificate", Bytes)]);
static CERTIFICATE_CONDITION: Message = Message(&[
    f(1, "type", Text),
    f(2, "reason", Text),
    f(3, "message", Text),
    f(4, "lastUpdateTime", Time),
    f(5, "lastTransitionTime", Time),
    f(6, "status", Text),
]);
