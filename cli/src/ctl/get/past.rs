//! Objects as they were at a revision, from the server's history.

use std::process::ExitCode;

use serde_json::Value;

use super::{Args, print};
use crate::ctl::history::{self, Changes};
use crate::ctl::output;
use crate::ctl::select::{Selection, label};
use crate::ctl::{Failure, Session};

pub(super) async fn run(
    session: &Session,
    selections: &[Selection<'_>],
    args: &Args,
    revision: u64,
) -> Result<ExitCode, Failure> {
    let mut objects = Vec::new();
    for selection in selections {
        if selection.names.is_empty() {
            return Err(Failure::new(format!("get which {} of the past?", selection.resource.plural))
                .hint("name the objects: a whole collection of the past is not kept".to_owned()));
        }
        for name in &selection.names {
            let mut changes = Changes::of(session, selection.resource, name).await?;
            match at(&mut changes, revision).await? {
                Some(object) => objects.push(object),
                None if args.ignore_not_found => {}
                None => return Err(unknown(&label(selection.resource, name), revision)),
            }
        }
    }
    // What is of the past is shown whole: no table is made of it.
    let mut shown = match <[Value; 1]>::try_from(objects) {
        Ok([one]) => one,
        Err(objects) => print::list(objects, revision.to_string()),
    };
    output::print(&print::text(&mut shown, args)?)?;
    Ok(ExitCode::SUCCESS)
}

/// What the object was at a revision: what the last change up to then made of it, or what the first one after that found.
async fn at(changes: &mut Changes<'_>, revision: u64) -> Result<Option<Value>, Failure> {
    let mut found = None;
    while let Some(mut change) = changes.next().await? {
        if history::is_gap(&change) {
            if change["revision"].as_u64() <= Some(revision) {
                break;
            }
            continue;
        }
        if change["revision"].as_u64() <= Some(revision) {
            return Ok(Some(change["after"].take()).filter(|after| !after.is_null()));
        }
        found = Some(change["before"].take()).filter(|before| !before.is_null());
    }
    Ok(found)
}

fn unknown(label: &str, revision: u64) -> Failure {
    Failure::new(format!(
        "{label} was not there at revision {revision}, or the history does not go back so far"
    ))
    .hint(format!("`orchctl history {label}` shows what is kept"))
}
