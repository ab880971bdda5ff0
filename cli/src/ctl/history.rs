//! `history`: who changed an object, when and why, and what.

use std::collections::VecDeque;
use std::process::ExitCode;

use clap::Parser;
use orch_api::{FieldQuery, Kind, Params, Request, Target, Verb};
use orch_client::ApiResource;
use serde_json::Value;

use super::output::{BAD, FAINT, GOOD, HEADING, WAITING, paint, plain, print};
use super::{Failure, Session, select};

/// The kind of which the server's history is made.
const CHANGES: Kind = Kind::cluster("orch.dev", "v1", "Change", "changes", "change");
/// Read at a time.
const PAGE: u64 = 100;
/// Longer values are cut where they stand beside others.
const LONGEST_VALUE: usize = 100;

/// Show who changed an object, why, and which fields
///
/// The newest change comes first. Secret values are shown as hashes: the same value has the same hash.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  orchctl history workload/web
  orchctl history workload web --limit 3

  # The object as it was
  orchctl get workload/web --revision 5120

  # Everything that somebody changed
  kubectl get changes --field-selector user=alice")]
pub(super) struct Args {
    /// A kind and names, or kind/name
    #[arg(required = true, value_name = "KIND/NAME")]
    words: Vec<String>,
    /// No more than so many changes of each object
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    limit: usize,
}

