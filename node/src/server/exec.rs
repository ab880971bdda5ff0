//! `GET …/exec`: a process inside a container over a WebSocket.

use std::{pin::Pin, time::Duration};

use axum::{
    extract::{
        Path, RawQuery, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
    response::Response,
};
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use orch_api::{Reason, Status};
use orch_runtime::{ContainerId, ExecRequest, ExecSession, RuntimeError, TerminalSize};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{Mutex, mpsc},
    time::timeout,
};

use super::{
    Failure, Server,
    channels::{self, Input, PROTOCOLS, STDERR, STDOUT},
    containers::choose,
    pairs,
};
use crate::{agent::chain, plan::is_running};

/// How long output is waited for that others than the process itself still may write.
const DRAIN: Duration = Duration::from_secs(5);
const BLOCK_BYTES: usize = 32 << 10;
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
    let container = choose(&pod, asked.container.as_deref())?;
    let seen = server.seen(&pod.metadata.uid);
    let run = seen.run(container).filter(|run| is_running(run));
    let Some(run) = run.map(|run| run.id.clone()) else {
        return Err(Status::failure(Reason::NotFound, format!("container not found ({container:?})")).into());
    };
    let upgrade = upgrade.map_err(|_| {
        Status::bad_request(
            "exec is served over WebSocket only, with sub-protocol v5.channel.k8s.io or v4.channel.k8s.io",
        )
    })?;
    let upgrade = upgrade.protocols(PROTOCOLS);
    if upgrade.selected_protocol().is_none() {
        let message =
            format!("none of the sub-protocols asked for is served, which are: {}", PROTOCOLS.join(", "));
        return Err(Status::bad_request(message).into());
    }
    Ok(upgrade.on_upgrade(move |socket| serve(server, run, asked, socket)))
}

/// The query.
#[derive(Debug, Default)]
struct Asked {
    container: Option<String>,
    command: Vec<String>,
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
}

impl Asked {
    fn parse(query: &[(String, String)]) -> Result<Self, Status> {
        let mut asked = Self::default();
        let is_true = |value: &str| matches!(value, "true" | "True" | "TRUE" | "t" | "T" | "1");
        for (name, value) in query {
            match name.as_str() {
                "container" => asked.container = Some(value.clone()).filter(|name| !name.is_empty()),
                "command" => asked.command.push(value.clone()),
                "stdin" => asked.stdin = is_true(value),
                "stdout" => asked.stdout = is_true(value),
                "stderr" => asked.stderr = is_true(value),
                "tty" => asked.tty = is_true(value),
                _ => {}
            }
        }
        if asked.command.is_empty() {
            return Err(Status::bad_request("you must specify at least 1 command for the container"));
        }
        if !(asked.stdin || asked.stdout || asked.stderr) {
            return Err(Status::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
        }
        Ok(asked)
    }
}

async fn serve(server: Server, run: ContainerId, asked: Asked, socket: WebSocket) {
    let request = ExecRequest {
        command: asked.command.clone(),
        stdin: asked.stdin,
        terminal: asked.tty.then_some(TERMINAL),
    };
    let session = server.shared.runtime.exec(&run, request).await;
    let (sink, stream) = socket.split();
    let output = Output(Mutex::new(sink));
    let last = match session {
        Err(error) => Some(failed(&error)),
        Ok(session) => converse(session, &asked, &output, stream).await,
    };
    // A client that is gone needs no last word.
    if let Some(last) = last {
        output.send(last).await.unwrap_or_default();
        output.close().await;
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
        tokio::join!(output.pump(STDOUT, stdout, asked.stdout), output.pump(STDERR, stderr, asked.stderr));
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
        () = input(stream, stdin, resize) => None,
    }
}

/// What goes to the client.
struct Output(Mutex<SplitSink<WebSocket, Message>>);

impl Output {
    async fn send(&self, message: Vec<u8>) -> Result<(), axum::Error> {
        self.0.lock().await.send(Message::Binary(message.into())).await
    }

    /// A close frame without a code is an error to kubectl.
    async fn close(&self) {
        let normal = CloseFrame { code: close_code::NORMAL, reason: Utf8Bytes::default() };
        self.0.lock().await.send(Message::Close(Some(normal))).await.unwrap_or_default();
    }

    /// Sends a stream until it ends. Reads it in any case: the process would block otherwise.
    async fn pump(&self, channel: u8, mut stream: Pin<Box<dyn AsyncRead + Send>>, mut is_wanted: bool) {
        let mut block = vec![0; BLOCK_BYTES];
        while let Ok(read @ 1..) = stream.read(&mut block).await {
            // A client that is gone ends the conversation elsewhere.
            is_wanted = is_wanted && self.send(channels::message(channel, &block[..read])).await.is_ok();
        }
    }
}

/// Passes on what the client sends. Returns when it is gone.
async fn input(
    mut stream: SplitStream<WebSocket>,
    mut stdin: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    resize: Option<mpsc::Sender<TerminalSize>>,
) {
    while let Some(Ok(message)) = stream.next().await {
        let data = match &message {
            Message::Binary(data) => channels::read(data),
            Message::Close(_) => return,
            _ => Input::Other,
        };
        match data {
            Input::Stdin(data) => {
                let Some(open) = &mut stdin else { continue };
                let written = async {
                    open.write_all(data).await?;
                    open.flush().await
                };
                // The process does not read any more, and may well go on.
                if written.await.is_err() {
                    stdin = None;
                }
            }
            Input::EndOfStdin => stdin = None,
            Input::Resize(size) => {
                if let Some(resize) = &resize {
                    // Only the latest size matters, and there will be another.
                    let _ = resize.try_send(size);
                }
            }
            Input::Other => {}
        }
    }
}
