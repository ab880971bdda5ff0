//! Carries out what a protocol's client asks for.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::{Sink, SinkExt as _, Stream, StreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use super::Target;

/// Messages for a port that wait for it, before whatever comes after them waits too.
const INFLOW_KEPT: usize = 32;
/// Messages from all ports that wait for the client.
const OUTFLOW_KEPT: usize = 16;
const BLOCK_BYTES: usize = 32 << 10;
/// How long a port may take nothing while all others wait behind it.
const STALLED: Duration = Duration::from_secs(60);

/// What a client asks for. Each forwarded connection has a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// To be connected to a port.
    Connect(u32, u16),
    /// To send something to the port.
    Send(u32, Bytes),
    /// To send nothing more to it.
    End(u32),
    /// To forget it.
    Abort(u32),
}

/// What became of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Became {
    /// The port sent something.
    Data(Bytes),
    /// The port will send nothing more.
    Ended,
    /// Both directions have ended.
    Done,
    /// It could not be made; why, for people.
    Failed(String),
    /// It broke.
    Broken,
}

/// The words in which client and server speak about connections. Without I/O.
pub(super) trait Protocol: Send + 'static {
    /// What is asked for by a message, or without any yet. `None` when the client breaks the protocol: it is over then.
    fn read(&mut self, message: &[u8]) -> Option<Vec<Asked>>;
    /// Notes what became of a connection.
    fn tell(&mut self, number: u32, became: Became);
    /// The next message for the client.
    fn output(&mut self) -> Option<Bytes>;
    /// Whether nothing more can come of it.
    fn is_over(&self) -> bool;
}

/// A connection to a port. Dropping it ends it.
struct Forwarded {
    /// What is sent to the port; `None` once that has ended.
    inflow: Option<mpsc::Sender<Bytes>>,
    _task: AbortOnDropHandle<()>,
}

type Outflow = mpsc::Sender<(u32, Became)>;

/// Serves a client until it is gone or has all it asked for. Nothing is read from it while a port, or it itself, is slower than it:
/// memory is bounded, and the slowness felt at the other end.
pub(super) async fn serve<M, O>(target: Target, mut protocol: impl Protocol, messages: M, output: O)
where
    M: Stream<Item = Bytes>,
    O: Sink<Bytes>,
{
    let (mut messages, mut output) = (std::pin::pin!(messages), std::pin::pin!(output));
    let (outflow, mut became) = mpsc::channel(OUTFLOW_KEPT);
    let mut desk = Desk { target: Arc::new(target), outflow, connections: HashMap::new() };
    // When the port that holds everything up has done so for too long.
    let mut stalled = None;
    let mut asked = VecDeque::from(protocol.read(&[]).unwrap_or_default());
    loop {
        let full = desk.carry_out(&mut asked);
        let deadline = *stalled.get_or_insert_with(|| Instant::now() + STALLED);
        if full.is_none() {
            stalled = None;
        }
        while let Some(message) = protocol.output() {
            if output.send(message).await.is_err() {
                return;
            }
        }
        if protocol.is_over() {
            return;
        }
        tokio::select! {
            Some((number, what)) = became.recv() => {
                if matches!(what, Became::Done | Became::Failed(_) | Became::Broken) {
                    desk.connections.remove(&number);
                }
                protocol.tell(number, what);
            }
            () = has_room(full.as_ref()), if full.is_some() => stalled = None,
            () = sleep_until(deadline), if full.is_some() => {
                // It holds up everything else.
                if let Some(Asked::Send(number, _)) = asked.front().cloned() {
                    desk.connections.remove(&number);
                    protocol.tell(number, Became::Broken);
                }
                stalled = None;
            }
            message = messages.next(), if full.is_none() => match message {
                None => return,
                Some(message) => match protocol.read(&message) {
                    Some(more) => asked.extend(more),
                    // Its last word is due still.
                    None => {
                        if let Some(message) = protocol.output() {
                            let _ = timeout(STALLED, output.send(message)).await;
                        }
                        return;
                    }
                },
            },
        }
    }
}

/// The connections that there are.
struct Desk {
    target: Arc<Target>,
    outflow: Outflow,
    connections: HashMap<u32, Forwarded>,
}

impl Desk {
    /// Does what was asked for, in order, up to what a port has no room for; that port's inflow is answered.
    fn carry_out(&mut self, asked: &mut VecDeque<Asked>) -> Option<mpsc::Sender<Bytes>> {
        while let Some(next) = asked.pop_front() {
            match next {
                Asked::Connect(number, port) => self.connect(number, port),
                Asked::End(number) => {
                    self.connections.entry(number).and_modify(|forwarded| forwarded.inflow = None);
                }
                Asked::Abort(number) => drop(self.connections.remove(&number)),
                Asked::Send(number, bytes) => {
                    let forwarded = self.connections.get(&number);
                    let Some(inflow) = forwarded.and_then(|forwarded| forwarded.inflow.as_ref()) else {
                        continue;
                    };
                    if let Err(mpsc::error::TrySendError::Full(bytes)) = inflow.try_send(bytes) {
                        let full = inflow.clone();
                        asked.push_front(Asked::Send(number, bytes));
                        return Some(full);
                    }
                }
            }
        }
        None
    }

    fn connect(&mut self, number: u32, port: u16) {
        let (inflow, bytes) = mpsc::channel(INFLOW_KEPT);
        let task = relay(self.target.clone(), number, port, bytes, self.outflow.clone());
        let task = AbortOnDropHandle::new(tokio::spawn(task));
        self.connections.insert(number, Forwarded { inflow: Some(inflow), _task: task });
    }
}

/// Returns when the port takes more, or will never.
async fn has_room(inflow: Option<&mpsc::Sender<Bytes>>) {
    if let Some(inflow) = inflow {
        drop(inflow.reserve().await);
    }
}

/// One connection, from its making to its end.
async fn relay(
    target: Arc<Target>,
    number: u32,
    port: u16,
    mut inflow: mpsc::Receiver<Bytes>,
    outflow: Outflow,
) {
    let became = match target.connect(port).await {
        Err(why) => Became::Failed(why),
        Ok(connection) => {
            let (mut reading, mut writing) = tokio::io::split(connection);
            let sending = async {
                while let Some(bytes) = inflow.recv().await {
                    writing.write_all(&bytes).await?;
                }
                writing.shutdown().await
            };
            let receiving = async {
                loop {
                    let mut block = BytesMut::with_capacity(BLOCK_BYTES);
                    let read = reading.read_buf(&mut block).await?;
                    let what = if read > 0 { Became::Data(block.freeze()) } else { Became::Ended };
                    // A client that is gone takes this task along.
                    let _ = outflow.send((number, what)).await;
                    if read == 0 {
                        return std::io::Result::Ok(());
                    }
                }
            };
            match tokio::try_join!(sending, receiving) {
                Ok(_) => Became::Done,
                Err(error) => {
                    tracing::debug!(port, %error, "a forwarded connection broke");
                    Became::Broken
                }
            }
        }
    };
    let _ = outflow.send((number, became)).await;
}