pub(super) async fn run(session: &Session, args: Args) -> Result<ExitCode, Failure> {
    for selection in select::parse(session.discovery().await?, &args.words)? {
        if selection.names.is_empty() {
            return Err(Failure::new(format!("the history of which {}?", selection.resource.plural)));
        }
        for name in &selection.names {
            let mut changes = Changes::of(session, selection.resource, name).await?;
            let (mut shown, mut gaps) = (0, Vec::new());
            while let Some(change) = changes.next().await?.filter(|_| shown < args.limit) {
                if is_gap(&change) {
                    gaps.push(entry(&change));
                    continue;
                }
                // What was missed before the object was there is of no concern.
                let text = gaps.drain(..).chain([entry(&change)]).collect::<String>();
                print(&text)?;
                shown += 1;
            }
            if shown == 0 {
                let label = select::label(selection.resource, name);
                return Err(Failure::new(format!("no change of {label} is known"))
                    .hint("changes are kept for some days, and not those of events and leases".to_owned()));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Changes, newest first, read as they are needed.
pub(super) struct Changes<'s> {
    session: &'s Session,
    params: Params,
    page: VecDeque<Value>,
    is_last: bool,
}

impl<'s> Changes<'s> {
    /// Those of one object, whatever the version it was written in.
    pub(super) async fn of(
        session: &'s Session,
        resource: &ApiResource,
        name: &str,
    ) -> Result<Self, Failure> {
        let namespace = match resource.namespaced {
            true => session.namespace().await?,
            false => "",
        };
        let fields = [
            ("object.group", resource.group.as_str()),
            ("object.kind", resource.kind.as_str()),
            ("object.namespace", namespace),
            ("object.name", name),
        ];
        let terms = fields.into_iter().flat_map(|(field, value)| FieldQuery::equals(field, value).terms);
        Self::selected(session, &FieldQuery { terms: terms.collect() }).await
    }

    /// Those that a query selects.
    pub(super) async fn selected(session: &'s Session, query: &FieldQuery) -> Result<Self, Failure> {
        let discovery = session.discovery().await?;
        if discovery.of_kind(&CHANGES.api_version(), CHANGES.name).is_none() {
            return Err(Failure::new("this server keeps no history")
                .hint("`orchd up` does, unless its configuration says `history: {keepDays: 0}`".to_owned()));
        }
        let field_selector = Some(query.to_string()).filter(|query| !query.is_empty());
        let params = Params { field_selector, limit: Some(PAGE), ..Params::default() };
        Ok(Self { session, params, page: VecDeque::new(), is_last: false })
    }

    /// The next one, further back.
    pub(super) async fn next(&mut self) -> Result<Option<Value>, Failure> {
        while self.page.is_empty() && !self.is_last {
            let (target, params) = (Target::all(&CHANGES), self.params.clone());
            let mut list =
                self.session.call(Request { verb: Verb::List, target, params, body: None }).await?;
            let cont = list["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
            self.is_last = cont.is_empty();
            self.params.cont = Some(cont).filter(|cont| !cont.is_empty());
            if let Value::Array(items) = list["items"].take() {
                self.page.extend(items);
            }
        }
        Ok(self.page.pop_front())
    }
}

/// Whether it says that changes are missing.
pub(super) fn is_gap(change: &Value) -> bool {
    change["verb"] == "missed"
}

/// A change with its fields, for people.
pub(super) fn entry(change: &Value) -> String {
    let mut text = format!("{}\n", headline(change));
    if let Some(reason) = change["reason"].as_str().filter(|_| !is_gap(change)) {
        text.push_str(&format!("  {}\n", paint(Some(HEADING), &format!("because: {}", plain(reason)))));
    }
    for field in change["fields"].as_array().into_iter().flatten() {
        text.push_str(&line(field));
    }
    text
}

/// `revision 5120  2026-01-31T12:00:00Z  updated by alice through sre (orchctl)`
fn headline(change: &Value) -> String {
    let text = |name: &str| plain(change[name].as_str().unwrap_or_default());
    let revision = paint(Some(FAINT), &format!("revision {}", change["revision"]));
    let time = paint(Some(FAINT), text("time").get(..19).map_or("", |time| time).trim());
    if is_gap(change) {
        return format!("{revision}  {time}  {}", paint(Some(WAITING), &text("reason")));
    }
    let verb = match text("verb").as_str() {
        "created" => paint(Some(GOOD), "created"),
        "deleted" => paint(Some(BAD), "deleted"),
        other => paint(Some(WAITING), other),
    };
    let user = Some(text("user")).filter(|name| !name.is_empty());
    let user = user.unwrap_or_else(|| "somebody unknown".to_owned());
    let through = Some(text("impersonator")).filter(|name| !name.is_empty());
    let through = through.map_or_else(String::new, |name| format!(" through {name}"));
    let details: Vec<String> = [("agent", ""), ("plan", "plan ")]
        .into_iter()
        .filter(|(name, _)| !text(name).is_empty())
        .map(|(name, before)| format!("{before}{}", text(name)))
        .collect();
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
    format!("{revision}  {time}Z  {verb} by {user}{through}{}", paint(Some(FAINT), &details))
}

/// `  spec.replicas: 2 -> 3`
pub(super) fn line(field: &Value) -> String {
    let path = plain(field["path"].as_str().unwrap_or_default());
    let value = |name: &str| field.get(name).map(short);
    match (value("before"), value("after")) {
        (None, Some(after)) => {
            format!("  {} {path}: {}\n", paint(Some(GOOD), "+"), paint(Some(GOOD), &after))
        }
        (Some(before), None) => {
            format!("  {} {path}: {}\n", paint(Some(BAD), "-"), paint(Some(BAD), &before))
        }
        (before, after) => {
            let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
            let (before, after) = (paint(Some(BAD), &before), paint(Some(GOOD), &after));
            format!("  {} {path}: {before} -> {after}\n", paint(Some(WAITING), "~"))
        }
    }
}

/// A value on one line. JSON does not escape all that can steer a terminal.
fn short(value: &Value) -> String {
    let text = plain(&value.to_string());
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(change: &Value) -> String {
        anstream::adapter::strip_str(&entry(change)).to_string()
    }

    #[test]
    fn a_change_is_told_with_its_fields() {
        let change = json!({
            "revision": 5120, "time": "2026-01-31T12:00:00.250000Z", "verb": "updated", "user": "alice",
            "impersonator": "sre", "agent": "orchctl", "plan": "p1", "reason": "the sale",
            "fields": [
                {"path": "spec.replicas", "before": 2, "after": 3},
                {"path": "metadata.labels.a", "after": "b"},
                {"path": "spec.args", "before": ["x".repeat(200)]},
            ],
        });
        let long = "x".repeat(LONGEST_VALUE - 2);
        assert_eq!(
            told(&change),
            format!(
                "revision 5120  2026-01-31T12:00:00Z  updated by alice through sre (orchctl, plan p1)\n  \
                 because: the sale\n  ~ spec.replicas: 2 -> 3\n  + metadata.labels.a: \"b\"\n  - spec.args: [\"{long}…\n"
            )
        );
    }

    #[test]
    fn a_gap_says_what_is_missing() {
        let gap = json!({"revision": 9, "time": "2026-01-31T12:00:00.000000Z", "verb": "missed", "reason": "all of it"});
        assert_eq!(told(&gap), "revision 9  2026-01-31T12:00:00  all of it\n");
    }

    #[test]
    fn what_others_wrote_cannot_steer_the_terminal() {
        let evil = "\u{1b}]0;owned\u{7}\r\nnext\u{9b}2J";
        let fields = json!([{"path": evil, "before": evil, "after": evil}]);
        let told = ["updated", "missed"].map(|verb| {
            told(&json!({"verb": verb, "user": evil, "impersonator": evil, "agent": evil, "plan": evil, "reason": evil, "fields": fields}))
        });
        let told = told.concat();
        assert!(!told.contains(|c: char| c.is_control() && c != '\n'), "{told:?}");
        assert!(told.lines().all(|line| !line.starts_with("next")), "{told}");
    }
}
