//! Reading and removing cgroups, of version 1 and 2. Making them is the OCI runtime's work.

use std::{
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use orch_runtime::{ContainerId, ContainerStats};

const ROOT: &str = "/sys/fs/cgroup";

/// How this machine's cgroups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cgroups {
    /// One hierarchy for each controller, perhaps with an unused unified one.
    V1,
    /// One for all.
    V2,
}

impl Cgroups {
    pub(crate) fn detect() -> Self {
        if Path::new(ROOT).join("cgroup.controllers").exists() { Self::V2 } else { Self::V1 }
    }

    fn file(self, controller: &str, cgroup: &str, file: &str) -> PathBuf {
        let root = match self {
            Self::V1 => Path::new(ROOT).join(controller),
            Self::V2 => PathBuf::from(ROOT),
        };
        root.join(cgroup.trim_start_matches('/')).join(file)
    }

    /// Whether the kernel killed a process of it for lack of memory.
    pub(crate) fn ran_out_of_memory(self, cgroup: &str) -> bool {
        let file = match self {
            Self::V1 => "memory.oom_control",
            Self::V2 => "memory.events",
        };
        field(&self.file("memory", cgroup, file), "oom_kill").is_some_and(|kills| kills > 0)
    }

    /// `None` if it is gone.
    pub(crate) fn stats(self, id: ContainerId, cgroup: &str) -> Option<ContainerStats> {
        let (cpu_nanos, usage, reclaimable) = match self {
            Self::V1 => (
                number(&self.file("cpuacct", cgroup, "cpuacct.usage"))?,
                "memory.usage_in_bytes",
                "total_inactive_file",
            ),
            Self::V2 => (
                field(&self.file("cpu", cgroup, "cpu.stat"), "usage_usec")? * 1000,
                "memory.current",
                "inactive_file",
            ),
        };
        let memory_bytes = number(&self.file("memory", cgroup, usage))?;
        let reclaimable = field(&self.file("memory", cgroup, "memory.stat"), reclaimable).unwrap_or(0);
        let pids = number(&self.file("pids", cgroup, "pids.current"))?;
        let working_set_bytes = memory_bytes.saturating_sub(reclaimable);
        Some(ContainerStats { id, at: Timestamp::now(), cpu_nanos, memory_bytes, working_set_bytes, pids })
    }

    /// Removes what is left of a cgroup whose containers are gone, in every hierarchy. What is busy stays.
    pub(crate) fn remove(self, cgroup: &str) {
        let roots: Vec<PathBuf> = match self {
            Self::V2 => vec![ROOT.into()],
            Self::V1 => {
                fs::read_dir(ROOT).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
            }
        };
        for root in roots {
            let _ = fs::remove_dir(root.join(cgroup.trim_start_matches('/')));
        }
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The number behind a name in a file of such lines.
fn field(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}
