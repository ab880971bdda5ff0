//! `logs`: what containers have written, searched here rather than by whoever asks.

use bytes::BytesMut;
use futures::StreamExt as _;
use jiff::Timestamp;
use orch_api::{Object as _, Params, Request, Target, Verb};
use regex::Regex;
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde_json::{Value, json};

use super::args::{self, ArgKind, CURSOR, MAX_TOKENS, NAMESPACE, may, must};
use super::events::duration;
use super::{Effect, Entry};
use crate::answer::{Answer, Page};
use crate::ask::Ask;
use crate::failure::{Failure, UNTRUSTED};

/// The most that is read of one container's log for one answer.
const MOST_BYTES: usize = 16 << 20;
/// The most containers whose logs one answer is made of.
const MOST_CONTAINERS: usize = 50;
/// Lines of each container, unless the caller says otherwise or searches.
const USUAL_TAIL: u64 = 100;
/// The longest line that is shown.
const LONGEST_LINE_CHARS: usize = 2_000;

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

/// A line, and when and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    at: String,
    from: String,
    text: String,
}

async fn logs(ask: &Ask, arguments: JsonObject, page: &Page) -> Result<Answer, Failure> {
    let logs: Logs = args::read(arguments)?;
    let grep = logs.grep.as_deref().map(pattern).transpose()?;
    let kind = logs.name.split_once('/').map_or("pods", |(kind, _)| kind);
    let target = ask.object(kind, &logs.name, logs.namespace.as_deref()).await?;
    let pods = ask.behind(&target, "log").await?;
    if pods.is_empty() {
        let failure = Failure::new(crate::failure::Code::NotFound, format!("{} owns no pods", logs.name));
        return Err(failure.fix("call `diagnose` on it: it may say why"));
    }
    let after = page.place().and_then(Mark::parse);
    let (mut lines, mut problems, mut read) = (Vec::new(), Vec::new(), 0);
    for pod in &pods {
        for container in containers(pod, logs.container.as_deref()) {
            read += 1;
            if read > MOST_CONTAINERS {
                continue;
            }
            let from = if pods.len() > 1 { format!("{}/{container}", pod.name()) } else { container.clone() };
            let pod = ask.kind("pods").await?.collection(Some(pod.namespace())).named(pod.name());
            match one(ask, pod, &container, &logs, after.as_ref()).await {
                Ok(text) => lines.extend(
                    text.lines()
                        .map(|line| Line::read(line, &from))
                        .filter(|line| grep.as_ref().is_none_or(|grep| grep.is_match(&line.text))),
                ),
                Err(failure) => problems.push(json!(format!("{from}: {}", failure.message))),
            }
        }
    }
    if let (Some(first), true) = (problems.first(), lines.is_empty() && problems.len() == read) {
        return Err(Failure::new(crate::failure::Code::NotFound, first.as_str().unwrap_or_default())
            .fix("call `diagnose` on the pod; a container that has not started has no log"));
    }
    lines.sort_by(|a, b| a.at.cmp(&b.at));
    // Of a line that was given in part the rest is still to come.
    let after =
        after.map(|after| Mark { given: after.given - usize::from(page.is_within_an_item()), ..after });
    Ok(told(lines, problems, read.saturating_sub(MOST_CONTAINERS), after.as_ref()))
}

fn told(lines: Vec<Line>, problems: Vec<Value>, left_out: usize, after: Option<&Mark>) -> Answer {
    let skipped =
        after.map_or(0, |after| lines.iter().take_while(|line| line.at < after.at).count() + after.given);
    let (mut items, mut marks) = (Vec::new(), Vec::<String>::new());
    let mut mark = Mark { at: String::new(), given: 0 };
    for (number, line) in lines.iter().enumerate() {
        mark = if mark.at == line.at {
            Mark { given: mark.given + 1, ..mark }
        } else {
            Mark { at: line.at.clone(), given: 1 }
        };
        if number >= skipped {
            items.push(json!(line.shown()));
            marks.push(mark.to_string());
        }
    }
    let mut head = json!({"untrusted": UNTRUSTED});
    if !problems.is_empty() {
        head["problems"] = problems.into();
    }
    if left_out > 0 {
        head["containers_left_out"] = left_out.into();
    }
    Answer::of(head).list("lines", items).marked(marks)
}

