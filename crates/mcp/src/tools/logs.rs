//! `logs`: what containers have written, searched here rather than by whoever asks.
//!
//! Logs are read in the order in which they were written, and only as far as an answer needs: what follows is read when its
//! cursor comes. However long they are, a call keeps no more than [`search::MOST_BYTES`] for each container.

mod search;
#[cfg(test)]
mod tests;

use std::time::Duration;

use futures::StreamExt as _;
use orch_api::{Object as _, Params, Request, Target, Verb};
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use self::search::{End, Found, Mark, Moment, Search};
use super::args::{self, ArgKind, CURSOR, MAX_TOKENS, NAMESPACE, may, must};
use super::events::duration;
use super::{Effect, Entry};
use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::failure::{Code, Failure, UNTRUSTED};

/// The most containers whose logs one answer is made of.
const MOST_CONTAINERS: usize = 50;
/// How many of them are read at a time.
const AT_A_TIME: usize = 4;
/// How long the log of one container is read for one answer, and how long all are.
const PATIENCE: Duration = Duration::from_secs(10);
const PATIENCE_WITH_ALL: Duration = Duration::from_secs(30);
/// Lines of each container, unless the caller says otherwise or searches.
const USUAL_TAIL: u64 = 100;

pub(super) const LOGS: Entry = Entry {
    name: "logs",
    about: "Read or search the logs of a pod, or of all pods an object owns.",
    effect: Effect::Reads,
    takes: &[
        must("name", ArgKind::Text, "pod, or kind/name"),
        NAMESPACE,
        may("container", ArgKind::Text, ""),
        may("grep", ArgKind::Text, "regex; searched on the server"),
        may("since", ArgKind::Text, "10m"),
        may("tail", ArgKind::Number, "lines a container; 100, all with grep"),
        may("previous", ArgKind::Flag, "before the last restart"),
        MAX_TOKENS,
        CURSOR,
    ],
    gives: &[("lines", "array"), ("untrusted", "string"), ("cursor", "string")],
    run: |ask, arguments, page| Box::pin(logs(ask, arguments, page)),
};

#[derive(Deserialize)]
struct Logs {
    name: String,
    namespace: Option<String>,
    container: Option<String>,
    grep: Option<String>,
    since: Option<String>,
    tail: Option<u64>,
    previous: Option<bool>,
}

async fn logs(ask: &Ask, arguments: JsonObject, page: &Page) -> Result<Answer, Failure> {
    let logs: Logs = args::read(arguments)?;
    let after = last_given(page);
    let grep = logs.grep.as_deref().map(search::pattern).transpose()?;
    let search = Search { grep, after: after.clone() };
    let kind = logs.name.split_once('/').map_or("pods", |(kind, _)| kind);
    let target = ask.object(kind, &logs.name, logs.namespace.as_deref()).await?;
    let pods = ask.behind(&target, "log", Pod::of).await?;
    if pods.is_empty() {
        let failure = Failure::new(Code::NotFound, format!("{} owns no pods", logs.name));
        return Err(failure.fix("call `diagnose` on it: it may say why"));
    }
    let (chosen, left_out) = chosen(&pods, logs.container.as_deref());
    let (by, mut reads) = (Instant::now() + PATIENCE_WITH_ALL, Vec::new());
    for (from, pod, container) in chosen {
        let pod = ask.kind("pods").await?.collection(Some(&pod.namespace)).named(&pod.name);
        let request = logs.request(pod, container, after.as_ref())?;
        let search = search.clone();
        reads.push(async move { (from, one(ask, request, search, by).await) });
    }
    let found: Vec<(String, Found)> = futures::stream::iter(reads).buffered(AT_A_TIME).collect().await;
    told(found, left_out, after.as_ref())
}

/// The last line that was given whole. Of one that was given in part the rest is still to come.
fn last_given(page: &Page) -> Option<Mark> {
    let within = usize::from(page.is_within_an_item());
    let after = page.place().and_then(Mark::parse)?;
    Some(Mark { given: after.given.saturating_sub(within), ..after })
}

impl Logs {
    /// The request for one container's log with the times of its lines.
    fn request(&self, pod: Target, container: String, after: Option<&Mark>) -> Result<Request, Failure> {
        let pair = |name: &str, value: String| (name.to_owned(), value);
        let mut other = vec![pair("container", container), pair("timestamps", "true".into())];
        if self.previous.unwrap_or(false) {
            other.push(pair("previous", "true".into()));
        }
        match (after.map(|after| &after.at), &self.since) {
            (Some(Moment { time: Some(_), text }), _) => other.push(pair("sinceTime", text.clone())),
            (_, Some(since)) => {
                other.push(pair("sinceSeconds", duration(since)?.as_secs().max(1).to_string()))
            }
            (_, None) => {}
        }
        let tail = self.tail.or((self.grep.is_none() && self.since.is_none()).then_some(USUAL_TAIL));
        // The last lines were chosen when the first page was made. Chosen again, they would not be those that follow.
        let goes_on = after.is_some_and(|after| after.at.time.is_some());
        if let Some(tail) = tail.filter(|_| !goes_on) {
            other.push(pair("tailLines", tail.to_string()));
        }
        let params = Params { other, ..Params::default() };
        Ok(Request { verb: Verb::Get, target: pod.subresource("log"), params, body: None })
    }
}

