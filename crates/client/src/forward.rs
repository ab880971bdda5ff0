//! Connections to ports of a pod, all over one WebSocket: SPDY in its messages, as Kubernetes has it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use orch_api::{Status, Target};
use orch_spdy::{Connection, Event, Headers, Reset};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::HttpClient;
use crate::socket::{self, Socket};

const PROTOCOL: &str = "SPDY/3.1+portforward.k8s.io";
const BLOCK_BYTES: usize = 32 << 10;
/// What waits for one local connection, before all others wait with it.
const PIECES_KEPT: usize = 32;
/// What all local connections together have for the pod.
const WISHES_KEPT: usize = 16;
const LONGEST_COMPLAINT_BYTES: usize = 16 << 10;

/// Why a connection to a port came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// There is no way to the pod any more: open another, or stop.
    #[error("lost connection to pod")]
    Lost,
    /// Too many connections at once: try again when some have ended.
    #[error("too many connections are forwarded already")]
    Busy,
    /// The pod's node says why.
    #[error("{0}")]
    Refused(String),
    /// It was cut off on the way.
    #[error("the connection was reset")]
    Reset,
    /// The local side broke.
    #[error(transparent)]
    Local(#[from] std::io::Error),
}

/// A way to all ports of one pod. Connections end when it is dropped.
#[derive(Clone, Debug)]
pub struct PortForward {
    wishes: mpsc::Sender<Wish>,
    lost: Arc<tokio::sync::Notify>,
}

/// What a local connection wants.
#[derive(Debug)]
enum Wish {
    Open { port: u16, pieces: mpsc::Sender<Piece>, opened: oneshot::Sender<Option<u32>> },
    Send(u32, Bytes),
    End(u32),
    Forget(u32),
}

/// What comes for it from the pod.
#[derive(Debug, Clone)]
enum Piece {
    Data(Bytes),
    End,
    Refused(String),
    Reset,
}

impl HttpClient {
    /// Opens a way to the ports of a pod. `pod` names the pod itself.
    ///
    /// # Errors
    /// As [`orch_api::Client::send`]: no such pod, one that does not run, not allowed, no server.
    pub async fn forward(&self, pod: Target) -> Result<PortForward, Status> {
        let socket = self.websocket(&pod.subresource("portforward"), &[], PROTOCOL).await?;
        let (wishes, wanted) = mpsc::channel(WISHES_KEPT);
        let lost = Arc::new(tokio::sync::Notify::new());
        let told = lost.clone();
        tokio::spawn(async move {
            Way::new().run(socket, wanted).await;
            told.notify_waiters();
        });
        Ok(PortForward { wishes, lost })
    }
}

impl PortForward {
    /// Resolves when there is no way to the pod any more.
    pub async fn lost(&self) {
        let lost = self.lost.notified();
        if !self.wishes.is_closed() {
            lost.await;
        }
    }

    /// Connects a local stream with a port of the pod, until both directions have ended.
    ///
    /// # Errors
    /// Nothing listens on the port, one of both sides broke, or the way is lost.
    pub async fn connect<S>(&self, port: u16, local: S) -> Result<(), ForwardError>
    where
        S: AsyncRead + AsyncWrite,
    {
        let (pieces, coming) = mpsc::channel(PIECES_KEPT);
        let (opened, number) = oneshot::channel();
        let lost = |_| ForwardError::Lost;
        self.wishes.send(Wish::Open { port, pieces, opened }).await.map_err(lost)?;
        let number = number.await.map_err(|_| ForwardError::Lost)?.ok_or(ForwardError::Busy)?;
        let (reading, writing) = tokio::io::split(local);
        let carried = tokio::try_join!(self.send_all(number, reading), receive_all(coming, writing));
        // Whatever is left of it means nothing; a way that is lost has forgotten it.
        let _ = self.wishes.send(Wish::Forget(number)).await;
        carried.map(drop)
    }

