//! Nodes.

use super::Type::{AnyText, Flag, Int, List, Map, Message as Of, Positive, Quantity, Text, Time, Unread};
use super::meta::OBJECT_META;
use super::{Message, f};

pub(super) static NODE: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "spec", Of(&NODE_SPEC)),
    f(3, "status", Of(&NODE_STATUS)),
]);
static NODE_SPEC: Message = Message(&[
    f(1, "podCIDR", Text),
    f(2, "externalID", Unread),
    f(3, "providerID", Text),
    f(4, "unschedulable", Flag),
    f(5, "taints", List(&Of(&TAINT))),
    f(6, "configSource", Unread),
    f(7, "podCIDRs", List(&Text)),
    f(8, "podPreemptionPolicy", Unread),
]);
static TAINT: Message =
    Message(&[f(1, "key", AnyText), f(2, "value", Text), f(3, "effect", AnyText), f(4, "timeAdded", Time)]);
static NODE_STATUS: Message = Message(&[
    f(1, "capacity", Map(&Quantity)),
    f(2, "allocatable", Map(&Quantity)),
    f(3, "phase", Unread),
    f(4, "conditions", List(&Of(&NODE_CONDITION))),
    f(5, "addresses", List(&Of(&NODE_ADDRESS))),
    f(6, "daemonEndpoints", Of(&NODE_DAEMON_ENDPOINTS)),
    f(7, "nodeInfo", Of(&NODE_SYSTEM_INFO)),
    f(8, "images", List(&Of(&CONTAINER_IMAGE))),
    f(9, "volumesInUse", Unread),
    f(10, "volumesAttached", Unread),
    f(11, "config", Unread),
    f(12, "runtimeHandlers", Unread),
    f(13, "features", Unread),
    f(14, "declaredFeatures", Unread),
]);
static NODE_CONDITION: Message = Message(&[
    f(1, "type", AnyText),
    f(2, "status", AnyText),
    f(3, "lastHeartbeatTime", Time),
    f(4, "lastTransitionTime", Time),
    f(5, "reason", Text),
    f(6, "message", Text),
]);
static NODE_ADDRESS: Message = Message(&[f(1, "type", AnyText), f(2, "address", AnyText)]);
static NODE_DAEMON_ENDPOINTS: Message = Message(&[f(1, "kubeletEndpoint", Of(&DAEMON_ENDPOINT))]);
static DAEMON_ENDPOINT: Message = Message(&[f(1, "Port", Int)]);
static NODE_SYSTEM_INFO: Message = Message(&[
    f(1, "machineID", AnyText),
    f(2, "systemUUID", AnyText),
    f(3, "bootID", AnyText),
    f(4, "kernelVersion", AnyText),
    f(5, "osImage", AnyText),
    f(6, "containerRuntimeVersion", AnyText),
    f(7, "kubeletVersion", AnyText),
    f(8, "kubeProxyVersion", AnyText),
    f(9, "operatingSystem", AnyText),
    f(10, "architecture", AnyText),
    f(11, "swap", Unread),
]);
static CONTAINER_IMAGE: Message = Message(&[f(1, "names", List(&Text)), f(2, "sizeBytes", Positive)]);
