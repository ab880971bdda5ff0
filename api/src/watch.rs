//! What a watch delivers.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Object, Status};

/// What has happened to an object, as a watch tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventType {
    /// The object is new, or new to this watch's selector.
    Added,
    /// The object has changed.
    Modified,
    /// The object is gone, or has left this watch's selector. The event carries its last state.
    Deleted,
    /// Nothing has happened up to the revision that the event's object carries.
    Bookmark,
    /// The watch has failed and ends; the event's object is a [`crate::Status`].
    Error,
}

/// One event of a watch as it travels: `T` is [`Bytes`] where the object's JSON is passed on untouched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WatchEvent<T = Bytes> {
    /// What has happened.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// The object after the change; of a deleted object, its last state with the revision of the deletion.
    pub object: T,
}

/// One event of a watch whose objects are read as a type.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<K> {
    /// The object is new, or new to this watch's selector.
    Added(K),
    /// The object has changed.
    Modified(K),
    /// The object is gone, or has left this watch's selector; its last state.
    Deleted(K),
    /// Nothing has happened up to this revision.
    Bookmark {
        /// The revision up to which nothing is missing.
        resource_version: String,
        /// The events before this one were the objects present when the watch began.
        initial_events_end: bool,
    },
}

/// The annotation of the bookmark that ends the initial events.
pub const INITIAL_EVENTS_END: &str = "k8s.io/initial-events-end";

impl WatchEvent<Bytes> {
    /// Reads the event's object as a type.
    ///
    /// # Errors
    /// The status of an `ERROR` event; an internal error if the object is not a `K`.
    pub fn decode<K: DeserializeOwned>(self) -> Result<Event<K>, Status> {
        Ok(match self.event_type {
            EventType::Added => Event::Added(decode(&self.object)?),
            EventType::Modified => Event::Modified(decode(&self.object)?),
            EventType::Deleted => Event::Deleted(decode(&self.object)?),
            EventType::Bookmark => bookmark(&decode::<Value>(&self.object)?),
            EventType::Error => return Err(decode::<Status>(&self.object)?),
        })
    }
}

fn bookmark<K>(object: &Value) -> Event<K> {
    let resource_version = object.resource_version().to_owned();
    let initial_events_end = object.text(&["metadata", "annotations", INITIAL_EVENTS_END]) == "true";
    Event::Bookmark { resource_version, initial_events_end }
}

pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Status> {
    serde_json::from_slice(bytes)
        .map_err(|error| Status::internal(format!("the answer cannot be read: {error}")))
}
