//! OpenSSH's server, with a configuration of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User};
use tempfile::TempDir;

use super::process::{Task, each};

pub(crate) struct SshServer {
    pub(crate) port: u16,
    directory: TempDir,
    _task: Task,
}

impl SshServer {
    /// One that lets in who has the key.
    pub(crate) async fn start(authorized: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        key(&path.join("host"), "ed25519", "");
        fs::write(path.join("authorized_keys"), authorized).unwrap();
        let setting = |name: &str, file: &str| format!("{name} {}\n", path.join(file).display());
        let config = setting("HostKey", "host")
            + &setting("AuthorizedKeysFile", "authorized_keys")
            + "StrictModes no\nUsePAM no\nPasswordAuthentication no\nPermitRootLogin yes\n";
        fs::write(path.join("config"), config).unwrap();
        if Uid::effective().is_root() {
            // sshd wants it, and the service that makes it does not run.
            fs::create_dir_all("/run/sshd").unwrap();
        }
        let file = path.join("config");
        let command = move || {
            let mut sshd = Command::new("/usr/sbin/sshd");
            sshd.arg("-i").arg("-f").arg(&file);
            sshd
        };
        let (port, task) = each(command).await;
        Self { port, directory, _task: task }
    }

    /// What `known_hosts` says of it.
    pub(crate) fn known(&self) -> String {
        format!("[127.0.0.1]:{} {}", self.port, public(&self.directory.path().join("host")))
    }

    pub(crate) fn url(&self, repository: &Path) -> String {
        let user = User::from_uid(Uid::effective()).unwrap().unwrap().name;
        format!("ssh://{user}@127.0.0.1:{}{}", self.port, repository.display())
    }
}

/// Makes a pair of keys, and returns the path of the private one.
pub(crate) fn key(path: &Path, kind: &str, password: &str) -> PathBuf {
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-C", "test", "-t", kind, "-N", password, "-f"]).arg(path);
    if kind == "rsa" {
        keygen.args(["-b", "2048"]);
    }
    assert!(keygen.status().unwrap().success());
    path.to_owned()
}

/// The public key to a private one, as one line.
pub(crate) fn public(key: &Path) -> String {
    fs::read_to_string(key.with_extension("pub")).unwrap().trim().to_owned()
}
