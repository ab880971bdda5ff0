//! The tools: few, generic, and each one file. None knows a kind.
//!
//! A tool is an [`Entry`] of [`ALL`]: what it is called, what it takes, what it promises, and a function. Arguments are
//! checked against the table that the published schema is made of, so that what is published is what is taken.

mod args;
mod diagnose;
mod events;
mod exec;
mod explain;
mod logs;
mod plans;
mod read;
mod summary;
mod wait;
mod write;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use orch_api::{Params, Target};
use orch_client::Accept;
use rmcp::model::{CallToolResult, ContentBlock, JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use crate::answer::{Answer, Page, budget_bytes, failed};
use crate::ask::Ask;
use crate::failure::{Code, Failure};
use args::Arg;
use summary::Columns;

/// What a tool does when it is called.
type Run = for<'a> fn(&'a Ask, JsonObject, &'a Page) -> BoxFuture<'a, Result<Answer, Failure>>;

/// A tool.
struct Entry {
    name: &'static str,
    about: &'static str,
    effect: Effect,
    takes: &'static [Arg],
    /// The fields of what it answers, and their types.
    gives: &'static [(&'static str, &'static str)],
    run: Run,
}

/// What calling a tool may do to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Reads,
    /// Makes something, and takes nothing away.
    Adds,
    /// May take something away; called twice does no more than once.
    Changes,
    /// Does whatever the arguments do.
    Anything,
}

const ALL: &[Entry] = &[
    read::GET,
    read::LIST,
    explain::KINDS,
    explain::EXPLAIN,
    events::EVENTS,
    logs::LOGS,
    diagnose::DIAGNOSE,
    wait::WAIT,
    write::APPLY,
    write::DELETE,
    plans::PLAN,
    plans::UNDO,
    plans::SIMULATE,
    plans::HISTORY,
    exec::EXEC,
];

impl Effect {
    fn annotations(self) -> ToolAnnotations {
        let hints = ToolAnnotations::new().open_world(false);
        match self {
            Self::Reads => hints.read_only(true),
            Self::Adds => hints.read_only(false).destructive(false),
            Self::Changes => hints.read_only(false).destructive(true).idempotent(true),
            Self::Anything => ToolAnnotations::new().read_only(false).destructive(true).open_world(true),
        }
    }
}

impl Entry {
    fn tool(&self) -> Tool {
        Tool::new(self.name, self.about, Arc::new(args::input_schema(self.takes)))
            .with_raw_output_schema(Arc::new(args::output_schema(self.gives)))
            .with_annotations(self.effect.annotations())
    }
}

/// The tools as they are published.
pub(crate) fn published(may_exec: bool) -> Vec<Tool> {
    ALL.iter().filter(|entry| may_exec || entry.name != exec::EXEC.name).map(Entry::tool).collect()
}

/// Calls a tool. What goes wrong is an answer too, for the model to read; only a tool that there is not is none.
pub(crate) async fn call(ask: &Ask, name: &str, arguments: JsonObject) -> Option<CallToolResult> {
    let entry = ALL.iter().find(|entry| entry.name == name)?;
    let max_tokens = arguments.get("max_tokens").and_then(args::whole);
    let max_tokens = max_tokens.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let answered = match caught(name, run(ask, entry, arguments, max_tokens)).await {
        Ok(answer) => (answer, false),
        Err(failure) => (failed(&failure, budget_bytes(name, max_tokens)), true),
    };
    Some(result(answered))
}

/// What comes of something, though it may panic: then it is that alone that has failed.
pub(crate) async fn caught<T>(
    what: &str,
    outcome: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    AssertUnwindSafe(outcome).catch_unwind().await.unwrap_or_else(|panic| {
        let texts =
            [panic.downcast_ref::<&str>().copied(), panic.downcast_ref::<String>().map(String::as_str)];
        let why = texts.into_iter().flatten().next().unwrap_or("for no reason that it gave");
        tracing::error!(what, why, "an answer to an agent has panicked");
        Err(Failure::internal("the server has failed in the middle of this"))
    })
}

