//! What all objects have, selectors, and options.

use super::Type::{AnyText, Bool, Int, Json, List, Map, Message as Of, Positive, Text, Time, Unread};
use super::{Message, f};

pub(super) static OBJECT_META: Message = Message(&[
    f(1, "name", Text),
    f(2, "generateName", Text),
    f(3, "namespace", Text),
    f(4, "selfLink", Unread),
    f(5, "uid", Text),
    f(6, "resourceVersion", Text),
    f(7, "generation", Positive),
    f(8, "creationTimestamp", Time),
    f(9, "deletionTimestamp", Time),
    f(10, "deletionGracePeriodSeconds", Int),
    f(11, "labels", Map(&Text)),
    f(12, "annotations", Map(&Text)),
    f(13, "ownerReferences", List(&Of(&OWNER_REFERENCE))),
    f(14, "finalizers", List(&Text)),
    f(17, "managedFields", List(&Of(&MANAGED_FIELDS_ENTRY))),
]);
static OWNER_REFERENCE: Message = Message(&[
    f(1, "kind", AnyText),
    f(3, "name", AnyText),
    f(4, "uid", Text),
    f(5, "apiVersion", AnyText),
    f(6, "controller", Bool),
    f(7, "blockOwnerDeletion", Bool),
]);
static MANAGED_FIELDS_ENTRY: Message = Message(&[
    f(1, "manager", Text),
    f(2, "operation", Text),
    f(3, "apiVersion", Text),
    f(4, "time", Time),
    f(6, "fieldsType", Text),
    f(7, "fieldsV1", Json),
    f(8, "subresource", Text),
]);
pub(super) static CONDITION: Message = Message(&[
    f(1, "type", AnyText),
    f(2, "status", AnyText),
    f(3, "observedGeneration", Positive),
    f(4, "lastTransitionTime", Time),
    f(5, "reason", AnyText),
    f(6, "message", AnyText),
]);
pub(super) static LABEL_SELECTOR: Message = Message(&[
    f(1, "matchLabels", Map(&Text)),
    f(2, "matchExpressions", List(&Of(&LABEL_SELECTOR_REQUIREMENT))),
]);
pub(super) static LABEL_SELECTOR_REQUIREMENT: Message =
    Message(&[f(1, "key", AnyText), f(2, "operator", AnyText), f(3, "values", List(&Text))]);
pub(super) static DELETE_OPTIONS: Message = Message(&[
    f(1, "gracePeriodSeconds", Int),
    f(2, "preconditions", Of(&PRECONDITIONS)),
    f(3, "orphanDependents", Bool),
    f(4, "propagationPolicy", AnyText),
    f(5, "dryRun", List(&Text)),
    f(6, "ignoreStoreReadErrorWithClusterBreakingPotential", Bool),
]);
static PRECONDITIONS: Message = Message(&[f(1, "uid", Text), f(2, "resourceVersion", AnyText)]);
pub(super) static FIELD_SELECTOR_REQUIREMENT: Message =
    Message(&[f(1, "key", AnyText), f(2, "operator", AnyText), f(3, "values", List(&Text))]);
