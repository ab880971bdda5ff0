//! `get` of the past: an object as it was at a revision.
//!
//! The history tells, by the rule by which plans bring objects back. Where it cannot be sure, nothing is shown.

use orch_api::Status;
use orch_store::Revision;

use super::{Answer, Call, Registry, Written};
use crate::cache::too_large_revision;
use crate::history::Past;
use crate::status::from_store;

/// Answers with the object as the history shows it: without managed fields, and with hashes for secret values.
///
/// # Errors
/// 404 if it was not there; 410 if what it was is not known, with what is missing in the history; 504 if there has been no such
/// revision yet.
pub(super) async fn get(registry: &Registry, call: &Call, revision: Revision) -> Result<Answer, Status> {
    let unknown = |missing: &str| {
        let what = format!("{} {:?}", call.kind.kind().resource(), call.name());
        Status::expired(format!(
            "the history does not know what {what} was at revision {revision}: {missing}"
        ))
    };
    let history = registry.history.clone().ok_or_else(|| unknown("this server keeps none"))?;
    registry.cache.catch_up().await?;
    let present = call.kind.window.get(&call.key()?);
    // Not before: the history must have what was read.
    let now = registry.store.revision().await.map_err(from_store)?;
    if revision > now {
        return Err(too_large_revision(revision, now));
    }
    history.caught_up(now).await?;
    let place = (call.namespace().unwrap_or_default(), call.name());
    let written = present.as_ref().map(|object| object.revision);
    let found = match history.past(&call.kind, place, written, revision).await? {
        Past::Unknown(missing) => return Err(unknown(&missing.to_string())),
        Past::Absent => None,
        Past::Same => present.map(|object| (object.stored.clone(), call.kind.kind().is_sensitive)),
        Past::Was { value, is_sensitive, .. } => {
            let read = call.kind.window.reading().read(&value).map_err(Status::internal)?;
            Some((read, is_sensitive))
        }
    };
    let (object, is_sensitive) = found.ok_or_else(|| absent(call, revision))?;
    let shown = history.shown(&object, is_sensitive);
    let shown = shown.ok_or_else(|| Status::internal("what the history has of it is no JSON"))?;
    Ok(Answer::Object(Written { code: 200, bytes: shown.to_string().into(), warnings: Vec::new() }))
}

fn absent(call: &Call, revision: Revision) -> Status {
    let (kind, name) = (call.kind.kind(), call.name());
    let mut status = Status::not_found(kind, name);
    status.message = format!("{} {name:?} was not there at revision {revision}", kind.resource());
    status
}
