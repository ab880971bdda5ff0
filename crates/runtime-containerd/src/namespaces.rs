//! A sandbox's Linux namespaces: held by bind mounts, not by a process.
//!
//! `<dir>/ns/{net,uts,ipc}` are mounts of namespace files and `<dir>/shm` is the shared `/dev/shm`. They live as long as
//! they are mounted: through our death, not through a reboot.

use std::{
    fs,
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, setns, unshare},
    sys::statfs::{NSFS_MAGIC, statfs},
    unistd::sethostname,
};
use orch_runtime::{Network, RuntimeError};

/// What a container's `/dev/shm` holds at most, as in Docker and Kubernetes.
const SHM_OPTIONS: &str = "mode=1777,size=65536k";

pub(crate) fn path(dir: &Path, kind: &str) -> PathBuf {
    dir.join("ns").join(kind)
}

pub(crate) fn shm(dir: &Path) -> PathBuf {
    dir.join("shm")
}

/// Which namespaces a sandbox has of its own; with the host's network it shares the host's name too, as Kubernetes does.
pub(crate) fn kinds(network: Network) -> &'static [&'static str] {
    match network {
        Network::Pod => &["net", "uts", "ipc"],
        Network::Host => &["ipc"],
    }
}

/// Whether all are still there.
pub(crate) fn exist(dir: &Path, network: Network) -> bool {
    kinds(network)
        .iter()
        .all(|kind| statfs(&path(dir, kind)).is_ok_and(|statfs| statfs.filesystem_type() == NSFS_MAGIC))
}

/// Makes them anew.
pub(crate) async fn create(dir: &Path, network: Network, hostname: &str) -> Result<(), RuntimeError> {
    remove(dir)?;
    let (dir, hostname) = (dir.to_owned(), hostname.to_owned());
    // Namespaces belong to threads: this one lives no longer than it takes to pin them. Never one of tokio's.
    let (done, created) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("sandbox-namespaces".into())
        .spawn(move || {
            // Nobody waiting is fine.
            let _ = done.send(pin(&dir, network, &hostname));
        })
        .map_err(|error| RuntimeError::failed("start a thread", error))?;
    let created = created.await.map_err(|error| RuntimeError::failed("create namespaces", error))?;
    created.map_err(|error| RuntimeError::failed("create namespaces", error))
}

/// Makes something inside the sandbox's network: sockets stay in the one that they were made in.
pub(crate) async fn in_network<T: Send + 'static>(
    dir: &Path,
    make: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> std::io::Result<T> {
    let network = path(dir, "net");
    let (done, made) = tokio::sync::oneshot::channel();
    // A thread of its own, as above.
    std::thread::Builder::new().name("sandbox-network".into()).spawn(move || {
        let made = fs::File::open(network).and_then(|network| {
            setns(network, CloneFlags::CLONE_NEWNET)?;
            make()
        });
        // Nobody waiting is fine.
        let _ = done.send(made);
    })?;
    made.await.map_err(std::io::Error::other)?
}

fn pin(dir: &Path, network: Network, hostname: &str) -> std::io::Result<()> {
    fs::create_dir_all(dir.join("ns"))?;
    fs::create_dir_all(shm(dir))?;
    let flags = match network {
        Network::Pod => CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC,
        Network::Host => CloneFlags::CLONE_NEWIPC,
    };
    unshare(flags)?;
    if network == Network::Pod {
        sethostname(hostname)?;
    }
    for kind in kinds(network) {
        let target = path(dir, kind);
        fs::write(&target, "")?;
        let source = format!("/proc/thread-self/ns/{kind}");
        mount(Some(source.as_str()), &target, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("shm"), &shm(dir), Some("tmpfs"), flags, Some(SHM_OPTIONS))?;
    Ok(())
}

/// Lets go of all of them, also of half-made ones.
pub(crate) fn remove(dir: &Path) -> Result<(), RuntimeError> {
    let pins = ["net", "uts", "ipc"].map(|kind| path(dir, kind));
    for target in pins.iter().chain([&shm(dir)]) {
        loop {
            match umount2(target, MntFlags::MNT_DETACH) {
                // One more may be below it, if making it was interrupted and repeated.
                Ok(()) => {}
                Err(Errno::EINVAL | Errno::ENOENT) => break,
                Err(error) => {
                    return Err(RuntimeError::failed(format!("unmount {}", target.display()), error));
                }
            }
        }
    }
    Ok(())
}
