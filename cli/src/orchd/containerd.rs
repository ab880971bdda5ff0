//! Which containerd runs the containers: the one that was used before, the machine's, or a private one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use orch_runtime_containerd::{
    ContainerdConfig, ContainerdRuntime, LoggerCommand, NetworkConfig, PrivateContainerd, Registries,
};
use tracing::info;

use super::config::Config;
use super::data_dir::{ContainerdRecord, DataDir};

const MACHINES_SOCKET: &str = "/run/containerd/containerd.sock";
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// The subcommand of `orchd` that containerd's shim starts to write a container's log.
pub(crate) const LOGGER: &str = "container-log";

/// Finds or starts the containerd that `config` asks for, and records it in the data directory.
pub(crate) async fn start(config: &Config, data: &DataDir) -> Result<ContainerdRuntime> {
    let (socket, private) = match config.runtime.containerd.as_str() {
        "auto" => automatic(data).await?,
        "private" => private(data).await?,
        socket => (PathBuf::from(socket), false),
    };
    let record = ContainerdRecord {
        socket,
        private,
        bridge: bridge(data.path()),
        pod_cidr: config.node.pod_cidr.clone(),
        cni_plugin_dirs: config.node.cni_plugin_dirs.clone(),
    };
    let runtime = connect(&record, data, config.runtime.insecure_registries.clone()).await?;
    data.record_containerd(&record)?;
    Ok(runtime)
}

/// Connects to the containerd that this data directory has used, starting it if it is a private one.
pub(crate) async fn reconnect(data: &DataDir, record: &ContainerdRecord) -> Result<ContainerdRuntime> {
    if record.private {
        PrivateContainerd::start(data.containerd()).await?;
    }
    connect(record, data, Vec::new()).await
}

/// `auto`: what was used before is used again, because the containers are there.
async fn automatic(data: &DataDir) -> Result<(PathBuf, bool)> {
    if let Some(record) = data.containerd_record()?
        && !record.private
    {
        return Ok((record.socket, false));
    }
    let used_before = data.containerd().is_dir();
    if !used_before && answers(Path::new(MACHINES_SOCKET)).await {
        info!(socket = MACHINES_SOCKET, "using the machine's containerd");
        return Ok((MACHINES_SOCKET.into(), false));
    }
    private(data).await
}

async fn private(data: &DataDir) -> Result<(PathBuf, bool)> {
    let containerd = PrivateContainerd::start(data.containerd()).await?;
    info!(pid = containerd.pid(), socket = %containerd.socket().display(), "running a private containerd");
    Ok((containerd.socket(), true))
}

async fn answers(socket: &Path) -> bool {
    let connecting = tokio::net::UnixStream::connect(socket);
    matches!(tokio::time::timeout(ANSWER_WITHIN, connecting).await, Ok(Ok(_)))
}

async fn connect(
    record: &ContainerdRecord,
    data: &DataDir,
    insecure: Vec<String>,
) -> Result<ContainerdRuntime> {
    let orchd = std::env::current_exe().context("cannot find the path of this program")?;
    let network = NetworkConfig {
        plugin_dirs: record.cni_plugin_dirs.clone(),
        ..NetworkConfig::bridge(&record.bridge, &record.pod_cidr)
    };
    let config = ContainerdConfig {
        network,
        registries: Registries { insecure },
        ..ContainerdConfig::new(&record.socket, data.runtime(), LoggerCommand::new(orchd, LOGGER))
    };
    let socket = record.socket.display();
    ContainerdRuntime::connect(config).await.with_context(|| format!("cannot use containerd at {socket}"))
}

/// `orch0` for the usual data directory; others get a bridge of their own, so that several can run on one machine.
fn bridge(data: &Path) -> String {
    if data == Config::default().data_dir {
        return "orch0".into();
    }
    let hash = data.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("orch-{:08x}", hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bridges_fit_the_kernel_and_differ_by_directory() {
        assert_eq!(bridge(Path::new("/var/lib/orch")), "orch0");
        let (one, other) = (bridge(Path::new("/tmp/a")), bridge(Path::new("/tmp/b")));
        assert_ne!(one, other);
        assert!(one.len() <= 15, "{one}");
    }
}
