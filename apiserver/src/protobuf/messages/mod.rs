//! Field numbers, names and types of what clients send as protobuf, from Kubernetes' published Go types.
//!
//! Each message is a table; those of a kind are in the file of what it belongs to. A field of Kubernetes that Orch does not
//! have is listed as [`Type::Unread`]: it is told by name where it is set, and so treated as in JSON.

mod access;
mod cluster;
mod core;
mod meta;
mod node;
mod pod;
mod pod_status;
mod requests;
mod volume;

use Type::{Bytes, Int, Message as Of, Text};

/// The type of a field.
pub(super) enum Type {
    /// Left out of JSON if it is empty.
    Text,
    AnyText,
    /// Texts in a message of their own.
    Texts,
    /// Base64 in JSON.
    Bytes,
    Int,
    /// A number whose zero stands for none.
    Positive,
    Bool,
    /// A bool that is left out of JSON if it is false.
    Flag,
    /// `intstr.IntOrString`
    IntOrString,
    /// `resource.Quantity`
    Quantity,
    /// Seconds since 1970; RFC 3339 in JSON.
    Time,
    /// The same with a fraction.
    MicroTime,
    /// A message that holds JSON as bytes.
    Json,
    Message(&'static Message),
    /// A message whose fields stand beside it in JSON.
    InPlace(&'static Message),
    List(&'static Type),
    /// Keys are strings.
    Map(&'static Type),
    /// Of this it is only told whether it is set.
    Unread,
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

const fn in_place(number: u64, message: &'static Message) -> Field {
    f(number, "", Type::InPlace(message))
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

/// Every kind that can be sent so.
pub(super) const KINDS: &[((&str, &str), &Message)] = &[
    (("v1", "Namespace"), &core::NAMESPACE),
    (("v1", "ConfigMap"), &core::CONFIG_MAP),
    (("v1", "Secret"), &core::SECRET),
    (("v1", "ServiceAccount"), &core::SERVICE_ACCOUNT),
    (("v1", "Service"), &core::SERVICE),
    (("v1", "Pod"), &pod::POD),
    (("v1", "Binding"), &requests::BINDING),
    (("v1", "Node"), &node::NODE),
    (("v1", "Event"), &cluster::EVENT),
    (("events.k8s.io/v1", "Event"), &cluster::EVENT_REPORTED),
    (("discovery.k8s.io/v1", "EndpointSlice"), &cluster::ENDPOINT_SLICE),
    (("coordination.k8s.io/v1", "Lease"), &cluster::LEASE),
    (("*", "DeleteOptions"), &meta::DELETE_OPTIONS),
    (("policy/v1", "Eviction"), &requests::EVICTION),
    (("autoscaling/v1", "Scale"), &requests::SCALE),
    (("authorization.k8s.io/v1", "SelfSubjectAccessReview"), &requests::SELF_SUBJECT_ACCESS_REVIEW),
    (("authorization.k8s.io/v1", "SelfSubjectRulesReview"), &requests::SELF_SUBJECT_RULES_REVIEW),
    (("authorization.k8s.io/v1", "SubjectAccessReview"), &requests::SUBJECT_ACCESS_REVIEW),
    (("authorization.k8s.io/v1", "LocalSubjectAccessReview"), &requests::LOCAL_SUBJECT_ACCESS_REVIEW),
    (("authentication.k8s.io/v1", "SelfSubjectReview"), &requests::SELF_SUBJECT_REVIEW),
    (("authentication.k8s.io/v1", "TokenRequest"), &requests::TOKEN_REQUEST),
    (("authentication.k8s.io/v1", "TokenReview"), &requests::TOKEN_REVIEW),
    (("rbac.authorization.k8s.io/v1", "Role"), &access::ROLE),
    (("rbac.authorization.k8s.io/v1", "ClusterRole"), &access::CLUSTER_ROLE),
    (("rbac.authorization.k8s.io/v1", "RoleBinding"), &access::ROLE_BINDING),
    (("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"), &access::CLUSTER_ROLE_BINDING),
    (("certificates.k8s.io/v1", "CertificateSigningRequest"), &access::CERTIFICATE_SIGNING_REQUEST),
    (("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"), &access::VALIDATING_ADMISSION_POLICY),
    (
        ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"),
        &access::VALIDATING_ADMISSION_POLICY_BINDING,
    ),
];

/// `runtime.Unknown`
pub(super) static UNKNOWN: Message = Message(&[f(1, "typeMeta", Of(&TYPE_META)), f(2, "raw", Bytes)]);
static TYPE_META: Message = Message(&[f(1, "apiVersion", Text), f(2, "kind", Text)]);
/// `metav1.Time`
pub(super) static TIME: Message = Message(&[f(1, "seconds", Int), f(2, "nanos", Int)]);
/// `intstr.IntOrString`: the type is 1 for a string.
pub(super) static INT_OR_STRING: Message =
    Message(&[f(1, "type", Int), f(2, "intVal", Int), f(3, "strVal", Text)]);
/// `metav1.FieldsV1`
pub(super) static RAW: Message = Message(&[f(1, "raw", Bytes)]);
/// `resource.Quantity`
pub(super) static QUANTITY: Message = Message(&[f(1, "string", Text)]);
/// `authentication.ExtraValue`
pub(super) static TEXTS: Message = Message(&[f(1, "items", Type::List(&Text))]);