/// One container's log with the times of its lines, the newest of it if it is too long.
async fn one(
    ask: &Ask,
    pod: Target,
    container: &str,
    logs: &Logs,
    after: Option<&Mark>,
) -> Result<String, Failure> {
    let pair = |name: &str, value: String| (name.to_owned(), value);
    let mut other = vec![pair("container", container.to_owned()), pair("timestamps", "true".into())];
    if logs.previous.unwrap_or(false) {
        other.push(pair("previous", "true".into()));
    }
    match (after, &logs.since) {
        (Some(after), _) => other.push(pair("sinceTime", after.at.clone())),
        (None, Some(since)) => {
            other.push(pair("sinceSeconds", duration(since)?.as_secs().max(1).to_string()))
        }
        (None, None) => {}
    }
    let tail = logs.tail.or((logs.grep.is_none() && logs.since.is_none()).then_some(USUAL_TAIL));
    if let (Some(tail), None) = (tail, after) {
        other.push(pair("tailLines", tail.to_string()));
    }
    let params = Params { other, ..Params::default() };
    let request = Request { verb: Verb::Get, target: pod.subresource("log"), params, body: None };
    let (mut chunks, mut text) = (ask.client.stream(request).await?, BytesMut::new());
    while let Some(chunk) = chunks.next().await {
        text.extend_from_slice(&chunk?);
        if text.len() > 2 * MOST_BYTES {
            drop(text.split_to(text.len() - MOST_BYTES));
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn containers(pod: &Value, wanted: Option<&str>) -> Vec<String> {
    if let Some(wanted) = wanted {
        return vec![wanted.to_owned()];
    }
    let containers = pod["spec"]["containers"].as_array();
    containers.into_iter().flatten().map(|container| container.text(&["name"]).to_owned()).collect()
}

/// An expression to search lines by; Rust's have no bad cases that take long.
fn pattern(text: &str) -> Result<Regex, Failure> {
    regex::RegexBuilder::new(text).size_limit(1 << 20).build().map_err(|error| {
        let first = error.to_string().lines().last().unwrap_or_default().to_owned();
        Failure::argument(format!("{text:?} is not a regular expression: {first}"))
    })
}

impl Line {
    fn read(line: &str, from: &str) -> Self {
        let (at, text) =
            line.split_once(' ').filter(|(at, _)| at.parse::<Timestamp>().is_ok()).unwrap_or(("", line));
        Self { at: at.to_owned(), from: from.to_owned(), text: text.to_owned() }
    }

    fn shown(&self) -> String {
        let seconds = self.at.get(..19).unwrap_or_default();
        let text = match self.text.char_indices().nth(LONGEST_LINE_CHARS) {
            Some((end, _)) => format!("{}… ({} bytes)", &self.text[..end], self.text.len()),
            None => self.text.clone(),
        };
        format!("{seconds} {} {text}", self.from)
    }
}

/// The last line that was given: when it was written, and how many of that time were given.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    at: String,
    given: usize,
}

impl Mark {
    fn parse(text: &str) -> Option<Self> {
        let (given, at) = text.split_once('@')?;
        let given = given.parse().ok().filter(|given| *given > 0)?;
        Some(Self { at: at.to_owned(), given })
    }
}

impl std::fmt::Display for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.given, self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_same_moment_are_given_once() {
        let line = |at: &str, text: &str| Line { at: at.into(), from: "c".into(), text: text.into() };
        let lines = vec![line("1", "a"), line("2", "b"), line("2", "c"), line("2", "d"), line("3", "e")];
        let shown = |after: Option<&Mark>| {
            let page = Page::read("logs", None, None).unwrap();
            told(lines.clone(), Vec::new(), 0, after).cut("logs", &page).unwrap()["lines"]
                .as_array()
                .unwrap()
                .len()
        };
        assert_eq!(shown(None), 5);
        assert_eq!(shown(Mark::parse("2@2").as_ref()), 2);
        assert_eq!(shown(Mark::parse("1@2").as_ref()), 3);
        assert_eq!(shown(Mark::parse("1@3").as_ref()), 0);
    }

    #[test]
    fn what_is_no_expression_is_said_to_be_none() {
        assert!(pattern("a|b").is_ok());
        assert!(pattern("(").unwrap_err().message.contains("not a regular expression"));
    }
}
