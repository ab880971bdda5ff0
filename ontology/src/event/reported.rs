//! [`ReportedEvent`]: an [`Event`] in the form of `events.k8s.io/v1`.

use std::sync::Arc;

use orch_api::{ApiVersion, Column, FieldError, Form, Kind, KindName, Metadata, MicroTime, Resource, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Event, EventSeries, EventSource};
use crate::ObjectReference;

/// What is called otherwise in `v1`.
const FORM: Form = Form {
    of: Event::KIND,
    names: &[
        ("note", "message"),
        ("regarding", "involvedObject"),
        ("reportingController", "reportingComponent"),
        ("deprecatedSource", "source"),
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedCount", "count"),
    ],
};

/// Something that happened to an object, told to people. The same objects as the Events of `v1`, in the form in which newer
/// components write them. Kept for an hour; nothing may depend on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportedEvent {
    /// Always `events.k8s.io/v1`.
    #[serde(default)]
    pub api_version: ApiVersion<Self>,
    /// Always `Event`.
    #[serde(default)]
    pub kind: KindName<Self>,
    /// Name, labels, annotations, owners.
    #[serde(default)]
    pub metadata: Metadata,
    /// When it first happened, to the microsecond. New events must say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<MicroTime>,
    /// How it goes on happening.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series: Option<EventSeries>,
    /// The component that saw it, such as `orch.dev/scheduler`. New events must say so.
    #[serde(default)]
    pub reporting_controller: String,
    /// Which instance of the component, such as a node's name. New events must say so.
    #[serde(default)]
    pub reporting_instance: String,
    /// What was done or failed, as a word for programs. New events must say so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// What happened, as a word for programs. New events must say so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The object that it happened to.
    #[serde(default)]
    pub regarding: ObjectReference,
    /// Another object that took part in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub related: Option<ObjectReference>,
    /// What happened, as a sentence for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// `Normal` or `Warning`.
    #[serde(default, rename = "type", skip_serializing_if = "String::is_empty")]
    pub event_type: String,
    /// Who saw it, if it was written in the form of `v1`.
    #[serde(default)]
    pub deprecated_source: EventSource,
    /// When it first happened, if it was written in the form of `v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_first_timestamp: Option<Time>,
    /// When it last happened, if it was written in the form of `v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_last_timestamp: Option<Time>,
    /// How often it has happened, if it was written in the form of `v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated_count: Option<i32>,
}

impl Resource for ReportedEvent {
    const KIND: Kind =
        Kind::namespaced("events.k8s.io", "v1", "Event", "events", "event").short_names(&["ev"]);
    const RECORDED: bool = false;

    const FORM: Option<Form> = Some(FORM);

    const SELECTABLE: &'static [&'static str] = &[
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "regarding.apiVersion",
        "regarding.resourceVersion",
        "regarding.fieldPath",
        "reason",
        "reportingController",
        "type",
    ];

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn validate(&self, old: Option<&Self>) -> Vec<FieldError> {
        let mut errors = match self.kept() {
            Ok(kept) => kept.validate(None),
            Err(error) => vec![FieldError::invalid("", serde_json::Value::Null, error.to_string())],
        };
        match old {
            None => errors.extend(self.validate_new()),
            Some(old) => errors.extend(self.validate_unchanged(old)),
        }
        if old.is_none_or(|old| old.series != self.series) {
            errors.extend(self.series.as_ref().map(validate_series).unwrap_or_default());
        }
        errors
    }

    fn columns() -> Vec<Column> {
        Event::columns().into_iter().map(as_kept).collect()
    }
}

impl ReportedEvent {
    fn kept(&self) -> Result<Event, serde_json::Error> {
        let mut event = serde_json::to_value(self)?;
        FORM.keep(&mut event);
        serde_json::from_value(event)
    }

    /// What those that write this form must say, and what only the other one says.
    fn validate_new(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.event_time.is_none() {
            errors.push(FieldError::required("eventTime", ""));
            // Only then does the other form ask for what is new.
            errors.extend(self.kept().map(|kept| kept.validate_new_fields()).unwrap_or_default());
        }
        if !matches!(self.event_type.as_str(), "Normal" | "Warning") {
            let why = format!("has invalid value: {}", self.event_type);
            errors.push(FieldError::invalid("type", "", why));
        }
        let unset = [
            ("firstTimestamp", self.deprecated_first_timestamp.is_none()),
            ("lastTimestamp", self.deprecated_last_timestamp.is_none()),
            ("count", self.deprecated_count.is_none_or(|count| count == 0)),
            ("source", self.deprecated_source == EventSource::default()),
        ];
        let set = unset.into_iter().filter(|(_, is_unset)| !is_unset);
        errors.extend(set.map(|(field, _)| FieldError::invalid(field, "", "needs to be unset")));
        errors
    }

    /// An event goes on happening; everything else about it is past.
    fn validate_unchanged(&self, old: &Self) -> Vec<FieldError> {
        let same = [
            ("involvedObject", self.regarding == old.regarding),
            ("reason", self.reason == old.reason),
            ("message", self.note == old.note),
            ("source", self.deprecated_source == old.deprecated_source),
            ("firstTimestamp", self.deprecated_first_timestamp == old.deprecated_first_timestamp),
            ("lastTimestamp", self.deprecated_last_timestamp == old.deprecated_last_timestamp),
            ("count", self.deprecated_count == old.deprecated_count),
            ("type", self.event_type == old.event_type),
            ("eventTime", self.event_time == old.event_time),
            ("action", self.action == old.action),
            ("related", self.related == old.related),
            ("reportingController", self.reporting_controller == old.reporting_controller),
            ("reportingInstance", self.reporting_instance == old.reporting_instance),
        ];
        let changed = same.into_iter().filter(|(_, is_same)| !is_same);
        changed.map(|(field, _)| FieldError::invalid(field, "", "field is immutable")).collect()
    }
}

fn validate_series(series: &EventSeries) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if series.count.unwrap_or_default() < 2 {
        errors.push(FieldError::invalid("series.count", "", "should be at least 2"));
    }
    if series.last_observed_time.is_none() {
        errors.push(FieldError::required("series.lastObservedTime", ""));
    }
    errors
}

/// A column of the other form, of objects of this one.
fn as_kept(column: Column) -> Column {
    let cell = column.cell.clone();
    let shown = move |object: &serde_json::Value, now| {
        let mut object = object.clone();
        FORM.keep(&mut object);
        cell(&object, now)
    };
    Column { cell: Arc::new(shown), ..column }
}
