//! What is asked of the server, or of one object.

use super::Type::{AnyText, Bool, Flag, Int, List, Map, Message as Of, Positive, Text, Texts, Time};
use super::core::OBJECT_REFERENCE;
use super::meta::{DELETE_OPTIONS, FIELD_SELECTOR_REQUIREMENT, LABEL_SELECTOR_REQUIREMENT, OBJECT_META};
use super::{Message, f};

pub(super) static BINDING: Message =
    Message(&[f(1, "metadata", Of(&OBJECT_META)), f(2, "target", Of(&OBJECT_REFERENCE))]);
pub(super) static EVICTION: Message =
    Message(&[f(1, "metadata", Of(&OBJECT_META)), f(2, "deleteOptions", Of(&DELETE_OPTIONS))]);
pub(super) static SCALE: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "spec", Of(&SCALE_SPEC)),
    f(3, "status", Of(&SCALE_STATUS)),
]);
static SCALE_SPEC: Message = Message(&[f(1, "replicas", Positive)]);
static SCALE_STATUS: Message = Message(&[f(1, "replicas", Int), f(2, "selector", Text)]);
pub(super) static TOKEN_REQUEST: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "spec", Of(&TOKEN_REQUEST_SPEC)),
    f(3, "status", Of(&TOKEN_REQUEST_STATUS)),
]);
static TOKEN_REQUEST_SPEC: Message = Message(&[
    f(1, "audiences", List(&Text)),
    f(3, "boundObjectRef", Of(&BOUND_OBJECT_REFERENCE)),
    f(4, "expirationSeconds", Int),
    f(5, "attestations", Map(&List(&Text))),
]);
static BOUND_OBJECT_REFERENCE: Message =
    Message(&[f(1, "kind", Text), f(2, "apiVersion", Text), f(3, "name", Text), f(4, "uid", Text)]);
static TOKEN_REQUEST_STATUS: Message = Message(&[f(1, "token", AnyText), f(2, "expirationTimestamp", Time)]);
pub(super) static TOKEN_REVIEW: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "spec", Of(&TOKEN_REVIEW_SPEC)),
    f(3, "status", Of(&TOKEN_REVIEW_STATUS)),
]);
static TOKEN_REVIEW_SPEC: Message = Message(&[f(1, "token", Text), f(2, "audiences", List(&Text))]);
static TOKEN_REVIEW_STATUS: Message = Message(&[
    f(1, "authenticated", Flag),
    f(2, "user", Of(&USER_INFO)),
    f(3, "error", Text),
    f(4, "audiences", List(&Text)),
]);
static USER_INFO: Message = Message(&[
    f(1, "username", Text),
    f(2, "uid", Text),
    f(3, "groups", List(&Text)),
    f(4, "extra", Map(&Texts)),
]);
pub(super) static SELF_SUBJECT_REVIEW: Message =
    Message(&[f(1, "metadata", Of(&OBJECT_META)), f(2, "status", Of(&SELF_SUBJECT_REVIEW_STATUS))]);
static SELF_SUBJECT_REVIEW_STATUS: Message = Message(&[f(1, "userInfo", Of(&USER_INFO))]);
pub(super) static SUBJECT_ACCESS_REVIEW: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "spec", Of(&SUBJECT_ACCESS_REVIEW_SPEC)),
    f(3, "status", Of(&SUBJECT_ACCESS_REVIEW_STATUS)),
]);
static SUBJECT_ACCESS_REVIEW_SPEC: Message = Message(&[
    f(1, "resourceAttributes", Of(&RESOURCE_ATTRIBUTES)),
    f(2, "nonResourceAttributes", Of(&NON_RESOURCE_ATTRIBUTES)),
    f(3, "user", Text),
    f(4, "groups", List(&Text)),
    f(5, "extra", Map(&Texts)),
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
    f(8, "fieldSelector", Of(&FIELD_SELECTOR_ATTRIBUTES)),
    f(9, "labelSelector", Of(&LABEL_SELECTOR_ATTRIBUTES)),
]);
static FIELD_SELECTOR_ATTRIBUTES: Message =
    Message(&[f(1, "rawSelector", Text), f(2, "requirements", List(&Of(&FIELD_SELECTOR_REQUIREMENT)))]);
static LABEL_SELECTOR_ATTRIBUTES: Message =
    Message(&[f(1, "rawSelector", Text), f(2, "requirements", List(&Of(&LABEL_SELECTOR_REQUIREMENT)))]);
static NON_RESOURCE_ATTRIBUTES: Message = Message(&[f(1, "path", Text), f(2, "verb", Text)]);
static SUBJECT_ACCESS_REVIEW_STATUS: Message = Message(&[
    f(1, "allowed", Bool),
    f(2, "reason", Text),
    f(3, "evaluationError", Text),
    f(4, "denied", Flag),
]);
pub(super) static LOCAL_SUBJECT_ACCESS_REVIEW: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "spec", Of(&SUBJECT_ACCESS_REVIEW_SPEC)),
    f(3, "status", Of(&SUBJECT_ACCESS_REVIEW_STATUS)),
]);
pub(super) static SELF_SUBJECT_ACCESS_REVIEW: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "spec", Of(&SELF_SUBJECT_ACCESS_REVIEW_SPEC)),
    f(3, "status", Of(&SUBJECT_ACCESS_REVIEW_STATUS)),
]);
static SELF_SUBJECT_ACCESS_REVIEW_SPEC: Message = Message(&[
    f(1, "resourceAttributes", Of(&RESOURCE_ATTRIBUTES)),
    f(2, "nonResourceAttributes", Of(&NON_RESOURCE_ATTRIBUTES)),
]);
pub(super) static SELF_SUBJECT_RULES_REVIEW: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "spec", Of(&SELF_SUBJECT_RULES_REVIEW_SPEC)),
    f(3, "status", Of(&SUBJECT_RULES_REVIEW_STATUS)),
]);
static SELF_SUBJECT_RULES_REVIEW_SPEC: Message = Message(&[f(1, "namespace", Text)]);
static SUBJECT_RULES_REVIEW_STATUS: Message = Message(&[
    f(1, "resourceRules", List(&Of(&RESOURCE_RULE))),
    f(2, "nonResourceRules", List(&Of(&NON_RESOURCE_RULE))),
    f(3, "incomplete", Bool),
    f(4, "evaluationError", Text),
]);
static RESOURCE_RULE: Message = Message(&[
    f(1, "verbs", List(&Text)),
    f(2, "apiGroups", List(&Text)),
    f(3, "resources", List(&Text)),
    f(4, "resourceNames", List(&Text)),
]);
static NON_RESOURCE_RULE: Message =
    Message(&[f(1, "verbs", List(&Text)), f(2, "nonResourceURLs", List(&Text))]);
