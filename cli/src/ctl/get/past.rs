//! Objects as they were at a revision, as the server's history knows them.

use orch_api::{Client as _, Params, Request, Target, Verb, VersionMatch};
use serde_json::Value;

use crate::ctl::select::{Selection, label};
use crate::ctl::{Failure, Session};

/// Checks that what is asked for can be of the past: objects that are named.
pub(super) fn check(selections: &[Selection<'_>]) -> Result<(), Failure> {
    match selections.iter().find(|selection| selection.names.is_empty()) {
        None => Ok(()),
        Some(all) => Err(Failure::new(format!("get which {} of the past?", all.resource.plural))
            .hint("name the objects: a whole collection of the past is not kept".to_owned())),
    }
}

/// The object as it was at a revision, if it was there.
pub(super) async fn find(
    session: &Session,
    selection: &Selection<'_>,
    target: Target,
    revision: u64,
) -> Result<Option<Value>, Failure> {
    let label = label(selection.resource, target.name.as_deref().unwrap_or_default());
    let params = Params {
        resource_version: Some(revision.to_string()),
        resource_version_match: Some(VersionMatch::Exact),
        ..Params::default()
    };
    let request = Request { verb: Verb::Get, target, params, body: None };
    session.log(&request);
    match session.client().await?.send(request).await {
        Ok(answer) => Ok(Some(serde_json::from_slice(&answer)?)),
        Err(status) if status.code == 404 => Ok(None),
        Err(status) if status.code == 410 => {
            Err(Failure::from(status).hint(format!("`orchctl history {label}` shows what is kept")))
        }
        Err(status) => Err(status.into()),
    }
}
