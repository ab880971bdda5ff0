//! [`DataDir`]: everything that Orch keeps on a machine, and who is using it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

const ADMIN_KUBECONFIG: &str = "admin.kubeconfig";
const CONTAINERD_RECORD: &str = "containerd.json";

/// The layout of a data directory.
#[derive(Debug, Clone)]
pub(crate) struct DataDir(PathBuf);

/// Held by the one `orchd up` that uses a data directory. Freed when dropped, and by the kernel when the process dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: Flock<File>,
}

/// How containers are run from a data directory, for those who come after the process: `reset` and `image`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerdRecord {
    /// The socket of the containerd in use.
    pub(crate) socket: PathBuf,
    /// Whether the containerd is ours, and runs from this directory.
    pub(crate) private: bool,
    /// The namespace of that containerd which holds our containers and images.
    #[serde(default = "first_namespace")]
    pub(crate) namespace: String,
    /// The cgroup below which containers are.
    #[serde(default = "first_cgroup_root")]
    pub(crate) cgroup_root: String,
    /// The bridge that pods are attached to.
    pub(crate) bridge: String,
    /// The range that pods get their addresses from.
    pub(crate) pod_cidr: String,
    /// Where the CNI plugins are.
    pub(crate) cni_plugin_dirs: Vec<PathBuf>,
}

/// What all data directories used before it was recorded.
fn first_namespace() -> String {
    "orch".into()
}

fn first_cgroup_root() -> String {
    "/orch".into()
}

