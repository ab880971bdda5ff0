//! `wait`: until objects are as they should be.

use std::fmt;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;
use futures::{StreamExt as _, stream};
use orch_api::{Object as _, Params, Request, Target, Verb, watch_states};
use serde_json::Value;

use super::again::Again;
use super::jsonpath::Template;
use super::output::{GOOD, paint, print};
use super::{Failure, Session, select};

/// How many objects are watched at once.
const AT_ONCE: usize = 512;
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(10);
const DAY_SECONDS: u64 = 24 * 60 * 60;

/// Wait until objects have a condition, a value, or are gone
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  orchctl wait workload/web --for=condition=Available --timeout=60s
  orchctl wait pod -l app=web --for=condition=Ready
  orchctl wait pod/web --for=jsonpath='{.status.phase}'=Running
  orchctl wait pod/web --for=delete")]
pub(super) struct Args {
    /// Kinds, or a kind and names, or kind/name
    #[arg(required = true, value_name = "KIND | KIND/NAME")]
    words: Vec<String>,
    /// condition=TYPE[=STATUS], jsonpath='{PATH}'[=VALUE], create or delete
    #[arg(long = "for", value_name = "WHAT")]
    goal: Goal,
    /// Give up after this time: 30s, 5m; 0 looks once
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    scope: super::get::Scope,
    /// All objects of the kind
    #[arg(long)]
    all: bool,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Goal {
    Condition { condition_type: String, status: String },
    JsonPath { template: Template, value: Option<String> },
    Create,
    Delete,
}

impl FromStr for Goal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(condition) = text.strip_prefix("condition=") {
            let (condition_type, status) = condition.split_once('=').unwrap_or((condition, "True"));
            return Ok(Self::Condition {
                condition_type: condition_type.to_owned(),
                status: status.to_owned(),
            });
        }
        if let Some(rest) = text.strip_prefix("jsonpath=") {
            let end = rest.rfind('}').map_or(0, |at| at + 1);
            let (template, value) = match rest[end..].split_once('=') {
                Some((more, value)) => (&rest[..end + more.len()], Some(value.to_owned())),
                None => (rest, None),
            };
            return Ok(Self::JsonPath { template: Template::parse(template)?, value });
        }
        match text {
            "delete" => Ok(Self::Delete),
            "create" => Ok(Self::Create),
            _ => Err("expected condition=TYPE, jsonpath='{PATH}'=VALUE, create or delete".into()),
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Condition { condition_type, status } if status == "True" => {
                write!(f, "the condition {condition_type}")
            }
            Self::Condition { condition_type, status } => {
                write!(f, "the condition {condition_type}={status}")
            }
            Self::JsonPath { .. } => f.write_str("the value"),
            Self::Create => f.write_str("the creation"),
            Self::Delete => f.write_str("the deletion"),
        }
    }
}

impl Goal {
    /// Whether an object, or its absence, is what is waited for.
    pub(super) fn is_met(&self, object: Option<&Value>) -> bool {
        let Some(object) = object else { return *self == Self::Delete };
        match self {
            Self::Create => true,
            Self::Delete => false,
            Self::Condition { condition_type, status } => {
                let conditions = object["status"]["conditions"].as_array();
                conditions.into_iter().flatten().any(|condition| {
                    condition.text(&["type"]).eq_ignore_ascii_case(condition_type)
                        && condition.text(&["status"]).eq_ignore_ascii_case(status)
                        && is_current(object, condition)
                })
            }
            Self::JsonPath { template, value } => match value {
                Some(value) => template.render(object) == *value,
                None => !template.values(object).is_empty(),
            },
        }
    }
}

/// A condition found before the object was last changed says nothing about what it is now.
fn is_current(object: &Value, condition: &Value) -> bool {
    let observed =
        condition["observedGeneration"].as_i64().or_else(|| object["status"]["observedGeneration"].as_i64());
    match (observed, object["metadata"]["generation"].as_i64()) {
        (Some(observed), Some(generation)) => observed >= generation,
        _ => true,
    }
}

/// `30s`, `5m`, `1h30m`, `7d`; a number alone is seconds.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    if let Some(seconds) = days.and_then(|days| days.checked_mul(DAY_SECONDS)) {
        return Ok(Duration::from_secs(seconds));
    }
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| "expected a duration such as 30s, 5m, 1h30m or 7d".to_owned())?;
    Duration::try_from(span).map_err(|_| "a duration cannot be negative".to_owned())
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let waited = objects(session, &args).await?;
    if waited.is_empty() && args.goal != Goal::Delete {
        return Err(Failure::new("no matching objects"));
    }
    let mut outcomes =
        stream::iter(&waited).map(|object| wait_in_time(session, object, &args)).buffered(AT_ONCE);
    let mut code = ExitCode::SUCCESS;
    for object in &waited {
        match outcomes.next().await {
            Some(Err(failure)) => code = failure.report(),
            _ => print(&format!("{} {}\n", object.label, paint(Some(GOOD), "condition met")))?,
        }
    }
    Ok(code)
}

/// An object that is waited for.
struct Waited {
    label: String,
    collection: Target,
    name: String,
}

async fn objects(session: &Session, args: &Args) -> Result<Vec<Waited>, Failure> {
    let mut waited = Vec::new();
    let discovery = session.discovery().await?;
    for selection in select::parse_among(discovery, &args.words, &args.scope, args.all)? {
        let collection = args.scope.collection(session, &selection).await?;
        let names = match selection.names.is_empty() {
            false => selection.names.iter().map(|name| (collection.clone(), name.clone())).collect(),
            true => names(session, collection, args).await?,
        };
        waited.extend(names.into_iter().map(|(collection, name)| Waited {
            label: select::label(selection.resource, &name),
            collection,
            name,
        }));
    }
    Ok(waited)
}

