//! What the machine is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use orch_api::{Quantity, quantity::Notation};
use orch_ontology::{NodeSystemInfo, ResourceList};

/// Pods that a machine takes unless its resources run out before.
const PODS: i64 = 110;

/// What a machine offers and what it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Machine {
    /// `cpu`, `memory`, `ephemeral-storage` and `pods`.
    pub capacity: ResourceList,
    /// Versions and identities. The agent itself fills in the runtime's.
    pub info: NodeSystemInfo,
    /// A directory on the disk that may fill up. A machine without one does not exist, and is never short of anything.
    pub data_dir: Option<PathBuf>,
}

impl Machine {
    /// This machine. What cannot be read is left out. `data_dir`, or the directory nearest to it that exists, says which disk counts.
    pub fn detect(data_dir: &Path) -> Self {
        let cpus =
            std::thread::available_parallelism().map_or(1, |cpus| i64::try_from(cpus.get()).unwrap_or(1));
        let mut capacity = ResourceList::from([
            ("cpu".to_owned(), Quantity::new(cpus, Notation::DecimalSi)),
            ("pods".to_owned(), Quantity::new(PODS, Notation::DecimalSi)),
        ]);
        let memory = memory_kib().map(|kib| Quantity::new(kib * 1024, Notation::BinarySi));
        capacity.extend(memory.map(|memory| ("memory".to_owned(), memory)));
        let disk = disk_bytes(data_dir).map(|bytes| Quantity::new(bytes, Notation::BinarySi));
        capacity.extend(disk.map(|disk| ("ephemeral-storage".to_owned(), disk)));
        Self { capacity, info: info(), data_dir: Some(data_dir.to_owned()) }
    }

    /// A machine that does not exist.
    pub fn simulated(cpus: i64, memory_bytes: i64, pods: i64) -> Self {
        let capacity = ResourceList::from([
            ("cpu".to_owned(), Quantity::new(cpus, Notation::DecimalSi)),
            ("memory".to_owned(), Quantity::new(memory_bytes, Notation::BinarySi)),
            ("pods".to_owned(), Quantity::new(pods, Notation::DecimalSi)),
        ]);
        let (operating_system, architecture) = ("linux".to_owned(), architecture());
        let kubelet_version = version();
        Self {
            capacity,
            info: NodeSystemInfo { operating_system, architecture, kubelet_version, ..Default::default() },
            data_dir: None,
        }
    }

    pub(crate) fn memory_bytes(&self) -> i64 {
        self.capacity.get("memory").map_or(0, |memory| memory.value())
    }
}

fn memory_kib() -> Option<i64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn disk_bytes(directory: &Path) -> Option<i64> {
    let existing = directory.ancestors().find(|directory| directory.exists())?;
    let disk = nix::sys::statvfs::statvfs(existing).ok()?;
    i64::try_from(disk.blocks().checked_mul(disk.fragment_size())?).ok()
}

fn info() -> NodeSystemInfo {
    let read = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    NodeSystemInfo {
        machine_id: read("/etc/machine-id"),
        system_uuid: read("/sys/class/dmi/id/product_uuid"),
        boot_id: read("/proc/sys/kernel/random/boot_id"),
        kernel_version: read("/proc/sys/kernel/osrelease"),
        os_image: os_image(&read("/etc/os-release")),
        container_runtime_version: String::new(),
        kubelet_version: version(),
        kube_proxy_version: String::new(),
        operating_system: "linux".to_owned(),
        architecture: architecture(),
    }
}

fn os_image(release: &str) -> String {
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or_default().trim_matches('"').to_owned()
}

/// As Go, and so Kubernetes, names it.
fn architecture() -> String {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
    .to_owned()
}

fn version() -> String {
    concat!("orch-", env!("CARGO_PKG_VERSION")).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_something_to_offer() {
        let machine = Machine::detect(Path::new("/var/lib/none/yet"));
        for resource in ["cpu", "memory", "ephemeral-storage", "pods"] {
            assert!(machine.capacity.get(resource).is_some_and(|amount| !amount.is_zero()), "{resource}");
        }
        assert!(machine.memory_bytes() > 1 << 20);
        assert_eq!(
            os_image("NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            "Debian GNU/Linux 12 (bookworm)"
        );
    }
}