impl DataDir {
    /// The data directory at this path, made if it does not exist, readable by its owner only: pods' secrets are below it.
    ///
    /// # Errors
    /// If it cannot be made, or is open to others who keep something else in it.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.with_context(|| format!("cannot make the data directory {}", path.display()))?;
        let data = Self(path.canonicalize()?);
        data.close().with_context(|| format!("cannot keep others out of {}", path.display()))?;
        Ok(data)
    }

    /// Takes from others what rights they have in a directory that was there before. What is not ours alone, such as `/tmp`, is
    /// left as it is and refused.
    fn close(&self) -> Result<()> {
        let mode = std::fs::metadata(&self.0)?.permissions().mode();
        if mode & 0o077 == 0 {
            return Ok(());
        }
        if !self.lock_file().exists()
            && let Some(stranger) = self.stranger()?
        {
            bail!(
                "it is open to others and holds {}, which is not orchd's\nhint: use a directory of its own, or chmod 700 it",
                stranger.display()
            );
        }
        Ok(std::fs::set_permissions(&self.0, std::fs::Permissions::from_mode(0o700))?)
    }

    /// Something in the directory that Orch has not put there.
    fn stranger(&self) -> Result<Option<PathBuf>> {
        let ours = self.contents();
        for entry in std::fs::read_dir(&self.0)? {
            let path = entry?.path();
            if !ours.contains(&path) {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// The data directory at this path, which must have been used before.
    pub(crate) fn existing(path: &Path) -> Result<Self> {
        let data = Self(path.canonicalize().unwrap_or_else(|_| path.to_owned()));
        if !data.lock_file().exists() {
            bail!(
                "{} is not a data directory of orchd\nhint: name the one of `orchd up` with --data-dir",
                path.display()
            );
        }
        Ok(data)
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The embedded store.
    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// The changes of all objects.
    pub(crate) fn history(&self) -> PathBuf {
        self.0.join("history")
    }

    /// What has been fetched of Git repositories.
    pub(crate) fn git(&self) -> PathBuf {
        self.0.join("git")
    }

    /// The certificate authority.
    pub(crate) fn authority(&self) -> PathBuf {
        self.0.join("pki")
    }

    /// The audit log, unless the configuration names another file.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.0.join("audit.log")
    }

    /// The key that signs service accounts' tokens.
    pub(crate) fn token_key(&self) -> PathBuf {
        self.authority().join("sa.key")
    }

    /// The administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.0.join(ADMIN_KUBECONFIG)
    }

    /// A private containerd: its configuration, root, state and socket.
    pub(crate) fn containerd(&self) -> PathBuf {
        self.0.join("containerd")
    }

    /// What the runtime keeps of sandboxes and containers.
    pub(crate) fn runtime(&self) -> PathBuf {
        self.0.join("runtime")
    }

    /// The node agent's volumes and logs.
    pub(crate) fn node(&self) -> PathBuf {
        self.0.join("node")
    }

    /// The directory of logs of this process when started in the background.
    fn others(&self) -> Vec<PathBuf> {
        let named = ["orchd.log", "orchd.out", "quickstart", CONTAINERD_RECORD].map(|name| self.0.join(name));
        named.into_iter().chain(self.audit_logs()).collect()
    }

    /// The audit log, and those that were put aside.
    fn audit_logs(&self) -> Vec<PathBuf> {
        let log = self.audit_log();
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        let is_one = |path: &PathBuf| {
            let (path, log) = (path.as_os_str().as_encoded_bytes(), log.as_os_str().as_encoded_bytes());
            path.strip_prefix(log).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"."))
        };
        entries.map(|entry| entry.path()).filter(is_one).collect()
    }

    fn lock_file(&self) -> PathBuf {
        self.0.join("orchd.pid")
    }

    /// Takes the directory for this process.
    ///
    /// # Errors
    /// If another process has it; its pid is named.
    pub(crate) fn lock(&self) -> Result<Lock> {
        let path = self.lock_file();
        let opened =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(&path);
        let file = opened.with_context(|| format!("cannot open {}", path.display()))?;
        let Ok(mut file) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else {
            let holder =
                self.holder()?.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"));
            bail!("{} is in use by {holder}\nhint: stop it, or use another --data-dir", self.0.display());
        };
        file.set_len(0)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(Lock { _file: file })
    }

    /// The process that uses the directory now.
    pub(crate) fn holder(&self) -> Result<Option<i32>> {
        let Ok(mut file) = File::open(self.lock_file()) else { return Ok(None) };
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => Ok(None),
            // Whatever else the file holds is no process: `kill` takes 0 and negative numbers for groups.
            Err(_) => Ok(text.trim().parse().ok().filter(|pid| *pid > 1)),
        }
    }

    /// Writes the administrator's kubeconfig.
    pub(crate) fn write_kubeconfig(&self, text: &str) -> Result<()> {
        self.write(ADMIN_KUBECONFIG, text.as_bytes())
    }

    /// Records which containerd is used.
    pub(crate) fn record_containerd(&self, record: &ContainerdRecord) -> Result<()> {
        self.write(CONTAINERD_RECORD, &serde_json::to_vec_pretty(record)?)
    }

    /// Writes a file, whole or not at all.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (path, fresh) = (self.0.join(name), self.0.join(format!(".{name}")));
        let write = || {
            let mut file =
                OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::rename(&fresh, &path)
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Which containerd has been used, if one has.
    pub(crate) fn containerd_record(&self) -> Result<Option<ContainerdRecord>> {
        match std::fs::read(self.0.join(CONTAINERD_RECORD)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).context("containerd.json cannot be read")?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// All that Orch puts into the directory.
    fn contents(&self) -> Vec<PathBuf> {
        let directories = [
            self.store(),
            self.history(),
            self.git(),
            self.authority(),
            self.containerd(),
            self.runtime(),
            self.node(),
        ];
        let files = [self.kubeconfig(), self.lock_file()];
        directories.into_iter().chain(self.others()).chain(files).collect()
    }

    /// Removes all that Orch has put into the directory, and the directory if nothing else is in it.
    pub(crate) fn remove(&self) -> Result<()> {
        for path in self.contents() {
            let removed =
                if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("cannot remove {}", path.display()));
                }
                _ => {}
            }
        }
        // Something that is not ours may be in it: then it stays.
        drop(std::fs::remove_dir(&self.0));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_used_by_one_process() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::create(&directory.path().join("orch")).unwrap();
        assert!(DataDir::existing(data.path()).is_err());
        let lock = data.lock().unwrap();
        let refused = data.lock().unwrap_err().to_string();
        assert!(refused.contains(&format!("in use by process {}", std::process::id())), "{refused}");
        drop(lock);
        assert_eq!(data.holder().unwrap(), None);
        data.lock().unwrap();
    }

    #[test]
    fn others_have_no_access_to_a_directory_that_was_there_before() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("orch");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let open = || std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join("orchd.log"), "").unwrap();
        open();
        let data = DataDir::create(&path).unwrap();
        assert_eq!(mode(&path), 0o700);

        // What others use as well keeps its mode.
        std::fs::write(path.join("notes.txt"), "mine").unwrap();
        open();
        let refused = format!("{:#}", DataDir::create(&path).unwrap_err());
        assert!(refused.contains("notes.txt") && mode(&path) == 0o755, "{refused}");
        drop(data.lock().unwrap());
        DataDir::create(&path).unwrap();
        assert_eq!(mode(&path), 0o700, "it has been used before");
    }

    #[test]
    fn what_is_recorded_is_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::create(directory.path()).unwrap();
        let record = ContainerdRecord {
            socket: "/s".into(),
            private: true,
            namespace: "n".into(),
            cgroup_root: "/n".into(),
            bridge: "b".into(),
            pod_cidr: "c".into(),
            cni_plugin_dirs: Vec::new(),
        };
        data.record_containerd(&record).unwrap();
        let kept = std::fs::File::open(directory.path().join(CONTAINERD_RECORD)).unwrap();
        let longer = ContainerdRecord { bridge: "bridge".into(), ..record.clone() };
        data.record_containerd(&longer).unwrap();
        let before: ContainerdRecord = serde_json::from_reader(kept).unwrap();
        assert_eq!((before, data.containerd_record().unwrap()), (record, Some(longer)));
    }

    #[test]
    fn removing_takes_only_what_is_ours() {
        let directory = tempfile::tempdir().unwrap();
        let data = DataDir::create(&directory.path().join("orch")).unwrap();
        drop(data.lock().unwrap());
        std::fs::create_dir(data.store()).unwrap();
        for log in ["audit.log", "audit.log.1"] {
            std::fs::write(data.path().join(log), "{}").unwrap();
        }
        std::fs::write(data.path().join("notes.txt"), "mine").unwrap();
        data.remove().unwrap();
        let left: Vec<_> =
            std::fs::read_dir(data.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["notes.txt"]);
    }
}
