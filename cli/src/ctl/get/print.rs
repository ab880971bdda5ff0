//! Objects whole: YAML, JSON, names, or fields of them.

use std::process::ExitCode;

use orch_api::Object as _;
use serde_json::{Value, json};

use super::sort::SortKey;
use super::{Args, Output, past};
use crate::ctl::jsonpath::Template;
use crate::ctl::output::table::Table;
use crate::ctl::output::{print, print_bytes, yaml};
use crate::ctl::select::{self, Selection};
use crate::ctl::{Failure, Session};

pub(super) async fn run(
    session: &Session,
    selections: &[Selection<'_>],
    args: &Args,
) -> Result<ExitCode, Failure> {
    let revision = args.revision.map(|revision| revision.to_string()).unwrap_or_default();
    let mut found = Found { revision, ..Found::default() };
    for selection in selections {
        found.add(session, selection, args).await?;
    }
    let Found { mut objects, revision, failed } = found;
    let code = if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    if let Some(path) = &args.sort_by {
        objects.sort_by(|a, b| SortKey::of(path, a).compare(&SortKey::of(path, b)));
    }
    let single = matches!(selections, [one] if one.names.len() == 1);
    if objects.is_empty() && (single || failed) {
        return Ok(code);
    }
    if args.output == Output::Name {
        let discovery = session.discovery().await?;
        let labels = objects.iter().filter_map(|object| {
            let resource = discovery.of_kind(object.api_version(), object.kind())?;
            Some(format!("{}\n", select::label(resource, object.name())))
        });
        print_bytes(labels.collect::<String>().as_bytes())?;
        return Ok(code);
    }
    if let Output::Columns(columns) = &args.output {
        let mut table = Table::default();
        objects.iter().for_each(|object| add_columns(&mut table, columns, object));
        print(&table.render(!args.no_headers))?;
        return Ok(code);
    }
    let mut shown = if single { objects.swap_remove(0) } else { list(objects, revision) };
    print_bytes(text(&mut shown, args)?.as_bytes())?;
    Ok(code)
}

/// What there is of what was asked for. What there is not has been told.
#[derive(Default)]
struct Found {
    objects: Vec<Value>,
    revision: String,
    failed: bool,
}

impl Found {
    async fn add(
        &mut self,
        session: &Session,
        selection: &Selection<'_>,
        args: &Args,
    ) -> Result<(), Failure> {
        if selection.names.is_empty() {
            let target = args.scope.collection(session, selection).await?;
            match session.list(target, args.scope.params()).await {
                Ok((items, listed)) => {
                    self.objects.extend(items.into_iter().map(|item| with_kind(item, selection)));
                    self.revision = listed;
                }
                Err(failure) => self.fail(&failure),
            }
        }
        for (target, name) in selection.targets(session).await?.into_iter().zip(&selection.names) {
            let found = match args.revision {
                None => session.find(target).await,
                Some(revision) => past::find(session, selection, target, revision).await,
            };
            match found {
                Ok(Some(object)) => self.objects.push(object),
                Ok(None) if args.ignore_not_found => {}
                Ok(None) => self.fail(&not_found(selection, name, args.revision)),
                Err(failure) => self.fail(&failure),
            }
        }
        Ok(())
    }

    fn fail(&mut self, failure: &Failure) {
        failure.report();
        self.failed = true;
    }
}

/// One object in the form that is wanted.
pub(super) fn text(object: &mut Value, args: &Args) -> Result<String, Failure> {
    if !args.show_managed_fields {
        yaml::hide_managed_fields(object);
    }
    match &args.output {
        Output::Json => yaml::to_json(object),
        Output::JsonPath(template) => Ok(template.render(object)),
        _ => yaml::to_yaml(object),
    }
}

/// Adds an object's line to a table of columns that were asked for by path.
pub(super) fn add_columns(table: &mut Table, columns: &[(String, Template)], object: &Value) {
    if table.heading.is_empty() {
        table.heading = columns.iter().map(|(heading, _)| heading.clone()).collect();
    }
    let cells = columns.iter().map(|(_, template)| match template.texts(object) {
        texts if texts.is_empty() => "<none>".to_owned(),
        texts => texts.join(","),
    });
    table.rows.push(cells.collect());
}

pub(super) fn list(items: Vec<Value>, revision: String) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": revision}, "items": items})
}

/// The items of a list do not say what they are.
pub(super) fn with_kind(mut object: Value, selection: &Selection<'_>) -> Value {
    if object.kind().is_empty() {
        object["apiVersion"] = selection.resource.api_version().into();
        object["kind"] = selection.resource.kind.as_str().into();
    }
    object
}

fn not_found(selection: &Selection<'_>, name: &str, revision: Option<u64>) -> Failure {
    let resource = selection.resource.resource();
    Failure::new(match revision {
        None => format!("{resource} {name:?} not found"),
        Some(revision) => format!("{resource} {name:?} was not there at revision {revision}"),
    })
}
