//! `exec`: a command in a container. Off unless an administrator switches it on.

use std::time::Duration;

use orch_client::{ExecOptions, Streams};
use rmcp::model::JsonObject;
use serde::Deserialize;
use serde_json::json;

use super::args::{self, ArgKind, MAX_TOKENS, NAMESPACE, may, must};
use super::{Effect, Entry, disabled};
use crate::answer::Answer;
use crate::ask::Ask;
use crate::failure::{Code, Failure, UNTRUSTED};

const USUAL_SECONDS: u64 = 30;
const MOST_SECONDS: u64 = 300;
/// What is kept of each of a command's outputs.
const MOST_BYTES: usize = 1 << 20;

pub(super) const EXEC: Entry = Entry {
    name: "exec",
    about: "Run a command in a container of a pod, and return its output.",
    effect: Effect::Anything,
    takes: &[
        must("pod", ArgKind::Text, ""),
        must("command", ArgKind::Texts, "program and arguments; no shell"),
        NAMESPACE,
        may("container", ArgKind::Text, ""),
        may("timeout_seconds", ArgKind::Number, ""),
        MAX_TOKENS,
    ],
    gives: &[("exit_code", "integer"), ("output", "array"), ("left_out", "integer"), ("untrusted", "string")],
    run: |ask, arguments, _| Box::pin(exec(ask, arguments)),
};

#[derive(Deserialize)]
struct Exec {
    pod: String,
    command: Vec<String>,
    namespace: Option<String>,
    container: Option<String>,
    timeout_seconds: Option<u64>,
}

async fn exec(ask: &Ask, arguments: JsonObject) -> Result<Answer, Failure> {
    if !ask.may_exec {
        return Err(disabled("exec", "`orchd up --mcp-exec`, or `orchctl mcp --exec`"));
    }
    let Exec { pod, command, namespace, container, timeout_seconds } = args::read(arguments)?;
    if command.is_empty() {
        return Err(Failure::argument("`command` is empty"));
    }
    let target = ask.object("pods", &pod, namespace.as_deref()).await?;
    let options = ExecOptions { container, command, stdin: false, tty: false };
    let timeout = Duration::from_secs(timeout_seconds.unwrap_or(USUAL_SECONDS).min(MOST_SECONDS));
    let (mut stdout, mut stderr) = (Kept::default(), Kept::default());
    let running = async {
        let exec = ask.client.exec(target, &options).await?;
        exec.run(Streams::new(None::<tokio::io::Empty>, &mut stdout, &mut stderr)).await
    };
    let code = match tokio::time::timeout(timeout, running).await {
        Ok(code) => Some(code?),
        Err(_) => None,
    };
    let output: Vec<_> = stdout.lines("out").chain(stderr.lines("err")).collect();
    let Some(code) = code else {
        let message = format!("the command has not ended in {} s; it may run on", timeout.as_secs());
        return Err(Failure::new(Code::TimedOut, message).seen(output.into_iter().take(20).collect()));
    };
    let mut head = json!({"exit_code": code, "untrusted": UNTRUSTED});
    let lost = stdout.lost_bytes + stderr.lost_bytes;
    if lost > 0 {
        head["bytes_not_kept"] = lost.into();
    }
    Ok(Answer::of(head).list("output", output).once())
}

/// The beginning of what a command writes.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    /// How much has come after that.
    lost_bytes: usize,
}

impl Kept {
    fn lines(&self, stream: &'static str) -> impl Iterator<Item = serde_json::Value> {
        let text = String::from_utf8_lossy(&self.bytes).into_owned();
        let lines: Vec<_> = text.lines().map(|line| json!(format!("{stream}: {line}"))).collect();
        lines.into_iter()
    }
}

impl tokio::io::AsyncWrite for Kept {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        let room = MOST_BYTES.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
        self.lost_bytes += bytes.len() - room;
        std::task::Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }
}