    async fn send_all(&self, number: u32, mut local: impl AsyncRead + Unpin) -> Result<(), ForwardError> {
        loop {
            let mut block = BytesMut::with_capacity(BLOCK_BYTES);
            let read = local.read_buf(&mut block).await?;
            let wish = if read > 0 { Wish::Send(number, block.freeze()) } else { Wish::End(number) };
            self.wishes.send(wish).await.map_err(|_| ForwardError::Lost)?;
            if read == 0 {
                return Ok(());
            }
        }
    }
}

async fn receive_all(
    mut coming: mpsc::Receiver<Piece>,
    mut local: impl AsyncWrite + Unpin,
) -> Result<(), ForwardError> {
    loop {
        match coming.recv().await {
            Some(Piece::Data(bytes)) => local.write_all(&bytes).await?,
            Some(Piece::End) => break,
            Some(Piece::Refused(why)) => return Err(ForwardError::Refused(why)),
            Some(Piece::Reset) => return Err(ForwardError::Reset),
            None => return Err(ForwardError::Lost),
        }
    }
    local.shutdown().await?;
    // The end of the bytes may be the end of a connection that was never made: the node has the last word on it.
    match coming.recv().await {
        Some(Piece::Refused(why)) => Err(ForwardError::Refused(why)),
        _ => Ok(()),
    }
}

/// The client's end of the WebSocket.
struct Way {
    spdy: Connection,
    connections: HashMap<u32, Local>,
    /// The connections' streams of errors, which have other numbers.
    errors: HashMap<u32, u32>,
    requests: u64,
    /// What came and is not delivered yet: nothing is the end of a connection.
    due: VecDeque<(u32, Option<Piece>)>,
}

struct Local {
    pieces: mpsc::Sender<Piece>,
    complaint: Vec<u8>,
}

impl Way {
    fn new() -> Self {
        Self {
            spdy: Connection::client(),
            connections: HashMap::new(),
            errors: HashMap::new(),
            requests: 0,
            due: VecDeque::new(),
        }
    }

    /// Carries everything until one side is gone. It reads on while it waits to send, or both ends could wait for each other for ever.
    async fn run(mut self, socket: Socket, mut wanted: mpsc::Receiver<Wish>) {
        let (mut sink, mut messages) = socket.split();
        let (outgoing, mut output) = mpsc::channel::<Bytes>(1);
        let sending = async move {
            let mut pings = socket::pings();
            loop {
                let message = tokio::select! {
                    bytes = output.recv() => match bytes {
                        Some(bytes) => Message::Binary(bytes),
                        None => break,
                    },
                    Some(ping) = pings.next() => ping,
                };
                if sink.send(message).await.is_err() {
                    return;
                }
            }
            // A server that is gone needs no farewell.
            let _ = sink.close().await;
        };
        let talking = async move {
            let mut waiting = Bytes::new();
            let mut heard = Instant::now();
            loop {
                let full = self.deliver();
                if waiting.is_empty() {
                    waiting = self.spdy.take_output();
                }
                tokio::select! {
                    permit = outgoing.reserve(), if !waiting.is_empty() => match permit {
                        Ok(permit) => permit.send(std::mem::take(&mut waiting)),
                        Err(_) => return,
                    },
                    wish = wanted.recv(), if waiting.is_empty() => match wish {
                        Some(wish) => self.carry_out(wish),
                        None => return,
                    },
                    // Nothing is heard where nobody listens.
                    () = has_room(full.as_ref()), if full.is_some() => heard = Instant::now(),
                    message = messages.next(), if full.is_none() => {
                        heard = Instant::now();
                        match message {
                            Some(Ok(Message::Binary(bytes))) => match self.spdy.receive(&bytes) {
                                Ok(events) => events.into_iter().for_each(|event| self.event(event)),
                                Err(_) => return,
                            },
                            Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                            Some(Ok(_)) => {}
                        }
                    }
                    () = tokio::time::sleep_until(heard + socket::PATIENCE), if full.is_none() => return,
                }
            }
        };
        tokio::join!(sending, talking);
    }

