//! [`Event`]: something that happened to an object, told to people.

use orch_api::{ApiVersion, Kind, KindName, Metadata, MicroTime, Resource, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ObjectReference;

/// Something that happened to an object, told to people. Kept for a while; nothing may depend on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Event {
    /// Always `v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `Event`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// The object that it happened to.
    pub involved_object: ObjectReference,
    /// What happened, as a word for programs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What happened, as a sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Who saw it. Newer writers set `reportingComponent` instead.
    #[serde(default)]
    pub source: EventSource,
    /// When it first happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_timestamp: Option<Time>,
    /// When it last happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_timestamp: Option<Time>,
    /// How often it has happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i32>,
    /// `Normal` or `Warning`.
    #[serde(default, rename = "type", skip_serializing_if = "String::is_empty")]
    pub event_type: String,
    /// When it first happened, to the microsecond.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<MicroTime>,
    /// How it goes on happening.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<EventSeries>,
    /// What was done or failed, as a word for programs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// Another object that took part in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub related: Option<ObjectReference>,
    /// The component that saw it, such as `orch.dev/scheduler`.
    #[serde(default)]
    pub reporting_component: String,
    /// Which instance of the component, such as a node's name.
    #[serde(default)]
    pub reporting_instance: String,
}

impl Resource for Event {
    const KIND: Kind = Kind::namespaced("", "v1", "Event", "events", "event").short_names(&["ev"]);

    const SELECTABLE: &'static [&'static str] = &[
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ];

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }
}

/// Who saw an event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventSource {
    /// The component.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub component: String,
    /// The node it runs on.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
}

/// How an event goes on happening.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventSeries {
    /// How often it has happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<i32>,
    /// When it last happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_observed_time: Option<MicroTime>,
}
