//! `patch`: change an object by a JSON patch, a JSON merge patch, a strategic merge patch, or server-side apply.

use orch_api::patch::{PatchError, json_patch, merge_patch, strategic_merge_patch};
use orch_api::{Body, FieldError, MediaType, Reason, Status, Time, Verb};
use serde_json::Value;

use super::change::{Part, Wanted, change, tracked};
use super::{Answer, Call, Registry};
use crate::decode::{self, Decoded};
use crate::incoming::unknown_format;

/// Changes the object as the body says.
pub(super) async fn patch(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    let scale = super::scale::of(call);
    if scale.is_none() && call.subresource().is_some_and(|name| name != "status") {
        return Err(Status::method_not_allowed());
    }
    let body = call.request.body.as_ref().ok_or_else(|| Status::bad_request("the request has no body"))?;
    check_media_type(call, body.media_type)?;
    match (scale, body.media_type) {
        (Some(scale), _) => super::scale::patch(registry, call, scale, body).await,
        (None, MediaType::Apply) => super::apply::apply(registry, call, body).await,
        (None, _) => merged(registry, call, body).await,
    }
}

fn check_media_type(call: &Call, media_type: MediaType) -> Result<(), Status> {
    let accepted = accepted(call);
    match media_type {
        other if !accepted.contains(&other) => return Err(unknown_format(accepted, other.as_str())),
        MediaType::Apply => return Ok(()),
        _ => {}
    }
    if call.params().force {
        let error = FieldError::forbidden("force", "may not be specified for non-apply patch");
        return Err(Verb::Patch.invalid_options(error));
    }
    Ok(())
}

async fn merged(registry: &Registry, call: &Call, body: &Body) -> Result<Answer, Status> {
    let Decoded { value: patch, repeated } = decode::patch(body)?;
    let now = Time::new(registry.clock.now());
    let warnings = parking_lot::Mutex::new(Vec::new());
    let done = registry
        .modify(call, |current| {
            let mut object =
                merge(call, body.media_type, &current.value, &patch).map_err(|error| failed(call, &error))?;
            if !object.is_object() {
                return Err(Status::bad_request("the patch leaves something that is not an object"));
            }
            call.check_kind(&mut object)?;
            call.check_place(&mut object)?;
            let checked = call.check_fields(&mut object, &repeated);
            *warnings.lock() = checked.map_err(|status| strange(call, status))?;
            change(call, current, Wanted { object, part: Part::of(call), now, own: tracked(call) })
        })
        .await?;
    done.answer(warnings.into_inner())
}

/// Fields that are strictly refused make a patch invalid, as in Kubernetes; it is not malformed, as an object would be.
pub(super) fn strange(call: &Call, status: Status) -> Status {
    if !status.is(&Reason::BadRequest) {
        return status;
    }
    let error = FieldError::invalid("patch", Value::Null, &*status.message);
    let mut invalid = Status::invalid(call.kind.kind(), call.name(), &[error]);
    if let (Some(details), Some(strange)) = (&mut invalid.details, status.details) {
        details.causes.extend(strange.causes);
    }
    invalid
}

fn merge(call: &Call, media_type: MediaType, object: &Value, patch: &Value) -> Result<Value, PatchError> {
    match media_type {
        MediaType::JsonPatch => json_patch(object, patch),
        MediaType::StrategicMergePatch => strategic_merge_patch(&call.kind.entry.schema, object, patch),
        _ => merge_patch(object, patch),
    }
}

/// What a patch that cannot be applied is answered with.
pub(super) fn failed(call: &Call, error: &PatchError) -> Status {
    match error.code() {
        400 => Status::bad_request(error.to_string()),
        413 => Status::failure(Reason::RequestEntityTooLarge, error.to_string()),
        _ => {
            let error = FieldError::invalid("patch", Value::Null, error.to_string());
            Status::invalid(call.kind.kind(), call.name(), &[error])
        }
    }
}

/// The types of patches of a kind. A strategic merge patch follows what a kind's author wrote into a Rust type: custom kinds
/// have none.
fn accepted(call: &Call) -> &'static [MediaType] {
    let [most @ .., _] = &MediaType::PATCHES;
    if call.kind.entry.custom.is_some() { most } else { &MediaType::PATCHES }
}