async fn wait_in_time(session: &Session, object: &Waited, args: &Args) -> Result<(), Failure> {
    let Waited { label, collection, name } = object;
    let once = args.timeout.is_zero();
    let timeout = if once { LOOK } else { args.timeout };
    let waiting = wait_for(session, collection.clone(), name, None, &args.goal, once);
    tokio::time::timeout(timeout, waiting).await.unwrap_or_else(|_| {
        Err(Failure::new(format!("timed out waiting for {} of {label}", args.goal))
            .hint(format!("`orchctl describe {label}` shows how it stands")))
    })
}

async fn names(session: &Session, collection: Target, args: &Args) -> Result<Vec<(Target, String)>, Failure> {
    if !args.all && args.scope.selector.is_none() && args.scope.field_selector.is_none() {
        return Err(Failure::new("wait for which objects?")
            .hint("give names, -l, --field-selector or --all".to_owned()));
    }
    let (items, _) = session.list(collection.clone(), args.scope.params()).await?;
    let place = |item: &Value| Target {
        namespace: Some(item.namespace().to_owned()).filter(|namespace| !namespace.is_empty()),
        ..collection.clone()
    };
    Ok(items.iter().map(|item| (place(item), item.name().to_owned())).collect())
}

/// Waits until the object of this name is as it should be; with `uid`, another object of the same name counts as none.
pub(super) async fn wait_for(
    session: &Session,
    collection: Target,
    name: &str,
    uid: Option<&str>,
    goal: &Goal,
    once: bool,
) -> Result<(), Failure> {
    let plural = collection.plural.clone();
    let mut is_first = true;
    observe(session, collection, name, |object| {
        let is_first = std::mem::take(&mut is_first);
        let object = object.filter(|object| uid.is_none_or(|uid| object.uid() == uid));
        if goal.is_met(object) {
            return Some(Ok(()));
        }
        if object.is_none() && !matches!(goal, Goal::Create | Goal::Delete) {
            return Some(Err(match is_first {
                true => Failure::new(format!("{plural} {name:?} not found"))
                    .hint("wait until it is there with --for=create".to_owned()),
                false => Failure::new("the object was deleted meanwhile"),
            }));
        }
        once.then(|| Err(Failure::new(format!("{plural} {name:?} does not meet {goal}"))))
    })
    .await
}

/// Shows `look` the object of this name as it is, and whenever it changes, until that has an answer. None: there is no such
/// object. A server that is away for a moment is waited for.
pub(super) async fn observe<T>(
    session: &Session,
    collection: Target,
    name: &str,
    mut look: impl FnMut(Option<&Value>) -> Option<Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut again = Again::default();
    loop {
        match follow(session, &collection, name, &mut look, &mut again).await {
            Ok(Some(answer)) => return answer,
            Ok(None) => {}
            Err(failure) => again.after_quietly(failure).await?,
        }
    }
}

/// Looks at one object and follows it. Nothing if the watch ends first, or its revision is too old: then it is time to look again.
async fn follow<T>(
    session: &Session,
    collection: &Target,
    name: &str,
    look: &mut impl FnMut(Option<&Value>) -> Option<Result<T, Failure>>,
    again: &mut Again,
) -> Result<Option<Result<T, Failure>>, Failure> {
    let params = Params { field_selector: Some(format!("metadata.name={name}")), ..Params::default() };
    let (items, revision) = session.list(collection.clone(), params.clone()).await?;
    again.reached();
    if let Some(answer) = look(items.first()) {
        return Ok(Some(answer));
    }
    let params = Params { resource_version: Some(revision), ..params };
    let request = Request { verb: Verb::Watch, target: collection.clone(), params, body: None };
    session.log(&request);
    let mut states = watch_states(session.client().await?, request).await?;
    while let Some(object) = states.next().await {
        if let Some(answer) = look(object?.as_ref()) {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn goals_are_met_by_what_they_say() {
        let pod = json!({"metadata": {"generation": 2}, "status": {"phase": "Running", "conditions": [
            {"type": "Ready", "status": "True"}, {"type": "Old", "status": "True", "observedGeneration": 1},
            {"type": "Failed", "status": "False"}]}});
        for (goal, expected) in [
            ("condition=Ready", true),
            ("condition=ready=true", true),
            ("condition=Old", false),
            ("condition=Failed", false),
            ("condition=Failed=False", true),
            ("condition=Missing", false),
            ("jsonpath={.status.phase}=Running", true),
            ("jsonpath={.status.phase}=Pending", false),
            ("jsonpath={.status.podIP}", false),
            ("jsonpath=.status.phase=Running", true),
            ("create", true),
            ("delete", false),
        ] {
            let goal: Goal = goal.parse().unwrap_or_else(|error| panic!("{goal}: {error}"));
            assert_eq!(goal.is_met(Some(&pod)), expected, "{goal:?}");
        }
        assert!(Goal::Delete.is_met(None));
        assert!(!"condition=Ready".parse::<Goal>().unwrap().is_met(None));
        assert!("ready".parse::<Goal>().is_err());
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, seconds) in
            [("30s", 30), ("5m", 300), ("1h30m", 5400), ("7d", 604_800), ("7", 7), ("0", 0)]
        {
            assert_eq!(parse_duration(text).unwrap().as_secs(), seconds, "{text}");
        }
        assert!(parse_duration("soon").is_err());
        assert!(parse_duration("-5s").is_err() && parse_duration("99999999999999999d").is_err());
    }
}
