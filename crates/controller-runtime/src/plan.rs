//! [`Plan`]: what a decision consists of, as data.

use std::fmt;
use std::time::Duration;

use orch_api::{Body, Kind, MediaType, Metadata, Propagation, Resource, Target, Verb};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::{Note, ObjectKey};

/// What is to be done about one object. The empty plan is the common one: all is as it should be.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Carried out first, independent of each other, many at a time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<Write>,
    /// Carried out last: what is to be reported about the object itself. Also carried out when a write has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Write>,
    /// Told to people, once the writes have succeeded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<Note>,
    /// When to plan again although nothing has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requeue_after: Option<Duration>,
}

/// One write, told to whom it concerns if it succeeds or fails.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Write {
    /// What to write to.
    #[serde(serialize_with = "as_text")]
    pub target: Target,
    /// What to write.
    pub action: Action,
    /// Event to emit when the write has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_success: Option<Note>,
    /// Event to emit when the write has failed; the failure is appended to its message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<Note>,
}

/// What a write does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Makes an object, or posts to a subresource.
    Create(Value),
    /// Replaces an object or its status. Fails if the object has another resourceVersion than `Value` carries.
    Update(Value),
    /// JSON merge patch.
    Merge(Value),
    /// Server-side apply.
    Apply {
        /// The fields wanted.
        object: Value,
        /// Take over fields that belong to others.
        force: bool,
    },
    /// Deletes the object if it is still the one that was seen.
    Delete {
        /// The uid that the object must have.
        uid: String,
        /// The resourceVersion that the object must have; any if none.
        #[serde(skip_serializing_if = "Option::is_none")]
        resource_version: Option<String>,
        /// Seconds that it has to end; its own choice if none.
        #[serde(skip_serializing_if = "Option::is_none")]
        grace_period_seconds: Option<i64>,
        /// What happens to what it owns; the server's choice if none.
        #[serde(skip_serializing_if = "Option::is_none", serialize_with = "propagation_word")]
        propagation: Option<Propagation>,
    },
    /// Deletes all objects of the collection.
    DeleteCollection,
}

impl Plan {
    /// The plan that does nothing, ever.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Whether nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty() && self.status.is_none()
    }

    /// Plans again after `delay` at the latest.
    pub fn again_within(&mut self, delay: Duration) {
        self.requeue_after = Some(self.requeue_after.map_or(delay, |sooner| sooner.min(delay)));
    }
}

impl Write {
    /// Makes an object in its namespace.
    pub fn create<K: Resource>(object: &K) -> Self {
        let collection = Target { name: None, ..target_of(object) };
        Self::new(collection, Action::Create(value_of(object)))
    }

    /// Replaces an object.
    pub fn update<K: Resource>(object: &K) -> Self {
        Self::new(target_of(object), Action::Update(value_of(object)))
    }

    /// Replaces an object's status.
    pub fn update_status<K: Resource>(object: &K) -> Self {
        Self::new(target_of(object).subresource("status"), Action::Update(value_of(object)))
    }

    /// Merges `patch` into an object, provided that it is the one seen: the uid is sent along.
    pub fn merge<K: Resource>(object: &K, patch: Value) -> Self {
        Self::merge_into(&K::KIND, object.metadata(), patch)
    }

    /// Merges `status` into the status of an object, provided that it is as it was seen: lists in it are replaced as a whole, so
    /// nobody may have touched them meanwhile. Not to be planned together with another write to the same object.
    pub fn merge_status<K: Resource>(object: &K, status: Value) -> Self {
        let metadata = json!({"resourceVersion": object.metadata().resource_version});
        let write = Self::merge(object, json!({"metadata": metadata, "status": status}));
        Self { target: write.target.subresource("status"), ..write }
    }

    /// [`Write::merge`] for an object of which only the metadata is known.
    pub fn merge_into(kind: &Kind, metadata: &Metadata, mut patch: Value) -> Self {
        patch["metadata"]["uid"] = metadata.uid.clone().into();
        Self::new(target(kind, metadata), Action::Merge(patch))
    }

    /// Applies the fields of an object.
    pub fn apply<K: Resource>(object: &K, force: bool) -> Self {
        Self::new(target_of(object), Action::Apply { object: value_of(object), force })
    }

    /// Deletes an object if it is still this one.
    pub fn delete<K: Resource>(object: &K) -> Self {
        Self::delete_of(&K::KIND, object.metadata())
    }

    /// [`Write::delete`] for an object of which only the metadata is known.
    pub fn delete_of(kind: &Kind, metadata: &Metadata) -> Self {
        let uid = metadata.uid.clone();
        let action =
            Action::Delete { uid, resource_version: None, grace_period_seconds: None, propagation: None };
        Self::new(target(kind, metadata), action)
    }

