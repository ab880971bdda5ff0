//! `get -w`: objects as they change.

use std::process::ExitCode;

use futures::StreamExt as _;
use orch_api::{EventType, Object as _, Params, Request, Status, Target, Verb};
use orch_client::Accept;
use serde_json::Value;

use super::rows::{self, Form};
use super::{Args, Output, print};
use crate::ctl::again::Again;
use crate::ctl::output;
use crate::ctl::output::table::{Table, Widths};
use crate::ctl::select::{self, Selection};
use crate::ctl::{Failure, Session};

/// Shows what is there, and then what changes, until it is interrupted. A watch that ends is taken up where it ended, as soon as the
/// server answers.
pub(super) async fn run(
    session: &Session,
    selection: &Selection<'_>,
    args: &Args,
) -> Result<ExitCode, Failure> {
    let (collection, params) = watched(session, selection, args).await?;
    let mut screen = Screen::new(selection, args);
    let mut again = Again::default();
    // The revision to go on from; none where only a new list shows what is there.
    let mut reached: Option<String> = None;
    loop {
        let shown = match &mut reached {
            None => screen.begin(session, &collection, &params).await.map(|revision| {
                again.reached();
                Some(revision)
            }),
            Some(revision) => {
                let request = watch(&collection, &params, revision);
                let ended = screen.follow(session, request, revision, &mut again).await;
                ended.map(|ended| (ended == Ended::Here).then(|| revision.clone()))
            }
        };
        match shown {
            Ok(revision) => reached = revision,
            Err(failure) => again.after(failure).await?,
        }
    }
}

fn watch(collection: &Target, params: &Params, revision: &str) -> Request {
    let params =
        Params { resource_version: Some(revision.to_owned()), allow_watch_bookmarks: true, ..params.clone() };
    Request { verb: Verb::Watch, target: collection.clone(), params, body: None }
}

/// How the server ended a watch.
#[derive(PartialEq, Eq)]
enum Ended {
    /// It can be taken up here.
    Here,
    /// The server has forgotten the revision that it was to begin with.
    TooOld,
}

fn is_expired(status: &Status) -> bool {
    status.code == 410
}

/// The collection, narrowed down to the object that was named.
async fn watched(
    session: &Session,
    selection: &Selection<'_>,
    args: &Args,
) -> Result<(Target, Params), Failure> {
    let mut params = args.scope.params();
    let collection = args.scope.collection(session, selection).await?;
    match selection.names.as_slice() {
        [] => {}
        [name] => params.field_selector = Some(format!("metadata.name={name}")),
        _ => return Err(Failure::new("only one object, or all of a kind, can be watched")),
    }
    Ok((collection, params))
}

/// What has been printed so far.
struct Screen<'a> {
    selection: &'a Selection<'a>,
    args: &'a Args,
    form: Form,
    heading: Vec<String>,
    widths: Widths,
    headed: bool,
    /// Whether what is there has been shown, or tried to be.
    is_begun: bool,
}

impl<'a> Screen<'a> {
    fn new(selection: &'a Selection<'a>, args: &'a Args) -> Self {
        let form = Form::new(selection, args, false);
        Self {
            selection,
            args,
            form,
            heading: Vec::new(),
            widths: Widths::default(),
            headed: args.no_headers,
            is_begun: false,
        }
    }

    /// Shows what is there, unless only changes are wanted. Answers with the revision to go on from. An object that is named must be
    /// there at first.
    async fn begin(
        &mut self,
        session: &Session,
        collection: &Target,
        params: &Params,
    ) -> Result<String, Failure> {
        if let ([name], false) = (self.selection.names.as_slice(), self.is_begun) {
            session.get(collection.clone().named(name.as_str())).await?;
        }
        self.is_begun = true;
        let request = |params| Request { verb: Verb::List, target: collection.clone(), params, body: None };
        if !self.args.output.is_table() {
            let (items, revision) = session.list(collection.clone(), params.clone()).await?;
            for item in items.into_iter().filter(|_| !self.args.watch_only) {
                self.show(item)?;
            }
            return Ok(revision);
        }
        if self.selection.names.is_empty() {
            let (table, revision) =
                rows::collection(session, self.selection, self.args, &mut self.form).await?;
            self.show_first(table)?;
            return Ok(revision);
        }
        let answer = session.call_as(request(params.clone()), Accept::Table).await?;
        let mut table = Table::default();
        self.form.add(&mut table, &answer);
        self.show_first(table)?;
        Ok(answer["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned())
    }

    /// Shows events until the server ends the watch, and keeps `revision` at the last one.
    async fn follow(
        &mut self,
        session: &Session,
        request: Request,
        revision: &mut String,
        again: &mut Again,
    ) -> Result<Ended, Failure> {
        session.log(&request);
        let accept = if self.args.output.is_table() { Accept::Table } else { Accept::Json };
        let mut events = match session.client().await?.watch_as(request, accept).await {
            Err(status) if is_expired(&status) => return Ok(Ended::TooOld),
            events => events?,
        };
        again.reached();
        while let Some(event) = events.next().await {
            let event = event?;
            if event.event_type == EventType::Error {
                return match serde_json::from_slice::<Status>(&event.object)? {
                    status if is_expired(&status) => Ok(Ended::TooOld),
                    status => Err(status.into()),
                };
            }
            let object: Value = serde_json::from_slice(&event.object)?;
            let seen = [object["rows"][0]["object"].resource_version(), object.resource_version()];
            if let Some(seen) = seen.into_iter().find(|seen| !seen.is_empty()) {
                seen.clone_into(revision);
            }
            if event.event_type != EventType::Bookmark {
                self.show(object)?;
            }
        }
        Ok(Ended::Here)
    }

    fn show(&mut self, mut object: Value) -> Result<(), Failure> {
        if self.args.output.is_table() {
            let mut table = Table { heading: self.heading.clone(), rows: Vec::new() };
            self.form.add(&mut table, &object);
            return self.show_rows(table);
        }
        if let Output::Columns(columns) = &self.args.output {
            let mut table = Table { heading: self.heading.clone(), rows: Vec::new() };
            print::add_columns(&mut table, columns, &object);
            return self.show_rows(table);
        }
        let text = match self.args.output {
            Output::Name => format!("{}\n", select::label(self.selection.resource, object.name())),
            Output::Yaml => {
                format!("---\n{}", print::text(&mut print::with_kind(object, self.selection), self.args)?)
            }
            _ => print::text(&mut object, self.args)?,
        };
        Ok(output::print_bytes(text.as_bytes())?)
    }

    fn show_first(&mut self, table: Table) -> Result<(), Failure> {
        let rows = if self.args.watch_only { Vec::new() } else { table.rows };
        self.show_rows(Table { rows, ..table })
    }

    fn show_rows(&mut self, table: Table) -> Result<(), Failure> {
        self.heading.clone_from(&table.heading);
        if table.rows.is_empty() {
            return Ok(());
        }
        let with_heading = !std::mem::replace(&mut self.headed, true);
        Ok(output::print(&table.render_with(&mut self.widths, with_heading))?)
    }
}
