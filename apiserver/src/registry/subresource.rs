//! Subresources: `status` is read like the object; the others turn a body into a change of the object. Streams are passed
//! on before they get here.

use orch_api::{Action, Object as _, Status, Time};
use serde_json::Value;

use super::change::{Part, Wanted, change, check_beliefs, tracked};
use super::{Answer, Call, Registry, delete, scale, token};
use crate::decode;

/// Reads `status`: the whole object; or `scale`: its numbers. Other subresources cannot be read.
pub(super) async fn get(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    match (call.subresource(), scale::of(call)) {
        (Some("status"), _) => super::get::get(registry, call).await,
        (_, Some(scale)) => scale::get(registry, call, scale).await,
        _ => Err(Status::method_not_allowed()),
    }
}

/// Does what a body that is posted asks for.
pub(super) async fn create(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    match call.action().map(|subresource| &subresource.action) {
        Some(Action::Token(bindings)) => token::issue(registry, call, bindings).await,
        Some(Action::Evict) => delete::evict(registry, call).await,
        Some(Action::Apply) => crate::plan::apply(registry, call).await,
        _ => transform(registry, call).await,
    }
}

/// Turns the stored object and the body into the object to store.
pub(super) async fn transform(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    if let Some(scale) = scale::of(call) {
        return scale::update(registry, call, scale).await;
    }
    let subresource = call.action().ok_or_else(Status::no_such_path)?;
    let Action::Transform(transform) = subresource.action else {
        return Err(Status::bad_request(format!(
            "{} is a stream: it is reached over HTTP only",
            subresource.name
        )));
    };
    let (body, kind) = (body(call)?, &subresource.kind);
    let is_own = *kind == *call.kind.kind();
    if !is_own {
        call.policies.command(call, kind, &body)?;
    }
    let now = Time::new(registry.clock.now());
    let done = registry
        .modify(call, |current| {
            if is_own {
                check_beliefs(call, &current.value, &body)?;
            }
            let mut object = transform(&current.value, &body, now.timestamp())?;
            // The body speaks for itself; the object's own revision is no belief of the caller.
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("resourceVersion");
            }
            change(call, current, Wanted { object, part: Part::Whole, now, own: tracked(call) })
        })
        .await?;
    // A body of another kind (`Binding`) is a command and answered as such; one of the same kind is the object.
    if kind.name == call.kind.kind().name {
        return done.answer(Vec::new());
    }
    let mut created = Status::success(call.kind.kind(), "", "");
    (created.code, created.details) = (201, None);
    Ok(Answer::Status(created))
}

/// The body of a request to a subresource: an object of the subresource's kind, or of none.
///
/// # Errors
/// 400 if it is of another kind or malformed.
pub(super) fn body(call: &Call) -> Result<Value, Status> {
    let subresource = call.action().ok_or_else(Status::no_such_path)?;
    let body = decode::object(call.request.body.as_ref())?;
    let expected = subresource.kind.name;
    if !body.kind().is_empty() && body.kind() != expected {
        return Err(Status::bad_request(format!(
            "the kind in the data ({}) does not match the expected kind ({expected})",
            body.kind()
        )));
    }
    Ok(body)
}
