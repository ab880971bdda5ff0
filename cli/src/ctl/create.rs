//! `create`: makes objects that must not be there yet.

use std::process::ExitCode;

use clap::Parser;
use orch_api::{Body, FieldValidation, Object as _, Params, Request, Verb};
use orch_client::Accept;
use orch_client::manifest::Manifest;
use serde_json::Value;

use super::apply::{DryRun, explain};
use super::files::{FileArgs, Placed};
use super::output::{GOOD, paint, print};
use super::{Failure, Session, order, select};

/// Make new objects from manifests; an object that is there already is an error
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # Make an object with a generated name
  orchctl create -f pod.yaml")]
pub(super) struct Args {
    #[command(flatten)]
    files: FileArgs,
    /// Have everything checked as if it were done, but store nothing
    #[arg(long, value_name = "WHERE", num_args = 0..=1, require_equals = true, default_value = "none", default_missing_value = "server")]
    dry_run: DryRun,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let (mut manifests, mut failed) = args.files.read_some("create")?;
    order::by_references(&mut manifests);
    for manifest in manifests {
        if let Err(failure) = create(session, manifest, args.dry_run).await {
            failure.report();
            failed += 1;
        }
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn create(session: &Session, manifest: Manifest, dry_run: DryRun) -> Result<(), Failure> {
    let placed = Placed::new(session, manifest).await?;
    let request = Request {
        verb: Verb::Create,
        target: placed.collection(),
        params: Params {
            dry_run: dry_run == DryRun::Server,
            field_manager: Some("orchctl-create".into()),
            field_validation: Some(FieldValidation::Strict),
            ..Params::default()
        },
        body: Some(Body::json(&placed.manifest.object)?),
    };
    session.log(&request);
    let answer = session.client().await?.send_as(session.explained(request), Accept::Json).await;
    let object: Value = serde_json::from_slice(&answer.map_err(|status| explain(status, &placed))?)?;
    let label = select::label(placed.resource, object.name());
    Ok(print(&format!("{label} {}{}\n", paint(Some(GOOD), "created"), dry_run.suffix()))?)
}
