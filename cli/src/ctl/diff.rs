//! `diff`: what has changed in a while, object by object.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use jiff::{SignedDuration, Timestamp};
use orch_api::{FieldQuery, Object as _, field_changes};
use serde_json::{Value, json};

use super::history::{Changes, entry, hide_status, is_gap};
use super::output::{HEADING, paint, print};
use super::select::{self, Selection};
use super::wait::parse_duration;
use super::{Failure, Session};

/// Show what has changed in a while, object by object
///
/// Each object is compared with what it was then; changes that were taken back meanwhile are not shown, nor is what the status says
/// unless asked for. Who made which is shown by `history`.
#[derive(Parser, Debug)]
#[command(after_help = "\
Examples:
  # Everything in this namespace; in all
  orchctl diff --since 1h
  orchctl diff --since 1h -A

  # Of some kinds; of one object
  orchctl diff workloads,configmaps --since 30m
  orchctl diff workload/web --since 7d")]
pub(super) struct Args {
    /// Kinds, or a kind and names, or kind/name; all if none is given
    #[arg(value_name = "KIND | KIND/NAME")]
    words: Vec<String>,
    /// How far to look back: 30m, 2h, 7d
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
    let namespace = if args.all_namespaces { None } else { Some(session.namespace().await?) };
    let wanted = Wanted { selections, namespace };
    let since = SignedDuration::try_from(args.since).unwrap_or(SignedDuration::MAX);
    let from = Timestamp::now().checked_sub(since).unwrap_or(Timestamp::MIN);
    let mut spans = BTreeMap::<String, Span>::new();
    let mut changes = Changes::selected(session, &wanted.query()).await?;
    while let Some(change) = changes.next().await? {
        match Age::of(&change, from) {
            Age::Counts => {}
            Age::Before => continue,
            Age::LongBefore => break,
        }
        if is_gap(&change) {
            print(&entry(&change))?;
            continue;
        }
        let object = &change["object"];
        if wanted.has(object) {
            spans.entry(place(object)).or_insert_with(|| Span::to(&change)).reach(&change, args.status);
        }
    }
    let text: String = spans.iter().filter_map(|(place, span)| span.told(place, args.status)).collect();
    print(if text.is_empty() { "nothing has changed\n" } else { &text })?;
    Ok(ExitCode::SUCCESS)
}

/// How far the clocks of several servers are apart at most: changes come in the order of their revisions.
const APART: SignedDuration = SignedDuration::from_mins(10);

/// When a change was.
#[derive(Debug, PartialEq)]
enum Age {
    Counts,
    /// Too early; one that is further back may still count.
    Before,
    /// So early that nothing further back counts.
    LongBefore,
}

impl Age {
    fn of(change: &Value, from: Timestamp) -> Self {
        let time = change["time"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
        // Of what is missing it is not always known when it was.
        let time = time.filter(|time| *time > Timestamp::UNIX_EPOCH);
        let long_before = from.checked_sub(APART).unwrap_or(Timestamp::MIN);
        match time {
            Some(time) if time < long_before && !is_gap(change) => Self::LongBefore,
            Some(time) if time < from => Self::Before,
            _ => Self::Counts,
        }
    }
}

/// The objects that are compared.
struct Wanted<'a> {
    /// All if there are none.
    selections: Vec<Selection<'a>>,
    /// Where they are, if their kind has namespaces; none for all.
    namespace: Option<&'a str>,
}

impl Wanted<'_> {
    /// What their changes are selected by: no less than that.
    fn query(&self) -> FieldQuery {
        let mut terms = Vec::new();
        if let [one] = &*self.selections {
            terms.extend(FieldQuery::equals("object.group", &one.resource.group).terms);
            terms.extend(FieldQuery::equals("object.kind", &one.resource.kind).terms);
        }
        if let Some(namespace) = self.namespace
            && self.selections.iter().all(|selection| selection.resource.namespaced)
        {
            terms.extend(FieldQuery::equals("object.namespace", namespace).terms);
        }
        FieldQuery { terms }
    }

    fn has(&self, object: &Value) -> bool {
        let group = orch_api::split_api_version(object.text(&["apiVersion"])).0;
        let is_meant = |selection: &Selection<'_>| {
            let (resource, names) = (selection.resource, &selection.names);
            let is_here = !resource.namespaced
                || self.namespace.is_none_or(|namespace| object.text(&["namespace"]) == namespace);
            let is_named = names.is_empty() || names.iter().any(|name| object["name"] == **name);
            object["kind"] == *resource.kind && group == resource.group && is_here && is_named
        };
        self.selections.is_empty() || self.selections.iter().any(is_meant)
    }
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
    /// The last change that counts; or, if the object was made or deleted, that one.
    told: Value,
    /// Whether the object was made or deleted by that.
    is_made: bool,
    /// Who has changed the object since then, the latest first.
    changed_by: Vec<String>,
}

