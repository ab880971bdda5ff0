//! Debian's docker-registry on a loopback port of its own, filled by skopeo.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use orch_runtime_containerd::testing::build_busybox_layout;

pub(crate) struct Registry {
    process: Child,
    pub(crate) address: String,
    pub(crate) dir: tempfile::TempDir,
}

impl Registry {
    /// Serves `busybox:1`.
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// With more lines of configuration.
    pub(crate) fn with(more: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let address = {
            let port = TcpListener::bind("127.0.0.1:0").unwrap();
            port.local_addr().unwrap().to_string()
        };
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\n\
             http:\n  addr: {address}\n{more}",
            dir.path().join("data").display()
        );
        let file = dir.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("docker-registry is installed");
        let registry = Self { process, address, dir };
        registry.wait_until_serving();
        registry
    }

    fn wait_until_serving(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(&self.address).is_err() {
            assert!(Instant::now() < deadline, "docker-registry does not serve");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Pushes a busybox image; returns its digest.
    pub(crate) fn push(&self, name: &str, credentials: Option<&str>) -> String {
        let layout = self.dir.path().join("layout");
        build_busybox_layout(&layout, "localhost/busybox:1").unwrap();
        let digest = self.dir.path().join("digest");
        let mut skopeo = Command::new("skopeo");
        skopeo.arg("copy").arg("--dest-tls-verify=false").arg("--digestfile").arg(&digest);
        skopeo.args(credentials.map(|credentials| format!("--dest-creds={credentials}")));
        let source = format!("oci:{}:1", layout.display());
        let output = skopeo.arg(source).arg(format!("docker://{}/{name}", self.address)).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::read_to_string(digest).unwrap().trim().to_owned()
    }

    /// The file of a blob.
    pub(crate) fn blob(&self, digest: &str) -> std::path::PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = Path::new("data/docker/registry/v2/blobs/sha256");
        self.dir.path().join(blobs).join(&hex[..2]).join(hex).join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
