//! `plan`: shows what would come of manifests, deletions and drains, to be applied as a whole or not at all.

mod show;

use std::process::ExitCode;

use clap::Parser;
use orch_api::{
    Body, FieldValidation, Object as _, Params, Request, Status, StatusCause, StatusDetails, Target, Verb,
};
use serde_json::{Value, json};

use super::apply::{FIELD_MANAGER, explain};
use super::files::{FileArgs, Placed};
use super::output::{GOOD, paint, print, yaml};
use super::{Failure, Session, order, select};

pub(super) use show::show;

/// Show what would come of changes, and make them together or not at all
///
/// The server runs the changes through everything that they would pass, and keeps them to itself: what is shown is each
/// field that would differ, what would be deleted along, where pods would go, and how far it all reaches. The plan can be
/// applied until it expires, by whoever made it, if nothing that it was made from has changed.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # What would become of a directory of manifests
  orchctl plan -f manifests/

  # Make it so
  orchctl apply --plan plan-x7k2q

  # Several things at once, and why
  orchctl plan -f web.yaml --delete configmap/old --drain worker-1 --reason 'worker-1 is replaced'

  # Show it and make it so, unless something moves in between
  orchctl plan -f web.yaml --apply")]
pub(super) struct Args {
    #[command(flatten)]
    pub(super) files: FileArgs,
    /// Delete an object; may be given several times
    #[arg(long, value_name = "KIND/NAME")]
    delete: Vec<String>,
    /// Keep new pods off a node, and evict those that are there; may be given several times
    #[arg(long, value_name = "NODE")]
    drain: Vec<String>,
    /// Take over fields that belong to other managers
    #[arg(long)]
    force_conflicts: bool,
    /// The manager that owns the fields
    #[arg(long, value_name = "NAME", default_value = FIELD_MANAGER)]
    field_manager: String,
    #[command(flatten)]
    then: ThenArgs,
}

/// What becomes of a plan once it is made.
#[derive(clap::Args, Debug)]
pub(super) struct ThenArgs {
    /// For how many seconds the plan can be applied
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    expires_after: u32,
    /// Write the plan, as the server answers it, to a file
    #[arg(long, value_name = "FILE")]
    out: Option<std::path::PathBuf>,
    /// Apply the plan at once
    #[arg(long)]
    apply: bool,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let placed = manifests(session, &args.files).await?;
    let mut changes = applies(&placed, &args.field_manager, args.force_conflicts);
    changes.extend(deletes(session, &args.delete).await?);
    changes.extend(args.drain.iter().map(|node| json!({"drain": {"node": node}})));
    if changes.is_empty() {
        return Err(Failure::new("nothing to plan")
            .hint("name manifests with -f, objects with --delete, nodes with --drain".to_owned()));
    }
    offer(session, changes, &placed, &args.then).await
}

