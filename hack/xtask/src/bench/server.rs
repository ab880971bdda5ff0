//! A server in a process of its own: `orchd up`, the release binary, or another that serves the same API.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use orch_client::{Connection, HttpClient, Kubeconfig, KubeconfigPaths, Overrides};
use orch_store::testing::EtcdServer;

use crate::codegen;

/// Builds the release binaries.
pub(crate) fn build() -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--package", "orch-cli"])
        .current_dir(codegen::root())
        .status()?;
    ensure!(status.success(), "orchd cannot be built");
    Ok(())
}

/// A release binary.
pub(crate) fn binary(name: &str) -> PathBuf {
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| codegen::root().join("target"), PathBuf::from);
    target.join("release").join(name)
}

/// What a server without containers is told to keep its objects in this etcd.
pub(crate) fn on_etcd(etcd: &EtcdServer) -> [&str; 6] {
    ["--runtime", "simulated", "--store", "etcd", "--etcd-endpoints", etcd.endpoint()]
}

/// A running server. Ended when dropped; `orchd` also resets what it left.
pub(crate) struct Server {
    process: Child,
    directory: tempfile::TempDir,
    connection: Connection,
    is_orch: bool,
    /// From the start of the process to its ready line.
    pub(crate) started_in: Duration,
}

impl Server {
    /// Starts one on a new data directory and waits until it is ready.
    pub(crate) fn start(args: &[&str]) -> Result<Self> {
        Self::start_in(tempfile::Builder::new().prefix("orch-bench-").tempdir()?, args)
    }

    /// Starts one on a data directory.
    pub(crate) fn start_in(directory: tempfile::TempDir, args: &[&str]) -> Result<Self> {
        let start = Instant::now();
        let log = std::fs::File::create(directory.path().join("orchd.log"))?;
        let mut process = Command::new(binary("orchd"))
            .args(["up", "--listen", "127.0.0.1:0", "--log", "warn", "--data-dir"])
            .arg(directory.path())
            .args(args)
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let stdout = process.stdout.take().context("no standard output")?;
        let ready =
            BufReader::new(stdout).lines().map_while(Result::ok).any(|line| line.starts_with("ready"));
        ensure!(ready, "orchd ended: {}", std::fs::read_to_string(directory.path().join("orchd.log"))?);
        let started_in = start.elapsed();
        let path = directory.path().join("admin.kubeconfig");
        let kubeconfig = Kubeconfig::load(&KubeconfigPaths::from_environment(Some(path), None))?;
        let connection = kubeconfig.connection(&Overrides::default())?;
        Ok(Self { process, directory, connection, is_orch: true, started_in })
    }

    /// A server of another make, which is ready.
    pub(crate) fn other(
        process: Child,
        directory: tempfile::TempDir,
        connection: Connection,
        started_in: Duration,
    ) -> Self {
        Self { process, directory, connection, is_orch: false, started_in }
    }

    /// Its data directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Ends it as an operator would, and gives back its data directory.
    pub(crate) fn stop(mut self) -> Result<tempfile::TempDir> {
        Command::new("kill").arg(self.process.id().to_string()).status()?;
        self.process.wait()?;
        let fresh = tempfile::tempdir()?;
        Ok(std::mem::replace(&mut self.directory, fresh))
    }

    /// How it is reached by its administrator.
    pub(crate) fn connection(&self) -> Result<Connection> {
        Ok(self.connection.clone())
    }

    /// A client of its own connection.
    pub(crate) fn client(&self) -> Result<Arc<HttpClient>> {
        Ok(Arc::new(HttpClient::new(&self.connection()?)?))
    }

    /// The time that its threads have run, all together. Unlike a rate, it hardly depends on what else the machine does.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        // Nanoseconds on a processor are the first word of each thread's schedstat.
        let mut nanoseconds = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            nanoseconds += text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Resident memory in MiB.
    pub(crate) fn resident_mebibytes(&self) -> Result<f64> {
        resident_mebibytes(self.process.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        if !self.is_orch {
            return;
        }
        let mut reset = Command::new(binary("orchd"));
        drop(reset.args(["reset", "--yes", "--data-dir"]).arg(self.directory.path()).output());
    }
}

/// Resident memory of a process in MiB.
pub(crate) fn resident_mebibytes(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kibibytes / 1024.0)
}
