//! Who owns which fields: `metadata.managedFields`, decoded.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::field_set::FieldSet;
use super::path::Path;
use crate::{ManagedFieldsEntry, Time};

/// More managers by update than these are merged, the oldest first.
const MAX_UPDATE_MANAGERS: usize = 10;
const ANCIENT: &str = "ancient-changes";
const NOBODYS_METADATA: [&str; 9] = [
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
];

/// Who wrote, and how. Appliers are one manager whatever the version they wrote in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manager {
    /// The `fieldManager` of the request.
    pub name: String,
    /// By server-side apply, or by any other write.
    pub operation: Operation,
    /// The `apiVersion` written in; empty for appliers.
    pub api_version: String,
    /// The subresource written to; empty for the object itself.
    pub subresource: String,
}

/// How a manager wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Server-side apply.
    Apply,
    /// Create, update, or any other patch.
    Update,
}

#[derive(Debug, Clone)]
pub(super) struct Owned {
    pub(super) fields: FieldSet,
    pub(super) api_version: String,
    pub(super) time: Option<Time>,
}

/// All managers of an object. No manager owns nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Managers(pub(super) BTreeMap<Manager, Owned>);

impl Managers {
    /// Reads `metadata.managedFields` of an object; absent or `null` is none.
    pub(super) fn decode(object: &Value) -> Result<Self, String> {
        match object.pointer("/metadata/managedFields") {
            None | Some(Value::Null) => Ok(Self::default()),
            Some(Value::Array(entries)) => {
                let owned = entries.iter().enumerate().map(|(index, entry)| decode_entry(index, entry));
                Ok(Self(owned.collect::<Result<_, _>>()?))
            }
            Some(_) => Err("managedFields must be a list".to_owned()),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries in Kubernetes' order: appliers first, then by time, name, version and subresource.
    pub(super) fn encode(&self) -> Vec<ManagedFieldsEntry> {
        let mut entries: Vec<_> = self.0.iter().collect();
        entries.sort_by_key(|(manager, owned)| {
            (manager.operation, seconds(owned), &manager.name, &owned.api_version, &manager.subresource)
        });
        entries.into_iter().map(|(manager, owned)| encode_entry(manager, owned)).collect()
    }

    /// Takes fields away from a manager; a manager without fields is gone.
    pub(super) fn take(&mut self, manager: &Manager, fields: &FieldSet) {
        if let Some(owned) = self.0.get_mut(manager) {
            owned.fields = owned.fields.difference(fields);
            if owned.fields.is_empty() {
                self.0.remove(manager);
            }
        }
    }

    /// Takes away what nobody owns: the object's identity and what the server keeps.
    pub(super) fn strip(&mut self, manager: &Manager) {
        static NOBODYS: LazyLock<FieldSet> = LazyLock::new(|| {
            let below = NOBODYS_METADATA.iter().map(|name| Path::fields(["metadata", name]));
            let top = ["apiVersion", "kind", "metadata"].into_iter().map(|name| Path::fields([name]));
            FieldSet::of(below.chain(top))
        });
        self.take(manager, &NOBODYS);
    }

    /// Merges the oldest managers by update, version by version, until there are no more than
    /// [`MAX_UPDATE_MANAGERS`].
    pub(super) fn cap_updates(&mut self) {
        let mut updates: Vec<(i64, Manager)> = self
            .0
            .iter()
            .filter(|(manager, _)| manager.operation == Operation::Update)
            .map(|(manager, owned)| (seconds(owned), manager.clone()))
            .collect();
        updates.sort();
        let mut left = updates.len();
        let mut first_of: BTreeMap<String, Manager> = BTreeMap::new();
        for (_, manager) in updates {
            if left <= MAX_UPDATE_MANAGERS {
                return;
            }
            let Some(first) = first_of.get(&manager.api_version) else {
                first_of.insert(manager.api_version.clone(), manager);
                continue;
            };
            let bucket = Manager { name: ANCIENT.to_owned(), subresource: String::new(), ..manager.clone() };
            if !self.0.contains_key(&bucket)
                && let Some(oldest) = self.0.remove(first)
            {
                self.0.insert(bucket.clone(), oldest);
            }
            if bucket == manager {
                continue;
            }
            let owned = self.0.remove(&manager);
            if let (Some(owned), Some(merged)) = (owned, self.0.get_mut(&bucket)) {
                merged.fields = merged.fields.union(&owned.fields);
                merged.time = owned.time;
            }
            left -= 1;
        }
    }
}

fn seconds(owned: &Owned) -> i64 {
    owned.time.map_or(0, |t| t.timestamp().as_second())
}

fn decode_entry(index: usize, entry: &Value) -> Result<(Manager, Owned), String> {
    let entry =
        ManagedFieldsEntry::deserialize(entry).map_err(|e| format!("managed fields entry {index}: {e}"))?;
    let operation = match entry.operation.as_str() {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err("operation must be `Apply` or `Update`".to_owned()),
    };
    match entry.fields_type.as_str() {
        _ if entry.api_version.is_empty() => return Err("apiVersion must not be empty".to_owned()),
        "FieldsV1" => {}
        "" => return Err(format!("missing fieldsType in managed fields entry {index}")),
        other => return Err(format!("invalid fieldsType {other:?} in managed fields entry {index}")),
    }
    let fields = entry.fields_v1.as_ref().map_or_else(|| Ok(FieldSet::default()), FieldSet::from_json)?;
    let version = match operation {
        Operation::Apply => String::new(),
        Operation::Update => entry.api_version.clone(),
    };
    let manager =
        Manager { name: entry.manager, operation, api_version: version, subresource: entry.subresource };
    Ok((manager, Owned { fields, api_version: entry.api_version, time: entry.time }))
}

fn encode_entry(manager: &Manager, owned: &Owned) -> ManagedFieldsEntry {
    ManagedFieldsEntry {
        manager: manager.name.clone(),
        operation: match manager.operation {
            Operation::Apply => "Apply".to_owned(),
            Operation::Update => "Update".to_owned(),
        },
        api_version: owned.api_version.clone(),
        time: owned.time,
        fields_type: "FieldsV1".to_owned(),
        fields_v1: Some(owned.fields.to_json()),
        subresource: manager.subresource.clone(),
    }
}

/// Puts the entries into an object; none leaves the field away.
pub(super) fn set_managed_fields(object: &mut Value, managers: &Managers) -> Result<(), String> {
    let metadata = object
        .as_object_mut()
        .ok_or("an object must be a JSON object")?
        .entry("metadata")
        .or_insert_with(|| Value::Object(serde_json::Map::new()));
    let metadata = metadata.as_object_mut().ok_or("metadata must be an object")?;
    if managers.is_empty() {
        metadata.remove("managedFields");
        return Ok(());
    }
    let entries = managers.encode().serialize(serde_json::value::Serializer).map_err(|e| e.to_string())?;
    metadata.insert("managedFields".to_owned(), entries);
    Ok(())
}
