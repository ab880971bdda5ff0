//! Servers that hand each connection to a process.

use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::repository::git;

/// A task that ends when it is dropped.
pub(crate) struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Task {
    pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work))
    }
}

/// Serves each connection by a process whose input and output it is. The port, and the task that serves.
pub(crate) async fn each(command: impl Fn() -> Command + Send + 'static) -> (u16, Task) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = async move {
        while let Ok((stream, _)) = listener.accept().await {
            let stream: TcpStream = stream.into_std().unwrap();
            stream.set_nonblocking(false).unwrap();
            let other = OwnedFd::from(stream.try_clone().unwrap());
            let mut command = tokio::process::Command::from(command());
            command.stdin(OwnedFd::from(stream)).stdout(other).stderr(Stdio::null()).kill_on_drop(true);
            let mut child = command.spawn().unwrap();
            tokio::spawn(async move { child.wait().await });
        }
    };
    (port, Task::spawn(serve))
}

/// git's own server, for the repositories below a directory.
pub(crate) async fn daemon(root: &Path) -> (String, Task) {
    let root = root.to_owned();
    let command = move || {
        let mut daemon = git(&root);
        daemon.args(["daemon", "--inetd", "--export-all"]);
        daemon.arg(format!("--base-path={}", root.display())).arg(&root);
        daemon
    };
    let (port, task) = each(command).await;
    (format!("git://127.0.0.1:{port}"), task)
}

/// One that accepts and says nothing.
pub(crate) struct Silent {
    pub(crate) port: u16,
    came: oneshot::Receiver<()>,
    gone: JoinHandle<()>,
}

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

impl Silent {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, came) = oneshot::channel();
        let gone = async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = tell.send(());
            // Ends with the connection, however that ends.
            while stream.read(&mut [0; 1024]).await.is_ok_and(|bytes| bytes > 0) {}
        };
        Self { port, came, gone: tokio::spawn(gone) }
    }

    /// Waits until somebody is connected.
    pub(crate) async fn came(&mut self) {
        timeout(LONG, &mut self.came).await.unwrap().unwrap();
    }

    /// Waits until who was connected is so no more. On a slow machine it may have been ended before it came: then it is
    /// this that comes, and goes.
    pub(crate) async fn gone(self) {
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        timeout(LONG, self.gone).await.unwrap().unwrap();
    }
}