/// What is found in one container's log in the time that there is.
async fn one(ask: &Ask, request: Request, search: Search, by: Instant) -> Found {
    let by = by.min(Instant::now() + PATIENCE);
    match tokio::time::timeout_at(by, ask.client.stream(request)).await {
        Ok(Ok(chunks)) => search::read(chunks, search, by).await,
        Ok(Err(status)) => Found { end: End::Failed(Failure::from(status).message), ..Found::default() },
        Err(_) => Found { end: End::Late, ..Found::default() },
    }
}

/// The answer of what was found, in the order in which it was written.
fn told(found: Vec<(String, Found)>, left_out: usize, after: Option<&Mark>) -> Result<Answer, Failure> {
    let (problems, horizon) = (problems(&found, after), horizon(&found, after));
    let has_lines = found.iter().any(|(_, found)| !found.lines.is_empty());
    if let (Some(first), true) =
        (problems.first(), !has_lines && problems.len() == found.len() && horizon.is_none())
    {
        let is_late = found.iter().any(|(_, found)| matches!(found.end, End::Late));
        let code = if is_late { Code::TimedOut } else { Code::NotFound };
        return Err(Failure::new(code, first.as_str())
            .fix("call `diagnose` on the pod; a container that has not started has no log"));
    }
    let lines = found.into_iter().flat_map(|(from, found)| {
        found.lines.into_iter().map(move |line| (line.at, format!("{} {from} {}", line.seconds, line.text)))
    });
    let mut lines: Vec<(Moment, String)> =
        lines.filter(|(at, _)| horizon.as_ref().is_none_or(|end| at < end)).collect();
    lines.sort_by(|(a, _), (b, _)| a.cmp(b));
    let (mut items, mut marks) = (Vec::new(), Vec::<String>::new());
    let (mut given, mut bytes) = (0, 0);
    let mut last: Option<Moment> = None;
    for (at, shown) in lines {
        given = if last.as_ref() == Some(&at) { given + 1 } else { 1 };
        if !after.is_some_and(|after| after.at == at && given <= after.given) {
            bytes += shown.len();
            items.push(json!(shown));
            marks.push(Mark { at: at.clone(), given }.to_string());
        }
        // No answer has room for more, so that its cursor leads to the rest.
        if bytes > search::ENOUGH_BYTES {
            break;
        }
        last = Some(at);
    }
    let mut head = json!({"untrusted": UNTRUSTED});
    if !problems.is_empty() {
        head["problems"] = problems.into();
    }
    if left_out > 0 {
        head["containers_left_out"] = left_out.into();
    }
    let next = horizon.map(|at| Mark { at, given: 0 }.to_string());
    Ok(Answer::of(head).list("lines", items).marked(marks).page(None, next))
}

/// Where the answer must end because a log was not read further in time: the next one begins there.
fn horizon(found: &[(String, Found)], after: Option<&Mark>) -> Option<Moment> {
    let late = found.iter().filter(|(_, found)| matches!(found.end, End::Late));
    let ends = late.filter_map(|(_, found)| found.until.clone());
    ends.filter(|end| end.time.is_some() && after.is_none_or(|after| *end > after.at)).min()
}

/// What is not in the answer, and why.
fn problems(found: &[(String, Found)], after: Option<&Mark>) -> Vec<String> {
    let seconds = PATIENCE.as_secs();
    let of = |(from, found): &(String, Found)| match (&found.end, &found.until) {
        (End::Failed(message), _) => Some(format!("{from}: {message}")),
        (End::Late, Some(until)) if after.is_none_or(|after| *until > after.at) => Some(format!(
            "{from}: read only until {}, because it took longer than {seconds} s; `cursor` reads on from there",
            until.text
        )),
        (End::Late, _) => {
            Some(format!("{from}: nothing came within {seconds} s; ask for it alone (`container`)"))
        }
        (End::Full, _) if after.is_some_and(|after| found.is_what_was_given(after)) => {
            Some(format!("{from}: too many lines of one moment to go through; narrow them with `grep`"))
        }
        (End::Full | End::Whole, _) => None,
    };
    found.iter().filter_map(of).collect()
}

/// What of a pod is needed to read its logs.
struct Pod {
    namespace: String,
    name: String,
    containers: Vec<String>,
}

impl Pod {
    fn of(pod: &Value) -> Self {
        let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
        Self {
            namespace: pod.namespace().to_owned(),
            name: pod.name().to_owned(),
            containers: containers.map(|container| container.text(&["name"]).to_owned()).collect(),
        }
    }
}

/// The containers whose logs an answer is made of, each with what it is called there; and how many more there are.
fn chosen<'p>(pods: &'p [Pod], wanted: Option<&str>) -> (Vec<(String, &'p Pod, String)>, usize) {
    let named = |pod: &'p Pod, container: String| match pods.len() {
        1 => (container.clone(), pod, container),
        _ => (format!("{}/{container}", pod.name), pod, container),
    };
    let containers =
        |pod: &Pod| wanted.map_or_else(|| pod.containers.clone(), |wanted| vec![wanted.to_owned()]);
    let all = pods.iter().flat_map(|pod| containers(pod).into_iter().map(move |name| named(pod, name)));
    let mut all: Vec<_> = all.collect();
    let left_out = all.len().saturating_sub(MOST_CONTAINERS);
    all.truncate(MOST_CONTAINERS);
    (all, left_out)
}
