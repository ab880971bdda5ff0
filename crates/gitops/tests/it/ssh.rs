//! ssh: the host's key, and one's own.

use std::fs;

use orch_gitops::source::Reason;
use tempfile::TempDir;

use crate::asking::{Asking, pairs};
use crate::repository::Repository;
use crate::server::{SshServer, key, public};

const MANIFEST: (&str, &str) = ("a.yaml", "a");

/// Keys of one who may and one who may not, a server and a repository.
struct Scene {
    keys: TempDir,
    server: SshServer,
    repository: Repository,
}

impl Scene {
    async fn with(kind: &str, password: &str) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let ours = key(&keys.path().join("ours"), kind, password);
        key(&keys.path().join("theirs"), kind, "");
        let (repository, _) = Repository::with(&[MANIFEST]);
        Self { server: SshServer::start(&public(&ours)).await, keys, repository }
    }

    fn asking(&self, key: &str, known_hosts: &str) -> Asking {
        let identity = match key {
            "" => String::new(),
            // As YAML's `|-` has it: the last line has no end.
            name => fs::read_to_string(self.keys.path().join(name)).unwrap().trim_end().to_owned(),
        };
        Asking::at(&self.server.url(&self.repository.path())).with(|fetch| {
            fetch.credentials.identity = identity;
            fetch.credentials.known_hosts = known_hosts.to_owned();
        })
    }
}

#[tokio::test]
async fn a_key_opens_a_server_that_is_known() {
    let scene = Scene::with("ed25519", "").await;
    let known = scene.server.known();
    assert_eq!(scene.asking("ours", &known).files().await, pairs(&[MANIFEST]));
    scene.asking("theirs", &known).refused(Reason::Unauthorized, "does not accept").await;
    scene.asking("", &known).refused(Reason::Unauthorized, "asks for a key").await;
}

#[tokio::test]
async fn keys_of_other_kinds_and_with_passwords_are_read() {
    for (kind, password) in [("rsa", ""), ("ecdsa", ""), ("ed25519", "hush"), ("rsa", "hush")] {
        let scene = Scene::with(kind, password).await;
        let asking = scene.asking("ours", &scene.server.known());
        let asking = asking.with(|fetch| fetch.credentials.identity_password = format!("{password}\n"));
        assert_eq!(asking.files().await, pairs(&[MANIFEST]), "{kind} {password}");
        if !password.is_empty() {
            let wrong = asking.with(|fetch| fetch.credentials.identity_password = "shout".to_owned());
            wrong.refused(Reason::Unauthorized, "is password its own?").await;
        }
    }
}

#[tokio::test]
async fn a_host_with_another_key_than_the_known_one_is_not_talked_to() {
    let scene = Scene::with("ed25519", "").await;
    let elsewhere = SshServer::start("").await;
    let port = scene.server.port;
    let another = elsewhere.known().replace(&elsewhere.port.to_string(), &port.to_string());
    let (known, other_port) = (scene.server.known(), elsewhere.known());
    for hosts in ["", "# nobody", another.as_str(), other_port.as_str()] {
        scene.asking("ours", hosts).refused(Reason::HostUntrusted, "known_hosts").await;
    }
    let several = format!("# ours\n{other_port}\n{known}\n");
    assert_eq!(scene.asking("ours", &several).files().await, pairs(&[MANIFEST]));
    assert_eq!(scene.asking("ours", &hashed(&scene, &known)).files().await, pairs(&[MANIFEST]));
}

/// The same, with the names of hosts made unreadable.
fn hashed(scene: &Scene, known: &str) -> String {
    let file = scene.keys.path().join("known_hosts");
    fs::write(&file, format!("{known}\n")).unwrap();
    let mut keygen = std::process::Command::new("ssh-keygen");
    let done = keygen
        .arg("-H")
        .arg("-f")
        .arg(&file)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    assert!(done.status().unwrap().success());
    let hashed = fs::read_to_string(file).unwrap();
    assert!(hashed.starts_with("|1|"), "{hashed}");
    hashed
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_said() {
    let scene = Scene::with("ed25519", "").await;
    let asking = scene.asking("ours", &scene.server.known());
    let asking = asking.with(|fetch| fetch.url.push_str("-not"));
    asking.refused(Reason::Unreachable, "Is there a repository").await;
}
