//! A containerd, a bridge, an address range and a cgroup that nothing else on the machine uses.

use std::{
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    fcntl::{Flock, FlockArg},
    mount::{MntFlags, umount2},
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{ContainerdConfig, LoggerCommand, NetworkConfig, PrivateContainerd, container::oci_state_dir};

/// Hosts at the same time on one machine, over all test processes.
const HOSTS: u32 = 250;
const LOCKS: &str = "/run/orch-testing";

/// A host for tests: root needed. Everything that it has ends when it is dropped, also by a failing test: containers, shims,
/// containerd, mounts, bridge, firewall table, cgroups.
pub struct TestHost {
    dir: PathBuf,
    number: u32,
    containerd: Option<PrivateContainerd>,
    /// Held as long as the number is ours.
    _number_lock: Flock<fs::File>,
}

impl TestHost {
    /// Starts a private containerd in this directory, which must be a new temporary one: whatever runs, or is mounted, below its
    /// `containerd` and `state` is ended with the host.
    pub async fn start(dir: impl Into<PathBuf>) -> io::Result<Self> {
        let dir = dir.into();
        let (number, number_lock) = take_number()?;
        let mut host = Self { dir, number, containerd: None, _number_lock: number_lock };
        host.containerd =
            Some(PrivateContainerd::start(host.dir.join("containerd")).await.map_err(io::Error::other)?);
        Ok(host)
    }

    /// The configuration of a runtime on this host.
    pub fn config(&self, logger: LoggerCommand) -> ContainerdConfig {
        ContainerdConfig {
            network: NetworkConfig::bridge(self.bridge(), format!("10.77.{}.0/24", self.number)),
            cgroup_root: self.cgroup(),
            ..ContainerdConfig::new(
                self.dir.join("containerd/containerd.sock"),
                self.dir.join("state"),
                logger,
            )
        }
    }

    /// Its containerd; `None` after [`take_containerd`](Self::take_containerd).
    pub fn containerd(&self) -> Option<&PrivateContainerd> {
        self.containerd.as_ref()
    }

    /// Hands out the containerd, to stop it or to forget it, as a process that dies does.
    pub fn take_containerd(&mut self) -> Option<PrivateContainerd> {
        self.containerd.take()
    }

    /// Where everything is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Name of the bridge.
    pub fn bridge(&self) -> String {
        format!("orcht{}", self.number)
    }

    /// Address of the bridge.
    pub fn gateway(&self) -> String {
        format!("10.77.{}.1", self.number)
    }

    /// Cgroup of all its containers.
    pub fn cgroup(&self) -> String {
        format!("/orch-testing-{}", self.number)
    }

    /// Processes of the host: containerd, shims, loggers, and what they run.
    pub fn processes(&self) -> Vec<i32> {
        let mut pids = self.own_processes();
        for dir in self.cgroup_dirs() {
            let procs = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            pids.extend(procs.lines().filter_map(|pid| pid.parse::<i32>().ok()));
        }
        // 0 is a process of another pid namespace; to `kill` it would be our own group.
        pids.retain(|pid| *pid > 1);
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// Mount points below its directory, innermost first.
    pub fn mounts(&self) -> Vec<PathBuf> {
        let info = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let points = info.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        let ours = [self.dir.join("containerd"), self.dir.join("state")];
        let mut below: Vec<PathBuf> =
            points.filter(|point| ours.iter().any(|dir| point.starts_with(dir))).collect();
        below.reverse();
        below
    }

    /// Directories of its cgroups in all hierarchies, innermost first.
    pub fn cgroup_dirs(&self) -> Vec<PathBuf> {
        let root = Path::new("/sys/fs/cgroup");
        let name = self.cgroup();
        let name = name.trim_start_matches('/');
        let mut hierarchies = vec![root.to_owned()];
        hierarchies.extend(fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path()));
        let mut dirs = Vec::new();
        hierarchies.iter().for_each(|hierarchy| collect(&hierarchy.join(name), &mut dirs));
        dirs
    }

    /// Outside of our directory; a shim that is killed leaves its own.
    fn shim_sockets(&self) -> Vec<PathBuf> {
        let bundles = self.dir.join("containerd/state/io.containerd.runtime.v2.task/orch");
        let bundles = fs::read_dir(bundles).into_iter().flatten().flatten();
        let addresses = bundles.filter_map(|bundle| fs::read_to_string(bundle.path().join("address")).ok());
        addresses.filter_map(|address| Some(address.strip_prefix("unix://")?.trim().into())).collect()
    }

    /// Those whose command line names our containerd's directory. Loggers end with what they log.
    fn own_processes(&self) -> Vec<i32> {
        let dir = self.dir.join("containerd/").to_string_lossy().into_owned();
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
        pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
            .filter(|pid| {
                let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                *pid != own && String::from_utf8_lossy(&command).contains(&dir)
            })
            .collect()
    }

    /// Also what a host of this number left that was killed.
    fn remove_network(&self) {
        run("ip", &["link", "delete", &self.bridge()]);
        run("nft", &["delete", "table", "ip", &format!("orch_{}", self.bridge())]);
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        let sockets = self.shim_sockets();
        // Again until nothing is left: what is starting while we look is found the next time.
        for _ in 0..50 {
            let pids = self.processes();
            for pid in &pids {
                let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
            }
            if pids.is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        for socket in sockets {
            let _ = fs::remove_file(socket);
        }
        for mount in self.mounts() {
            let _ = umount2(&mount, MntFlags::MNT_DETACH);
        }
        for dir in self.cgroup_dirs() {
            let _ = fs::remove_dir(dir);
        }
        let _ = fs::remove_dir_all(oci_state_dir(&self.dir.join("state")));
        self.remove_network();
    }
}

fn collect(dir: &Path, dirs: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        collect(&entry.path(), dirs);
    }
    dirs.push(dir.to_owned());
}

fn take_number() -> io::Result<(u32, Flock<fs::File>)> {
    fs::create_dir_all(LOCKS)?;
    for number in 0..HOSTS {
        let file =
            fs::File::options().write(true).create(true).truncate(false).open(format!("{LOCKS}/{number}"))?;
        if let Ok(mut lock) = Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            writeln!(lock, "{}", std::process::id())?;
            return Ok((number, lock));
        }
    }
    Err(io::Error::other(format!("{HOSTS} test hosts are running already")))
}

/// It may not have been made: that is fine.
fn run(program: &str, arguments: &[&str]) {
    let _ = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
}
