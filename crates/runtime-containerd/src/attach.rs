//! Taking part in the streams of a container's first process, by its logger's socket and its FIFO, and in a sandbox's network.

use std::{
    fs::File, io, net::Ipv4Addr, net::Ipv6Addr, net::SocketAddr, path::Path, sync::Arc, time::Duration,
};

use bytes::Bytes;
use containerd_client::services::v1::{CloseIoRequest, ResizePtyRequest};
use orch_runtime::{
    AttachSession, Connection, ContainerId, ContainerSpec, Network, Object, RuntimeError, SandboxId,
    SandboxState, Stdin, TerminalSize,
};
use tokio::{
    io::{AsyncReadExt as _, BufReader},
    net::{TcpSocket, UnixStream, unix::pipe},
    sync::{mpsc, oneshot},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::io::StreamReader;

use crate::{
    connection::Answer as _,
    container::not_found,
    core::Core,
    exec::Input,
    logger::audience::{END, HEADER_BYTES, STDERR, STDOUT, address},
    namespaces,
};

/// Pieces of output between the logger and a reader, beyond what sockets hold.
const PIECES_KEPT: usize = 8;
/// Longer than any piece that a logger sends.
const LONGEST_PIECE_BYTES: usize = 1 << 20;
/// How long a port may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

type Pieces = mpsc::Sender<io::Result<Bytes>>;

impl Core {
    pub(crate) async fn attach(
        self: &Arc<Self>,
        id: &ContainerId,
        stdin: bool,
    ) -> Result<AttachSession, RuntimeError> {
        let record = self.record(id).await?.ok_or_else(|| not_found(id))?;
        if !self.is_running(id).await? {
            return Err(RuntimeError::NotRunning { id: id.to_string() });
        }
        let spec = record.fixed.spec;
        let dir = self.streams_dir(id);
        let logger = join(&dir, &spec).await.map_err(|error| RuntimeError::failed("attach", error))?;
        let (out, stdout) = mpsc::channel(PIECES_KEPT);
        let (errors, stderr) = mpsc::channel(PIECES_KEPT);
        tokio::spawn(pass_on(logger, out, errors));
        let input = (stdin && spec.stdin != Stdin::Empty).then(|| open_input(&dir)).flatten();
        let (input, input_closed) = input.map(Input::new).unzip();
        let ends = spec.stdin == Stdin::Once && !spec.terminal;
        let (resize, sizes) = mpsc::channel(4);
        let resize = spec.terminal.then_some(resize);
        tokio::spawn(self.clone().attend(id.clone(), input_closed.filter(|_| ends), sizes));
        Ok(AttachSession {
            stdin: input.map(|input| Box::pin(input) as _),
            stdout: Box::pin(StreamReader::new(ReceiverStream::new(stdout))),
            stderr: Box::pin(StreamReader::new(ReceiverStream::new(stderr))),
            resize,
        })
    }

    /// Does what those who are attached ask for, until they are gone.
    async fn attend(
        self: Arc<Self>,
        id: ContainerId,
        input_closed: Option<oneshot::Receiver<()>>,
        mut sizes: mpsc::Receiver<TerminalSize>,
    ) {
        let closing = async {
            if let Some(input_closed) = input_closed {
                // Closed, or dropped: both mean that it has ended.
                let _ = input_closed.await;
                self.close_input(&id).await;
            }
        };
        let resizing = async {
            while let Some(size) = sizes.recv().await {
                self.resize(&id, size).await;
            }
        };
        tokio::join!(closing, resizing);
    }

    /// The shim holds the input open until it is told.
    async fn close_input(&self, id: &ContainerId) {
        let message = CloseIoRequest { container_id: id.to_string(), exec_id: String::new(), stdin: true };
        let closed = self.connection.tasks().close_io(self.connection.request(message)).await;
        if let Err(error) = closed.found("close input") {
            tracing::debug!(container = %id, %error, "it may have ended");
        }
    }

    async fn resize(&self, id: &ContainerId, size: TerminalSize) {
        let message = ResizePtyRequest {
            container_id: id.to_string(),
            exec_id: String::new(),
            width: size.columns.into(),
            height: size.rows.into(),
        };
        let resized = self.connection.tasks().resize_pty(self.connection.request(message)).await;
        if let Err(error) = resized.found("resize terminal") {
            tracing::debug!(container = %id, %error, "it may have ended");
        }
    }

    pub(crate) async fn connect(&self, id: &SandboxId, port: u16) -> Result<Connection, RuntimeError> {
        let record = self.sandboxes.get(id);
        let ready = record.filter(|record| self.sandboxes.status(record).state == SandboxState::Ready);
        let record =
            ready.ok_or_else(|| RuntimeError::NotFound { object: Object::Sandbox, id: id.to_string() })?;
        let sockets = match record.spec.network {
            Network::Host => sockets(),
            Network::Pod => namespaces::in_network(&self.sandboxes.dir(id), sockets).await,
        };
        let (v4, v6) = sockets.map_err(|error| RuntimeError::failed("make a socket", error))?;
        let mut answers = Vec::new();
        for (name, socket, address) in [
            ("IPv4", Some(v4), SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
            ("IPv6", v6, SocketAddr::from((Ipv6Addr::LOCALHOST, port))),
        ] {
            let Some(socket) = socket else { continue };
            match tokio::time::timeout(CONNECT_TIMEOUT, socket.connect(address)).await {
                Ok(Ok(stream)) => {
                    // Whatever is asked for by hand is small.
                    let _ = stream.set_nodelay(true);
                    return Ok(Box::new(stream));
                }
                Ok(Err(error)) => answers.push(format!("{name}: dial {address}: {}", words(&error))),
                Err(_) => answers.push(format!("{name}: dial {address}: i/o timeout")),
            }
        }
        Err(RuntimeError::Refused { id: id.to_string(), port, message: answers.join(" ") })
    }
}

/// A machine without IPv6 has no such socket.
fn sockets() -> io::Result<(TcpSocket, Option<TcpSocket>)> {
    Ok((TcpSocket::new_v4()?, TcpSocket::new_v6().ok()))
}

/// As Go says it, which is what people look for.
fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".into(),
        _ => error.to_string(),
    }
}

