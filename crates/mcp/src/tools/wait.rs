//! `wait`: until an object is as it should be, without asking again and again.

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use orch_api::{JsonPath, Object as _, Params, Request, Target, Verb, watch_states};
use orch_client::Accept;
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde_json::{Value, json};

use super::args::{self, ArgKind, MAX_TOKENS, NAMESPACE, may, must};
use super::{Effect, Entry};
use crate::answer::Answer;
use crate::ask::Ask;
use crate::failure::{Code, Failure, MAYBE_UNTRUSTED};

const USUAL_SECONDS: u64 = 30;
const MOST_SECONDS: u64 = 300;

pub(super) const WAIT: Entry = Entry {
    name: "wait",
    about: "Wait until an object has a condition or value, exists, or is gone.",
    effect: Effect::Reads,
    takes: &[
        must("kind", ArgKind::Text, ""),
        must("name", ArgKind::Text, ""),
        NAMESPACE,
        must("for", ArgKind::Text, "Available, Ready=False, status.phase=Running, create, delete"),
        may("timeout_seconds", ArgKind::Number, "30; at most 300"),
        MAX_TOKENS,
    ],
    gives: &[("met", "boolean"), ("seconds", "number"), ("conditions", "array"), ("untrusted", "string")],
    run: |ask, arguments, _| Box::pin(wait(ask, arguments)),
};

#[derive(Deserialize)]
struct Wait {
    kind: String,
    name: String,
    namespace: Option<String>,
    r#for: String,
    timeout_seconds: Option<u64>,
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Goal {
    Created,
    Deleted,
    Condition { name: String, status: String },
    Value { path: JsonPath, value: String },
}

async fn wait(ask: &Ask, arguments: JsonObject) -> Result<Answer, Failure> {
    let Wait { kind, name, namespace, r#for, timeout_seconds } = args::read(arguments)?;
    let goal = Goal::parse(&r#for)?;
    let target = ask.object(&kind, &name, namespace.as_deref()).await?;
    let timeout = Duration::from_secs(timeout_seconds.unwrap_or(USUAL_SECONDS).min(MOST_SECONDS));
    let began = Instant::now();
    match tokio::time::timeout(timeout, until(ask, &target, &goal)).await {
        Ok(object) => {
            let conditions = object?.map(|object| conditions(&object)).unwrap_or_default();
            let seconds = (began.elapsed().as_secs_f64() * 10.0).round() / 10.0;
            let head = json!({"met": true, "seconds": seconds, "untrusted": MAYBE_UNTRUSTED});
            Ok(Answer::of(head).list("conditions", conditions).once())
        }
        Err(_) => {
            let seen = ask.find(target).await?.map(|object| conditions(&object)).unwrap_or_default();
            let message = format!("{kind} {name} did not reach {} in {} s", r#for, timeout.as_secs());
            Err(Failure::new(Code::TimedOut, message).seen(seen.into()))
        }
    }
}

/// Follows an object until it is as it should be; the object as it then was.
async fn until(ask: &Ask, target: &Target, goal: &Goal) -> Result<Option<Value>, Failure> {
    let name = target.name.clone().unwrap_or_default();
    let collection = Target { name: None, ..target.clone() };
    let params = Params { field_selector: Some(format!("metadata.name={name}")), ..Params::default() };
    loop {
        let mut listed = ask.page(collection.clone(), params.clone(), Accept::Json).await?;
        let object = listed.items.pop();
        if goal.is_met(object.as_ref()) {
            return Ok(object);
        }
        if object.is_none() && *goal != Goal::Created {
            return Err(
                Failure::new(Code::NotFound, format!("there is no {name:?}")).fix("wait for create first")
            );
        }
        let params = Params { resource_version: Some(listed.revision), ..params.clone() };
        let request = Request { verb: Verb::Watch, target: collection.clone(), params, body: None };
        if let Some(object) = follow(ask, request, goal).await? {
            return Ok(object);
        }
    }
}

/// None if the watch ended first: then it is time to look again.
async fn follow(ask: &Ask, request: Request, goal: &Goal) -> Result<Option<Option<Value>>, Failure> {
    let mut states = watch_states(&ask.client, request).await?;
    while let Some(object) = states.next().await {
        let object = object?;
        if goal.is_met(object.as_ref()) {
            return Ok(Some(object));
        }
        if object.is_none() && *goal != Goal::Created {
            return Err(Failure::new(Code::NotFound, "the object was deleted meanwhile"));
        }
    }
    Ok(None)
}

impl Goal {
    fn parse(text: &str) -> Result<Self, Failure> {
        let text = text.trim().trim_start_matches("condition=");
        let (what, value) = text.split_once('=').map_or((text, None), |(what, value)| (what, Some(value)));
        Ok(match (what, value) {
            ("create", None) => Self::Created,
            ("delete", None) => Self::Deleted,
            (path, Some(value)) if path.contains('.') => {
                Self::Value { path: args::path(path)?, value: value.to_owned() }
            }
            (name, value) if !name.is_empty() && !name.contains('.') => {
                Self::Condition { name: name.to_owned(), status: value.unwrap_or("True").to_owned() }
            }
            _ => {
                return Err(Failure::argument(format!("{text:?} is nothing to wait for"))
                    .fix("write a condition's type, path=value, create or delete"));
            }
        })
    }

    fn is_met(&self, object: Option<&Value>) -> bool {
        let Some(object) = object else { return *self == Self::Deleted };
        match self {
            Self::Created => true,
            Self::Deleted => false,
            Self::Condition { name, status } => {
                let conditions = object["status"]["conditions"].as_array();
                conditions.into_iter().flatten().any(|condition| {
                    condition.text(&["type"]).eq_ignore_ascii_case(name)
                        && condition.text(&["status"]).eq_ignore_ascii_case(status)
                        && is_current(object, condition)
                })
            }
            Self::Value { path, value } => path.values(object).into_iter().any(|found| {
                let text = found.as_str().map_or_else(|| found.to_string(), str::to_owned);
                text == *value
            }),
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

fn conditions(object: &Value) -> Vec<Value> {
    let conditions = object["status"]["conditions"].as_array();
    let told = |condition: &Value| {
        let words = ["type", "status", "reason", "message"].map(|name| (name, condition.text(&[name])));
        let said = words.into_iter().filter(|(_, text)| !text.is_empty());
        Value::Object(said.map(|(name, text)| (name.to_owned(), text.into())).collect())
    };
    conditions.into_iter().flatten().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goals_are_met_by_what_they_say() {
        let pod = json!({"metadata": {"generation": 2}, "status": {"phase": "Running", "replicas": 3, "conditions": [
            {"type": "Ready", "status": "True"}, {"type": "Old", "status": "True", "observedGeneration": 1}]}});
        for (goal, met) in [
            ("Ready", true),
            ("condition=ready", true),
            ("Ready=False", false),
            ("Old", false),
            ("status.phase=Running", true),
            ("status.replicas=3", true),
            ("status.phase=Failed", false),
            ("create", true),
            ("delete", false),
        ] {
            assert_eq!(Goal::parse(goal).unwrap().is_met(Some(&pod)), met, "{goal}");
        }
        assert!(Goal::parse("delete").unwrap().is_met(None));
        assert!(Goal::parse("status.phase").is_err());
    }
}
