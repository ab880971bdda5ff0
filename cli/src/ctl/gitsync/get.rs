//! `gitsync get`: how they stand.

use std::process::ExitCode;

use clap::Parser;
use jiff::Timestamp;

use super::{PREFIX, show, target};
use crate::ctl::get::{self, Output, Scope};
use crate::ctl::output::print;
use crate::ctl::{Failure, Session};

/// Show how GitSyncs stand, one line each, or one with all that it has applied
///
/// Of one: its conditions and commits, what is held and how it is let through, which fields others had changed and who they were, and
/// the objects that it has applied.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # All of this namespace; of all namespaces, with their repositories
  orchctl gitsync get
  orchctl gitsync get -A -o wide

  # One, and how it is written
  orchctl gitsync get shop
  orchctl gitsync get shop -o yaml

  # The commit that is applied
  orchctl gitsync get shop -o jsonpath='{.status.appliedRevision}'")]
pub(super) struct Args {
    /// The GitSync's name; all if left out
    name: Option<String>,
    /// In this form: wide, yaml, json, name, jsonpath=TEMPLATE or custom-columns=HEADING:PATH,...
    #[arg(short, long, value_name = "FORM", default_value = "table", hide_default_value = true)]
    output: Output,
    #[command(flatten)]
    scope: Scope,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    match &args.name {
        Some(name) if args.output.is_table() && !args.scope.all_namespaces => {
            let sync = session.get(target(session, name).await?).await?;
            print(&show::whole(&sync, Timestamp::now()))?;
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            let kind = PREFIX.replacen("gitsync", "gitsyncs", 1);
            let words = [kind].into_iter().chain(args.name).collect();
            get::run(session, get::Args::of(words, args.output, args.scope)).await
        }
    }
}
