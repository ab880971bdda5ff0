//! `get`: one object, as of now or as it was.

use orch_api::{Status, VersionMatch};

use super::list::matching;
use super::{Answer, Call, Registry, Written, past};

/// Answers with the object. Without a `resourceVersion` the read is linearizable; with one, whatever the cache has once it
/// has reached that revision (`0`: at once), or the object as it was at exactly that revision, if that is asked for.
pub(super) async fn get(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    match matching(call)? {
        None => registry.cache.catch_up().await?,
        Some((revision, Some(VersionMatch::Exact))) => return past::get(registry, call, revision).await,
        Some((revision, _)) => {
            registry.cache.loaded().await;
            registry.cache.wait_for(revision).await?;
        }
    }
    let object = call.kind.window.get(&call.key()?);
    let object = object.ok_or_else(|| Status::not_found(call.kind.kind(), call.name()))?;
    Ok(Answer::Object(Written::read(&object)))
}
