//! `scale`: an object's numbers, read and written as an `autoscaling/v1` Scale.

use std::sync::{Arc, LazyLock};

use orch_api::patch::{json_patch, merge_patch};
use orch_api::{Action, Body, FieldError, MediaType, Object as _, Scale, Schema, Status, Time};
use serde_json::{Value, json};

use super::change::{Part, Wanted, change, tracked};
use super::modify::{Current, Done, Outcome};
use super::{Answer, Call, Registry, Written, apply, patch};
use crate::decode::Decoded;
use crate::{admission, decode};

/// What a Scale may say. Its metadata is the object's.
#[expect(clippy::expect_used, reason = "the schema is a constant, and compiled by every test of a scale")]
static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    let integer = || json!({"type": "integer"});
    let schema = json!({"type": "object", "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        "spec": {"type": "object", "properties": {"replicas": integer()}},
        "status": {"type": "object", "properties": {"replicas": integer(), "selector": {"type": "string"}}},
    }});
    Schema::compile(&schema).expect("a structural schema")
});

/// The subresource's definition, if the call is about it.
pub(super) fn of(call: &Call) -> Option<&Scale> {
    match call.action().map(|subresource| &subresource.action) {
        Some(Action::Scale(scale)) => Some(scale),
        _ => None,
    }
}

/// Reads the object's numbers.
pub(super) async fn get(registry: &Registry, call: &Call, scale: &Scale) -> Result<Answer, Status> {
    match super::get::get(registry, call).await? {
        Answer::Object(written) => shown(scale, written),
        other => Ok(other),
    }
}

/// Replaces them.
pub(super) async fn update(registry: &Registry, call: &Call, scale: &Scale) -> Result<Answer, Status> {
    let Decoded { value, repeated } = decode::object_with_repeated(call.request.body.as_ref())?;
    let (value, warnings) = known(call, value, &repeated)?;
    let wanted = checked(call, value)?;
    let now = Time::new(registry.clock.now());
    let done = registry.modify(call, |current| write(call, scale, current, &wanted, now)).await?;
    answer(scale, done, warnings)
}

/// Changes them by a patch of the Scale, or by applying one.
pub(super) async fn patch(
    registry: &Registry,
    call: &Call,
    scale: &Scale,
    body: &Body,
) -> Result<Answer, Status> {
    if body.media_type == MediaType::Apply {
        return apply_to(registry, call, scale, body).await;
    }
    let Decoded { value: patch, repeated } = decode::patch(body)?;
    let warnings = parking_lot::Mutex::new(Vec::new());
    let now = Time::new(registry.clock.now());
    let done = registry
        .modify(call, |current| {
            let before = scale.read(&current.value);
            // A Scale has no lists: a strategic merge is a merge.
            let after = match body.media_type {
                MediaType::JsonPatch => json_patch(&before, &patch),
                _ => merge_patch(&before, &patch),
            };
            let after = after.map_err(|error| patch::failed(call, &error))?;
            let (mut after, told) =
                known(call, after, &repeated).map_err(|status| patch::strange(call, status))?;
            *warnings.lock() = told;
            if after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"] {
                // The revision comes from the object itself; it is no belief of the caller.
                after["metadata"]["resourceVersion"] = "".into();
            }
            write(call, scale, current, &checked(call, after)?, now)
        })
        .await?;
    answer(scale, done, warnings.into_inner())
}

async fn apply_to(registry: &Registry, call: &Call, scale: &Scale, body: &Body) -> Result<Answer, Status> {
    let Decoded { value, repeated } = decode::patch(body)?;
    let (value, warnings) = known(call, value, &repeated)?;
    let config = scale.configuration(call.kind.kind(), &checked(call, value)?);
    match apply::configure(registry, call, config, warnings).await? {
        Answer::Object(written) => shown(scale, written),
        other => Ok(other),
    }
}

/// A Scale without fields that it does not have; with warnings of them, if they are not refused.
fn known(call: &Call, mut scale: Value, repeated: &[String]) -> Result<(Value, Vec<String>), Status> {
    if !scale.is_object() {
        return Err(Status::bad_request("the body is not a Scale"));
    }
    let told = admission::strange_fields(&Scale::KIND, &SCHEMA, &mut scale, repeated, call.validation())?;
    Ok((scale, told))
}

/// A Scale of the right kind for the right object with a number that can be.
fn checked(call: &Call, mut scale: Value) -> Result<Value, Status> {
    let bad = |message: String| Err(Status::bad_request(message));
    if !scale.get("metadata").is_none_or(Value::is_object) {
        return bad("the body is not a Scale".into());
    }
    let expected = [("apiVersion", Scale::KIND.api_version()), ("kind", Scale::KIND.name.to_owned())];
    for (field, expected) in expected {
        let found = scale.text(&[field]);
        if !found.is_empty() && found != expected {
            return bad(format!(
                "the {field} in the data ({found}) does not match the expected one ({expected})"
            ));
        }
    }
    if scale.get("metadata").is_none() {
        scale["metadata"] = json!({});
    }
    call.check_place(&mut scale)?;
    let mut errors = Vec::new();
    if let Some(replicas) = scale.pointer("/spec/replicas").filter(|replicas| !replicas.is_null()) {
        match replicas.as_i64() {
            None => {
                return bad(format!(
                    "Scale in version \"v1\" cannot be handled as a Scale: spec.replicas is {replicas}, not a number"
                ));
            }
            Some(number) if i32::try_from(number).is_err() || number < 0 => errors.push(FieldError::invalid(
                "spec.replicas",
                number,
                "must be greater than or equal to 0",
            )),
            Some(_) => {}
        }
    }
    if errors.is_empty() { Ok(scale) } else { Err(Status::invalid(&Scale::KIND, call.name(), &errors)) }
}

fn write(
    call: &Call,
    scale: &Scale,
    current: &Current,
    wanted: &Value,
    now: Time,
) -> Result<Outcome, Status> {
    let mut object = current.value.clone();
    scale.write(&mut object, wanted);
    change(call, current, Wanted { object, part: Part::Main, now, own: tracked(call) })
}

fn answer(scale: &Scale, done: Done, warnings: Vec<String>) -> Result<Answer, Status> {
    match done.answer(warnings)? {
        Answer::Object(written) => shown(scale, written),
        other => Ok(other),
    }
}

fn shown(scale: &Scale, written: Written) -> Result<Answer, Status> {
    let object: Value = serde_json::from_slice(&written.bytes).map_err(Status::internal)?;
    let bytes = serde_json::to_vec(&scale.read(&object)).map_err(Status::internal)?;
    Ok(Answer::Object(Written { bytes: bytes.into(), ..written }))
}
