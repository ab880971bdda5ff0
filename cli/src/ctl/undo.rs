//! `undo`: a plan that takes changes back.

use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};

use super::history::{Changes, is_gap};
use super::plan::{ThenArgs, offer};
use super::{Failure, Session, select};

/// Take back a change, a deletion or a whole plan
///
/// What was made is deleted, what was deleted is made again, and the fields that were changed become what they were. What has been
/// changed since is not overwritten: it is named, and nothing happens. Undoing is a plan: it is shown first, and can itself be undone.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # The last change of an object, its deletion included
  orchctl undo workload/web

  # Everything that a plan has changed
  orchctl undo plan/plan-x7k2q

  # A change that `kubectl get changes` names, at once
  orchctl undo change/5120-0 --apply --reason 'it was the wrong one'")]
pub(super) struct Args {
    /// An object, a plan that has been applied, or a change
    #[arg(required = true, value_name = "KIND/NAME")]
    words: Vec<String>,
    #[command(flatten)]
    then: ThenArgs,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let mut changes = Vec::new();
    for selection in select::parse(session.discovery().await?, &args.words)? {
        let resource = selection.resource;
        if selection.names.is_empty() {
            return Err(Failure::new(format!("which {} is it about?", resource.kind.to_lowercase()))
                .hint("write kind/name".to_owned()));
        }
        for name in &selection.names {
            let undo = match (resource.group.as_str(), resource.kind.as_str()) {
                ("orch.dev", "Change") => json!({"change": name}),
                ("orch.dev", "Plan") => json!({"plan": name}),
                _ => {
                    json!({"change": last(Changes::of(session, resource, name).await?, &select::label(resource, name)).await?})
                }
            };
            changes.push(json!({"undo": undo}));
        }
    }
    offer(session, changes, &[], &args.then).await
}

/// The name of the last change of an object that somebody made by hand or by a program, and not its own controller by telling
/// its status.
async fn last(mut changes: Changes<'_>, label: &str) -> Result<Value, Failure> {
    while let Some(change) = changes.next().await? {
        if is_gap(&change) {
            break;
        }
        if !tells_status_only(&change) {
            return Ok(change["metadata"]["name"].clone());
        }
    }
    Err(Failure::new(format!("no change of {label} is known that could be undone"))
        .hint("changes are kept for some days; `orchctl history` shows them".to_owned()))
}

/// Whether a change is of nothing but the status.
fn tells_status_only(change: &Value) -> bool {
    let fields: Vec<&Value> = change["fields"].as_array().into_iter().flatten().collect();
    let is_status = |field: &&Value| {
        field["path"].as_str().is_some_and(|path| path == "status" || path.starts_with("status."))
    };
    change["verb"] == "updated" && fields.iter().all(is_status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_the_status_alone_is_passed_over() {
        let updated = |paths: &[&str]| {
            let fields: Vec<Value> = paths.iter().map(|path| json!({"path": path})).collect();
            tells_status_only(&json!({"verb": "updated", "fields": fields}))
        };
        assert!(updated(&["status.phase", "status.conditions[0].status"]));
        assert!(!updated(&["status.phase", "spec.replicas"]));
        assert!(!updated(&["statusPage"]));
        assert!(!tells_status_only(&json!({"verb": "deleted"})));
    }
}
