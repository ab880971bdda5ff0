//! What the process that fetches can reach, whatever becomes of it: the kernel sees to that (Landlock, Linux 6.7 for all of it).

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use orch_gitops::source::{Fetched, Reason, fetch_in_child, manifests};
use tokio::net::TcpListener;

use crate::asking::{Asking, pairs, program};
use crate::repository::Repository;

#[tokio::test]
async fn a_local_repository_does_not_lead_to_others() {
    let (outside, _) = Repository::with(&[("a.yaml", "not for everybody")]);
    let (inside, _) = Repository::with(&[("b.yaml", "b")]);
    let git = |repository: &Repository, path: &str| repository.path().join(".git").join(path);
    let objects = git(&outside, "objects").display().to_string();
    let commit = outside.git(&["rev-parse", "HEAD"]);
    fs::write(git(&inside, "objects/info/alternates"), objects).unwrap();
    fs::write(git(&inside, "refs/heads/main"), format!("{commit}\n")).unwrap();
    assert_eq!(inside.git(&["show", "main:a.yaml"]), "not for everybody", "git itself is led there");
    Asking::of(&inside).ask().await.unwrap_err();
    fs::remove_file(git(&inside, "objects/info/alternates")).unwrap();
    fs::rename(git(&inside, "objects"), git(&inside, "own")).unwrap();
    symlink(git(&outside, "objects"), git(&inside, "objects")).unwrap();
    assert_eq!(inside.git(&["show", "main:a.yaml"]), "not for everybody");
    Asking::of(&inside).ask().await.unwrap_err();
    let both = Asking::of(&inside).with(|fetch| fetch.local_roots.push(outside.root()));
    assert_eq!(
        both.files().await,
        pairs(&[("a.yaml", "not for everybody")]),
        "who may read both may be led there"
    );
}

/// Tells what it can do, in the place of kustomize.
const PROBE: &str = r#"#!/bin/bash
can() { if (eval "$1") 2>/dev/null; then echo yes; else echo no; fi; }
echo "apiVersion: v1
kind: ConfigMap
metadata: {name: probe}
data:
  connect: '$(can 'exec 3<>/dev/tcp/127.0.0.1/PORT')'
  read: '$(can 'exec 3<SECRET')'
  write: '$(can 'exec 3>SECRET.new')'
  kill: '$(can 'kill -0 PID')'
  copy: '$(can "exec 3<$2/kustomization.yaml")'"
"#;

#[tokio::test]
async fn what_makes_manifests_reaches_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    fs::write(&secret, "not for everybody").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let probe = PROBE
        .replace("PORT", &listener.local_addr().unwrap().port().to_string())
        .replace("SECRET", secret.to_str().unwrap())
        .replace("PID", &std::process::id().to_string());
    let tool = directory.path().join("kustomize");
    fs::write(&tool, probe).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let (repository, _) = Repository::with(&[("kustomization.yaml", "resources: []\n")]);
    let asking = Asking::of(&repository);
    let (path, program) = (format!("PATH={}", directory.path().display()), program());
    let args = [path.as_str(), program.to_str().unwrap()];
    let made = fetch_in_child(Path::new("/usr/bin/env"), &args, &asking.fetch, asking.deadline).await;
    let Ok(Fetched::Snapshot(snapshot)) = made else { panic!("{made:?}") };
    let found = manifests(&snapshot).unwrap()[0].object["data"].to_string();
    assert_eq!(found, r#"{"connect":"no","copy":"yes","kill":"no","read":"no","write":"no"}"#);
}

#[tokio::test]
async fn a_cache_that_cannot_be_made_is_said() {
    let (repository, _) = Repository::with(&[("a.yaml", "a")]);
    let asking = Asking::of(&repository);
    fs::write(&asking.fetch.cache, "a file in its place").unwrap();
    asking.refused(Reason::Failed, "cannot make the cache").await;
}
