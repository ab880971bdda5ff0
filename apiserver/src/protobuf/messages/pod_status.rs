//! The status of pods.

use super::Type::{AnyText, Bool, Int, List, Message as Of, Positive, Text, Time, Unread};
use super::{Message, f};

pub(super) static POD_STATUS: Message = Message(&[
    f(1, "phase", Text),
    f(2, "conditions", List(&Of(&POD_CONDITION))),
    f(3, "message", Text),
    f(4, "reason", Text),
    f(5, "hostIP", Text),
    f(6, "podIP", Text),
    f(7, "startTime", Time),
    f(8, "containerStatuses", List(&Of(&CONTAINER_STATUS))),
    f(9, "qosClass", Text),
    f(10, "initContainerStatuses", List(&Of(&CONTAINER_STATUS))),
    f(11, "nominatedNodeName", Unread),
    f(12, "podIPs", List(&Of(&POD_IP))),
    f(13, "ephemeralContainerStatuses", Unread),
    f(14, "resize", Unread),
    f(15, "resourceClaimStatuses", Unread),
    f(16, "hostIPs", List(&Of(&HOST_IP))),
    f(17, "observedGeneration", Positive),
    f(18, "extendedResourceClaimStatus", Unread),
    f(19, "allocatedResources", Unread),
    f(20, "resources", Unread),
    f(21, "nodeAllocatableResourceClaimStatuses", Unread),
    f(22, "volumeHealth", Unread),
]);
static POD_CONDITION: Message = Message(&[
    f(1, "type", AnyText),
    f(2, "status", AnyText),
    f(3, "lastProbeTime", Time),
    f(4, "lastTransitionTime", Time),
    f(5, "reason", Text),
    f(6, "message", Text),
    f(7, "observedGeneration", Positive),
]);
static HOST_IP: Message = Message(&[f(1, "ip", AnyText)]);
static POD_IP: Message = Message(&[f(1, "ip", AnyText)]);
static CONTAINER_STATUS: Message = Message(&[
    f(1, "name", AnyText),
    f(2, "state", Of(&CONTAINER_STATE)),
    f(3, "lastState", Of(&CONTAINER_STATE)),
    f(4, "ready", Bool),
    f(5, "restartCount", Int),
    f(6, "image", AnyText),
    f(7, "imageID", AnyText),
    f(8, "containerID", Text),
    f(9, "started", Bool),
    f(10, "allocatedResources", Unread),
    f(11, "resources", Unread),
    f(12, "volumeMounts", Unread),
    f(13, "user", Unread),
    f(14, "allocatedResourcesStatus", Unread),
    f(15, "stopSignal", Unread),
]);
static CONTAINER_STATE: Message = Message(&[
    f(1, "waiting", Of(&CONTAINER_STATE_WAITING)),
    f(2, "running", Of(&CONTAINER_STATE_RUNNING)),
    f(3, "terminated", Of(&CONTAINER_STATE_TERMINATED)),
]);
static CONTAINER_STATE_WAITING: Message = Message(&[f(1, "reason", Text), f(2, "message", Text)]);
static CONTAINER_STATE_RUNNING: Message = Message(&[f(1, "startedAt", Time)]);
static CONTAINER_STATE_TERMINATED: Message = Message(&[
    f(1, "exitCode", Int),
    f(2, "signal", Positive),
    f(3, "reason", Text),
    f(4, "message", Text),
    f(5, "startedAt", Time),
    f(6, "finishedAt", Time),
    f(7, "containerID", Text),
]);