/// Has a plan made, shows it, and says how it is applied, or applies it.
pub(super) async fn offer(
    session: &Session,
    changes: Vec<Value>,
    placed: &[Placed<'_>],
    then: &ThenArgs,
) -> Result<ExitCode, Failure> {
    let mut plan = json!({
        "apiVersion": "orch.dev/v1", "kind": "Plan", "metadata": {"generateName": "plan-"},
        "spec": {"changes": changes, "expiresAfterSeconds": then.expires_after},
    });
    if let Some(reason) = session.reason() {
        plan["spec"]["reason"] = reason.into();
    }
    let Some(plan) = make(session, plan, placed).await? else { return Ok(ExitCode::FAILURE) };
    if let Some(out) = &then.out {
        std::fs::write(out, yaml::to_yaml(&plan)?)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", out.display())))?;
    }
    print(&show(&plan["status"]))?;
    let name = plan.name();
    if then.apply {
        return apply(session, name).await;
    }
    let until = plan["status"]["expiresAt"].as_str().unwrap_or_default();
    print(&format!("\nplan/{name} can be applied until {until}: orchctl apply --plan {name}\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// The manifests in the order of their references, each with its place.
pub(super) async fn manifests<'a>(
    session: &'a Session,
    files: &FileArgs,
) -> Result<Vec<Placed<'a>>, Failure> {
    let (mut manifests, failed) = files.read();
    if failed > 0 {
        return Err(Failure::new("a plan is of all manifests or of none: some cannot be read"));
    }
    order::by_references(&mut manifests);
    let mut placed = Vec::new();
    for manifest in manifests {
        placed.push(Placed::new(session, manifest).await?);
    }
    Ok(placed)
}

/// The changes that apply manifests.
pub(super) fn applies(placed: &[Placed<'_>], field_manager: &str, force: bool) -> Vec<Value> {
    let apply = |placed: &Placed<'_>| json!({"apply": {"manifest": placed.manifest.object, "fieldManager": field_manager, "force": force}});
    placed.iter().map(apply).collect()
}

async fn deletes(session: &Session, words: &[String]) -> Result<Vec<Value>, Failure> {
    let mut changes = Vec::new();
    for selection in select::parse_any(session.discovery().await?, words)? {
        if selection.names.is_empty() {
            let kind = &selection.resource.singular;
            return Err(Failure::new(format!("--delete {kind} names no object"))
                .hint(format!("say which: --delete {kind}/NAME")));
        }
        for name in &selection.names {
            let target = select::planned(session, selection.resource, name).await?;
            changes.push(json!({"delete": {"target": target}}));
        }
    }
    Ok(changes)
}

/// Has the server make the plan. None if it refuses: what is wrong is reported, where it is in the manifests.
async fn make(session: &Session, plan: Value, placed: &[Placed<'_>]) -> Result<Option<Value>, Failure> {
    let params = Params {
        field_manager: Some(FIELD_MANAGER.into()),
        field_validation: Some(FieldValidation::Strict),
        ..Params::default()
    };
    let request = Request { verb: Verb::Create, target: plans()?, params, body: Some(Body::json(&plan)?) };
    let request = session.explained(request);
    session.log(&request);
    match session.client().await?.send_as(request, orch_client::Accept::Json).await {
        Ok(answer) => Ok(Some(serde_json::from_slice(&answer)?)),
        Err(status) => {
            refusals(status, placed).iter().for_each(|failure| {
                failure.report();
            });
            Ok(None)
        }
    }
}

/// What the server says is wrong, change by change.
pub(super) fn refusals(status: Status, placed: &[Placed<'_>]) -> Vec<Failure> {
    let mut failures = Vec::new();
    let mut rest = status.details.as_ref().map(|details| details.causes.clone()).unwrap_or_default();
    if rest.is_empty() {
        return vec![Failure::from(status)];
    }
    for (index, placed) in placed.iter().enumerate() {
        let (own, others): (Vec<_>, Vec<_>) =
            rest.into_iter().partition(|cause| is_below(&cause.field, index));
        rest = others;
        if !own.is_empty() {
            failures.push(explain(about(own, index), placed));
        }
    }
    failures.extend(rest.into_iter().map(|cause| Failure::new(cause.message)));
    failures
}

fn is_below(field: &str, index: usize) -> bool {
    let place = format!("spec.changes[{index}]");
    field.strip_prefix(place.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The same causes as if the manifest had been sent alone.
fn about(causes: Vec<StatusCause>, index: usize) -> Status {
    let prefix = format!("spec.changes[{index}].apply.manifest.");
    let place = |cause: StatusCause| {
        let field = cause.field.strip_prefix(&prefix).unwrap_or_default().to_owned();
        StatusCause { field, ..cause }
    };
    let causes: Vec<StatusCause> = causes.into_iter().map(place).collect();
    let message = causes.iter().map(|cause| cause.message.as_str()).collect::<Vec<_>>().join("; ");
    let is_conflict = causes.iter().all(|cause| cause.reason == "FieldManagerConflict");
    let reason = if is_conflict { orch_api::Reason::Conflict } else { orch_api::Reason::Invalid };
    let details = StatusDetails { causes, ..StatusDetails::default() };
    Status::failure(reason, message).about(details)
}

/// Applies a plan that has been made.
pub(super) async fn apply(session: &Session, name: &str) -> Result<ExitCode, Failure> {
    let target = plans()?.named(name).subresource("apply");
    let params = Params { field_manager: Some(FIELD_MANAGER.into()), ..Params::default() };
    let request = Request { verb: Verb::Create, target, params, body: Some(Body::json(&json!({}))?) };
    let request = session.explained(request);
    session.log(&request);
    let answer = session.client().await?.send_as(request, orch_client::Accept::Json).await;
    if let Err(status) = answer {
        let is_conflict = status.is(&orch_api::Reason::Conflict);
        let hint = is_conflict.then(|| "make the plan again, and look at what has changed".to_owned());
        return Err(Failure::from(status).while_doing(&format!("plan/{name}")).hint(hint));
    }
    print(&format!("plan/{name} {}\n", paint(Some(GOOD), "applied")))?;
    Ok(ExitCode::SUCCESS)
}

fn plans() -> Result<Target, Failure> {
    Target::parse(["apis", "orch.dev", "v1", "plans"]).ok_or_else(|| Failure::new("no path leads to plans"))
}