    fn carry_out(&mut self, wish: Wish) {
        match wish {
            Wish::Open { port, pieces, opened } => {
                let number = self.open(port, pieces);
                // Who is not waiting any more has nothing to send either.
                if let (Some(number), Err(_)) = (number, opened.send(number)) {
                    self.forget(number);
                }
            }
            Wish::Send(number, bytes) => drop(self.spdy.send(number, &bytes, false)),
            Wish::End(number) => drop(self.spdy.send(number, &[], true)),
            Wish::Forget(number) => self.forget(number),
        }
    }

    fn open(&mut self, port: u16, pieces: mpsc::Sender<Piece>) -> Option<u32> {
        let (port, request) = (port.to_string(), self.requests.to_string());
        self.requests += 1;
        let headers =
            |kind| Headers::from([("streamtype", kind), ("port", &*port), ("requestid", &*request)]);
        let errors = self.spdy.open(&headers("error"), true)?;
        let Some(number) = self.spdy.open(&headers("data"), false) else {
            self.spdy.reset(errors, Reset::Cancel);
            return None;
        };
        self.errors.insert(errors, number);
        self.connections.insert(number, Local { pieces, complaint: Vec::new() });
        Some(number)
    }

    fn forget(&mut self, number: u32) {
        self.connections.remove(&number);
        self.spdy.reset(number, Reset::Cancel);
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Data { stream, data, ends } => match self.errors.get(&stream).copied() {
                Some(number) => self.complain(stream, number, &data, ends),
                None => {
                    self.due.extend((!data.is_empty()).then_some((stream, Some(Piece::Data(data)))));
                    self.due.extend(ends.then_some((stream, Some(Piece::End))));
                }
            },
            Event::Reset { stream, .. } => match self.errors.remove(&stream) {
                Some(number) => self.due.push_back((number, None)),
                None => self.due.push_back((stream, Some(Piece::Reset))),
            },
            // Servers have nothing to open.
            Event::Opened { stream, .. } => self.spdy.reset(stream, Reset::Refused),
            Event::Accepted { .. } | Event::GoAway => {}
        }
    }

    /// What went wrong with a connection, or with nothing that nothing did: its end.
    fn complain(&mut self, stream: u32, number: u32, data: &[u8], ends: bool) {
        let mut complaint = None;
        if let Some(local) = self.connections.get_mut(&number) {
            let room = LONGEST_COMPLAINT_BYTES.saturating_sub(local.complaint.len()).min(data.len());
            local.complaint.extend_from_slice(data.get(..room).unwrap_or_default());
            complaint = Some(String::from_utf8_lossy(&local.complaint).into_owned());
        }
        if ends {
            self.errors.remove(&stream);
            let complaint = complaint.filter(|complaint| !complaint.is_empty());
            self.due.extend(complaint.map(|complaint| (number, Some(Piece::Refused(complaint)))));
            self.due.push_back((number, None));
        }
    }

    /// Hands on what came, in order, up to what a connection has no room for.
    fn deliver(&mut self) -> Option<mpsc::Sender<Piece>> {
        while let Some((number, piece)) = self.due.pop_front() {
            let Some(piece) = piece else {
                self.connections.remove(&number);
                continue;
            };
            let Some(local) = self.connections.get(&number) else { continue };
            if let Err(mpsc::error::TrySendError::Full(piece)) = local.pieces.try_send(piece) {
                let full = local.pieces.clone();
                self.due.push_front((number, Some(piece)));
                return Some(full);
            }
        }
        None
    }
}

/// Returns when the connection takes more, or will never.
async fn has_room(pieces: Option<&mpsc::Sender<Piece>>) {
    if let Some(pieces) = pieces {
        drop(pieces.reserve().await);
    }
}
