//! Objects as bytes: in the store, and on the wire.
//!
//! The store keeps an object's JSON without its `resourceVersion`, which is the revision of the write. `apiVersion`,
//! `kind` and `metadata` come first, so that the revision can be put in without parsing. The origin of the write follows the
//! object (`origin.rs`), and is left behind where an object is read.

use std::sync::Arc;

use bytes::{BufMut, Bytes};
use orch_api::labels::Labels;
use orch_api::plan::PLAN_RECORD;
use orch_api::{FieldQuery, Form, Kind, KindEntry, LabelQuery, Schema};
use orch_store::{Entry, Key, Revision};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::origin::{Origin, object_in};

const METADATA: &[u8] = b"\"metadata\":{";
const REVISION: &[u8] = b"\"resourceVersion\":\"";

/// How what is stored is read as objects of a kind.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    selectable: &'static [&'static str],
    /// For kinds that are defined by objects: what was stored may be of another version or older than the schema.
    custom: Option<Custom>,
    /// For kinds that are forms of another one, which is what is stored: the kind's own names.
    form: Option<(Form, Kind)>,
    /// For plans: what is stored holds a record that is not shown.
    is_plan: bool,
}

#[derive(Debug, Clone)]
struct Custom {
    api_version: String,
    document: Arc<Value>,
    schema: Arc<Schema>,
}

impl Reading {
    /// How objects of this kind are read.
    pub(crate) fn of(entry: &KindEntry) -> Self {
        let custom = entry.custom.as_ref().map(|_| Custom {
            api_version: entry.kind.api_version(),
            document: entry.document.clone(),
            schema: entry.schema.clone(),
        });
        let form = entry.form.map(|form| (form, entry.kind));
        Self { selectable: entry.selectable, custom, form, is_plan: entry.is_plan }
    }

    /// The fields that selectors may name.
    pub(crate) fn selectable(&self) -> &'static [&'static str] {
        self.selectable
    }

    /// Whether the same is read from the same.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let what =
            |reading: &Self| reading.custom.clone().map(|custom| (custom.api_version, custom.document));
        self.selectable == other.selectable && what(self) == what(other)
    }

    /// The object that is stored, as the store would keep it had it been written in this version and under this schema.
    ///
    /// # Errors
    /// If it is not an object's JSON.
    pub(crate) fn read(&self, stored: &Bytes) -> Result<Bytes, serde_json::Error> {
        let stored = object_in(stored);
        if let Some((form, kind)) = &self.form {
            let mut object: Value = serde_json::from_slice(&stored)?;
            form.show(&mut object, kind);
            return encode(&object, None);
        }
        if self.is_plan {
            let mut object: Value = serde_json::from_slice(&stored)?;
            object.as_object_mut().map(|object| object.remove(PLAN_RECORD));
            return encode(&object, None);
        }
        let Some(custom) = &self.custom else { return Ok(stored) };
        let mut object: Value = serde_json::from_slice(&stored)?;
        object["apiVersion"] = custom.api_version.as_str().into();
        custom.schema.prune(&mut object);
        custom.schema.apply_defaults(&mut object);
        encode(&object, None)
    }

    /// What is served of what the store keeps.
    ///
    /// # Errors
    /// If it is not an object's JSON.
    pub(crate) fn wire(&self, stored: &Bytes, revision: Revision) -> Result<Bytes, serde_json::Error> {
        Ok(wire(&self.read(stored)?, revision))
    }
}

/// An object that is served. Never changes. Its JSON is shared with the store, which keeps it without the `resourceVersion`; that
/// goes in whenever the object is served.
#[derive(Debug)]
pub(crate) struct Cached {
    /// Where it is kept.
    pub(crate) key: Key,
    /// The revision that wrote it: its `resourceVersion`.
    pub(crate) revision: Revision,
    /// The object's JSON, without its `resourceVersion`.
    pub(crate) stored: Bytes,
    /// Which object of its name it is.
    pub(super) uid: Box<str>,
    /// Deletion has been asked for.
    pub(crate) is_terminating: bool,
    labels: Labels,
    /// The values of the kind's selectable fields, in the kind's order.
    pub(super) fields: Box<[Box<str>]>,
}

impl Cached {
    /// Reads what the store holds.
    ///
    /// # Errors
    /// If it is not an object's JSON, which nothing but damage explains.
    pub(crate) fn read(entry: &Entry, reading: &Reading) -> Result<Self, serde_json::Error> {
        let (stored, selectable) = (reading.read(&entry.value)?, reading.selectable);
        let (metadata, fields) = if selectable.is_empty() {
            let head: Head = serde_json::from_slice(&stored)?;
            (head.metadata, Box::default())
        } else {
            let object: Value = serde_json::from_slice(&stored)?;
            let fields = selectable.iter().map(|field| field_of(&object, field)).collect();
            let metadata = object.get("metadata").map(HeadMetadata::deserialize).transpose()?;
            (metadata.unwrap_or_default(), fields)
        };
        Ok(Self {
            key: entry.key.clone(),
            revision: entry.modified,
            stored,
            uid: metadata.uid,
            is_terminating: metadata.deletion_timestamp.is_some(),
            labels: metadata.labels,
            fields,
        })
    }

    /// The object's name.
    pub(crate) fn name(&self) -> &str {
        self.key.as_str().rsplit('/').next().unwrap_or_default()
    }

    /// The object's namespace, if its kind has namespaces.
    pub(crate) fn namespace(&self) -> &str {
        self.key.as_str().rsplit('/').nth(1).unwrap_or_default()
    }

