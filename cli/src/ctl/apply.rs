//! `apply`: makes what the manifests say.

use std::process::ExitCode;

use anstyle::Style;
use clap::{Parser, ValueEnum};
use orch_api::{FieldValidation, Object as _, Params, Patch, Reason, Request, Status, StatusCause, Verb};
use orch_client::Applied;
use orch_client::manifest::Manifest;
use serde_json::Value;

use super::files::{FileArgs, Placed};
use super::output::{FAINT, GOOD, WAITING, paint, print};
use super::{Failure, Session, order, schema};

pub(super) const FIELD_MANAGER: &str = "orchctl";

/// Make what manifests say, and change what is there already
///
/// Manifests are read from files, directories (all .yaml, .yml and .json files) and standard input, and applied in the
/// order of their references: namespaces first, what a pod mounts before the pod. Each object is applied whole or not
/// at all; if one fails, the others are still applied, and the command fails in the end.
///
/// Apply owns the fields that it has set: a field that is taken out of the manifest is taken out of the object, and
/// fields that others set are left alone.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # Apply a file, a directory with all directories below, and what another program prints
  orchctl apply -f workload.yaml
  orchctl apply -R -f manifests/
  generate | orchctl apply -f -

  # Ask the server what would happen
  orchctl apply -f workload.yaml --dry-run=server

  # Make a plan true that has been looked at
  orchctl apply --plan plan-x7k2q

  # Take over fields that another manager has set
  orchctl apply -f workload.yaml --force-conflicts")]
pub(super) struct Args {
    #[command(flatten)]
    files: FileArgs,
    /// Apply a plan that has been made with `orchctl plan`, instead of manifests
    #[arg(long, value_name = "NAME", conflicts_with_all = ["filename", "recursive", "dry_run", "force_conflicts"])]
    plan: Option<String>,
    /// Have everything checked as if it were done, but store nothing
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_value = "none", default_missing_value = "server")]
    dry_run: DryRun,
    /// Take over fields that belong to other managers
    #[arg(long)]
    force_conflicts: bool,
    /// The manager that owns the fields
    #[arg(long, value_name = "NAME", default_value = FIELD_MANAGER)]
    field_manager: String,
    /// Accepted for kubectl's sake: apply is always server-side
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    server_side: Option<bool>,
}

/// Whether and where to check without storing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DryRun {
    /// Do it
    None,
    /// The server checks
    Server,
}