/// A connection to the container's logger.
async fn join(dir: &Path, spec: &ContainerSpec) -> Result<UnixStream, String> {
    if spec.log_path.is_none() {
        return Err("its output is discarded".into());
    }
    let joined = async { UnixStream::connect(address(&File::open(dir)?)).await };
    joined.await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            "its logger takes no connections; it will, from the container's next start on".into()
        }
        _ => format!("its logger cannot be reached: {error}"),
    })
}

/// The FIFO, unless the input has ended.
fn open_input(dir: &Path) -> Option<pipe::Sender> {
    pipe::OpenOptions::new().open_sender(dir.join("stdin")).ok()
}

/// Takes the logger's pieces apart, until it has no more or nobody wants them.
async fn pass_on(logger: UnixStream, stdout: Pieces, stderr: Pieces) {
    let mut logger = BufReader::new(logger);
    let reading = async {
        loop {
            let piece = match next_piece(&mut logger).await {
                Ok((END, _)) => return,
                Ok(piece) => piece,
                Err(error) => {
                    let cut_off = || Err(io::Error::new(error.kind(), CUT_OFF));
                    let _ = tokio::join!(stdout.send(cut_off()), stderr.send(cut_off()));
                    return;
                }
            };
            // Who wants only one of them has dropped the other.
            let _ = match piece {
                (STDERR, bytes) => stderr.send(Ok(bytes)).await,
                (STDOUT, bytes) => stdout.send(Ok(bytes)).await,
                _ => Ok(()),
            };
        }
    };
    tokio::select! {
        () = reading => {}
        _ = async { tokio::join!(stdout.closed(), stderr.closed()) } => {}
    }
}

const CUT_OFF: &str = "the output is written faster than it is read here; the log has all of it";

async fn next_piece(logger: &mut BufReader<UnixStream>) -> io::Result<(u8, Bytes)> {
    let mut header = [0; HEADER_BYTES];
    logger.read_exact(&mut header).await?;
    let [stream, length @ ..] = header;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST_PIECE_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; length];
    logger.read_exact(&mut bytes).await?;
    Ok((stream, bytes.into()))
}
