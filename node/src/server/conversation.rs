//! What a process and a client say to each other over a WebSocket, in Kubernetes' channel protocol.

use std::{io, pin::Pin, time::Duration};

use axum::{
    body::Bytes,
    extract::{
        WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, close_code, rejection::WebSocketUpgradeRejection},
    },
};
use futures::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use orch_api::Status;
use orch_runtime::TerminalSize;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::{Mutex, mpsc},
};

use super::{
    Failure,
    channels::{self, Input, PROTOCOLS},
};

const BLOCK_BYTES: usize = 32 << 10;
/// How often a client is looked for whose input the process does not take: it is not read any further meanwhile.
const LOOK_FOR_CLIENT: Duration = Duration::from_secs(1);

/// The upgrade, if it is one to a WebSocket with a protocol that is served. `what` is the subresource.
pub(super) fn accept(
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    what: &str,
) -> Result<WebSocketUpgrade, Failure> {
    let upgrade = upgrade.map_err(|_| {
        let message = format!(
            "{what} is served over WebSocket only, with sub-protocol v5.channel.k8s.io or v4.channel.k8s.io"
        );
        Status::bad_request(message)
    })?;
    let upgrade = upgrade.protocols(PROTOCOLS);
    if upgrade.selected_protocol().is_none() {
        let message =
            format!("none of the sub-protocols asked for is served, which are: {}", PROTOCOLS.join(", "));
        return Err(Status::bad_request(message).into());
    }
    Ok(upgrade)
}

/// The streams that a client wants to take part in, as the query says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Whose, if it is said.
    pub(super) container: Option<String>,
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
}

impl Wanted {
    /// # Errors
    /// 400 if no stream is wanted.
    pub(super) fn parse(query: &[(String, String)]) -> Result<Self, Status> {
        let mut wanted = Self::default();
        for (name, value) in query {
            match name.as_str() {
                "container" => wanted.container = Some(value.clone()).filter(|name| !name.is_empty()),
                "stdin" => wanted.stdin = is_true(value),
                "stdout" => wanted.stdout = is_true(value),
                "stderr" => wanted.stderr = is_true(value),
                _ => {}
            }
        }
        if !(wanted.stdin || wanted.stdout || wanted.stderr) {
            return Err(Status::bad_request("you must specify at least 1 of stdin, stdout, stderr"));
        }
        Ok(wanted)
    }
}

/// A boolean of a query, as Kubernetes reads it.
pub(super) fn is_true(value: &str) -> bool {
    matches!(value, "true" | "True" | "TRUE" | "t" | "T" | "1")
}

/// What goes to the client.
pub(super) struct Output(Mutex<SplitSink<WebSocket, Message>>);

impl Output {
    pub(super) fn new(sink: SplitSink<WebSocket, Message>) -> Self {
        Self(Mutex::new(sink))
    }

    async fn send(&self, message: Vec<u8>) -> Result<(), axum::Error> {
        self.0.lock().await.send(Message::Binary(message.into())).await
    }

    /// Returns once the client is gone.
    async fn gone(&self) {
        loop {
            tokio::time::sleep(LOOK_FOR_CLIENT).await;
            if self.0.lock().await.send(Message::Ping(Bytes::new())).await.is_err() {
                return;
            }
        }
    }

    /// A close frame without a code is an error to kubectl.
    async fn close(&self) {
        let normal = CloseFrame { code: close_code::NORMAL, reason: Utf8Bytes::default() };
        self.0.lock().await.send(Message::Close(Some(normal))).await.unwrap_or_default();
    }

    /// The last message, and the end. A client that is gone needs neither.
    pub(super) async fn last(&self, message: Vec<u8>) {
        self.send(message).await.unwrap_or_default();
        self.close().await;
    }

    /// Sends a stream until it ends. Reads it in any case: the process would block otherwise.
    pub(super) async fn pump(
        &self,
        channel: u8,
        mut stream: Pin<Box<dyn AsyncRead + Send>>,
        mut is_wanted: bool,
    ) -> io::Result<()> {
        let mut block = vec![0; BLOCK_BYTES];
        loop {
            let read = stream.read(&mut block).await?;
            let Some(data @ [_, ..]) = block.get(..read) else { return Ok(()) };
            // A client that is gone ends the conversation elsewhere.
            is_wanted = is_wanted && self.send(channels::message(channel, data)).await.is_ok();
        }
    }
}

/// Who has nothing more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// The client is gone.
    Client,
    /// Its input has ended, and it need not stay without.
    Input,
}

/// Passes on what the client sends. Returns when it is gone, or, unless it `stays` then, when its input has ended.
pub(super) async fn input(
    mut stream: SplitStream<WebSocket>,
    mut stdin: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    resize: Option<mpsc::Sender<TerminalSize>>,
    stays: bool,
    output: &Output,
) -> Left {
    while let Some(Ok(message)) = stream.next().await {
        let data = match &message {
            Message::Binary(data) => channels::read(data),
            Message::Close(_) => return Left::Client,
            _ => Input::Other,
        };
        match data {
            Input::Stdin(data) => {
                let Some(open) = &mut stdin else { continue };
                let written = async {
                    open.write_all(data).await?;
                    open.flush().await
                };
                let written = tokio::select! {
                    written = written => written,
                    () = output.gone() => return Left::Client,
                };
                // The process does not read any more, and may well go on.
                if written.is_err() {
                    stdin = None;
                }
            }
            Input::EndOfStdin if stays => stdin = None,
            Input::EndOfStdin => return Left::Input,
            Input::Resize(size) => {
                if let Some(resize) = &resize {
                    // Only the latest size matters, and there will be another.
                    let _ = resize.try_send(size);
                }
            }
            Input::Other => {}
        }
    }
    Left::Client
}

#[cfg(test)]
mod tests {
    use axum::{Router, routing::any};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_tungstenite::tungstenite;

    use super::*;

    #[tokio::test]
    async fn a_client_that_goes_is_missed_although_its_input_is_not_taken() {
        let (tell, mut told) = mpsc::channel(1);
        let serve = |upgrade: WebSocketUpgrade| async move {
            upgrade.on_upgrade(async move |socket| {
                let (sink, stream) = socket.split();
                let (stdin, _process_that_reads_nothing) = tokio::io::duplex(1);
                let left = input(stream, Some(Box::pin(stdin)), None, true, &Output::new(sink)).await;
                tell.send(left).await.unwrap();
            })
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, Router::new().route("/", any(serve))).into_future());
        let stream = TcpStream::connect(address).await.unwrap();
        let url = format!("ws://{address}/");
        let (mut client, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        client.send(tungstenite::Message::Binary(vec![0; 100].into())).await.unwrap();
        drop(client);
        let left = tokio::time::timeout(Duration::from_secs(30), told.recv()).await.unwrap();
        assert_eq!(left, Some(Left::Client));
    }
}
