//! `create`: a new object.

use orch_api::{Object as _, Reason, Status, StatusDetails, Time};
use orch_store::Key;
use serde_json::Value;

use super::{Answer, Call, Registry, Written};
use crate::{admission, ownership};

/// How often another suffix is tried for a generated name that is taken.
const NAME_ATTEMPTS: usize = 8;
/// Kubernetes' alphabet of generated names: no vowels, no look-alikes.
const SUFFIX_ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX_LENGTH: usize = 5;
const LONGEST_GENERATED_PREFIX: usize = 58;

/// Stores the object of the body under its own name or a generated one.
pub(super) async fn create(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    let (object, warnings) = call.object()?;
    if !object.resource_version().is_empty() {
        return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
    }
    insert(registry, call, object, warnings, |object, now| {
        ownership::record_create(&call.kind, object, call.manager(), now)
    })
    .await
}

/// Stores a new object that `own` has been asked to mark with its owner of fields.
pub(crate) async fn insert(
    registry: &Registry,
    call: &Call,
    mut object: Value,
    warnings: Vec<String>,
    own: impl Fn(&mut Value, Time) -> Result<(), Status>,
) -> Result<Answer, Status> {
    if call.kind.entry.custom.as_ref().is_some_and(|custom| custom.closed) {
        let why =
            format!("{} not allowed while custom resource definition is terminating", call.verb().as_str());
        return Err(Status::failure(Reason::MethodNotAllowed, why));
    }
    let now = Time::new(registry.clock.now());
    let generate = if object.name().is_empty() {
        object.text(&["metadata", "generateName"]).to_owned()
    } else {
        String::new()
    };
    // What says nothing is not there for whoever completes the object, either.
    call.kind.entry.schema.drop_nulls(&mut object);
    set_metadata(call, &mut object, now)?;
    admission::namespace_accepts(registry, call, object.name()).await?;
    admission::note_requester(call, &mut object);
    admission::complete(registry, call, &mut object).await?;
    let mut taken = String::new();
    for _ in 0..NAME_ATTEMPTS {
        if !generate.is_empty() {
            object["metadata"]["name"] = generated(&generate).into();
        }
        let mut admitted = if generate.is_empty() { object.take() } else { object.clone() };
        admission::admit(&call.kind, &mut admitted, None)?;
        call.admit(Some(&admitted), None)?;
        own(&mut admitted, now)?;
        let name = admitted.name().to_owned();
        let key = call.kind.key(call.namespace(), &name)?;
        match registry.insert(call, &key, admitted).await? {
            Some(bytes) => return Ok(Answer::Object(Written { code: 201, bytes, warnings })),
            None if generate.is_empty() => return Err(taken_name(call, &key, &name)),
            None => taken = name,
        }
    }
    Err(names_taken(call, taken))
}

/// The name is taken: for good, or until the object that has it is gone.
fn taken_name(call: &Call, key: &Key, name: &str) -> Status {
    let mut status = Status::already_exists(call.kind.kind(), name);
    if call.kind.window.get(key).is_some_and(|object| object.is_terminating) {
        status.message = format!("object is being deleted: {}", status.message);
    }
    status
}

/// Tried again, another name may be free: the caller is told when. `last` is the last name that was tried.
fn names_taken(call: &Call, last: String) -> Status {
    let kind = call.kind.kind();
    let message = format!(
        "{} {last:?} already exists, the server was not able to generate a unique name for the object",
        kind.resource()
    );
    let details = StatusDetails {
        name: last,
        group: kind.group.to_owned(),
        kind: kind.plural.to_owned(),
        retry_after_seconds: Some(1),
        ..StatusDetails::default()
    };
    Status::failure(Reason::AlreadyExists, message).about(details)
}

/// What the server says about every new object, whatever the caller said.
fn set_metadata(call: &Call, object: &mut Value, now: Time) -> Result<(), Status> {
    let kind = call.kind.kind();
    if kind.has_status
        && !call.kind.entry.status_on_create
        && let Some(object) = object.as_object_mut()
    {
        object.remove("status");
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Err(Status::bad_request("metadata: must be an object"));
    };
    for field in [
        "resourceVersion",
        "selfLink",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "managedFields",
    ] {
        metadata.remove(field);
    }
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), now.to_string().into());
    if call.kind.counts_generations() {
        metadata.insert("generation".into(), 1.into());
    }
    Ok(())
}

fn generated(prefix: &str) -> String {
    let end = (0..=prefix.len().min(LONGEST_GENERATED_PREFIX))
        .rev()
        .find(|end| prefix.is_char_boundary(*end))
        .unwrap_or(0);
    let suffix =
        (0..SUFFIX_LENGTH).map(|_| char::from(SUFFIX_ALPHABET[rand::random_range(0..SUFFIX_ALPHABET.len())]));
    prefix[..end].chars().chain(suffix).collect()
}
