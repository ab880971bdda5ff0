//! `diff`: what has changed in a while, object by object.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use jiff::{SignedDuration, Timestamp};
use orch_api::{FieldQuery, field_changes};
use serde_json::{Value, json};

use super::history::{Changes, entry, is_gap};
use super::output::{HEADING, paint, print};
use super::wait::parse_duration;
use super::{Failure, Session, select};

/// Show what has changed in a while, object by object
///
/// Each object is compared with what it was then; changes that were taken back meanwhile are not shown. Who made which is
/// shown by `history`.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # Everything in this namespace; in all
  orchctl diff --since 1h
  orchctl diff --since 1h -A

  # Of some kinds
  orchctl diff workloads,configmaps --since 30m")]
pub(super) struct Args {
    /// Kinds; all if none is given
    #[arg(value_name = "KIND")]
    words: Vec<String>,
    /// How far to look back: 30m, 2h
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    since: Duration,
    /// In all namespaces, and of the cluster itself
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// What the status says, too
    #[arg(long)]
    status: bool,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    let selections = select::parse_any(session.discovery().await?, &args.words)?;
    let kinds: Vec<(&str, &str)> = selections
        .iter()
        .map(|selection| (selection.resource.group.as_str(), selection.resource.kind.as_str()))
        .collect();
    let query = match args.all_namespaces {
        true => FieldQuery::default(),
        false => FieldQuery::equals("object.namespace", session.namespace().await?),
    };
    let since = SignedDuration::try_from(args.since).unwrap_or(SignedDuration::MAX);
    let from = Timestamp::now().checked_sub(since).unwrap_or(Timestamp::MIN);
    let mut spans = BTreeMap::<String, Span>::new();
    let mut changes = Changes::selected(session, &query).await?;
    while let Some(change) = changes.next().await? {
        let time = change["time"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
        if time.is_some_and(|time| time < from) {
            break;
        }
        if is_gap(&change) {
            print(&entry(&change))?;
            continue;
        }
        let object = &change["object"];
        let is_meant = |(group, kind): &(&str, &str)| {
            let api_version = object["apiVersion"].as_str().unwrap_or_default();
            object["kind"] == *kind && orch_api::split_api_version(api_version).0 == *group
        };
        if kinds.is_empty() || kinds.iter().any(is_meant) {
            spans
                .entry(place(object))
                .and_modify(|span| span.reach(&change))
                .or_insert_with(|| Span::of(&change));
        }
    }
    let text: String = spans.iter().filter_map(|(place, span)| span.told(place, args.status)).collect();
    print(if text.is_empty() { "nothing has changed\n" } else { &text })?;
    Ok(ExitCode::SUCCESS)
}

/// `default/workload/web`
fn place(object: &Value) -> String {
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    let steps = [text("namespace"), &text("kind").to_lowercase(), text("name")];
    steps.into_iter().filter(|step| !step.is_empty()).collect::<Vec<_>>().join("/")
}

/// What an object was at the beginning and is at the end.
struct Span {
    before: Value,
    after: Value,
    revision: Value,
    time: Value,
    users: Vec<String>,
}

impl Span {
    /// Of the last change.
    fn of(change: &Value) -> Self {
        let user = change["user"].as_str().unwrap_or_default().to_owned();
        let [before, after, revision, time] =
            ["before", "after", "revision", "time"].map(|name| change[name].clone());
        Self { before, after, revision, time, users: vec![user] }
    }

    /// Goes back to an earlier change.
    fn reach(&mut self, change: &Value) {
        self.before = change["before"].clone();
        let user = change["user"].as_str().unwrap_or_default();
        if !self.users.iter().any(|known| known == user) {
            self.users.push(user.to_owned());
        }
    }

    /// The difference, for people; none if there is none.
    fn told(&self, place: &str, with_status: bool) -> Option<String> {
        let (before, after) = (self.before.is_object(), self.after.is_object());
        let verb = match (before, after) {
            (false, false) => return None,
            (false, true) => "created",
            (true, false) => "deleted",
            (true, true) => "updated",
        };
        let mut fields = match before && after {
            true => field_changes(Some(&self.before), Some(&self.after)),
            false => Vec::new(),
        };
        fields.retain(|field| with_status || !field.is_status());
        if before && after && fields.is_empty() {
            return None;
        }
        let change = json!({
            "verb": verb, "revision": self.revision, "time": self.time, "user": self.users.join(", "), "fields": fields,
        });
        Some(format!("{}\n{}", paint(Some(HEADING), place), entry(&change)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(verb: &str, user: &str, before: Value, after: Value) -> Value {
        json!({"verb": verb, "user": user, "revision": 7, "time": "2026-01-31T12:00:00.000000Z",
            "before": before, "after": after})
    }

    fn told(newest_first: &[Value]) -> Option<String> {
        let mut span = Span::of(&newest_first[0]);
        newest_first[1..].iter().for_each(|change| span.reach(change));
        let text = span.told("default/note/a", false)?;
        Some(anstream::adapter::strip_str(&text).to_string())
    }

    #[test]
    fn an_object_is_compared_with_what_it_was() {
        let spec = |n: u64| json!({"spec": {"n": n}, "status": {"seen": n}});
        assert_eq!(
            told(&[change("updated", "ann", spec(2), spec(3)), change("updated", "bob", spec(1), spec(2))]),
            Some(
                "default/note/a\nrevision 7  2026-01-31T12:00:00Z  updated by ann, bob\n  ~ spec.n: 1 -> 3\n"
                    .into()
            )
        );
        let back = [change("updated", "ann", spec(2), spec(1)), change("updated", "bob", spec(1), spec(2))];
        assert_eq!(told(&back), None, "it was taken back");
        let passed =
            [change("deleted", "ann", spec(2), Value::Null), change("created", "bob", Value::Null, spec(2))];
        assert_eq!(told(&passed), None, "it came and went");
        let status = json!({"spec": {"n": 1}, "status": {"seen": 2}});
        assert_eq!(
            told(&[change("updated", "ann", spec(1), status)]),
            None,
            "what is seen is not what is wanted"
        );
    }
}
