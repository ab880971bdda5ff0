//! Processes inside running containers, by FIFOs between us and the shim.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use containerd_client::services::v1::{
    CloseIoRequest, DeleteProcessRequest, ExecProcessRequest, KillRequest, ResizePtyRequest, StartRequest,
    WaitRequest,
};
use nix::{sys::stat::Mode, unistd::mkfifo};
use orch_runtime::{ContainerId, ExecRequest, ExecSession, RuntimeError, TerminalSize};
use prost_types::Any;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::unix::pipe,
    sync::{mpsc, oneshot},
};
use tonic::Code;

use crate::{
    connection::{Answer, error},
    container::not_found,
    core::Core,
};

const PROCESS_TYPE: &str = "types.containerd.io/opencontainers/runtime-spec/1/Process";
const SIGKILL: u32 = 9;
static SESSIONS: AtomicU64 = AtomicU64::new(0);

/// One process and its FIFOs.
struct Session {
    core: Arc<Core>,
    container: ContainerId,
    exec: String,
    fifos: Fifos,
}

/// The FIFOs' directory; goes when dropped.
struct Fifos {
    dir: PathBuf,
}

impl Core {
    pub(crate) async fn exec(
        self: &Arc<Self>,
        id: &ContainerId,
        request: ExecRequest,
    ) -> Result<ExecSession, RuntimeError> {
        if request.command.first().is_none_or(String::is_empty) {
            return Err(RuntimeError::invalid("exec.command", "it is empty"));
        }
        let container = self.container(id).await?.ok_or_else(|| not_found(id))?;
        if !self.is_running(id).await? {
            return Err(RuntimeError::NotRunning { id: id.to_string() });
        }
        let spec = container.spec.ok_or_else(|| RuntimeError::failed("exec", "the container has no spec"))?;
        let process = process(&spec.value, &request)?;
        // Unlike any of an earlier process, whose shim may still know it.
        let (now, n) = (jiff::Timestamp::now().as_millisecond(), SESSIONS.fetch_add(1, Ordering::Relaxed));
        let exec = format!("exec-{now}-{n}");
        let fifos = Fifos::make(&self.config.state_dir.join("exec").join(id.as_str()).join(&exec), &request)
            .map_err(|error| RuntimeError::failed("make FIFOs", error))?;
        let session = Session { core: self.clone(), container: id.clone(), exec, fifos };
        session.open(process, &request).await
    }
}

/// The container's own process with another command.
fn process(spec: &[u8], request: &ExecRequest) -> Result<Any, RuntimeError> {
    let spec: Value =
        serde_json::from_slice(spec).map_err(|error| RuntimeError::failed("read container spec", error))?;
    let mut process = spec["process"].clone();
    process["args"] = json!(request.command);
    process["terminal"] = request.terminal.is_some().into();
    if let Some(size) = request.terminal {
        process["consoleSize"] = json!({ "height": size.rows, "width": size.columns });
        if let Some(env) = process["env"].as_array_mut()
            && !env.iter().any(|entry| entry.as_str().is_some_and(|entry| entry.starts_with("TERM=")))
        {
            env.push("TERM=xterm".into());
        }
    }
    Ok(Any { type_url: PROCESS_TYPE.into(), value: process.to_string().into_bytes() })
}

impl Fifos {
    fn make(dir: &Path, request: &ExecRequest) -> std::io::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let fifos = Self { dir: dir.to_owned() };
        for name in ["stdin", "stdout", "stderr"] {
            if !fifos.path(name, request).is_empty() {
                mkfifo(&dir.join(name), Mode::S_IRUSR | Mode::S_IWUSR)?;
            }
        }
        Ok(fifos)
    }

    /// Its path, or nothing if the request has no such stream.
    fn path(&self, name: &str, request: &ExecRequest) -> String {
        let wanted = match name {
            "stdin" => request.stdin,
            "stderr" => request.terminal.is_none(),
            _ => true,
        };
        if wanted { self.dir.join(name).to_string_lossy().into_owned() } else { String::new() }
    }
}

impl Drop for Fifos {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
        // The container's directory, if this was its last.
        let _ = self.dir.parent().map(std::fs::remove_dir);
    }
}

impl Session {
    async fn open(self, process: Any, request: &ExecRequest) -> Result<ExecSession, RuntimeError> {
        let failed = |error: std::io::Error| RuntimeError::failed("open FIFOs", error);
        let [stdin, stdout, stderr] =
            ["stdin", "stdout", "stderr"].map(|name| self.fifos.path(name, request));
        // Both ends of the input until the shim has opened its own; only reading ends of the outputs.
        let held = match stdin.is_empty() {
            true => None,
            false => Some(pipe::OpenOptions::new().read_write(true).open_sender(&stdin).map_err(failed)?),
        };
        let output = pipe::OpenOptions::new().open_receiver(&stdout).map_err(failed)?;
        let errors: Pin<Box<dyn AsyncRead + Send>> = match stderr.is_empty() {
            true => Box::pin(tokio::io::empty()),
            false => Box::pin(pipe::OpenOptions::new().open_receiver(&stderr).map_err(failed)?),
        };
        self.create(process, [stdin.clone(), stdout, stderr], request).await?;
        if let Err(error) = self.start().await {
            self.delete().await;
            return Err(error);
        }
        let input = match held {
            None => None,
            Some(_) => Some(pipe::OpenOptions::new().open_sender(&stdin).map_err(failed)?),
        };
        drop(held);
        Ok(self.into_session(input, output, errors, request))
    }

