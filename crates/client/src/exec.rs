//! Running a command in a container, or taking part in what its own process does: WebSockets with Kubernetes' channel protocol, `v5.channel.k8s.io`.
//!
//! Each binary message begins with a byte that names its channel: 0 standard input, 1 standard output, 2 standard error,
//! 3 the outcome as a [`Status`], 4 the size of the terminal, 255 the end of another channel.

use std::io::ErrorKind;
use std::sync::Arc;

use bytes::{BufMut as _, Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{SinkExt, StreamExt};
use orch_api::{Status, Target};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::Message;

use crate::socket::{self, Socket};
use crate::{HttpClient, unreachable};

const PROTOCOL: &str = "v5.channel.k8s.io";
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const OUTCOME: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;
const CHUNK_BYTES: usize = 32 << 10;
/// As shells count: 128 and the signal's number.
const ENDED_BY_SIGPIPE: i32 = 128 + 13;

/// What to run, and where.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// The container; none: the pod's only or default one.
    pub container: Option<String>,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// Whether standard input is passed on.
    pub stdin: bool,
    /// Whether the command runs on a terminal; its standard error is then part of its standard output.
    pub tty: bool,
}

/// The size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Characters in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// What is passed on between the command and whoever runs it.
pub struct Streams<I, O, E> {
    /// What the command reads; none: nothing.
    pub stdin: Option<I>,
    /// Where what it writes goes.
    pub stdout: O,
    /// Where its complaints go.
    pub stderr: E,
    /// The sizes that the terminal takes on, the first one at once.
    pub sizes: BoxStream<'static, TerminalSize>,
}

impl<I, O, E> Streams<I, O, E> {
    /// Streams without a terminal.
    pub fn new(stdin: Option<I>, stdout: O, stderr: E) -> Self {
        Self { stdin, stdout, stderr, sizes: stream::empty().boxed() }
    }
}

/// A command that is running in a container.
pub struct Exec {
    socket: Socket,
    server: Arc<str>,
    /// Whether the other end answers whatever happens: it does not while input is waiting before it that the command does not
    /// read. What people type does not fill it up.
    is_heard: bool,
}

impl HttpClient {
    /// Starts a command in a container of a pod. `pod` names the pod itself.
    ///
    /// # Errors
    /// As [`orch_api::Client::send`]: no such pod or container, not allowed, no server.
    pub async fn exec(&self, pod: Target, options: &ExecOptions) -> Result<Exec, Status> {
        self.run_over(pod.subresource("exec"), options).await
    }

    /// Takes part in what a container's own process reads and writes: `command` means nothing. It has no exit code: it ends with
    /// 0 when the container has ended, or, where others may attach after us, when the input has.
    ///
    /// # Errors
    /// As [`orch_api::Client::send`]: no such pod or container, not allowed, no server.
    pub async fn attach(&self, pod: Target, options: &ExecOptions) -> Result<Exec, Status> {
        self.run_over(pod.subresource("attach"), options).await
    }

    async fn run_over(&self, target: Target, options: &ExecOptions) -> Result<Exec, Status> {
        let socket = self.websocket(&target, &query(options), PROTOCOL).await?;
        Ok(Exec { socket, server: self.server.clone(), is_heard: options.tty || !options.stdin })
    }
}

fn query(options: &ExecOptions) -> Vec<(&'static str, &str)> {
    let mut query: Vec<_> = options.command.iter().map(|word| ("command", word.as_str())).collect();
    query.extend(options.container.as_deref().map(|container| ("container", container)));
    query.extend(options.stdin.then_some(("stdin", "true")));
    query.push(("stdout", "true"));
    query.push(if options.tty { ("tty", "true") } else { ("stderr", "true") });
    query
}

