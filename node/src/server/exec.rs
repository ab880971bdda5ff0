//! `GET …/exec`: a process inside a container over a WebSocket.

use std::time::Duration;

use axum::{
    extract::{
        Path, RawQuery, State, WebSocketUpgrade,
        ws::{WebSocket, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use futures::{StreamExt, stream::SplitStream};
use orch_api::{Reason, Status};
use orch_runtime::{ContainerId, ExecRequest, ExecSession, RuntimeError, TerminalSize};
use tokio::time::timeout;

use super::{
    Failure, Server,
    channels::{self, STDERR, STDOUT},
    containers::choose,
    conversation::{Output, Wanted, accept, input, is_true},
    pairs,
};
use crate::{agent::chain, plan::is_running};

/// How long output is waited for that others than the process itself still may write.
const DRAIN: Duration = Duration::from_secs(5);
/// Until the client says what size its terminal has.
const TERMINAL: TerminalSize = TerminalSize { columns: 80, rows: 24 };

pub(super) async fn exec(
    State(server): State<Server>,
    Path((namespace, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    let asked = Asked::parse(&pairs(query.as_deref()))?;
    let pod = server.pod(&namespace, &name)?;
    let container = choose(&pod, asked.streams.container.as_deref())?;
    let seen = server.seen(&pod.metadata.uid);
    let run = seen.run(container).filter(|run| is_running(run));
    let Some(run) = run.map(|run| run.id.clone()) else {
        return Err(Status::failure(Reason::NotFound, format!("container not found ({container:?})")).into());
    };
    let upgrade = accept(upgrade, "exec")?;
    Ok(upgrade.on_upgrade(move |socket| serve(server, run, asked, socket)))
}

/// The query.
#[derive(Debug)]
struct Asked {
    streams: Wanted,
    command: Vec<String>,
    tty: bool,
}

impl Asked {
    fn parse(query: &[(String, String)]) -> Result<Self, Status> {
        let given = |name: &'static str| query.iter().filter(move |(given, _)| given == name);
        let command: Vec<String> = given("command").map(|(_, word)| word.clone()).collect();
        if command.is_empty() {
            return Err(Status::bad_request("you must specify at least 1 command for the container"));
        }
        let tty = given("tty").next_back().is_some_and(|(_, value)| is_true(value));
        Ok(Self { streams: Wanted::parse(query)?, command, tty })
    }
}

async fn serve(server: Server, run: ContainerId, asked: Asked, socket: WebSocket) {
    let request = ExecRequest {
        command: asked.command.clone(),
        stdin: asked.streams.stdin,
        terminal: asked.tty.then_some(TERMINAL),
    };
    let session = server.shared.runtime.exec(&run, request).await;
    let (sink, stream) = socket.split();
    let output = Output::new(sink);
    let last = match session {
        Err(error) => Some(failed(&error)),
        Ok(session) => converse(session, &asked, &output, stream).await,
    };
    // A client that is gone needs no last word.
    if let Some(last) = last {
        output.last(last).await;
    }
}

fn failed(error: &RuntimeError) -> Vec<u8> {
    channels::failed(&Status::internal(format!("error executing command in container: {}", chain(error))))
}

/// Carries streams both ways until the process ends or the client goes, which kills the process. Answers with what the client is to
/// be told in the end.
async fn converse(
    session: ExecSession,
    asked: &Asked,
    output: &Output,
    stream: SplitStream<WebSocket>,
) -> Option<Vec<u8>> {
    let ExecSession { stdin, stdout, stderr, resize, mut exit } = session;
    let mut pumps = std::pin::pin!(async {
        // A stream that breaks has ended.
        let _ = tokio::join!(
            output.pump(STDOUT, stdout, asked.streams.stdout),
            output.pump(STDERR, stderr, asked.streams.stderr)
        );
    });
    let process = async {
        let mut is_drained = false;
        let code = tokio::select! {
            code = &mut exit => code,
            () = &mut pumps => {
                is_drained = true;
                exit.await
            }
        };
        if !is_drained && timeout(DRAIN, pumps).await.is_err() {
            tracing::debug!("output is still open after the process ended; leaving it");
        }
        code
    };
    tokio::select! {
        code = process => Some(code.map_or_else(|error| failed(&error), channels::ended)),
        _ = input(stream, stdin, resize, true, output) => None,
    }
}
