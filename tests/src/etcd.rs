//! A real etcd for one test.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::wait::eventually;

/// An etcd server on its own directory and ports; killed when dropped.
#[derive(Debug)]
pub struct Etcd {
    process: Child,
    url: String,
    _directory: tempfile::TempDir,
}

impl Etcd {
    /// Starts one and waits until it serves.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (client, peer) = (free_port(), free_port());
        let (url, peer_url) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
        let process = Command::new("etcd")
            .arg("--data-dir")
            .arg(directory.path())
            .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .args(["--initial-cluster", &format!("default={peer_url}"), "--logger", "zap"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("etcd cannot be started: install Debian's etcd-server (hack/deps test)");
        let etcd = Self { process, url, _directory: directory };
        eventually("etcd to listen", Duration::from_secs(30), || {
            std::net::TcpStream::connect(("127.0.0.1", client)).is_ok()
        });
        etcd
    }

    /// The URL of its API.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