    fn into_session(
        self,
        input: Option<pipe::Sender>,
        output: pipe::Receiver,
        stderr: Pin<Box<dyn AsyncRead + Send>>,
        request: &ExecRequest,
    ) -> ExecSession {
        let (closed, input_closed) = oneshot::channel();
        let (exited, exit) = oneshot::channel();
        let (resize, sizes) = mpsc::channel(4);
        let stdin = input.map(|pipe| Box::pin(Input { pipe: Some(pipe), closed: Some(closed) }) as _);
        tokio::spawn(self.drive(input_closed, sizes, exited));
        ExecSession {
            stdin,
            stdout: Box::pin(output),
            stderr,
            resize: request.terminal.map(|_| resize),
            exit: Box::pin(async move {
                exit.await.map_err(|_| RuntimeError::failed("exec", "its session ended")).flatten()
            }),
        }
    }

    async fn create(
        &self,
        process: Any,
        fifos: [String; 3],
        request: &ExecRequest,
    ) -> Result<(), RuntimeError> {
        let [stdin, stdout, stderr] = fifos;
        let message = ExecProcessRequest {
            container_id: self.container.to_string(),
            stdin,
            stdout,
            stderr,
            terminal: request.terminal.is_some(),
            spec: Some(process),
            exec_id: self.exec.clone(),
        };
        self.core
            .connection
            .tasks()
            .exec(self.core.connection.request(message))
            .await
            .done("create process")
            .map(drop)
    }

    async fn start(&self) -> Result<(), RuntimeError> {
        let message = StartRequest { container_id: self.container.to_string(), exec_id: self.exec.clone() };
        match self.core.connection.tasks().start(self.core.connection.request(message)).await {
            Ok(_) => Ok(()),
            Err(status) if crate::container::is_refusal(&status) => Err(RuntimeError::StartFailed {
                id: self.container.to_string(),
                message: status.message().to_owned(),
            }),
            Err(status) if matches!(status.code(), Code::NotFound | Code::FailedPrecondition) => {
                Err(RuntimeError::NotRunning { id: self.container.to_string() })
            }
            Err(status) => Err(error("start process", status)),
        }
    }

    /// Does what the session's owner asks for until the process ends; ends the process if the owner is gone.
    async fn drive(
        self,
        mut input_closed: oneshot::Receiver<()>,
        mut sizes: mpsc::Receiver<TerminalSize>,
        mut exited: oneshot::Sender<Result<i32, RuntimeError>>,
    ) {
        let waiting = self.wait();
        tokio::pin!(waiting);
        let (mut has_input, mut has_owner) = (true, true);
        let code = loop {
            tokio::select! {
                code = &mut waiting => break code,
                _ = &mut input_closed, if has_input => {
                    has_input = false;
                    self.close_input().await;
                }
                () = exited.closed(), if has_owner => {
                    has_owner = false;
                    self.kill().await;
                }
                Some(size) = sizes.recv() => self.resize(size).await,
            }
        };
        self.delete().await;
        // Nobody waiting is fine.
        let _ = exited.send(code);
    }

    async fn wait(&self) -> Result<i32, RuntimeError> {
        let message = WaitRequest { container_id: self.container.to_string(), exec_id: self.exec.clone() };
        let answer = self.core.connection.tasks().wait(self.core.connection.waiting(message)).await;
        let status = answer.done("wait for process")?.exit_status;
        Ok(i32::try_from(status).unwrap_or(i32::MAX))
    }

    async fn close_input(&self) {
        let message = CloseIoRequest {
            container_id: self.container.to_string(),
            exec_id: self.exec.clone(),
            stdin: true,
        };
        let closed = self.core.connection.tasks().close_io(self.core.connection.request(message)).await;
        self.ignore(closed.found("close input"));
    }

    async fn resize(&self, size: TerminalSize) {
        let message = ResizePtyRequest {
            container_id: self.container.to_string(),
            exec_id: self.exec.clone(),
            width: size.columns.into(),
            height: size.rows.into(),
        };
        let resized = self.core.connection.tasks().resize_pty(self.core.connection.request(message)).await;
        self.ignore(resized.found("resize terminal"));
    }

    async fn kill(&self) {
        let message = KillRequest {
            container_id: self.container.to_string(),
            exec_id: self.exec.clone(),
            signal: SIGKILL,
            all: false,
        };
        let killed = self.core.connection.tasks().kill(self.core.connection.request(message)).await;
        self.ignore(killed.found("kill process"));
    }

    async fn delete(&self) {
        let message =
            DeleteProcessRequest { container_id: self.container.to_string(), exec_id: self.exec.clone() };
        let deleted =
            self.core.connection.tasks().delete_process(self.core.connection.request(message)).await;
        self.ignore(deleted.found("delete process"));
    }

    /// The process may end at any moment, which makes all of these fail.
    fn ignore<T>(&self, outcome: Result<T, RuntimeError>) {
        if let Err(error) = outcome {
            tracing::debug!(container = %self.container, exec = self.exec, %error, "process may have ended");
        }
    }
}

/// The process's input. When it is dropped or shut down, the shim is told, which otherwise holds it open.
pub(crate) struct Input {
    pipe: Option<pipe::Sender>,
    closed: Option<oneshot::Sender<()>>,
}

impl AsyncWrite for Input {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        match &mut self.pipe {
            Some(pipe) => Pin::new(pipe).poll_write(cx, bytes),
            None => Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

impl Input {
    /// The input, and what resolves once it is dropped or shut down.
    pub(crate) fn new(pipe: pipe::Sender) -> (Self, oneshot::Receiver<()>) {
        let (closed, input_closed) = oneshot::channel();
        (Self { pipe: Some(pipe), closed: Some(closed) }, input_closed)
    }

    fn close(&mut self) {
        drop(self.pipe.take());
        if let Some(closed) = self.closed.take() {
            let _ = closed.send(());
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.close();
    }
}
