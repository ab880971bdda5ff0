//! From the object that somebody wants to the object that is stored. Pure.

use orch_api::{Action, Deletion, Object as _, Status, Time};
use serde_json::{Map, Value};

use super::Call;
use super::modify::{Current, Outcome};
use crate::kinds::Served;
use crate::{admission, ownership};

/// Which part of an object a request may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All but the status, where status is a subresource.
    Main,
    /// The status only.
    Status,
    /// Everything: the server itself has made the object (a subresource's transformation). The rules for what people may
    /// change do not apply: a pod's node is set by its `binding` and by nothing else.
    Whole,
}

impl Part {
    /// What the path of a request is about.
    pub(super) fn of(call: &Call) -> Self {
        match call.subresource() {
            Some("status") => Self::Status,
            _ => Self::Main,
        }
    }
}

/// Marks who owns which field of the new object, the second argument; the first is the old one.
pub(super) type Own<'a> = Box<dyn Fn(&Value, &mut Value, Time) -> Result<(), Status> + Send + Sync + 'a>;

/// The object that somebody wants.
pub(super) struct Wanted<'a> {
    /// The object.
    pub(super) object: Value,
    /// The part of it that counts.
    pub(super) part: Part,
    /// The present moment.
    pub(super) now: Time,
    /// Who owns what.
    pub(super) own: Own<'a>,
}

/// Field ownership by comparison: what the request changed is its manager's.
pub(super) fn tracked(call: &Call) -> Own<'_> {
    Box::new(move |old, new, now| {
        ownership::record_update(
            &call.kind,
            old,
            new,
            call.manager(),
            call.subresource().unwrap_or_default(),
            now,
        )
    })
}

/// Decides what becomes of an object when somebody wants another one in its place.
///
/// # Errors
/// 409 if the caller's belief (`uid`, `resourceVersion`) is wrong, 422 if the object is not valid.
pub(super) fn change(call: &Call, current: &Current, wanted: Wanted<'_>) -> Result<Outcome, Status> {
    let Wanted { object: mut new, part, now, own } = wanted;
    let (kind, old) = (&*call.kind, &current.value);
    check_beliefs(call, old, &new)?;
    if part == Part::Status {
        new = with_status_of(old, &new);
    }
    keep_server_fields(old, &mut new);
    if part == Part::Main && kind.kind().has_status {
        keep_status(old, &mut new);
    }
    if part != Part::Whole {
        admission::admit(kind, &mut new, Some(old))?;
    }
    if kind.counts_generations() && part != Part::Status && desired_state_differs(kind, old, &new) {
        let generation = old["metadata"]["generation"].as_i64().unwrap_or_default() + 1;
        new["metadata"]["generation"] = generation.into();
    }
    match is_command(call) {
        // Policies have seen the command; what follows from it is the server's own.
        true => call.may_change(Some(&new), Some(old))?,
        false => call.admit(Some(&new), Some(old))?,
    }
    own(old, &mut new, now)?;
    if is_finished(kind, &new)? {
        return Ok(Outcome::Remove(new));
    }
    Ok(if is_same(old, &new) { Outcome::Keep } else { Outcome::Put(new) })
}

/// Whether the request is one to a subresource whose body is of a kind of its own, and is not a view of the object.
fn is_command(call: &Call) -> bool {
    call.action().is_some_and(|subresource| {
        matches!(subresource.action, Action::Transform(_)) && subresource.kind != *call.kind.kind()
    })
}

/// Whether nothing differs but when somebody last wrote: that alone is no change. An apply of write-only fields, say, is
/// known to change nothing only once they have become what they stand for.
fn is_same(old: &Value, new: &Value) -> bool {
    let (Some(before), Some(after)) = (old.as_object(), new.as_object()) else { return old == new };
    let rest = |object: &Map<String, Value>, name: &str| object.keys().filter(|key| *key != name).count();
    let equal_without = |one: &Map<String, Value>, two: &Map<String, Value>, name: &str| {
        rest(one, name) == rest(two, name)
            && one.iter().all(|(key, value)| key == name || two.get(key) == Some(value))
    };
    let managers = |metadata: &Map<String, Value>| metadata.get("managedFields").cloned().unwrap_or_default();
    match (old["metadata"].as_object(), new["metadata"].as_object()) {
        (Some(one), Some(two)) => {
            equal_without(before, after, "metadata")
                && equal_without(one, two, "managedFields")
                && without_times(managers(one)) == without_times(managers(two))
        }
        _ => old == new,
    }
}