async fn run(
    ask: &Ask,
    entry: &Entry,
    mut arguments: JsonObject,
    max_tokens: Option<usize>,
) -> Result<Value, Failure> {
    args::check(entry.takes, &mut arguments)?;
    arguments.remove("max_tokens");
    let cursor = arguments.remove("cursor");
    let page = Page::read(entry.name, max_tokens, cursor.as_ref().and_then(Value::as_str))?;
    let answer = (entry.run)(ask, arguments, &page).await?;
    answer.cut(entry.name, &page)
}

/// The same twice: for programs, and as text for clients that know no better.
fn result((value, failed): (Value, bool)) -> CallToolResult {
    let text = vec![ContentBlock::text(value.to_string())];
    let mut result = if failed { CallToolResult::error(text) } else { CallToolResult::success(text) };
    result.structured_content = Some(value);
    result
}

/// Objects of a kind, counted by the values of their columns.
pub(crate) async fn summarized(ask: &Ask, kind: &str) -> Result<Value, Failure> {
    let target = ask.kind(kind).await?.collection(None);
    let (columns, more) = counted(ask, &target, &Params::default()).await?;
    Ok(json!({"total": columns.total, "more": more, "by": columns.told()}))
}

/// The rows of a collection counted by the values of their columns. True if there are more.
async fn counted(ask: &Ask, target: &Target, params: &Params) -> Result<(Columns, bool), Failure> {
    let mut columns = Columns::default();
    let more = ask.each(target, params, Accept::Table, summary::MOST, |row| columns.add(&row)).await?;
    Ok((columns, more))
}

/// The failure of a tool that is switched off.
fn disabled(tool: &str, switch: &str) -> Failure {
    Failure::new(Code::Disabled, format!("`{tool}` is switched off on this server"))
        .fix(format!("an administrator can switch it on with {switch}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fewer bytes to a token than any tokenizer was seen to need for JSON schemas.
    const BYTES_PER_TOKEN: f64 = 3.5;

    #[test]
    fn all_schemas_together_take_less_than_3000_tokens() {
        let published = serde_json::to_string(&published(true)).unwrap();
        let tokens = published.len() as f64 / BYTES_PER_TOKEN;
        assert!(tokens < 3_000.0, "{tokens} tokens ({} bytes)", published.len());
    }

    #[test]
    fn every_tool_says_what_it_takes_gives_and_does() {
        for tool in published(true) {
            assert_eq!(tool.input_schema["type"], "object", "{}", tool.name);
            assert_eq!(tool.output_schema.as_ref().unwrap()["type"], "object", "{}", tool.name);
            assert!(tool.annotations.as_ref().unwrap().read_only_hint.is_some(), "{}", tool.name);
        }
    }

    #[tokio::test]
    async fn what_panics_is_answered() {
        let panics = async { if published(true).is_empty() { Ok(()) } else { panic!("out of time") } };
        assert_eq!(caught("events", panics).await.unwrap_err().code, Code::Internal);
        assert_eq!(caught("events", async { Ok(1) }).await, Ok(1));
    }

    #[test]
    fn what_is_done_is_not_done_again_for_the_rest_of_the_answer() {
        let is_repeatable = |entry: &&Entry| matches!(entry.effect, Effect::Changes | Effect::Anything);
        for entry in ALL.iter().filter(is_repeatable) {
            assert!(entry.takes.iter().all(|arg| arg.name != "cursor"), "{}", entry.name);
        }
    }

    #[test]
    fn commands_are_run_only_where_that_is_switched_on() {
        let has_exec = |may_exec| published(may_exec).iter().any(|tool| tool.name == "exec");
        assert!(has_exec(true) && !has_exec(false));
    }
}
