//! The smaller kinds of the core group.

use super::Type::{
    AnyText, Bool, Bytes, Flag, Int, IntOrString, List, Map, Message as Of, Text, Time, Unread,
};
use super::meta::{CONDITION, OBJECT_META};
use super::{Message, f};

pub(super) static NAMESPACE: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "spec", Of(&NAMESPACE_SPEC)),
    f(3, "status", Of(&NAMESPACE_STATUS)),
]);
static NAMESPACE_SPEC: Message = Message(&[f(1, "finalizers", List(&Text))]);
static NAMESPACE_STATUS: Message =
    Message(&[f(1, "phase", Text), f(2, "conditions", List(&Of(&NAMESPACE_CONDITION)))]);
static NAMESPACE_CONDITION: Message = Message(&[
    f(1, "type", AnyText),
    f(2, "status", AnyText),
    f(4, "lastTransitionTime", Time),
    f(5, "reason", Text),
    f(6, "message", Text),
]);
pub(super) static CONFIG_MAP: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "data", Map(&Text)),
    f(3, "binaryData", Map(&Bytes)),
    f(4, "immutable", Bool),
]);
pub(super) static SECRET: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "data", Map(&Bytes)),
    f(3, "type", Text),
    f(4, "stringData", Map(&Text)),
    f(5, "immutable", Bool),
]);
pub(super) static SERVICE_ACCOUNT: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "secrets", Unread),
    f(3, "imagePullSecrets", Unread),
    f(4, "automountServiceAccountToken", Bool),
]);
pub(super) static SERVICE: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "spec", Of(&SERVICE_SPEC)),
    f(3, "status", Of(&SERVICE_STATUS)),
]);
static SERVICE_SPEC: Message = Message(&[
    f(1, "ports", List(&Of(&SERVICE_PORT))),
    f(2, "selector", Map(&Text)),
    f(3, "clusterIP", Text),
    f(4, "type", Text),
    f(5, "externalIPs", Unread),
    f(7, "sessionAffinity", Text),
    f(8, "loadBalancerIP", Unread),
    f(9, "loadBalancerSourceRanges", Unread),
    f(10, "externalName", Text),
    f(11, "externalTrafficPolicy", Unread),
    f(12, "healthCheckNodePort", Unread),
    f(13, "publishNotReadyAddresses", Flag),
    f(14, "sessionAffinityConfig", Unread),
    f(17, "ipFamilyPolicy", AnyText),
    f(18, "clusterIPs", List(&Text)),
    f(19, "ipFamilies", List(&Text)),
    f(20, "allocateLoadBalancerNodePorts", Unread),
    f(21, "loadBalancerClass", Unread),
    f(22, "internalTrafficPolicy", AnyText),
    f(23, "trafficDistribution", Unread),
]);
static SERVICE_PORT: Message = Message(&[
    f(1, "name", Text),
    f(2, "protocol", Text),
    f(3, "port", Int),
    f(4, "targetPort", IntOrString),
    f(5, "nodePort", Unread),
    f(6, "appProtocol", AnyText),
]);
static SERVICE_STATUS: Message =
    Message(&[f(1, "loadBalancer", Of(&LOAD_BALANCER_STATUS)), f(2, "conditions", List(&Of(&CONDITION)))]);
static LOAD_BALANCER_STATUS: Message = Message(&[f(1, "ingress", Unread)]);
pub(super) static LOCAL_OBJECT_REFERENCE: Message = Message(&[f(1, "name", Text)]);
pub(super) static OBJECT_REFERENCE: Message = Message(&[
    f(1, "kind", Text),
    f(2, "namespace", Text),
    f(3, "name", Text),
    f(4, "uid", Text),
    f(5, "apiVersion", Text),
    f(6, "resourceVersion", Text),
    f(7, "fieldPath", Text),
]);
