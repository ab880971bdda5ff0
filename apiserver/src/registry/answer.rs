//! What a verb hands back. How it is shown (JSON, a table, metadata only) is decided afterwards.

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use orch_api::Status;
use orch_store::Revision;

use super::Watch;
use crate::cache::Cached;
use crate::kinds::Served;

/// What a verb hands back.
pub(crate) enum Answer {
    /// One object.
    Object(Written),
    /// Many objects.
    List(List),
    /// Events to come.
    Watch(Watch),
    /// A success without an object.
    Status(Status),
}

/// An object, as read or as written.
pub(crate) struct Written {
    /// The HTTP status code: 200, or 201 if the object is new.
    pub(crate) code: u16,
    /// The object's JSON.
    pub(crate) bytes: Bytes,
    /// What the caller should know, as `Warning` headers say it.
    pub(crate) warnings: Vec<String>,
}

/// A page of objects.
pub(crate) struct List {
    /// Their kind.
    pub(crate) kind: Arc<Served>,
    /// Their JSON, in order of keys.
    pub(crate) items: Vec<Listed>,
    /// What a watch starts from.
    pub(crate) revision: Revision,
    /// Where the next page starts; empty on the last one.
    pub(crate) cont: String,
    /// How many follow, where known.
    pub(crate) remaining: Option<u64>,
}

/// An object of a list.
pub(crate) enum Listed {
    /// As it is cached.
    Cached(Arc<Cached>),
    /// As it was just written.
    Written(Bytes),
}

impl Listed {
    /// The object's JSON.
    pub(crate) fn wire(&self) -> Bytes {
        match self {
            Self::Cached(object) => object.wire(),
            Self::Written(bytes) => bytes.clone(),
        }
    }

    /// Writes the object's JSON.
    pub(crate) fn put_wire(&self, out: &mut impl BufMut) {
        match self {
            Self::Cached(object) => object.put_wire(out),
            Self::Written(bytes) => out.put_slice(bytes),
        }
    }

    /// About how long the object's JSON is.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::Cached(object) => object.size(),
            Self::Written(bytes) => bytes.len(),
        }
    }
}

impl Written {
    pub(crate) fn read(object: &Cached) -> Self {
        Self { code: 200, bytes: object.wire(), warnings: Vec::new() }
    }
}

impl List {
    /// What stands before the items in the list's JSON.
    pub(crate) fn head(&self) -> String {
        let mut head = format!(
            "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{}",
            self.kind.list_kind(),
            self.kind.api_version,
            self.metadata()
        );
        head.push_str(",\"items\":[");
        head
    }

    /// The list's `metadata`, as JSON.
    pub(crate) fn metadata(&self) -> String {
        let mut metadata = format!("{{\"resourceVersion\":\"{}\"", self.revision);
        if !self.cont.is_empty() {
            // Tokens are base64url: nothing to escape.
            metadata.push_str(&format!(",\"continue\":\"{}\"", self.cont));
            if let Some(remaining) = self.remaining {
                metadata.push_str(&format!(",\"remainingItemCount\":{remaining}"));
            }
        }
        metadata.push('}');
        metadata
    }
}
