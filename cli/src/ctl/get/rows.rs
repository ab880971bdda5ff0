//! Objects as lines of a table that the server makes.

use std::process::ExitCode;

use jiff::Timestamp;
use orch_api::{Object as _, Params, Request, Target, Verb};
use orch_client::Accept;
use serde_json::Value;

use super::sort::SortKey;
use super::{Args, Output};
use crate::ctl::jsonpath::Template;
use crate::ctl::output::table::Table;
use crate::ctl::output::{FAINT, age, paint, print};
use crate::ctl::select::{self, Selection};
use crate::ctl::{Failure, Session};

const PAGE: u64 = 500;

pub(super) async fn run(
    session: &Session,
    selections: &[Selection<'_>],
    args: &Args,
) -> Result<ExitCode, Failure> {
    let mut failed = false;
    let mut printed = 0;
    for selection in selections {
        let mut form = Form::new(selection, args, selections.len() > 1);
        let (mut table, failures) = if selection.names.is_empty() {
            match collection(session, selection, args, &mut form).await {
                Ok((table, _)) => (table, Vec::new()),
                Err(failure) => (Table::default(), vec![failure]),
            }
        } else {
            named(session, selection, &mut form, args.ignore_not_found).await?
        };
        form.sort(&mut table);
        if !table.rows.is_empty() {
            let space = if printed > 0 { "\n" } else { "" };
            print(&format!("{space}{}", table.render(!args.no_headers)))?;
            printed += 1;
        }
        for failure in failures {
            failure.report();
            failed = true;
        }
    }
    let asked_by_name = selections.iter().any(|selection| !selection.names.is_empty());
    if printed == 0 && !asked_by_name && !failed {
        nothing_found(session, selections, args).await?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn nothing_found(session: &Session, selections: &[Selection<'_>], args: &Args) -> Result<(), Failure> {
    let namespaced = selections.iter().any(|selection| selection.resource.namespaced);
    let place = if namespaced && !args.scope.all_namespaces {
        format!(" in {} namespace", session.namespace().await?)
    } else {
        String::new()
    };
    anstream::eprintln!("{}", paint(Some(FAINT), &format!("No resources found{place}.")));
    Ok(())
}

/// All rows of a collection and its revision.
pub(super) async fn collection(
    session: &Session,
    selection: &Selection<'_>,
    args: &Args,
    form: &mut Form,
) -> Result<(Table, String), Failure> {
    let target = args.scope.collection(session, selection).await?;
    let mut table = Table::default();
    let mut cont = None;
    loop {
        let params = Params { limit: Some(PAGE), cont: cont.take(), ..args.scope.params() };
        let params = Params { other: form.whole_objects(), ..params };
        let request = Request { verb: Verb::List, target: target.clone(), params, body: None };
        let page = session.call_as(request, Accept::Table).await?;
        form.add(&mut table, &page);
        let text = |name: &str| page["metadata"][name].as_str().unwrap_or_default().to_owned();
        cont = Some(text("continue")).filter(|cont| !cont.is_empty());
        if cont.is_none() {
            return Ok((table, text("resourceVersion")));
        }
    }
}

async fn named(
    session: &Session,
    selection: &Selection<'_>,
    form: &mut Form,
    ignore_not_found: bool,
) -> Result<(Table, Vec<Failure>), Failure> {
    let (mut table, mut failures) = (Table::default(), Vec::new());
    for target in selection.targets(session).await? {
        match one(session, target, form.whole_objects()).await {
            Ok(answer) => form.add(&mut table, &answer),
            Err(status) if status.code == 404 && ignore_not_found => {}
            Err(status) => failures.push(status.into()),
        }
    }
    Ok((table, failures))
}

async fn one(
    session: &Session,
    target: Target,
    other: Vec<(String, String)>,
) -> Result<Value, orch_api::Status> {
    let params = Params { other, ..Params::default() };
    let request = Request { verb: Verb::Get, target, params, body: None };
    session.log(&request);
    let client = session.client().await.map_err(|_| orch_api::Status::unavailable("not connected"))?;
    let answer = client.send_as(request, Accept::Table).await?;
    serde_json::from_slice(&answer).map_err(orch_api::Status::internal)
}

/// Which columns are shown.
#[derive(Default)]
pub(super) struct Form {
    wide: bool,
    with_namespace: bool,
    with_labels: bool,
    /// The labels that have columns of their own.
    label_columns: Vec<String>,
    /// What stands before each name where several kinds are shown.
    prefix: Option<String>,
    /// What the server makes of an object.
    columns: Vec<Column>,
    /// What the rows are ordered by.
    sort_by: Option<Template>,
    /// That of each row so far.
    keys: Vec<SortKey>,
}

struct Column {
    name: String,
    is_name: bool,
    is_shown: bool,
}

impl Column {
    fn new(definition: &Value, wide: bool) -> Self {
        Self {
            name: definition.text(&["name"]).to_uppercase(),
            is_name: definition["format"] == "name",
            is_shown: wide || definition["priority"].as_i64().unwrap_or(0) == 0,
        }
    }
}

impl Form {
    pub(super) fn new(selection: &Selection<'_>, args: &Args, several: bool) -> Self {
        Self {
            wide: args.output == Output::Wide,
            with_namespace: args.scope.all_namespaces && selection.resource.namespaced,
            with_labels: args.show_labels,
            label_columns: args.label_columns.clone(),
            prefix: several.then(|| selection.resource.prefix()),
            columns: Vec::new(),
            sort_by: args.sort_by.clone(),
            keys: Vec::new(),
        }
    }

    /// To be ordered by any field, objects must come whole.
    fn whole_objects(&self) -> Vec<(String, String)> {
        self.sort_by.iter().map(|_| ("includeObject".to_owned(), "Object".to_owned())).collect()
    }

    /// Puts the rows of a table, all of which have been added by this form, in their order.
    fn sort(&mut self, table: &mut Table) {
        if self.sort_by.is_some() {
            let mut rows: Vec<_> = self.keys.drain(..).zip(table.rows.drain(..)).collect();
            rows.sort_by(|(a, _), (b, _)| a.compare(b));
            table.rows.extend(rows.into_iter().map(|(_, row)| row));
        }
    }

    fn push(&mut self, table: &mut Table, row: Vec<String>, object: &Value) {
        self.keys.extend(self.sort_by.as_ref().map(|path| SortKey::of(path, object)));
        table.rows.push(row);
    }

    /// Adds the rows of an answer: a `Table`, or objects from a server that does not make tables.
    pub(super) fn add(&mut self, table: &mut Table, answer: &Value) {
        if answer["kind"] == "Table" {
            self.add_table(table, answer);
        } else if let Some(items) = answer["items"].as_array() {
            items.iter().for_each(|item| self.add_object(table, item));
        } else {
            self.add_object(table, answer);
        }
    }

    fn add_table(&mut self, table: &mut Table, answer: &Value) {
        let empty = Vec::new();
        // The events of a watch carry the columns only once.
        if let Some(columns) = answer["columnDefinitions"].as_array().filter(|columns| !columns.is_empty()) {
            self.columns = columns.iter().map(|column| Column::new(column, self.wide)).collect();
        }
        if table.heading.is_empty() {
            let shown = self.columns.iter().filter(|column| column.is_shown);
            table.heading = self.heading(shown.map(|column| column.name.clone()));
        }
        for row in answer["rows"].as_array().unwrap_or(&empty) {
            let cells = self.columns.iter().zip(row["cells"].as_array().unwrap_or(&empty));
            let shown = cells.filter(|(column, _)| column.is_shown);
            let texts = shown.map(|(column, value)| match &self.prefix {
                Some(prefix) if column.is_name => select::join(prefix, &cell(value)),
                _ => cell(value),
            });
            let cells = self.row(texts, &row["object"]);
            self.push(table, cells, &row["object"]);
        }
    }

    fn add_object(&mut self, table: &mut Table, object: &Value) {
        if table.heading.is_empty() {
            table.heading = self.heading(["NAME".to_owned(), "AGE".to_owned()]);
        }
        let age = age::since(object.text(&["metadata", "creationTimestamp"]), Timestamp::now());
        let name = object.name().to_owned();
        let name = self.prefix.as_ref().map_or(name.clone(), |prefix| select::join(prefix, &name));
        let row = self.row([name, age], object);
        self.push(table, row, object);
    }

    fn heading(&self, names: impl IntoIterator<Item = String>) -> Vec<String> {
        let before = self.with_namespace.then(|| "NAMESPACE".to_owned());
        let columns = self.label_columns.iter();
        let columns = columns.map(|label| label.rsplit('/').next().unwrap_or(label).to_uppercase());
        let after = self.with_labels.then(|| "LABELS".to_owned());
        before.into_iter().chain(names).chain(columns).chain(after).collect()
    }

    fn row(&self, cells: impl IntoIterator<Item = String>, object: &Value) -> Vec<String> {
        let before = self.with_namespace.then(|| object.namespace().to_owned());
        let columns = self.label_columns.iter();
        let columns = columns.map(|label| object.text(&["metadata", "labels", label]).to_owned());
        let after = self.with_labels.then(|| labels(object));
        before.into_iter().chain(cells).chain(columns).chain(after).collect()
    }
}

/// A value in one line: of several, the first, with dots, as in kubectl.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => match text.split_once(['\n', '\r', '\u{c}']) {
            Some((first, _)) => format!("{first}..."),
            None => text.clone(),
        },
        Value::Null => "<none>".to_owned(),
        other => other.to_string(),
    }
}

fn labels(object: &Value) -> String {
    let pairs = object
        .labels()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let text = pairs.collect::<Vec<_>>().join(",");
    if text.is_empty() { "<none>".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn show(mut form: Form, answer: &Value) -> String {
        let mut table = Table::default();
        form.add(&mut table, answer);
        anstream::adapter::strip_str(&table.render(true)).to_string()
    }

    fn answer() -> Value {
        json!({"kind": "Table", "columnDefinitions": [{"name": "Name", "format": "name", "priority": 0}, {"name": "Ready"}, {"name": "Node", "priority": 1}],
            "rows": [{"cells": ["web", "1/1", "n1"], "object": {"metadata": {"namespace": "shop", "labels": {"a": "b", "c": "d"}}}},
                     {"cells": ["db", 0, null], "object": {"metadata": {"namespace": "shop"}}}]})
    }

    #[test]
    fn columns_are_shown_as_asked() {
        let form = |wide, with_namespace, with_labels, prefix: Option<&str>| Form {
            wide,
            with_namespace,
            with_labels,
            prefix: prefix.map(str::to_owned),
            ..Form::default()
        };
        assert_eq!(show(form(false, false, false, None), &answer()), "NAME   READY\nweb    1/1\ndb     0\n");
        assert_eq!(
            show(form(true, true, true, Some("pod")), &answer()),
            "NAMESPACE   NAME      READY   NODE     LABELS\n\
             shop        pod/web   1/1     n1       a=b,c=d\n\
             shop        pod/db    0       <none>   <none>\n"
        );
    }

    #[test]
    fn a_row_is_a_line() {
        let mut answer = answer();
        answer["rows"][0]["cells"][1] = json!("one\ntwo \u{1b}[2J");
        answer["rows"][1]["cells"][1] = json!("\u{1b}]0;owned\u{7}");
        assert_eq!(show(Form::default(), &answer), "NAME   READY\nweb    one...\ndb      ]0;owned\n");
    }

    #[test]
    fn labels_have_columns_of_their_own() {
        let form = Form { label_columns: vec!["x.y/a".into(), "c".into()], ..Form::default() };
        let shown = show(form, &answer());
        assert!(shown.starts_with("NAME   READY   A   C\nweb    1/1         d\n"), "{shown}");
    }

    #[test]
    fn a_kind_stands_before_names_only() {
        let answer = json!({"kind": "Table", "columnDefinitions": [{"name": "Last Seen"}, {"name": "Object"}],
            "rows": [{"cells": ["2s", "pod/web"], "object": {}}]});
        let form = Form { prefix: Some("event".into()), ..Form::default() };
        assert_eq!(show(form, &answer), "LAST SEEN   OBJECT\n2s          pod/web\n");
    }

    #[test]
    fn later_answers_may_leave_the_columns_out() {
        let mut form = Form::default();
        form.add(&mut Table::default(), &answer());
        let later = json!({"kind": "Table", "columnDefinitions": [], "rows": answer()["rows"]});
        assert_eq!(show(form, &later), "NAME   READY\nweb    1/1\ndb     0\n");
    }

    #[test]
    fn a_server_without_tables_gives_name_and_age() {
        let form = Form::default();
        let list = json!({"kind": "PodList", "items": [{"metadata": {"name": "web"}}]});
        assert_eq!(show(form, &list), "NAME   AGE\nweb    <unknown>\n");
    }
}
