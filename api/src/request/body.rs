//! [`Body`]: what is sent along with a request.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use crate::{Resource, Status};

/// A request's body and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// What the bytes are.
    pub media_type: MediaType,
    /// The bytes.
    pub bytes: Bytes,
}

/// The media types that request bodies have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// `application/json`
    Json,
    /// `application/yaml`
    Yaml,
    /// `application/vnd.kubernetes.protobuf`
    Protobuf,
    /// `application/json-patch+json`: RFC 6902.
    JsonPatch,
    /// `application/merge-patch+json`: RFC 7386.
    MergePatch,
    /// `application/strategic-merge-patch+json`: merges lists by the schema's keys.
    StrategicMergePatch,
    /// `application/apply-patch+yaml`: server-side apply, in YAML or JSON.
    Apply,
}

impl MediaType {
    /// The media types of objects.
    pub const OBJECTS: [Self; 3] = [Self::Json, Self::Yaml, Self::Protobuf];
    /// The media types of patches, the strategic merge patch, which not every kind takes, last.
    pub const PATCHES: [Self; 4] =
        [Self::JsonPatch, Self::MergePatch, Self::Apply, Self::StrategicMergePatch];

    const ALL: [(Self, &'static str); 7] = [
        (Self::Json, "application/json"),
        (Self::Yaml, "application/yaml"),
        (Self::Protobuf, "application/vnd.kubernetes.protobuf"),
        (Self::JsonPatch, "application/json-patch+json"),
        (Self::MergePatch, "application/merge-patch+json"),
        (Self::StrategicMergePatch, "application/strategic-merge-patch+json"),
        (Self::Apply, "application/apply-patch+yaml"),
    ];

    /// The media type as `Content-Type` names it.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(media_type, _)| *media_type == self).map_or("", |(_, name)| name)
    }

    /// Reads a `Content-Type`, ignoring parameters such as `charset`. None if it is not one of these.
    pub fn parse(content_type: &str) -> Option<Self> {
        let name = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(media_type, _)| *media_type)
    }
}

impl Body {
    /// A JSON body.
    ///
    /// # Errors
    /// If the value cannot be written as JSON, which no [`Resource`] is known for.
    pub fn json(value: &impl Serialize) -> Result<Self, Status> {
        let bytes = serde_json::to_vec(value).map_err(Status::internal)?;
        Ok(Self { media_type: MediaType::Json, bytes: bytes.into() })
    }
}

/// A change of an object.
#[derive(Debug, Clone, PartialEq)]
pub enum Patch {
    /// RFC 6902: a list of operations.
    Json(Value),
    /// RFC 7386: what is given replaces, `null` removes.
    Merge(Value),
    /// Server-side apply: the fields that the manager wants, no more and no less.
    Apply(Value),
}

impl Patch {
    /// Server-side apply of an object.
    ///
    /// # Errors
    /// If the object cannot be written as JSON.
    pub fn apply<K: Resource>(object: &K) -> Result<Self, Status> {
        serde_json::to_value(object).map(Self::Apply).map_err(Status::internal)
    }

    /// The patch as a request body.
    ///
    /// # Errors
    /// If the patch cannot be written as JSON.
    pub fn body(&self) -> Result<Body, Status> {
        let (media_type, value) = match self {
            Self::Json(value) => (MediaType::JsonPatch, value),
            Self::Merge(value) => (MediaType::MergePatch, value),
            Self::Apply(value) => (MediaType::Apply, value),
        };
        Ok(Body { media_type, ..Body::json(value)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_are_read_without_their_parameters() {
        assert_eq!(MediaType::parse("application/JSON; charset=utf-8"), Some(MediaType::Json));
        assert_eq!(MediaType::parse("text/plain"), None);
    }
}
