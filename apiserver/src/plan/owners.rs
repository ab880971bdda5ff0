//! Whose objects are: what is made again names its owners as they are now, in whose absence it would not last.

use std::collections::HashMap;

use orch_api::{Object as _, Status};
use serde_json::{Map, Value};

use super::lineage;
use super::stage::Stage;
use crate::history::changes_of;

/// Objects that have been made again: the uid of each, by the one that it had before.
#[derive(Debug, Default)]
pub(super) struct Again(HashMap<String, String>);

/// An owner that an object names.
enum Owner {
    /// It is there, with this uid.
    There(String),
    Gone,
    /// Nobody can say: its kind is not served. Counts as there, as it does for the garbage collector.
    Unknown,
}

impl Again {
    /// Takes note that an object has been made again.
    pub(super) fn note(&mut self, before: &Value, now: &Value) {
        self.0.insert(before.uid().to_owned(), now.uid().to_owned());
    }

    /// Names the owners of an object as they are now. Those that are gone are answered, and named as they were. Cost: of each that has
    /// another uid now, the changes since then are read.
    pub(super) async fn name_owners(&self, stage: &Stage, object: &mut Value) -> Result<Vec<Value>, Status> {
        let mut gone = Vec::new();
        for reference in references(object).to_vec() {
            match self.owner(stage, object.namespace(), &reference).await? {
                Owner::There(uid) => rename(object, reference.text(&["uid"]), &uid),
                Owner::Gone => gone.push(reference),
                Owner::Unknown => {}
            }
        }
        Ok(gone)
    }

    async fn owner(&self, stage: &Stage, namespace: &str, reference: &Value) -> Result<Owner, Status> {
        let uid = reference.text(&["uid"]);
        if let Some(now) = self.0.get(uid) {
            return Ok(Owner::There(now.clone()));
        }
        let kinds = stage.registry.kinds.now();
        let Some(kind) = kinds.named(reference.api_version(), reference.kind()) else {
            return Ok(Owner::Unknown);
        };
        let (name, namespaced) = (reference.text(&["name"]), kind.kind().is_namespaced());
        let key = kind.key(Some(namespace).filter(|_| namespaced), name)?;
        let Some(now) = kind.window.get(&key) else { return Ok(Owner::Gone) };
        let now = now.value().map_err(Status::internal)?;
        let terms = changes_of(kind, if namespaced { namespace } else { "" }, name);
        let goes_on = lineage::continues(stage, terms, kind.kind().has_status, (uid, now.uid())).await?;
        Ok(if goes_on { Owner::There(now.uid().to_owned()) } else { Owner::Gone })
    }
}

/// Whether the owner that an object of a namespace names is there, or goes on under another uid.
///
/// # Errors
/// 500 if the history cannot be read.
pub(super) async fn is_there(stage: &Stage, namespace: &str, reference: &Value) -> Result<bool, Status> {
    let owner = Again::default().owner(stage, namespace, reference).await?;
    Ok(matches!(owner, Owner::There(_)))
}

/// The owners that an object names.
pub(super) fn references(object: &Value) -> &[Value] {
    object["metadata"]["ownerReferences"].as_array().map_or(&[], Vec::as_slice)
}

/// The one of them that is its controller: it makes another in its place.
pub(super) fn controller(object: &Value) -> Option<&Value> {
    references(object).iter().find(|owner| owner["controller"] == true)
}

/// `Workload web`, for people.
pub(super) fn named(reference: &Value) -> String {
    format!("{} {}", reference.kind(), reference.text(&["name"]))
}

/// Strikes out the owners that are gone, as the garbage collector does.
///
/// # Errors
/// The reason, if none is left: the object would go, too.
pub(super) fn keep(object: &mut Value, gone: &[Value]) -> Result<(), String> {
    if let Some(first) = gone.first().filter(|_| gone.len() == references(object).len()) {
        return Err(format!("its owner {} is gone, and without it, it would go at once", named(first)));
    }
    strike(object, gone);
    Ok(())
}

fn strike(object: &mut Value, gone: &[Value]) {
    if let Some(owners) = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut) {
        owners.retain(|owner| !gone.contains(owner));
    }
    for reference in gone {
        let item = item(reference.text(&["uid"]));
        owned_references(object).for_each(|fields| drop(fields.remove(&item)));
    }
}

/// Names an owner by another uid, also where it is said who owns which field.
fn rename(object: &mut Value, before: &str, now: &str) {
    if before == now {
        return;
    }
    let owners = object.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut);
    let named = owners.into_iter().flatten().filter(|owner| owner.text(&["uid"]) == before);
    named.for_each(|owner| owner["uid"] = now.into());
    let (before, now) = (item(before), item(now));
    for fields in owned_references(object) {
        if let Some(below) = fields.remove(&before) {
            fields.insert(now.clone(), below);
        }
    }
}

/// How an owner is told from others in the record of who owns which field.
fn item(uid: &str) -> String {
    format!("k:{}", serde_json::json!({"uid": uid}))
}

/// What each manager owns of the references to owners.
fn owned_references(object: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let managers = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut);
    let fields = managers.into_iter().flatten();
    fields.filter_map(|manager| {
        manager.pointer_mut("/fieldsV1/f:metadata/f:ownerReferences").and_then(Value::as_object_mut)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owned(uids: &[&str]) -> Value {
        let references: Vec<Value> = uids.iter().map(|uid| json!({"name": uid, "uid": uid})).collect();
        let fields: Map<String, Value> = uids.iter().map(|uid| (item(uid), json!({".": {}}))).collect();
        let manager = json!({"manager": "ann", "fieldsV1": {"f:metadata": {"f:ownerReferences": fields}}});
        json!({"metadata": {"ownerReferences": references, "managedFields": [{"manager": "bob"}, manager]}})
    }

    #[test]
    fn an_owner_gets_another_uid_wherever_it_is_named() {
        let mut object = owned(&["a", "b"]);
        rename(&mut object, "a", "c");
        let mut expected = owned(&["c", "b"]);
        expected["metadata"]["ownerReferences"][0]["name"] = "a".into();
        assert_eq!(object, expected);
    }

    #[test]
    fn an_owner_that_is_struck_out_is_named_nowhere() {
        let mut object = owned(&["a", "b"]);
        strike(&mut object, &[json!({"name": "a", "uid": "a"})]);
        assert_eq!(object, owned(&["b"]));
    }
}