    /// Deletes an object at once, if it is still this one.
    pub fn force_delete<K: Resource>(object: &K) -> Self {
        let mut write = Self::delete(object);
        if let Action::Delete { grace_period_seconds, .. } = &mut write.action {
            *grace_period_seconds = Some(0);
        }
        write
    }

    /// Posts to a subresource of an object.
    pub fn post<K: Resource>(object: &K, subresource: &'static str, body: Value) -> Self {
        Self::new(target_of(object).subresource(subresource), Action::Create(body))
    }

    /// A write to any target.
    pub fn new(target: Target, action: Action) -> Self {
        Self { target, action, on_success: None, on_failure: None }
    }

    /// Tells this when the write has succeeded.
    pub fn on_success(self, note: Note) -> Self {
        Self { on_success: Some(note), ..self }
    }

    /// Tells this when the write has failed.
    pub fn on_failure(self, note: Note) -> Self {
        Self { on_failure: Some(note), ..self }
    }

    /// The name of the object written to; of a new object, the name it is to have.
    pub fn key(&self) -> ObjectKey {
        let given = match &self.action {
            Action::Create(object) if self.target.name.is_none() => object["metadata"]["name"].as_str(),
            _ => self.target.name.as_deref(),
        };
        ObjectKey::new(self.target.namespace.clone().unwrap_or_default(), given.unwrap_or_default())
    }
}

impl Action {
    pub(crate) fn verb(&self) -> Verb {
        match self {
            Self::Create(_) => Verb::Create,
            Self::Update(_) => Verb::Update,
            Self::Merge(_) | Self::Apply { .. } => Verb::Patch,
            Self::Delete { .. } => Verb::Delete,
            Self::DeleteCollection => Verb::DeleteCollection,
        }
    }

    pub(crate) fn body(&self) -> Result<Option<Body>, orch_api::Status> {
        let (media_type, value) = match self {
            Self::Create(value) | Self::Update(value) => (MediaType::Json, value),
            Self::Merge(value) => (MediaType::MergePatch, value),
            Self::Apply { object, .. } => (MediaType::Apply, object),
            Self::Delete { .. } => (MediaType::Json, &self.delete_options()),
            Self::DeleteCollection => return Ok(None),
        };
        Ok(Some(Body { media_type, ..Body::json(value)? }))
    }

    fn delete_options(&self) -> Value {
        let Self::Delete { uid, resource_version, grace_period_seconds, propagation } = self else {
            return Value::Null;
        };
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
        if let Some(resource_version) = resource_version {
            options["preconditions"]["resourceVersion"] = json!(resource_version);
        }
        if let Some(seconds) = grace_period_seconds {
            options["gracePeriodSeconds"] = json!(seconds);
        }
        if let Some(propagation) = propagation {
            options["propagationPolicy"] = json!(propagation.as_str());
        }
        options
    }
}

/// The write as a line of a log: `create /api/v1/namespaces/default/pods web-x2x4z`.
impl fmt::Display for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.action.verb(), self.target)?;
        match self.target.name {
            None => write!(f, " {}", self.key().name),
            Some(_) => Ok(()),
        }
    }
}

/// The place of an object on the server.
pub fn target(kind: &Kind, metadata: &Metadata) -> Target {
    Target::in_namespace(kind, metadata.namespace()).named(metadata.name.clone())
}

fn target_of<K: Resource>(object: &K) -> Target {
    target(&K::KIND, object.metadata())
}

fn value_of<K: Resource>(object: &K) -> Value {
    // Resources are plain data with string keys; the server refuses `null` should one ever not be.
    serde_json::to_value(object).unwrap_or_default()
}

fn as_text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn propagation_word<S: Serializer>(value: &Option<Propagation>, serializer: S) -> Result<S::Ok, S::Error> {
    value.map(Propagation::as_str).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use orch_ontology::Pod;

    use super::*;

    #[test]
    fn a_status_is_merged_into_what_was_seen_and_nothing_else() {
        let named = Metadata::named("default".to_owned(), "web");
        let metadata = Metadata { uid: "u".into(), resource_version: "7".into(), ..named };
        let pod = Pod { metadata, ..Pod::default() };
        let write = Write::merge_status(&pod, json!({"phase": "Failed"}));
        assert_eq!(write.target.to_string(), "/api/v1/namespaces/default/pods/web/status");
        let patch = json!({"metadata": {"uid": "u", "resourceVersion": "7"}, "status": {"phase": "Failed"}});
        assert_eq!(write.action, Action::Merge(patch));
    }
}
