//! What the runtime is told by whoever makes it.

use std::path::PathBuf;

use crate::network::NetworkConfig;

/// Configuration of a [`ContainerdRuntime`](crate::ContainerdRuntime).
#[derive(Clone, Debug)]
pub struct ContainerdConfig {
    /// containerd's gRPC socket.
    pub socket: PathBuf,
    /// containerd namespace that holds everything of ours; anything else in containerd is left alone.
    pub namespace: String,
    /// Directory for what must outlive the agent: sandboxes, their namespaces, address allocations. One runtime, one directory.
    pub state_dir: PathBuf,
    /// Cgroup below which containers live that name no parent.
    pub cgroup_root: String,
    /// Writes containers' logs.
    pub logger: LoggerCommand,
    /// How pods are connected.
    pub network: NetworkConfig,
    /// Where images come from.
    pub registries: Registries,
    /// OCI runtime: a name in `PATH` or a path (`crun`, `/usr/local/bin/youki`); `None` is containerd's default, runc.
    pub oci_runtime: Option<String>,
    /// Containers that may be starting at the same time; more only wait longer for each other. Twice the CPUs by default.
    pub max_concurrent_starts: usize,
    /// containerd snapshotter; `None` is overlayfs if it works here, else native.
    pub snapshotter: Option<String>,
}

impl ContainerdConfig {
    /// Everything as usual, for the containerd at this socket.
    pub fn new(socket: impl Into<PathBuf>, state_dir: impl Into<PathBuf>, logger: LoggerCommand) -> Self {
        let state_dir = state_dir.into();
        Self {
            socket: socket.into(),
            namespace: "orch".into(),
            network: NetworkConfig::bridge("orch0", "10.88.0.0/16"),
            state_dir,
            cgroup_root: "/orch".into(),
            logger,
            registries: Registries::default(),
            oci_runtime: None,
            max_concurrent_starts: 2 * std::thread::available_parallelism().map_or(2, usize::from),
            snapshotter: None,
        }
    }
}

/// The program that a container's shim starts to write its log: `binary subcommand {json}`, which must end in
/// [`logger::run`](crate::logger::run). It runs once for each container, so it should be small and start quickly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggerCommand {
    /// Absolute path.
    pub binary: PathBuf,
    /// Its first argument; containerd 1.6 can pass only one before the configuration.
    pub subcommand: String,
    /// A log file larger than this is renamed to `<name>.1`, and so on.
    pub max_file_bytes: u64,
    /// Files kept, the current one included; at least 1.
    pub max_files: u32,
}

impl LoggerCommand {
    /// With Kubernetes' limits: 5 files of 10 MiB.
    pub fn new(binary: impl Into<PathBuf>, subcommand: impl Into<String>) -> Self {
        Self { binary: binary.into(), subcommand: subcommand.into(), max_file_bytes: 10 << 20, max_files: 5 }
    }
}

/// Where images come from.
#[derive(Clone, Debug, Default)]
pub struct Registries {
    /// `host:port`s spoken to over plain HTTP. Loopback addresses always are.
    pub insecure: Vec<String>,
}

impl Registries {
    /// Whether plain HTTP is right for this `host[:port]`.
    pub(crate) fn is_insecure(&self, registry: &str) -> bool {
        let host = registry.rsplit_once(':').map_or(registry, |(host, _)| host);
        let loopback = host == "localhost"
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        loopback || self.insecure.iter().any(|insecure| insecure == registry)
    }
}

#[cfg(test)]
mod tests {
    use super::Registries;

    #[test]
    fn only_loopback_and_named_registries_are_insecure() {
        let registries = Registries { insecure: vec!["registry.lan:5000".into()] };
        for insecure in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000", "registry.lan:5000"] {
            assert!(registries.is_insecure(insecure), "{insecure}");
        }
        for secure in
            ["docker.io", "registry.lan", "registry.lan:5001", "10.0.0.1:5000", "localhost.evil.example"]
        {
            assert!(!registries.is_insecure(secure), "{secure}");
        }
    }
}
