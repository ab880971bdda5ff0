//! `events`: what has happened, the latest first.

use std::time::Duration;

use jiff::Timestamp;
use orch_api::{Object as _, Params};
use orch_client::Accept;
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde_json::{Value, json};

use super::args::{self, ArgKind, CURSOR, MAX_TOKENS, may};
use super::{Effect, Entry};
use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::failure::{Failure, MAYBE_UNTRUSTED};

/// How many events are kept for one answer: the largest has room for fewer, as each has some 70 bytes at least.
const MOST: usize = 1_000;

pub(super) const EVENTS: Entry = Entry {
    name: "events",
    about: "List what has happened, latest first, of all or one object.",
    effect: Effect::Reads,
    takes: &[
        may("kind", ArgKind::Text, ""),
        may("name", ArgKind::Text, ""),
        may("namespace", ArgKind::Text, "none: all"),
        may("since", ArgKind::Text, "10m"),
        may("warnings", ArgKind::Flag, "only those"),
        MAX_TOKENS,
        CURSOR,
    ],
    gives: &[("events", "array"), ("untrusted", "string"), ("cursor", "string")],
    run: |ask, arguments, page| Box::pin(events(ask, arguments, page)),
};

#[derive(Deserialize)]
struct Events {
    kind: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    since: Option<String>,
    warnings: Option<bool>,
}

async fn events(ask: &Ask, arguments: JsonObject, page: &Page) -> Result<Answer, Failure> {
    let Events { kind, name, namespace, since, warnings } = args::read(arguments)?;
    let mut about = Vec::new();
    let mut everywhere = namespace.is_none();
    if let Some(kind) = &kind {
        let resource = ask.kind(kind).await?;
        about.push(format!("involvedObject.kind={}", resource.kind));
        everywhere |= !resource.namespaced;
    }
    about.extend(
        name.map(|name| format!("involvedObject.name={}", name.rsplit('/').next().unwrap_or_default())),
    );
    let since = since.map(|since| duration(&since)).transpose()?;
    let oldest = since.map(|since| before(Timestamp::now(), since));
    let target = ask.kind("events").await?.collection(namespace.as_deref().filter(|_| !everywhere));
    let field_selector = Some(about.join(",")).filter(|selector| !selector.is_empty());
    let params = Params { field_selector, ..Params::default() };
    let mut latest = Latest::before(page);
    ask.each(&target, &params, Accept::Json, usize::MAX, |event| {
        let wanted = !warnings.unwrap_or(false) || event.text(&["type"]) == "Warning";
        if wanted && oldest.is_none_or(|oldest| last_seen(&event).0 >= oldest) {
            latest.add(&event);
        }
    })
    .await?;
    Ok(latest.listed())
}

/// The latest events, from where a page goes on: after one that was at a time, whatever has happened since. No more are kept than an
/// answer has room for.
struct Latest<'p> {
    page: &'p Page,
    after: Option<Mark>,
    events: Vec<(Mark, Value)>,
}

impl<'p> Latest<'p> {
    fn before(page: &'p Page) -> Self {
        Self { page, after: page.place().and_then(Mark::parse), events: Vec::new() }
    }

    fn add(&mut self, event: &Value) {
        let mark = Mark::of(event);
        let is_left = |after: &Mark| mark < *after || (self.page.is_within_an_item() && mark == *after);
        if self.after.as_ref().is_none_or(is_left) {
            self.events.push((mark, told(event)));
        }
        if self.events.len() >= 2 * MOST {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.events.sort_by(|(a, _), (b, _)| b.cmp(a));
        self.events.truncate(MOST);
    }

    fn listed(mut self) -> Answer {
        self.cut();
        let (marks, told) = self.events.into_iter().map(|(mark, told)| (mark.to_string(), told)).unzip();
        Answer::of(json!({"untrusted": MAYBE_UNTRUSTED})).list("events", told).marked(marks)
    }
}

/// Where an event stands among the others: when it was last seen, and which it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Mark {
    at: Timestamp,
    uid: String,
}

impl Mark {
    fn of(event: &Value) -> Self {
        Self { at: last_seen(event).0, uid: event.uid().to_owned() }
    }

    fn parse(text: &str) -> Option<Self> {
        let (at, uid) = text.split_once('@')?;
        Some(Self { at: at.parse().ok()?, uid: uid.to_owned() })
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.at, self.uid)
    }
}

/// A moment so long before another; the first that there is if that is longer ago.
fn before(now: Timestamp, long: Duration) -> Timestamp {
    let long = jiff::SignedDuration::try_from(long).unwrap_or(jiff::SignedDuration::MAX);
    now.checked_sub(long).unwrap_or(Timestamp::MIN)
}

/// When an event was last seen, and as that is written down. What says nothing of the kind was seen before all others.
fn last_seen(event: &Value) -> (Timestamp, &str) {
    let times = [
        &["series", "lastObservedTime"][..],
        &["lastTimestamp"],
        &["eventTime"],
        &["metadata", "creationTimestamp"],
    ];
    let text =
        times.into_iter().map(|path| event.text(path)).find(|time| !time.is_empty()).unwrap_or_default();
    (text.parse().unwrap_or(Timestamp::MIN), text)
}

