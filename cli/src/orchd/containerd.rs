//! Which containerd runs the containers: the one that was used before, the machine's, or a private one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use orch_runtime_containerd::{
    ContainerdConfig, ContainerdRuntime, LoggerCommand, NetworkConfig, PrivateContainerd, Registries,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::config::Config;
use super::data_dir::{ContainerdRecord, DataDir};

const MACHINES_SOCKET: &str = "/run/containerd/containerd.sock";
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long to wait before a private containerd that has ended is started again; twice as long each time it fails.
const START_AGAIN_AFTER: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// The subcommand of `orchd` that containerd's shim starts to write a container's log.
pub(crate) const LOGGER: &str = "container-log";

/// A containerd that serves; it is ours to keep if it is a private one.
type Found = (PathBuf, Option<PrivateContainerd>);

/// Finds or starts the containerd that `config` asks for, and records it in the data directory. A private one is [`keep`]'s to
/// look after.
pub(crate) async fn start(
    config: &Config,
    data: &DataDir,
) -> Result<(ContainerdRuntime, Option<PrivateContainerd>)> {
    let before = data.containerd_record()?;
    let (socket, private) = match config.runtime.containerd.as_str() {
        "auto" => automatic(data, before.as_ref()).await?,
        "private" => private(data).await?,
        socket => (PathBuf::from(socket), None),
    };
    let record = record(config, data.path(), before, socket, private.is_some());
    let runtime = connect(&record, data, config.runtime.insecure_registries.clone()).await?;
    data.record_containerd(&record)?;
    Ok((runtime, private))
}

/// Keeps a private containerd running until cancelled. Containers go on without it, but nothing can be done to them.
pub(crate) async fn keep(mut containerd: PrivateContainerd, data: DataDir, cancel: CancellationToken) {
    while cancel.run_until_cancelled(containerd.exited()).await.is_some() {
        warn!(pid = containerd.pid(), "the private containerd has ended; starting it again");
        match cancel.run_until_cancelled(start_again(&data)).await {
            Some(again) => containerd = again,
            None => return,
        }
    }
}

async fn start_again(data: &DataDir) -> PrivateContainerd {
    let mut wait = START_AGAIN_AFTER;
    loop {
        tokio::time::sleep(wait).await;
        match PrivateContainerd::start(data.containerd()).await {
            Ok(containerd) => {
                info!(pid = containerd.pid(), "the private containerd runs again");
                return containerd;
            }
            Err(error) => error!(%error, "the private containerd does not start"),
        }
        wait = LONGEST_WAIT.min(wait * 2);
    }
}

/// What is to be known of a containerd afterwards. Containers are looked for where they have been put before; the machine's
/// containerd may be used by others too, whose containers are not ours.
fn record(
    config: &Config,
    data: &Path,
    before: Option<ContainerdRecord>,
    socket: PathBuf,
    private: bool,
) -> ContainerdRecord {
    let fresh = if private { "orch".to_owned() } else { namespace(data) };
    let before = before.filter(|before| before.socket == socket);
    let (namespace, cgroup_root) = before
        .map_or_else(|| (fresh.clone(), format!("/{fresh}")), |kept| (kept.namespace, kept.cgroup_root));
    ContainerdRecord {
        socket,
        private,
        namespace,
        cgroup_root,
        bridge: bridge(data),
        pod_cidr: config.node.pod_cidr.clone(),
        cni_plugin_dirs: config.node.cni_plugin_dirs.clone(),
    }
}

/// Connects to the containerd that this data directory has used, starting it if it is a private one.
pub(crate) async fn reconnect(data: &DataDir, record: &ContainerdRecord) -> Result<ContainerdRuntime> {
    if record.private {
        PrivateContainerd::start(data.containerd()).await?;
    }
    connect(record, data, Vec::new()).await
}

/// `auto`: what was used before is used again, because the containers are there.
async fn automatic(data: &DataDir, before: Option<&ContainerdRecord>) -> Result<Found> {
    if let Some(record) = before.filter(|record| !record.private) {
        return Ok((record.socket.clone(), None));
    }
    let used_before = data.containerd().is_dir();
    if !used_before && answers(Path::new(MACHINES_SOCKET)).await {
        info!(socket = MACHINES_SOCKET, "using the machine's containerd");
        return Ok((MACHINES_SOCKET.into(), None));
    }
    private(data).await
}

async fn private(data: &DataDir) -> Result<Found> {
    let containerd = PrivateContainerd::start(data.containerd()).await?;
    info!(pid = containerd.pid(), socket = %containerd.socket().display(), "running a private containerd");
    Ok((containerd.socket(), Some(containerd)))
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
        namespace: record.namespace.clone(),
        cgroup_root: record.cgroup_root.clone(),
        network,
        registries: Registries { insecure },
        ..ContainerdConfig::new(&record.socket, data.runtime(), LoggerCommand::new(orchd, LOGGER))
    };
    let socket = record.socket.display();
    ContainerdRuntime::connect(config).await.with_context(|| format!("cannot use containerd at {socket}"))
}

/// `orch0` for the usual data directory; others get a bridge of their own, so that several can run on one machine.
fn bridge(data: &Path) -> String {
    mark(data).unwrap_or_else(|| "orch0".into())
}

/// `orch` for the usual data directory; others get a containerd namespace of their own.
fn namespace(data: &Path) -> String {
    mark(data).unwrap_or_else(|| "orch".into())
}

/// What tells a data directory from others on the machine; none for the usual one.
fn mark(data: &Path) -> Option<String> {
    if data == Config::default().data_dir {
        return None;
    }
    let hash = data.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Some(format!("orch-{:08x}", hash >> 32))
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

    #[test]
    fn those_who_share_a_containerd_do_not_share_containers() {
        let machines = |data: &str, before| {
            let socket = PathBuf::from(MACHINES_SOCKET);
            record(&Config::default(), Path::new(data), before, socket, false)
        };
        let names = |record: ContainerdRecord| (record.namespace, record.cgroup_root);
        let (usual, tried) = (machines("/var/lib/orch", None), machines("/tmp/try", None));
        assert_eq!(names(usual.clone()), ("orch".into(), "/orch".into()));
        assert_ne!(tried.namespace, machines("/tmp/other", None).namespace);
        assert_eq!(tried.cgroup_root, format!("/{}", tried.namespace));
        assert_ne!(tried.namespace, usual.namespace);

        // Containers that are there already are found again, but not in another containerd.
        let moved = ContainerdRecord { socket: "/run/other.sock".into(), ..usual.clone() };
        assert_eq!(names(machines("/tmp/try", Some(usual.clone()))), names(usual));
        assert_eq!(names(machines("/tmp/try", Some(moved))), names(tried));
    }

    #[test]
    fn a_record_without_a_namespace_is_of_the_one_that_all_had() {
        let text =
            r#"{"socket": "/s", "private": false, "bridge": "b", "podCidr": "c", "cniPluginDirs": []}"#;
        let read: ContainerdRecord = serde_json::from_str(text).unwrap();
        assert_eq!((read.namespace.as_str(), read.cgroup_root.as_str()), ("orch", "/orch"));
    }
}
