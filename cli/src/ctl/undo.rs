//! `undo`: a plan that takes changes back, or brings objects back to what they were.

use std::process::ExitCode;

use clap::Parser;
use orch_api::Object as _;
use orch_client::ApiResource;
use serde_json::{Value, json};

use super::history::{Changes, is_gap};
use super::plan::{ThenArgs, offer};
use super::{Failure, Session, select};

/// How the paths of annotations begin in which the cluster's own components keep what they know of an object.
const NOTES: &str = "metadata.annotations[orch.dev/";

/// Take back a change, a deletion or a whole plan
///
/// What was made is deleted, what was deleted is made again, and the fields that were changed become what they were. What has been
/// changed since is not overwritten: it is named, and nothing happens. Undoing is a plan: it is shown first, and can itself be undone.
///
/// With a revision, objects become what they were at it, whatever has become of them since.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # The last change of an object, its deletion included
  orchctl undo workload/web

  # All changes of an object since a revision that `orchctl history` shows
  orchctl undo workload/web --to-revision 5120

  # Everything that a plan has changed
  orchctl undo plan/plan-x7k2q

  # A change that `kubectl get changes` names, at once
  orchctl undo change/5120-0 --apply --reason 'it was the wrong one'")]
pub(super) struct Args {
    /// An object, a plan that has been applied, or a change
    #[arg(required = true, value_name = "KIND/NAME")]
    words: Vec<String>,
    /// Bring the objects back to what they were at a revision
    #[arg(long, value_name = "REVISION")]
    to_revision: Option<u64>,
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
            changes.push(change(session, resource, name, args.to_revision).await?);
        }
    }
    offer(session, changes, &[], &args.then).await
}

/// What of a plan takes back what is named.
async fn change(
    session: &Session,
    resource: &ApiResource,
    name: &str,
    to_revision: Option<u64>,
) -> Result<Value, Failure> {
    let what = match (resource.group.as_str(), resource.kind.as_str(), to_revision) {
        ("orch.dev", "Change" | "Plan", Some(_)) => {
            return Err(Failure::new(format!(
                "{} is no object to bring back",
                select::label(resource, name)
            ))
            .hint("--to-revision is for the objects that have been changed".to_owned()));
        }
        ("orch.dev", "Change", None) => json!({"change": name}),
        ("orch.dev", "Plan", None) => json!({"plan": name}),
        (_, _, Some(revision)) => {
            let target = select::planned(session, resource, name).await?;
            return Ok(json!({"rollback": {"target": target, "revision": revision}}));
        }
        (_, _, None) => {
            let changes = Changes::of(session, resource, name).await?;
            json!({"change": last(changes, &select::label(resource, name)).await?})
        }
    };
    Ok(json!({"undo": what}))
}

/// The name of the last change of an object that somebody made by hand or by a program, and not its own controller by keeping its
/// books: what it tells in the status, and notes in annotations.
async fn last(mut changes: Changes<'_>, label: &str) -> Result<Value, Failure> {
    while let Some(change) = changes.next().await? {
        if is_gap(&change) {
            break;
        }
        if !keeps_books(&change) {
            return Ok(change["metadata"]["name"].clone());
        }
    }
    Err(Failure::new(format!("no change of {label} is known that could be undone"))
        .hint("changes are kept for some days; `orchctl history` shows them".to_owned()))
}

/// Whether a change is of nothing but the status, and what a component of the cluster notes in annotations of its own.
fn keeps_books(change: &Value) -> bool {
    let by_component = change.text(&["user"]).starts_with("system:");
    let is_kept = |field: &Value| {
        let path = field.text(&["path"]);
        path == "status" || path.starts_with("status.") || (by_component && path.starts_with(NOTES))
    };
    change["verb"] == "updated" && change["fields"].as_array().into_iter().flatten().all(is_kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_what_a_controller_keeps_for_itself_is_passed_over() {
        let by = |user: &str, paths: &[&str]| {
            let fields: Vec<Value> = paths.iter().map(|path| json!({"path": path})).collect();
            keeps_books(&json!({"verb": "updated", "user": user, "fields": fields}))
        };
        let notes = "metadata.annotations[orch.dev/template-hash]";
        assert!(by("alice", &["status.phase", "status.conditions[0].status"]));
        assert!(by("system:orch:controller:workload-controller", &["status.phase", notes]));
        assert!(!by("alice", &["status.phase", notes]), "somebody may mean it");
        assert!(!by("system:orch:controllers", &[notes, "metadata.annotations[example.com/note]"]));
        assert!(!by("alice", &["status.phase", "spec.replicas"]));
        assert!(!by("alice", &["statusPage"]));
        assert!(!keeps_books(&json!({"verb": "deleted", "user": "system:apiserver"})));
    }
}
