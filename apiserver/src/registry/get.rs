//! `get`: one object, as of now.

use orch_api::Status;

use super::{Answer, Call, Registry, Written};

/// Answers with the object. Without a `resourceVersion` the read is linearizable; with one, whatever the cache has once it
/// has reached that revision (`0`: at once).
pub(super) async fn get(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    match super::list::revision_asked(call)? {
        None => registry.cache.catch_up().await?,
        Some(revision) => {
            registry.cache.loaded().await;
            registry.cache.wait_for(revision).await?;
        }
    }
    let object = call.kind.window.get(&call.key()?);
    let object = object.ok_or_else(|| Status::not_found(call.kind.kind(), call.name()))?;
    Ok(Answer::Object(Written::read(&object)))
}
