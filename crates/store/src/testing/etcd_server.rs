//! A real etcd, with a directory and ports of its own.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::etcd::{EtcdConfig, EtcdStore};

const DEADLINE: Duration = Duration::from_secs(30);

/// A running `etcd` of one member; dropping it ends it and removes its data.
#[derive(Debug)]
pub struct EtcdServer {
    directory: TempDir,
    client_url: String,
    peer_url: String,
    arguments: Vec<String>,
    process: Option<Child>,
}

impl EtcdServer {
    /// Starts etcd as it is used: durable. Panics if there is no `etcd` in the path, or if it does not come up.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts etcd without fsync, for tests that are not about durability.
    pub async fn start_fast() -> Self {
        Self::start_with(&["--unsafe-no-fsync"]).await
    }

    /// Starts etcd with these further arguments.
    pub async fn start_with(arguments: &[&str]) -> Self {
        // Held together, so that the two ports differ.
        let [client, peer] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let [client_url, peer_url] =
            [&client, &peer].map(|port| format!("http://{}", port.local_addr().unwrap()));
        drop((client, peer));
        let directory = tempfile::tempdir().unwrap();
        let arguments = arguments.iter().map(ToString::to_string).collect();
        let mut server = Self { directory, client_url, peer_url, arguments, process: None };
        server.resume().await;
        server
    }

    /// Where it serves clients.
    pub fn endpoint(&self) -> &str {
        &self.client_url
    }

    /// Where it serves clients, without the scheme.
    pub fn address(&self) -> &str {
        self.client_url.trim_start_matches("http://")
    }

    /// A store on it.
    pub async fn store(&self) -> EtcdStore {
        EtcdStore::connect(EtcdConfig::new([self.endpoint()])).await.unwrap()
    }

    /// Kills it with SIGKILL. Its data stays.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it again on its data and ports, and waits until it serves.
    pub async fn resume(&mut self) {
        let deadline = Instant::now() + DEADLINE;
        self.process = Some(self.spawn());
        loop {
            match EtcdStore::connect(EtcdConfig::new([self.endpoint()])).await {
                Ok(_) => return,
                Err(error) => assert!(Instant::now() < deadline, "etcd does not come up: {error}"),
            }
            let exited = self.process.as_mut().and_then(|process| process.try_wait().unwrap());
            if let Some(status) = exited {
                panic!("etcd ended with {status}; its log is {}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn spawn(&self) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(self.directory.path().join("log"));
        let mut command = Command::new("etcd");
        command
            .args(["--name", "test", "--log-level", "warn", "--data-dir"])
            .arg(self.directory.path().join("data"))
            .args(["--listen-client-urls", &self.client_url, "--advertise-client-urls", &self.client_url])
            .args(["--listen-peer-urls", &self.peer_url, "--initial-advertise-peer-urls", &self.peer_url])
            .args(["--initial-cluster", &format!("test={}", self.peer_url)])
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap());
        command.spawn().unwrap_or_else(|error| panic!("cannot start etcd (Debian: etcd-server): {error}"))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for EtcdServer {
    fn drop(&mut self) {
        self.kill();
    }
}
