//! `gitsync`: repositories that are kept applied: how they stand, what they are asked to do, and what they hold back.
//!
//! - `show.rs`: how one stands, for people. Pure. `get.rs`, `diff.rs`: what is shown of it.
//! - `reconcile.rs`: asks for a look at the repository, and waits for what comes of it. `approve.rs`: lets through what is held.

mod approve;
mod diff;
mod get;
mod reconcile;
mod show;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use orch_api::{Params, Patch, Request, Resource as _, Target, Verb};
use orch_ontology::GitSync;
use serde_json::{Value, json};

use super::output::{GOOD, WAITING, paint, print};
use super::{Failure, Session, select};

const FIELD_MANAGER: &str = "orchctl-gitsync";
/// The prefix of names in messages.
const PREFIX: &str = "gitsync.orch.dev";

/// Look after Git repositories that are kept applied
///
/// A GitSync makes what a repository's manifests say so, changes back what others change, and holds what would do too much at
/// once until it is approved.
#[derive(Parser, Debug)]
#[command(
    visible_alias = "gs",
    after_help = "\
Examples:
  # How do they stand? And this one, with its objects, what it holds and what has drifted?
  orchctl gitsync get
  orchctl gitsync get shop

  # Look at the repository now, and wait until what it says is so
  orchctl gitsync reconcile shop --wait

  # See what is held back, and let it through
  orchctl gitsync diff shop
  orchctl gitsync approve shop --revision 1a2b3c4

  # Leave everything as it is for now
  orchctl gitsync suspend shop
  orchctl gitsync resume shop

  # Make one
  orchctl explain gitsync.spec
  orchctl apply -f shop.yaml"
)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    Get(get::Args),
    Reconcile(reconcile::Args),
    /// Show what a GitSync holds back, what others had changed, and what it has changed last
    ///
    /// What is held comes with the objects that it would delete, what had drifted with the fields and with who had changed them, and
    /// the plans of the last sync with every field that they changed.
    #[command(after_help = "\
Examples:
  orchctl gitsync diff shop

  # Take the last sync back; it is made again at the next, unless that is suspended
  orchctl gitsync suspend shop
  orchctl undo plan/NAME")]
    Diff(Named),
    Approve(approve::Args),
    /// Leave everything that a GitSync has applied as it is, until it is resumed
    ///
    /// The repository is not looked at, nothing is applied, and what others change is not changed back.
    #[command(after_help = "\
Examples:
  orchctl gitsync suspend shop --reason 'we look into it by hand'")]
    Suspend(Named),
    /// Let a GitSync that was suspended go on
    #[command(after_help = "\
Examples:
  orchctl gitsync resume shop")]
    Resume(Named),
}

/// The arguments of what is done to one GitSync.
#[derive(Parser, Debug)]
struct Named {
    /// The GitSync's name
    name: String,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    match args.action {
        Action::Get(args) => get::run(session, args).await,
        Action::Reconcile(args) => reconcile::run(session, args).await,
        Action::Diff(args) => diff::run(session, &args.name).await,
        Action::Approve(args) => approve::run(session, args).await,
        Action::Suspend(args) => suspend(session, &args.name, true).await,
        Action::Resume(args) => suspend(session, &args.name, false).await,
    }
}

/// Stops it, or lets it go on.
async fn suspend(session: &Session, name: &str, is_suspended: bool) -> Result<ExitCode, Failure> {
    let target = target(session, name).await?;
    // What is false is not written, so that whoever manages the rest of it is not told off for it.
    let suspend = if is_suspended { json!(true) } else { Value::Null };
    patch(session, target, json!({"spec": {"suspend": suspend}})).await?;
    let done = if is_suspended { paint(Some(WAITING), "suspended") } else { paint(Some(GOOD), "resumed") };
    print(&format!("{} {done}\n", label(name)))?;
    Ok(ExitCode::SUCCESS)
}

/// Where the GitSync of a name is.
async fn target(session: &Session, name: &str) -> Result<Target, Failure> {
    Ok(Target::in_namespace(&GitSync::KIND, session.namespace().await?).named(name))
}

/// `gitsync.orch.dev/shop`
fn label(name: &str) -> String {
    select::join(PREFIX, name)
}

async fn annotate(
    session: &Session,
    target: Target,
    annotation: &str,
    value: &str,
) -> Result<Value, Failure> {
    patch(session, target, json!({"metadata": {"annotations": {annotation: value}}})).await
}

async fn patch(session: &Session, target: Target, patch: Value) -> Result<Value, Failure> {
    let params = Params { field_manager: Some(FIELD_MANAGER.into()), ..Params::default() };
    let body = Some(Patch::Merge(patch).body()?);
    session.call(Request { verb: Verb::Patch, target, params, body }).await
}

/// As much of a commit as tells it from others.
fn short(revision: &str) -> &str {
    revision.get(..12).unwrap_or(revision)
}
