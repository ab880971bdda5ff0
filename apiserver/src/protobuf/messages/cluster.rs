//! Events, leases and endpoints.

use super::Type::{AnyText, Bool, Int, List, Message as Of, MicroTime, Positive, Text, Time, Unread};
use super::core::OBJECT_REFERENCE;
use super::meta::OBJECT_META;
use super::{Message, f};

pub(super) static EVENT: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "involvedObject", Of(&OBJECT_REFERENCE)),
    f(3, "reason", Text),
    f(4, "message", Text),
    f(5, "source", Of(&EVENT_SOURCE)),
    f(6, "firstTimestamp", Time),
    f(7, "lastTimestamp", Time),
    f(8, "count", Positive),
    f(9, "type", Text),
    f(10, "eventTime", MicroTime),
    f(11, "series", Of(&EVENT_SERIES)),
    f(12, "action", Text),
    f(13, "related", Of(&OBJECT_REFERENCE)),
    f(14, "reportingComponent", AnyText),
    f(15, "reportingInstance", AnyText),
]);
static EVENT_SOURCE: Message = Message(&[f(1, "component", Text), f(2, "host", Text)]);
static EVENT_SERIES: Message = Message(&[f(1, "count", Positive), f(2, "lastObservedTime", MicroTime)]);
pub(super) static EVENT_REPORTED: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "eventTime", MicroTime),
    f(3, "series", Of(&EVENT_SERIES_REPORTED)),
    f(4, "reportingController", Text),
    f(5, "reportingInstance", Text),
    f(6, "action", Text),
    f(7, "reason", Text),
    f(8, "regarding", Of(&OBJECT_REFERENCE)),
    f(9, "related", Of(&OBJECT_REFERENCE)),
    f(10, "note", Text),
    f(11, "type", Text),
    f(12, "deprecatedSource", Of(&EVENT_SOURCE)),
    f(13, "deprecatedFirstTimestamp", Time),
    f(14, "deprecatedLastTimestamp", Time),
    f(15, "deprecatedCount", Positive),
]);
static EVENT_SERIES_REPORTED: Message = Message(&[f(1, "count", Int), f(2, "lastObservedTime", MicroTime)]);
pub(super) static ENDPOINT_SLICE: Message = Message(&[
    f(1, "metadata", Of(&OBJECT_META)),
    f(2, "endpoints", List(&Of(&ENDPOINT))),
    f(3, "ports", List(&Of(&SLICE_PORT))),
    f(4, "addressType", AnyText),
]);
static ENDPOINT: Message = Message(&[
    f(1, "addresses", List(&Text)),
    f(2, "conditions", Of(&ENDPOINT_CONDITIONS)),
    f(3, "hostname", AnyText),
    f(4, "targetRef", Of(&OBJECT_REFERENCE)),
    f(5, "deprecatedTopology", Unread),
    f(6, "nodeName", AnyText),
    f(7, "zone", AnyText),
    f(8, "hints", Unread),
]);
static ENDPOINT_CONDITIONS: Message =
    Message(&[f(1, "ready", Bool), f(2, "serving", Bool), f(3, "terminating", Bool)]);
static SLICE_PORT: Message = Message(&[
    f(1, "name", AnyText),
    f(2, "protocol", AnyText),
    f(3, "port", Int),
    f(4, "appProtocol", AnyText),
]);
pub(super) static LEASE: Message =
    Message(&[f(1, "metadata", Of(&OBJECT_META)), f(2, "spec", Of(&LEASE_SPEC))]);
static LEASE_SPEC: Message = Message(&[
    f(1, "holderIdentity", AnyText),
    f(2, "leaseDurationSeconds", Int),
    f(3, "acquireTime", MicroTime),
    f(4, "renewTime", MicroTime),
    f(5, "leaseTransitions", Int),
    f(6, "strategy", Unread),
    f(7, "preferredHolder", Unread),
]);