fn without_times(mut managers: Value) -> Value {
    for entry in managers.as_array_mut().into_iter().flatten() {
        entry.as_object_mut().map(|entry| entry.remove("time"));
    }
    managers
}

/// What the caller says of the object must be so.
pub(super) fn check_beliefs(call: &Call, old: &Value, new: &Value) -> Result<(), Status> {
    let kind = call.kind.kind();
    if !new.uid().is_empty() && new.uid() != old.uid() {
        let why = format!(
            "Precondition failed: UID in precondition: {}, UID in object meta: {}",
            new.uid(),
            old.uid()
        );
        return Err(Status::conflict(kind, old.name(), why));
    }
    let asked = new.resource_version();
    if !asked.is_empty() && asked != "0" {
        if asked.parse::<u64>().is_err() {
            let error = orch_api::FieldError::invalid(
                "metadata.resourceVersion",
                asked,
                "must be an unsigned integer",
            );
            return Err(Status::invalid(kind, old.name(), &[error]));
        }
        if asked != old.resource_version() {
            return Err(Status::stale(kind, old.name()));
        }
    }
    Ok(())
}

/// The old object with the new one's status. Of the metadata, only what tells the caller's belief is taken.
fn with_status_of(old: &Value, new: &Value) -> Value {
    let mut object = old.clone();
    if let Some(fields) = object.as_object_mut() {
        match new.get("status") {
            Some(status) => drop(fields.insert("status".into(), status.clone())),
            None => drop(fields.remove("status")),
        }
    }
    object
}

fn keep_status(old: &Value, new: &mut Value) {
    if let Some(fields) = new.as_object_mut() {
        match old.get("status") {
            Some(status) => drop(fields.insert("status".into(), status.clone())),
            None => drop(fields.remove("status")),
        }
    }
}

/// Fields that are the server's: what the caller leaves out is kept; what the caller changes is found by validation.
fn keep_server_fields(old: &Value, new: &mut Value) {
    let empty = Map::new();
    let from = old["metadata"].as_object().unwrap_or(&empty);
    let Some(to) = new.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if let Some(made) = from.get("creationTimestamp") {
        // Another one is not refused, but ignored, as in Kubernetes.
        to.insert("creationTimestamp".into(), made.clone());
    }
    for field in ["uid", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        if let Some(value) = from.get(field).filter(|_| !to.contains_key(field)) {
            to.insert(field.into(), value.clone());
        }
    }
    // The same moment in other words (`+00:00` for `Z`, as the Python client writes it) is no change.
    let moment = |value: &Value| value.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    if let (Some(ours), Some(theirs)) = (from.get("deletionTimestamp"), to.get("deletionTimestamp"))
        && moment(ours).is_some_and(|at| moment(theirs) == Some(at))
    {
        to.insert("deletionTimestamp".into(), ours.clone());
    }
    to.remove("selfLink");
    for field in ["generation", "resourceVersion"] {
        match from.get(field) {
            Some(value) => drop(to.insert(field.into(), value.clone())),
            None => drop(to.remove(field)),
        }
    }
}

/// Whether anything but metadata and status differs. A status that is no subresource is like every other field.
fn desired_state_differs(kind: &Served, old: &Value, new: &Value) -> bool {
    let status = |name: &str| name == "status" && kind.kind().has_status;
    let desired = |object: &Value| -> Vec<(String, Value)> {
        let fields = object.as_object().into_iter().flatten();
        let fields = fields.filter(|(name, _)| *name != "metadata" && !status(name));
        fields.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    desired(old) != desired(new)
}

/// Whether deletion was asked for and nothing holds the object any longer.
pub(super) fn is_finished(kind: &Served, object: &Value) -> Result<bool, Status> {
    let metadata = &object["metadata"];
    let has_finalizers = metadata["finalizers"].as_array().is_some_and(|finalizers| !finalizers.is_empty());
    if !object.is_terminating()
        || has_finalizers
        || metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) > 0
    {
        return Ok(false);
    }
    let deletion = (kind.entry.deletion)(&mut object.clone(), Some(0))?;
    Ok(deletion != Deletion::Held)
}