impl DryRun {
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Server => " (server dry run)",
        }
    }
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    if let Some(name) = &args.plan {
        return super::plan::apply(session, name.strip_prefix("plan/").unwrap_or(name)).await;
    }
    let (mut manifests, mut failed) = args.files.read_some("apply")?;
    order::by_references(&mut manifests);
    for manifest in manifests {
        if let Err(failure) = apply(session, manifest, &args).await {
            failure.report();
            failed += 1;
        }
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn apply(session: &Session, manifest: Manifest, args: &Args) -> Result<(), Failure> {
    let placed = Placed::new(session, manifest).await?;
    if placed.manifest.object.name().is_empty() {
        return Err(Failure::new("metadata.name is missing: apply needs to know which object is meant")
            .detail("", placed.manifest.snippet("metadata"))
            .hint("generateName works with `orchctl create`".to_owned()));
    }
    let target = placed.collection().named(placed.manifest.object.name());
    let before = session.find(target.clone()).await?;
    let request = Request {
        verb: Verb::Patch,
        target,
        params: Params {
            dry_run: args.dry_run == DryRun::Server,
            field_manager: Some(args.field_manager.clone()),
            field_validation: Some(FieldValidation::Strict),
            force: args.force_conflicts,
            ..Params::default()
        },
        body: Some(Patch::Apply(placed.manifest.object.clone()).body()?),
    };
    session.log(&request);
    let answer = session.client().await?.send_as(session.explained(request), orch_client::Accept::Json).await;
    let after: Value = serde_json::from_slice(&answer.map_err(|status| explain(status, &placed))?)?;
    let (outcome, style) = outcome(Applied::between(placed.resource, before.as_ref(), &after));
    let outcome = paint(Some(style), outcome);
    Ok(print(&format!("{} {outcome}{}\n", placed.label(), args.dry_run.suffix()))?)
}

fn outcome(applied: Applied) -> (&'static str, Style) {
    match applied {
        Applied::Created => ("created", GOOD),
        Applied::Changed => ("configured", WAITING),
        Applied::Unchanged => ("unchanged", FAINT),
    }
}

/// Says where in the manifest the server's objections are.
pub(super) fn explain(status: Status, placed: &Placed<'_>) -> Failure {
    let is_conflict = status.is(&Reason::Conflict);
    let causes = causes(&status);
    let object = &placed.manifest.object;
    let message = match causes.len() {
        0 => status.message.clone(),
        _ if is_conflict => format!("{} has fields that belong to others", placed.label()),
        _ => format!("{} is refused", placed.label()),
    };
    let hint = (is_conflict && !causes.is_empty())
        .then(|| "take the fields over with --force-conflicts, or leave them out of the manifest".to_owned());
    let missing_namespace = is_missing_namespace(&status, placed);
    let hint = hint.or_else(|| {
        missing_namespace
            .then(|| "make it first: the manifest of a Namespace may stand in the same file".into())
    });
    let failure = if missing_namespace {
        let failure = Failure::from(status).while_doing(&placed.label());
        failure.detail("", placed.manifest.snippet("metadata.namespace"))
    } else if causes.is_empty() {
        Failure::from(status).while_doing(&placed.label())
    } else {
        Failure::new(message)
    };
    causes
        .into_iter()
        .fold(failure, |failure, cause| {
            failure.detail(
                objection(&cause, object),
                placed.manifest.snippet(&cause.field).filter(|_| !cause.field.is_empty()),
            )
        })
        .hint(hint)
}

fn is_missing_namespace(status: &Status, placed: &Placed<'_>) -> bool {
    let of_namespaces = status.details.as_ref().is_some_and(|details| details.kind == "namespaces");
    status.code == 404 && of_namespaces && placed.namespace.is_some()
}

/// One cause in one line, with what was probably meant.
fn objection(cause: &StatusCause, object: &Value) -> String {
    let field = cause.field.trim_start_matches('.');
    let text = match field {
        "" => cause.message.clone(),
        _ if cause.message.starts_with("unknown field") => format!("unknown field {field:?}"),
        _ => format!("{field}: {}", cause.message),
    };
    match schema::suggestion(object, &cause.field) {
        Some(meant) => format!("{text}; {meant}"),
        None => text,
    }
}

/// What exactly is wrong: the status' causes, or the fields that a strict decoder's message names.
fn causes(status: &Status) -> Vec<StatusCause> {
    if let Some(details) = status.details.as_ref().filter(|details| !details.causes.is_empty()) {
        return details.causes.clone();
    }
    let quoted = status.message.split("unknown field \"").skip(1).filter_map(|rest| rest.split('"').next());
    let cause = |field: &str| StatusCause {
        reason: "FieldUnknown".into(),
        message: "unknown field".into(),
        field: field.into(),
    };
    quoted.map(cause).collect()
}

#[cfg(test)]
mod tests {
    use orch_client::ApiResource;

    use super::*;

    #[test]
    fn objections_are_shown_where_they_are_in_the_file() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\nspec:\n  containers:\n    - name: web\n      imagee: nginx\n";
        let manifest = Manifest::parse("web.yaml", text).remove(0).unwrap();
        let resource = ApiResource { singular: "pod".into(), ..ApiResource::default() };
        let placed = Placed { manifest, resource: &resource, namespace: None };
        let status =
            Status::bad_request("strict decoding error: unknown field \"spec.containers[0].imagee\"");
        let shown = format!("{:?}", explain(status, &placed));
        assert!(shown.contains("pod/web is refused"), "{shown}");
        assert!(
            shown.contains(r#"unknown field \"spec.containers[0].imagee\"; did you mean `image`?"#),
            "{shown}"
        );
        assert!(shown.contains("line: 8, column: 7"), "{shown}");
    }
}
