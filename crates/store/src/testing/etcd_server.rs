//! A real etcd, with a directory and ports of its own.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::etcd::{EtcdConfig, EtcdStore, EtcdTls};

const DEADLINE: Duration = Duration::from_secs(30);

/// A running `etcd` of one member; dropping it ends it and removes its data.
#[derive(Debug)]
pub struct EtcdServer {
    directory: TempDir,
    config: EtcdConfig,
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
        Self::start_as(None, arguments).await
    }

    /// Starts etcd serving TLS; the arguments must say with which certificates, `tls` how to connect.
    pub async fn start_tls(tls: EtcdTls, arguments: &[&str]) -> Self {
        Self::start_as(Some(tls), arguments).await
    }

    async fn start_as(tls: Option<EtcdTls>, arguments: &[&str]) -> Self {
        // Held together, so that the two ports differ.
        let [client, peer] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let scheme = if tls.is_some() { "https" } else { "http" };
        let endpoint = format!("{scheme}://{}", client.local_addr().unwrap());
        let peer_url = format!("http://{}", peer.local_addr().unwrap());
        drop((client, peer));
        let mut server = Self {
            directory: tempfile::tempdir().unwrap(),
            config: EtcdConfig { tls, ..EtcdConfig::new([endpoint]) },
            peer_url,
            arguments: arguments.iter().map(ToString::to_string).collect(),
            process: None,
        };
        server.resume().await;
        server
    }

    /// Where it serves clients.
    pub fn endpoint(&self) -> &str {
        &self.config.endpoints[0]
    }

    /// Where it serves clients, without the scheme.
    pub fn address(&self) -> &str {
        self.endpoint().split("//").last().unwrap()
    }

    /// How to connect to it.
    pub fn config(&self) -> EtcdConfig {
        self.config.clone()
    }

    /// A store on it.
    pub async fn store(&self) -> EtcdStore {
        EtcdStore::connect(self.config()).await.unwrap()
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
            match EtcdStore::connect(self.config()).await {
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
            .args(["--listen-client-urls", self.endpoint(), "--advertise-client-urls", self.endpoint()])
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