impl Exec {
    /// Passes input and output on until the command has ended, and answers with its exit code. Input that the command
    /// does not wait for is dropped. If nobody reads the output any more, the connection ends, and the answer is the code
    /// of a command that SIGPIPE has ended, 141.
    ///
    /// # Errors
    /// The command could not be started, or the connection broke off, perhaps without a word.
    pub async fn run<I, O, E>(self, streams: Streams<I, O, E>) -> Result<i32, Status>
    where
        I: AsyncRead + Unpin + Send,
        O: AsyncWrite + Unpin + Send,
        E: AsyncWrite + Unpin + Send,
    {
        let Streams { stdin, mut stdout, mut stderr, sizes } = streams;
        let (sink, mut messages) = self.socket.split();
        let mut next = async || match self.is_heard {
            true => tokio::time::timeout(socket::PATIENCE, messages.next()).await,
            false => Ok(messages.next().await),
        };
        let output = async {
            while let Some(message) = next().await.map_err(|_| socket::silent(&self.server))? {
                let frame = match message {
                    Ok(Message::Binary(frame)) => frame,
                    Ok(Message::Close(_)) => break,
                    Ok(_) => continue,
                    Err(error) => return Err(unreachable::cut_off(&self.server, &error)),
                };
                let written = match frame.split_first() {
                    Some((&STDOUT, bytes)) => write(&mut stdout, bytes).await,
                    Some((&STDERR, bytes)) => write(&mut stderr, bytes).await,
                    Some((&OUTCOME, bytes)) => return exit_code(bytes),
                    _ => continue,
                };
                match written {
                    Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ENDED_BY_SIGPIPE),
                    written => written.map_err(|error| {
                        Status::internal(format!("cannot write the command's output: {error}"))
                    })?,
                }
            }
            Err(Status::unavailable(format!(
                "the connection to {} ended before the command did",
                self.server
            )))
        };
        tokio::select! {
            outcome = output => outcome,
            () = send_input(sink, stdin, sizes) => Err(Status::internal("the input ended the command")),
        }
    }
}

/// Passes input and sizes on; never ends, for the command goes on without.
async fn send_input(
    mut sink: impl futures::Sink<Message> + Unpin,
    stdin: Option<impl AsyncRead + Unpin>,
    sizes: BoxStream<'static, TerminalSize>,
) {
    let sizes = sizes.map(|TerminalSize { columns, rows }| {
        let size = format!("{{\"Width\":{columns},\"Height\":{rows}}}");
        Message::Binary(Bytes::from([&[RESIZE], size.as_bytes()].concat()))
    });
    let input = stream::unfold(stdin, |stdin| async move {
        let mut stdin = stdin?;
        match read_chunk(&mut stdin).await {
            Some(chunk) => Some((Message::Binary(chunk), Some(stdin))),
            None => Some((Message::Binary(Bytes::from_static(&[CLOSE, STDIN])), None)),
        }
    });
    let mut messages = std::pin::pin!(stream::select(stream::select(sizes, input), socket::pings()));
    while let Some(message) = messages.next().await {
        // The command may have ended by now, and the socket with it.
        if sink.send(message).await.is_err() {
            break;
        }
    }
    std::future::pending().await
}

/// The next bytes of the input behind their channel's number; none at the end.
async fn read_chunk(stdin: &mut (impl AsyncRead + Unpin)) -> Option<Bytes> {
    let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
    chunk.put_u8(STDIN);
    match stdin.read_buf(&mut chunk).await {
        Ok(1..) => Some(chunk.freeze()),
        Ok(0) | Err(_) => None,
    }
}

async fn write(output: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    output.write_all(bytes).await?;
    output.flush().await
}

/// Reads the outcome: success is 0, and a failure may name the command's exit code among its causes.
fn exit_code(bytes: &[u8]) -> Result<i32, Status> {
    let status: Status = serde_json::from_slice(bytes)
        .map_err(|error| Status::internal(format!("the command's outcome cannot be read: {error}")))?;
    if status.status == "Success" {
        return Ok(0);
    }
    let causes = status.details.iter().flat_map(|details| &details.causes);
    match causes.filter(|cause| cause.reason == "ExitCode").find_map(|cause| cause.message.parse().ok()) {
        Some(code) => Ok(code),
        None => Err(status),
    }
}
