//! [`Note`]: an event to be recorded about an object, and [`ObjectReference`]: which object.

use orch_api::{Kind, Metadata, Resource};
use serde::{Deserialize, Serialize};

use crate::ObjectKey;

/// An event to be recorded about an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// What it is about.
    pub about: ObjectReference,
    /// Whether people should worry.
    pub severity: Severity,
    /// Why, as a word for programs, such as `SuccessfulCreate`.
    pub reason: String,
    /// What, as a sentence for people.
    pub message: String,
}

/// Whether people should worry about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Severity {
    /// It was to be expected.
    Normal,
    /// Something is wrong.
    Warning,
}

/// An object as events refer to it; the wire shape is `v1`'s ObjectReference.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReference {
    /// The object's `apiVersion`.
    pub api_version: String,
    /// The object's kind.
    pub kind: String,
    /// The object's namespace; empty for kinds of the cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// The object's uid.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

impl ObjectReference {
    /// A reference to an object.
    pub fn to<K: Resource>(object: &K) -> Self {
        Self::to_metadata(&K::KIND, object.metadata())
    }

    /// A reference to an object of which only the metadata is known.
    pub fn to_metadata(kind: &Kind, metadata: &Metadata) -> Self {
        Self {
            api_version: kind.api_version(),
            kind: kind.name.to_owned(),
            namespace: metadata.namespace().to_owned(),
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
        }
    }

    /// The object's name among those of its kind.
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(self.namespace.clone(), self.name.clone())
    }
}

impl Note {
    /// Something that was to be expected has happened to `object`.
    pub fn normal<K: Resource>(object: &K, reason: &str, message: impl Into<String>) -> Self {
        Self::about(object, Severity::Normal, reason, message)
    }

    /// Something is wrong with `object`.
    pub fn warning<K: Resource>(object: &K, reason: &str, message: impl Into<String>) -> Self {
        Self::about(object, Severity::Warning, reason, message)
    }

    /// Something is wrong with an object of which only the metadata is known.
    pub fn warning_about(about: ObjectReference, reason: &str, message: impl Into<String>) -> Self {
        Self { about, severity: Severity::Warning, reason: reason.to_owned(), message: message.into() }
    }

    fn about<K: Resource>(object: &K, severity: Severity, reason: &str, message: impl Into<String>) -> Self {
        Self {
            about: ObjectReference::to(object),
            severity,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}