    /// Whether the object has what the selectors ask for.
    pub(crate) fn matches(&self, labels: &LabelQuery, fields: &FieldQuery, selectable: &[&str]) -> bool {
        labels.matches(&self.labels)
            && fields.matches(|field| match field {
                "metadata.name" => Some(self.name()),
                "metadata.namespace" => Some(self.namespace()),
                field => {
                    let index = selectable.iter().position(|known| *known == field)?;
                    self.fields.get(index).map(|value| &**value)
                }
            })
    }

    /// The object's JSON as it is served. Cost: it is copied.
    pub(crate) fn wire(&self) -> Bytes {
        self.wire_as_of(self.revision)
    }

    /// The same as of another revision: what the event of its end carries.
    pub(crate) fn wire_as_of(&self, revision: Revision) -> Bytes {
        wire(&self.stored, revision)
    }

    /// Writes the object's JSON as it is served.
    pub(crate) fn put_wire(&self, out: &mut impl BufMut) {
        parts(&self.stored, &self.revision.to_string()).into_iter().for_each(|part| out.put_slice(part));
    }

    /// The object as a value.
    ///
    /// # Errors
    /// If it is not an object's JSON, which nothing but damage explains.
    pub(crate) fn value(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_slice(&self.wire())
    }

    /// About how long the object's JSON is. Cost: none.
    pub(crate) fn size(&self) -> usize {
        self.stored.len() + REVISION.len() + 20
    }
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    metadata: HeadMetadata,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct HeadMetadata {
    #[serde(default)]
    uid: Box<str>,
    #[serde(default)]
    deletion_timestamp: Option<IgnoredAny>,
    #[serde(default)]
    labels: Labels,
}

/// The value of a dotted field as selectors compare it; absent fields are empty.
fn field_of(object: &Value, path: &str) -> Box<str> {
    match path.split('.').try_fold(object, |value, step| value.get(step)) {
        None | Some(Value::Null) => Box::default(),
        Some(Value::String(text)) => text.as_str().into(),
        Some(other) => other.to_string().into(),
    }
}

/// What the store keeps of an object, and of who wrote it if that is said.
pub(crate) fn encode(object: &Value, origin: Option<&Origin>) -> Result<Bytes, serde_json::Error> {
    let mut out = Vec::with_capacity(1024);
    write(object, &mut out)?;
    if let Some(origin) = origin {
        origin.append(&mut out)?;
    }
    // It is kept for as long as the object is.
    out.shrink_to_fit();
    Ok(out.into())
}

fn write(object: &Value, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let empty = Map::new();
    let object = object.as_object().unwrap_or(&empty);
    out.push(b'{');
    let first =
        ["apiVersion", "kind", "metadata"].into_iter().filter_map(|name| Some((name, object.get(name)?)));
    let rest = object.iter().map(|(name, value)| (name.as_str(), value));
    let rest = rest.filter(|(name, _)| !matches!(*name, "apiVersion" | "kind" | "metadata"));
    for (index, (name, value)) in first.chain(rest).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, name)?;
        out.push(b':');
        match (name, value) {
            ("metadata", Value::Object(metadata)) if metadata.contains_key("resourceVersion") => {
                let kept = metadata.iter().filter(|(name, _)| *name != "resourceVersion");
                serde_json::to_writer(&mut *out, &kept.collect::<std::collections::BTreeMap<_, _>>())?;
            }
            _ => serde_json::to_writer(&mut *out, value)?,
        }
    }
    out.push(b'}');
    Ok(())
}

/// What is served of what the store keeps: the same with the revision in it.
fn wire(stored: &[u8], revision: Revision) -> Bytes {
    parts(stored, &revision.to_string()).concat().into()
}

/// What is served of what the store keeps, in parts.
fn parts<'a>(stored: &'a [u8], revision: &'a str) -> [&'a [u8]; 5] {
    let Some(at) = find(stored, METADATA).map(|at| at + METADATA.len()) else {
        return [stored, b"", b"", b"", b""];
    };
    let end: &[u8] = if stored.get(at) == Some(&b'}') { b"\"" } else { b"\"," };
    [&stored[..at], REVISION, revision.as_bytes(), end, &stored[at..]]
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(haystack, needle)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_revision_goes_in_and_comes_out_without_parsing() {
        let object = json!({
            "apiVersion": "v1", "kind": "Note", "data": {"a": "\"metadata\":{"},
            "metadata": {"name": "n", "resourceVersion": "5", "labels": {"x": "y"}},
        });
        let stored = encode(&object, Some(&Origin::default())).unwrap();
        assert!(!String::from_utf8(stored.to_vec()).unwrap().contains("resourceVersion"));
        let key = Key::new("/registry/core/notes/default/n").unwrap();
        let reading = Reading { selectable: &["data.a"], custom: None, form: None, is_plan: false };
        let entry = Entry { key, value: stored, created: Revision(7), modified: Revision(7) };
        let cached = Cached::read(&entry, &reading).unwrap();
        let mut expected = object;
        let mut put = Vec::new();
        cached.put_wire(&mut put);
        assert_eq!(put, cached.wire());
        for (bytes, revision) in [(cached.wire(), "7"), (cached.wire_as_of(Revision(1234)), "1234")] {
            expected["metadata"]["resourceVersion"] = revision.into();
            assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), expected);
        }
        assert_eq!((cached.name(), cached.namespace()), ("n", "default"));
        assert!(cached.matches(&"x=y".parse().unwrap(), &FieldQuery::default(), &["data.a"]));
    }
}