fn told(event: &Value) -> Value {
    let object = &event["involvedObject"];
    let count = event["series"]["count"].as_i64().or_else(|| event["count"].as_i64()).unwrap_or(1);
    let place = [object.text(&["namespace"]), object.text(&["name"])];
    let place: Vec<_> = place.into_iter().filter(|part| !part.is_empty()).collect();
    let mut told = json!({
        "last": last_seen(event).1, "type": event.text(&["type"]), "reason": event.text(&["reason"]),
        "object": format!("{} {}", object.text(&["kind"]), place.join("/")), "message": event.text(&["message"]),
    });
    if count > 1 {
        told["count"] = count.into();
    }
    told
}

/// `30s`, `10m`, `2h`, or seconds.
pub(super) fn duration(text: &str) -> Result<Duration, Failure> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let read = text.parse::<jiff::SignedDuration>().ok().and_then(|span| Duration::try_from(span).ok());
    read.ok_or_else(|| Failure::argument(format!("{text:?} is not a duration")).fix("write 30s, 10m or 2h"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_events_tell_the_same() {
        let old = json!({"type": "Warning", "reason": "BackOff", "message": "again", "count": 3, "lastTimestamp": "2026-01-01T00:00:01Z",
            "involvedObject": {"kind": "Pod", "namespace": "a", "name": "web"}});
        let new = json!({"type": "Warning", "reason": "BackOff", "message": "again", "eventTime": "2026-01-01T00:00:00.000000Z",
            "series": {"count": 3, "lastObservedTime": "2026-01-01T00:00:01Z"},
            "involvedObject": {"kind": "Pod", "namespace": "a", "name": "web"}});
        assert_eq!(told(&old), told(&new));
        assert_eq!(told(&old)["object"], "Pod a/web");
    }

    #[test]
    fn a_cursor_goes_on_after_what_was_given_whatever_has_happened_since() {
        let event = |uid: &str, at: &str| json!({"metadata": {"uid": uid}, "lastTimestamp": at, "message": "m".repeat(300)});
        let mut events: Vec<Value> = (1..=9).map(|n| event(&n.to_string(), "2026-01-01T00:00:01Z")).collect();
        let cut = |events: &[Value], cursor: Option<&str>| {
            let page = Page::read("events", Some(300), cursor).unwrap();
            let mut latest = Latest::before(&page);
            events.iter().for_each(|event| latest.add(event));
            latest.listed().cut("events", &page).unwrap()
        };
        let (mut answer, mut given) = (cut(&events, None), 0);
        for more in 0.. {
            given += answer["events"].as_array().unwrap().len();
            let Some(cursor) = answer["cursor"].as_str() else { break };
            assert!(more < 9, "the cursor leads nowhere");
            events.push(event(&format!("new-{more}"), "2026-01-01T00:00:02Z"));
            answer = cut(&events, Some(cursor));
        }
        assert_eq!(given, 9, "each event that there was is given once");
    }

    #[test]
    fn of_very_many_events_the_latest_are_given_in_the_order_of_time() {
        let page = Page::read("events", Some(20_000), None).unwrap();
        let mut latest = Latest::before(&page);
        // Those of whole seconds and those of parts of them are written differently.
        let at = |n: usize| match n % 2 {
            0 => format!("2026-01-01T{:02}:{:02}:{:02}Z", n / 7200, n / 120 % 60, n / 2 % 60),
            _ => format!("2026-01-01T{:02}:{:02}:{:02}.5Z", n / 7200, n / 120 % 60, n / 2 % 60),
        };
        // By name, as lists are, the last come first.
        for n in (0..30_000).rev() {
            latest.add(&json!({"metadata": {"uid": n.to_string()}, "message": n.to_string(), "lastTimestamp": at(n)}));
            assert!(latest.events.len() < 2 * MOST);
        }
        let answer = latest.listed().cut("events", &page).unwrap();
        let given: Vec<usize> = answer["events"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| event["message"].as_str().unwrap().parse().unwrap())
            .collect();
        let expected: Vec<usize> = (0..30_000).rev().take(given.len()).collect();
        assert_eq!(given, expected);
        assert!(answer["cursor"].is_string() && given.len() < MOST, "{}", given.len());
    }

    #[test]
    fn longer_ago_than_there_is_time_is_always() {
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        assert_eq!(before(now, Duration::from_secs(60)).to_string(), "2025-12-31T23:59:00Z");
        for seconds in [999_999_999_999, u64::MAX] {
            assert_eq!(before(now, Duration::from_secs(seconds)), Timestamp::MIN);
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        assert_eq!(duration("90").unwrap().as_secs(), 90);
        assert_eq!(duration("2h").unwrap().as_secs(), 7_200);
        assert!(duration("soon").is_err());
    }
}
