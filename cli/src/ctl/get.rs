//! `get`: shows objects, one line each or whole.

mod past;
mod print;
mod rows;
mod sort;
mod watch;

use std::process::ExitCode;
use std::str::FromStr;

use clap::Parser;
use orch_api::{LabelQuery, Params, Target};
use orch_client::Accept;

use super::jsonpath::Template;
use super::output::print_bytes;
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

  # The oldest first
  orchctl get pods --sort-by=.metadata.creationTimestamp

  # As it was: history shows the revisions
  orchctl get workload/web --revision 5120

  # What the server says at a path
  orchctl get --raw /readyz

  # Some fields
  orchctl get pods -o custom-columns=NAME:.metadata.name,IP:.status.podIP
  orchctl get pods -l app=web -o jsonpath='{range .items[*]}{.status.podIP}{\" \"}{end}'")]
pub(super) struct Args {
    /// Kinds, or a kind and names, or kind/name
    #[arg(value_name = "KIND | KIND/NAME")]
    words: Vec<String>,
    /// In this form: wide, yaml, json, name, jsonpath=TEMPLATE or custom-columns=HEADING:PATH,...
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
    /// In the order of this field, such as .metadata.creationTimestamp
    #[arg(long, value_name = "PATH", value_parser = sort::path, conflicts_with_all = ["watch", "watch_only"])]
    sort_by: Option<Template>,
    /// Show what the server says at this path, as it is
    #[arg(long, value_name = "PATH", conflicts_with_all = ["words", "sort_by", "watch", "watch_only"])]
    raw: Option<String>,
    /// Show the objects' labels
    #[arg(long)]
    show_labels: bool,
    /// Show these labels in columns of their own
    #[arg(short = 'L', long, value_name = "LABELS", value_delimiter = ',')]
    label_columns: Vec<String>,
    /// Show no headings
    #[arg(long)]
    no_headers: bool,
    /// Show who set which field, too (yaml, json)
    #[arg(long)]
    show_managed_fields: bool,
    /// As the objects were at this revision of the history: see orchctl history
    #[arg(long, value_name = "REVISION", conflicts_with_all = ["watch", "watch_only", "raw", "selector", "field_selector"])]
    revision: Option<u64>,
    /// Succeed without a word if an object that is named is not there
    #[arg(long)]
    ignore_not_found: bool,
}

impl Args {
    /// What these words name, in this form.
    pub(super) fn of(words: Vec<String>, output: Output, scope: Scope) -> Self {
        Self {
            words,
            output,
            watch: false,
            watch_only: false,
            scope,
            sort_by: None,
            raw: None,
            show_labels: false,
            label_columns: Vec::new(),
            no_headers: false,
            show_managed_fields: false,
            revision: None,
            ignore_not_found: false,
        }
    }
}

/// Which objects of a collection.
#[derive(clap::Args, Debug, Clone, Default)]
pub(super) struct Scope {
    /// In all namespaces
    #[arg(short = 'A', long)]
    pub(super) all_namespaces: bool,
    /// Only objects with these labels: app=web,tier!=db
    #[arg(short = 'l', long, value_name = "LABELS", value_parser = label_selector)]
    pub(super) selector: Option<String>,
    /// Only objects with these fields: spec.nodeName=n1
    #[arg(long, value_name = "FIELDS")]
    pub(super) field_selector: Option<String>,
}

/// Reads a label selector, so that a mistake is told with the option's name.
pub(super) fn label_selector(text: &str) -> Result<String, String> {
    match text.parse::<LabelQuery>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
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
pub(super) enum Output {
    Table,
    Wide,
    Yaml,
    Json,
    Name,
    JsonPath(Template),
    Columns(Vec<(String, Template)>),
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
            _ => match text.split_once('=') {
                Some(("jsonpath", template)) => Self::JsonPath(Template::parse(template)?),
                Some(("custom-columns", columns)) => {
                    Self::Columns(columns.split(',').map(column).collect::<Result<_, _>>()?)
                }
                _ => {
                    return Err("expected wide, yaml, json, name, jsonpath=TEMPLATE or \
                                custom-columns=HEADING:PATH,..."
                        .into());
                }
            },
        })
    }
}

/// `NAME:.metadata.name`
fn column(text: &str) -> Result<(String, Template), String> {
    let (heading, path) =
        text.split_once(':').ok_or_else(|| format!("{text:?} is not of the form HEADING:PATH"))?;
    Ok((heading.to_owned(), sort::path(path)?))
}

impl Output {
    /// Whether each object is a line.
    pub(super) fn is_table(&self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

async fn raw(session: &Session, path: &str) -> Result<ExitCode, Failure> {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let answer = session.client().await?.get_raw(&path, Accept::Any).await?;
    print_bytes(&answer)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    if let Some(path) = &args.raw {
        return raw(session, path).await;
    }
    if args.words.is_empty() {
        return Err(select::no_kind());
    }
    let selections = select::parse_among(session.discovery().await?, &args.words, &args.scope, false)?;
    if (args.watch || args.watch_only) && selections.len() > 1 {
        return Err(Failure::new("only one kind can be watched at a time"));
    }
    if args.revision.is_some() {
        past::check(&selections)?;
        // What is of the past is shown whole: no table is made of it.
        return print::run(session, &selections, &args).await;
    }
    match selections.as_slice() {
        [one] if args.watch || args.watch_only => watch::run(session, one, &args).await,
        all if args.output.is_table() => rows::run(session, all, &args).await,
        all => print::run(session, all, &args).await,
    }
}
