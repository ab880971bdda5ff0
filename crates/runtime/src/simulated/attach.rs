//! Taking part in what simulated processes read and write.

use std::io;

use bytes::Bytes;
use futures::{SinkExt as _, Stream, StreamExt as _};
use tokio::{io::AsyncWriteExt as _, sync::mpsc};
use tokio_stream::wrappers::{BroadcastStream, ReceiverStream};
use tokio_util::{
    codec::{FramedRead, LinesCodec},
    io::{CopyToBytes, SinkWriter, StreamReader},
    sync::PollSender,
};

use super::world::World;
use crate::{AttachSession, Connection, ContainerId, ContainerState, RuntimeError, Stdin};

/// Pieces of input that wait for the process.
const INPUT_KEPT: usize = 16;
/// Bytes on their way in one direction of a connection.
const CONNECTION_BYTES: usize = 64 << 10;

pub(super) fn session(
    world: &mut World,
    id: &ContainerId,
    stdin: bool,
) -> Result<AttachSession, RuntimeError> {
    let container = world.container(id)?;
    let is_running = matches!(container.status.state, ContainerState::Running { .. });
    let Some(output) = container.output.as_ref().filter(|_| is_running) else {
        return Err(RuntimeError::NotRunning { id: id.to_string() });
    };
    let behind = |_| io::Error::other("fell behind what the container writes");
    let stdout = BroadcastStream::new(output.subscribe()).map(move |piece| piece.map_err(behind));
    let terminal = container.spec.terminal;
    let is_first = container.spec.stdin == Stdin::Once && !terminal;
    let input = world.container_mut(id).filter(|_| stdin).map(|container| &mut container.input);
    let input = input.and_then(|input| if is_first { input.take() } else { input.clone() });
    let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
    Ok(AttachSession {
        stdin: input.map(|input| {
            Box::pin(SinkWriter::new(CopyToBytes::new(PollSender::new(input).sink_map_err(gone)))) as _
        }),
        stdout: Box::pin(StreamReader::new(stdout)),
        stderr: Box::pin(tokio::io::empty()),
        resize: terminal.then(|| mpsc::channel(1).0),
    })
}

/// The lines that come from those who attach, if the container has an input.
pub(super) fn input(
    world: &mut World,
    id: &ContainerId,
) -> Option<impl Stream<Item = String> + Send + Unpin + 'static> {
    let container = world.container_mut(id).filter(|container| container.spec.stdin != Stdin::Empty)?;
    let (sender, receiver) = mpsc::channel::<Bytes>(INPUT_KEPT);
    container.input = Some(sender);
    let bytes = StreamReader::new(ReceiverStream::new(receiver).map(io::Result::Ok));
    // What is no text is passed over.
    Some(FramedRead::new(bytes, LinesCodec::new()).filter_map(async |line| line.ok()).boxed())
}

/// A peer that sends back what it is sent.
pub(super) fn echo() -> Connection {
    let (ours, theirs) = tokio::io::duplex(CONNECTION_BYTES);
    let (mut reading, mut writing) = tokio::io::split(theirs);
    tokio::spawn(async move {
        // A client that is gone needs no echo.
        let _ = tokio::io::copy(&mut reading, &mut writing).await;
        let _ = writing.shutdown().await;
    });
    Box::new(ours)
}
