//! `get`: shows objects, one line each or whole.

mod print;
mod rows;
mod watch;

use std::process::ExitCode;
use std::str::FromStr;

use clap::Parser;
use orch_api::{Params, Target};

use super::jsonpath::Template;
use super::select::Selection;
use super::{Failure, Session, select};

/// Show objects
///
/// Kinds are named in any form: workloads, workload, wl, workloads.orch.dev; several with commas; `all` is those that
/// belong to an application.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # Several kinds at once; everything of an application; in all namespaces
  orchctl get workloads,pods
  orchctl get all -l app=web
  orchctl get pods -A -o wide

  # One object, whole
  orchctl get workload web -o yaml

  # What happens from now on
  orchctl get pods -w

  # One field
  orchctl get pods -l app=web -o jsonpath='{.items[0].status.podIP}'")]
pub(super) struct Args {
    /// Kinds, or a kind and names, or kind/name
    #[arg(required = true, value_name = "KIND | KIND/NAME")]
    words: Vec<String>,
    /// In this form: wide, yaml, json, name or jsonpath=TEMPLATE
    #[arg(short, long, value_name = "FORM", default_value = "table", hide_default_value = true)]
    output: Output,
    /// Go on showing objects as they change
    #[arg(short, long)]
    watch: bool,
    /// Show only what changes from now on
    #[arg(long)]
    watch_only: bool,
    #[command(flatten)]
    scope: Scope,
    /// Show the objects' labels
    #[arg(long)]
    show_labels: bool,
    /// Show no headings
    #[arg(long)]
    no_headers: bool,
    /// Show who set which field, too (yaml, json)
    #[arg(long)]
    show_managed_fields: bool,
    /// Succeed without a word if an object that is named is not there
    #[arg(long)]
    ignore_not_found: bool,
}

/// Which objects of a collection.
#[derive(clap::Args, Debug, Clone, Default)]
pub(super) struct Scope {
    /// In all namespaces
    #[arg(short = 'A', long)]
    pub(super) all_namespaces: bool,
    /// Only objects with these labels: app=web,tier!=db
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub(super) selector: Option<String>,
    /// Only objects with these fields: spec.nodeName=n1
    #[arg(long, value_name = "FIELDS")]
    pub(super) field_selector: Option<String>,
}

impl Scope {
    pub(super) fn params(&self) -> Params {
        Params {
            label_selector: self.selector.clone(),
            field_selector: self.field_selector.clone(),
            ..Params::default()
        }
    }

    pub(super) async fn collection(
        &self,
        session: &Session,
        selection: &Selection<'_>,
    ) -> Result<Target, Failure> {
        let namespace = session.namespace().await?;
        Ok(selection.resource.collection(Some(namespace).filter(|_| !self.all_namespaces)))
    }
}

/// How objects are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Output {
    Table,
    Wide,
    Yaml,
    Json,
    Name,
    JsonPath(Template),
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "table" => Self::Table,
            "wide" => Self::Wide,
            "yaml" => Self::Yaml,
            "json" => Self::Json,
            "name" => Self::Name,
            _ => match text.strip_prefix("jsonpath=") {
                Some(template) => Self::JsonPath(Template::parse(template)?),
                None => return Err("expected wide, yaml, json, name or jsonpath=TEMPLATE".into()),
            },
        })
    }
}

impl Output {
    fn is_table(&self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let selections = select::parse(session.discovery().await?, &args.words)?;
    if args.scope.all_namespaces && selections.iter().any(|selection| !selection.names.is_empty()) {
        return Err(Failure::new("an object cannot be named across all namespaces")
            .hint("leave out -A, or the name".to_owned()));
    }
    if (args.watch || args.watch_only) && selections.len() > 1 {
        return Err(Failure::new("only one kind can be watched at a time"));
    }
    match selections.as_slice() {
        [one] if args.watch || args.watch_only => watch::run(session, one, &args).await,
        all if args.output.is_table() => rows::run(session, all, &args).await,
        all => print::run(session, all, &args).await,
    }
}