impl Span {
    /// Up to the last change.
    fn to(change: &Value) -> Self {
        let [before, after] = [Value::Null, change["after"].clone()];
        Self { before, after, told: change.clone(), is_made: false, changed_by: Vec::new() }
    }

    /// Goes back to before an earlier change.
    fn reach(&mut self, change: &Value, with_status: bool) {
        self.before = change["before"].clone();
        if self.is_made || !with_status && hide_status(&mut change.clone()) {
            return;
        }
        self.is_made = change["verb"] != "updated";
        if self.is_made || self.changed_by.is_empty() {
            self.told = change.clone();
        }
        let user = change.text(&["user"]);
        if !self.is_made && !self.changed_by.iter().any(|known| known == user) {
            self.changed_by.push(user.to_owned());
        }
    }

    /// The difference, for people; none if there is none.
    fn told(&self, place: &str, with_status: bool) -> Option<String> {
        let verb = match (self.before.is_object(), self.after.is_object()) {
            (false, false) => return None,
            (false, true) => "created",
            (true, false) => "deleted",
            (true, true) if self.before.uid() != self.after.uid() => "replaced",
            (true, true) => "updated",
        };
        let mut fields = match verb {
            "replaced" | "updated" => field_changes(Some(&self.before), Some(&self.after)),
            _ => Vec::new(),
        };
        fields.retain(|field| with_status || !field.is_status());
        if verb == "updated" && fields.is_empty() {
            return None;
        }
        let change = json!({
            "verb": verb, "revision": self.told["revision"], "time": self.told["time"], "user": self.who(), "fields": fields,
        });
        Some(format!("{}\n{}", paint(Some(HEADING), place), entry(&change)))
    }

    /// `alice, bob`, or of an object that was made `alice; changed by bob`.
    fn who(&self) -> String {
        let maker = self.told.text(&["user"]);
        let others = self.changed_by.iter().filter(|user| !self.is_made || *user != maker);
        let others = others.map(String::as_str).collect::<Vec<_>>().join(", ");
        match (self.is_made, others.is_empty()) {
            (true, true) => maker.to_owned(),
            (true, false) => format!("{maker}; changed by {others}"),
            (false, _) => others,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(verb: &str, user: &str, before: Value, after: Value) -> Value {
        let fields = match (&before, &after) {
            (Value::Object(_), Value::Object(_)) => field_changes(Some(&before), Some(&after)),
            _ => Vec::new(),
        };
        let revision = if verb == "updated" { 7 } else { 6 };
        json!({"verb": verb, "user": user, "revision": revision, "time": "2026-01-31T12:00:00.000000Z",
            "before": before, "after": after, "fields": fields})
    }

    fn told(newest_first: &[Value]) -> Option<String> {
        let mut span = Span::to(&newest_first[0]);
        newest_first.iter().for_each(|change| span.reach(change, false));
        let text = span.told("default/note/a", false)?;
        Some(anstream::adapter::strip_str(&text).to_string())
    }

    #[test]
    fn clocks_differ_and_of_what_is_missing_it_is_not_always_known_when_it_was() {
        let from = "2026-01-31T12:00:00Z".parse().unwrap();
        let age = |verb: &str, time: &str| Age::of(&json!({"verb": verb, "time": time}), from);
        assert_eq!(age("updated", "2026-01-31T12:00:00Z"), Age::Counts);
        assert_eq!(age("updated", "2026-01-31T11:59:00Z"), Age::Before);
        assert_eq!(age("updated", "2026-01-31T11:49:00Z"), Age::LongBefore);
        assert_eq!(age("missed", "2026-01-31T11:49:00Z"), Age::Before);
        assert_eq!(age("missed", "1970-01-01T00:00:00Z"), Age::Counts);
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

    #[test]
    fn what_was_made_anew_says_who_made_it_and_who_has_changed_it_since() {
        let object = |uid: &str, n: u64| json!({"metadata": {"uid": uid}, "spec": {"n": n}});
        let status =
            |seen: u64| json!({"metadata": {"uid": "b"}, "spec": {"n": 2}, "status": {"seen": seen}});
        let mut changes = vec![
            change("updated", "observer", status(1), status(2)),
            change("updated", "ann", object("b", 1), object("b", 2)),
            change("updated", "bob", object("b", 0), object("b", 1)),
            change("created", "ann", Value::Null, object("b", 0)),
        ];
        let created = "default/note/a\nrevision 6  2026-01-31T12:00:00Z  created by ann; changed by bob\n";
        assert_eq!(told(&changes).as_deref(), Some(created));
        changes.push(change("deleted", "carl", object("a", 5), Value::Null));
        assert_eq!(told(&changes), Some(created.replace("created", "replaced") + "  ~ spec.n: 5 -> 2\n"));
        let deleted = "default/note/a\nrevision 6  2026-01-31T12:00:00Z  deleted by carl\n";
        assert_eq!(told(&changes[4..]).as_deref(), Some(deleted));
    }
}
