//! [`Event`]: something that happened to an object, told to people.

mod reported;

use jiff::{SignedDuration, Timestamp};
use orch_api::{
    ApiVersion, Column, FieldError, Kind, KindName, Metadata, MicroTime, Resource, Time, age, names,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use reported::ReportedEvent;

use crate::ObjectReference;
use crate::syntax::invalid_each;

/// How long an event is kept after it last happened: Kubernetes' default.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// Something that happened to an object, told to people. Kept for an hour; nothing may depend on it.
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
    const RECORDED: bool = false;

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
        "source.component",
        "type",
    ];

    const EXPIRES: Option<fn(&Value) -> Option<Timestamp>> = Some(|event| {
        let event = Self::deserialize(event).ok()?;
        let created = event.metadata.creation_timestamp.map(Time::timestamp);
        event.last_time().or(created)?.checked_add(KEPT).ok()
    });

    fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    fn metadata_mut(&mut self) -> &mut Metadata {
        &mut self.metadata
    }

    fn validate(&self, _: Option<&Self>) -> Vec<FieldError> {
        let mut errors = self.validate_namespace();
        if self.event_time.is_some() {
            errors.extend(self.validate_new_fields());
        }
        errors
    }

    fn columns() -> Vec<Column> {
        vec![
            Column::new(
                "Last Seen",
                "How long ago it last happened.",
                cell(|event, now| event.last_seen(now)),
            ),
            Column::at("Type", "Normal or Warning.", "/type"),
            Column::at("Reason", "What happened, as a word for programs.", "/reason"),
            Column::new("Object", "The object that it happened to.", cell(|event, _| event.object())),
            Column::at("Subobject", "The part of the object.", "/involvedObject/fieldPath").wide(),
            Column::new("Source", "Who saw it.", cell(|event, _| event.seen_by())).wide(),
            Column::new("Message", "What happened.", cell(|event, _| event.message.trim().to_owned())),
            Column::new(
                "First Seen",
                "How long ago it first happened.",
                cell(|event, now| event.first_seen(now)),
            )
            .wide(),
            Column::new("Count", "How often it has happened.", cell(|event, _| event.times().to_string()))
                .wide(),
            Column { priority: 1, ..Column::object_name() },
        ]
    }
}

impl Event {
    /// How often it has happened.
    pub fn times(&self) -> i32 {
        self.series.as_ref().and_then(|series| series.count).or(self.count).unwrap_or(1).max(1)
    }

    /// When it last happened.
    pub fn last_time(&self) -> Option<Timestamp> {
        let series =
            self.series.as_ref().and_then(|series| series.last_observed_time).map(MicroTime::timestamp);
        series.or(self.last_timestamp.map(Time::timestamp)).or_else(|| self.first_time())
    }

    /// When it first happened.
    pub fn first_time(&self) -> Option<Timestamp> {
        self.first_timestamp.map(Time::timestamp).or(self.event_time.map(MicroTime::timestamp))
    }

    fn last_seen(&self, now: Timestamp) -> String {
        self.last_time().map_or_else(|| "<unknown>".to_owned(), |last| age(last, now))
    }

    fn first_seen(&self, now: Timestamp) -> String {
        self.first_time().map_or_else(|| "<unknown>".to_owned(), |first| age(first, now))
    }

    fn object(&self) -> String {
        let (kind, name) = (self.involved_object.kind.to_lowercase(), &self.involved_object.name);
        if name.is_empty() { kind } else { format!("{kind}/{name}") }
    }

    fn seen_by(&self) -> String {
        let component = [&self.source.component, &self.reporting_component];
        let instance = [&self.source.host, &self.reporting_instance];
        let given = |texts: [&String; 2]| texts.into_iter().find(|text| !text.is_empty()).cloned();
        let parts = [given(component), given(instance)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// An event lives beside its object; events of objects without a namespace live in `default`.
    fn validate_namespace(&self) -> Vec<FieldError> {
        let (own, involved) = (self.metadata.namespace(), self.involved_object.namespace.as_str());
        let fits = match involved {
            "" => matches!(own, "" | "default") || (self.event_time.is_some() && own == "kube-system"),
            involved => own == involved,
        };
        let path = "involvedObject.namespace";
        if fits {
            Vec::new()
        } else {
            vec![FieldError::invalid(path, involved, "does not match event.namespace")]
        }
    }

    /// What events in the newer form must tell.
    fn validate_new_fields(&self) -> Vec<FieldError> {
        let texts = [
            ("reportingComponent", &self.reporting_component, usize::MAX),
            ("reportingInstance", &self.reporting_instance, 128),
            ("action", &self.action, 128),
            ("reason", &self.reason, 128),
        ];
        let mut errors = Vec::new();
        for (field, text, max) in texts {
            if text.is_empty() {
                errors.push(FieldError::required(field, ""));
            } else if text.len() > max {
                errors.push(FieldError::invalid(field, "", format!("can have at most {max} characters")));
            }
        }
        if !self.reporting_component.is_empty() {
            let problems = names::qualified_name(&self.reporting_component);
            errors.extend(invalid_each(&"reportingComponent".into(), &self.reporting_component, problems));
        }
        if self.message.len() > 1024 {
            errors.push(FieldError::invalid("message", "", "can have at most 1024 characters"));
        }
        errors
    }
}

fn cell(text: fn(&Event, Timestamp) -> String) -> impl Fn(&Value, Timestamp) -> Value {
    move |object, now| Event::deserialize(object).map_or(Value::Null, |event| text(&event, now).into())
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
