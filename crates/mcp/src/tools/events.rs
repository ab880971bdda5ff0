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
use crate::answer::Answer;
use crate::ask::Ask;
use crate::failure::Failure;

/// How many events are looked at.
const MOST: usize = 20_000;

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
    gives: &[("events", "array"), ("cursor", "string")],
    run: |ask, arguments, _| Box::pin(events(ask, arguments)),
};

#[derive(Deserialize)]
struct Events {
    kind: Option<String>,
    name: Option<String>,
    namespace: Option<String>,
    since: Option<String>,
    warnings: Option<bool>,
}

async fn events(ask: &Ask, arguments: JsonObject) -> Result<Answer, Failure> {
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
    let (mut events, _) = ask.all(&target, &params, Accept::Json, MOST).await?;
    events.retain(|event| {
        let wanted = !warnings.unwrap_or(false) || event.text(&["type"]) == "Warning";
        wanted
            && oldest.is_none_or(|oldest| last_seen(event).parse::<Timestamp>().is_ok_and(|at| at >= oldest))
    });
    events.sort_by(|a, b| last_seen(b).cmp(last_seen(a)));
    let told: Vec<Value> = events.iter().map(told).collect();
    Ok(Answer::default().list("events", told))
}

/// A moment so long before another; the first that there is if that is longer ago.
fn before(now: Timestamp, long: Duration) -> Timestamp {
    let long = jiff::SignedDuration::try_from(long).unwrap_or(jiff::SignedDuration::MAX);
    now.checked_sub(long).unwrap_or(Timestamp::MIN)
}

/// When an event was last seen; all forms of time that events have sort as text.
pub(super) fn last_seen(event: &Value) -> &str {
    let times = [
        &["series", "lastObservedTime"][..],
        &["lastTimestamp"],
        &["eventTime"],
        &["metadata", "creationTimestamp"],
    ];
    times.into_iter().map(|path| event.text(path)).find(|time| !time.is_empty()).unwrap_or_default()
}

fn told(event: &Value) -> Value {
    let object = &event["involvedObject"];
    let count = event["series"]["count"].as_i64().or_else(|| event["count"].as_i64()).unwrap_or(1);
    let place = [object.text(&["namespace"]), object.text(&["name"])];
    let place: Vec<_> = place.into_iter().filter(|part| !part.is_empty()).collect();
    let mut told = json!({
        "last": last_seen(event), "type": event.text(&["type"]), "reason": event.text(&["reason"]),
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
