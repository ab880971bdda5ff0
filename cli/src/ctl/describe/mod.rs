//! `describe`: everything about an object, for people.

pub(super) mod lines;
mod sections;

use std::process::ExitCode;

use clap::Parser;
use jiff::Timestamp;
use orch_api::{Object as _, Params, Target};
use serde_json::Value;

use super::get::Scope;
use super::output::print;
use super::select::Selection;
use super::{Failure, Session, schema, select};

/// Show everything about objects, with the events that are about them
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  orchctl describe workload web
  orchctl describe pod web-        # all whose names begin so
  orchctl describe pods -l app=web
  orchctl describe node/n1")]
pub(super) struct Args {
    /// Kinds, or a kind and names, or kind/name
    #[arg(required = true, value_name = "KIND | KIND/NAME")]
    words: Vec<String>,
    #[command(flatten)]
    scope: Scope,
    /// Show the events that are about the objects
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    show_events: bool,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let (mut first, mut failed) = (true, false);
    for selection in select::parse_among(session.discovery().await?, &args.words, &args.scope, false)? {
        let (objects, failures) = find(session, &selection, &args.scope).await?;
        for object in objects {
            let space = if std::mem::take(&mut first) { "" } else { "\n\n" };
            let text = describe(session, &selection, &object, args.show_events).await?;
            print(&format!("{space}{text}"))?;
        }
        for failure in failures {
            failure.report();
            failed = true;
        }
    }
    if first && !failed {
        anstream::eprintln!("No resources found.");
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The objects that there are, and why others are not to be had.
async fn find(
    session: &Session,
    selection: &Selection<'_>,
    scope: &Scope,
) -> Result<(Vec<Value>, Vec<Failure>), Failure> {
    if selection.names.is_empty() {
        let target = scope.collection(session, selection).await?;
        return Ok(match session.list(target, scope.params()).await {
            Ok((objects, _)) => (objects, Vec::new()),
            Err(failure) => (Vec::new(), vec![failure]),
        });
    }
    let (mut objects, mut failures) = (Vec::new(), Vec::new());
    for target in selection.targets(session).await? {
        match named(session, target).await {
            Ok(found) => objects.extend(found),
            Err(failure) => failures.push(failure),
        }
    }
    Ok((objects, failures))
}

async fn describe(
    session: &Session,
    selection: &Selection<'_>,
    object: &Value,
    with_events: bool,
) -> Result<String, Failure> {
    let now = Timestamp::now();
    let schema = schema::built_in(&selection.resource.api_version(), &selection.resource.kind);
    let text = sections::render(object, schema.as_deref(), now);
    if !with_events {
        return Ok(text);
    }
    let events = match events(session, object).await {
        // Who may see the object need not be allowed to see these.
        Err(failure) if failure.code() == 403 => Vec::new(),
        events => events?,
    };
    Ok(format!("{text}{}", sections::events(&events, now)))
}

/// The object of a name, or else those whose names begin with it.
async fn named(session: &Session, target: Target) -> Result<Vec<Value>, Failure> {
    if let Some(object) = session.find(target.clone()).await? {
        return Ok(vec![object]);
    }
    let prefix = target.name.clone().unwrap_or_default();
    let (mut items, _) = session.list(Target { name: None, ..target.clone() }, Params::default()).await?;
    items.retain(|item| item.name().starts_with(&prefix));
    // That there is none is best said by the server.
    if items.is_empty() { Ok(vec![session.get(target).await?]) } else { Ok(items) }
}

/// The events about an object, oldest first; none from a server without events.
async fn events(session: &Session, object: &Value) -> Result<Vec<Value>, Failure> {
    let discovery = session.discovery().await?;
    let Ok(resource) = discovery.resolve("events.v1.").or_else(|_| discovery.resolve("events")) else {
        return Ok(Vec::new());
    };
    // Events about objects of the cluster are in some namespace: look into all.
    let namespace = Some(object.namespace()).filter(|namespace| !namespace.is_empty());
    let params =
        Params { field_selector: Some(format!("involvedObject.uid={}", object.uid())), ..Params::default() };
    let (mut events, _) = session.list(resource.collection(namespace), params).await?;
    events.sort_by_cached_key(|event| sections::last_seen(event).to_owned());
    Ok(events)
}
