//! Directories that kustomize makes manifests of.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use orch_gitops::source::{Fetched, Reason, SourceError, fetch_in_child, manifests};
use tempfile::TempDir;

use crate::asking::{Asking, program};
use crate::repository::Repository;

const BASE: [(&str, &str); 2] = [
    ("base/kustomization.yaml", "resources: [map.yaml]\n"),
    ("base/map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: map}\ndata: {color: red}\n"),
];

/// kubectl alone, in a directory for PATH: the one that `hack/test` names, or that of the machine.
fn kubectl() -> TempDir {
    let path = std::env::var_os("PATH").unwrap();
    let found =
        std::env::split_paths(&path).map(|directory| directory.join("kubectl")).find(|file| file.exists());
    let program = std::env::var_os("ORCH_TEST_KUBECTL").map(PathBuf::from).or(found).unwrap();
    let directory = tempfile::tempdir().unwrap();
    symlink(program, directory.path().join("kubectl")).unwrap();
    directory
}

async fn ask(asking: &Asking, path: &Path) -> Result<Fetched, SourceError> {
    let path = format!("PATH={}", path.display());
    let program = program();
    let args = [path.as_str(), program.to_str().unwrap()];
    fetch_in_child(Path::new("/usr/bin/env"), &args, &asking.fetch, asking.deadline).await
}

/// A repository whose directory `blue` has this kustomization.
fn blue(kustomization: &str) -> Repository {
    let files = [&BASE[..], &[("blue/kustomization.yaml", kustomization)]].concat();
    Repository::with(&files).0
}

async fn refused(repository: &Repository, reason: Reason, says: &str) {
    let error = ask(&Asking::of(repository).path("blue"), kubectl().path()).await.unwrap_err();
    assert!(
        error.reason == reason && error.message.contains(says),
        "not {reason:?} with {says:?}: {error:?}"
    );
}

#[tokio::test]
async fn what_kustomize_makes_is_what_is_applied() {
    let kustomization = "resources: [../base]\nnamePrefix: blue-\npatches:\n- target: {kind: ConfigMap}\n  patch: |\n    \
                         - {op: replace, path: /data/color, value: blue}\n";
    let repository = blue(kustomization);
    let asking = Asking::of(&repository).path("blue");
    let Ok(Fetched::Snapshot(snapshot)) = ask(&asking, kubectl().path()).await else { panic!() };
    let made = manifests(&snapshot).unwrap();
    assert_eq!(made.len(), 1);
    assert_eq!(&*made[0].path, "kustomize build blue");
    assert_eq!(made[0].object["metadata"]["name"], "blue-map");
    assert_eq!(made[0].object["data"]["color"], "blue");
}

#[tokio::test]
async fn what_is_elsewhere_is_not_fetched() {
    for kustomization in
        ["resources: [https://example.com/all.yaml]\n", "resources: [github.com/a/b?ref=v1]\n"]
    {
        refused(&blue(kustomization), Reason::Invalid, "nothing is fetched for a kustomization").await;
    }
    refused(&blue("resources: [/etc/passwd]\n"), Reason::Invalid, "is not a file or directory").await;
    let linked = blue("resources: [link.yaml]\n");
    symlink("/etc/passwd", linked.path().join("blue/link.yaml")).unwrap();
    linked.commit(&[]);
    refused(&linked, Reason::Invalid, "links are not followed").await;
}

#[tokio::test]
async fn of_a_large_repository_only_what_is_referred_to_counts() {
    let repository = blue("resources: [../base]\n");
    let source = "x".repeat(10_000);
    let names: Vec<String> = (0..20).map(|name| format!("src/{name}.c")).collect();
    repository.commit(&names.iter().map(|name| (name.as_str(), source.as_str())).collect::<Vec<_>>());
    let asking = Asking::of(&repository).path("blue").with(|fetch| {
        (fetch.limits.total_bytes, fetch.limits.files) = (5_000, 10);
    });
    let Ok(Fetched::Snapshot(snapshot)) = ask(&asking, kubectl().path()).await else { panic!() };
    assert_eq!(manifests(&snapshot).unwrap()[0].object["metadata"]["name"], "map");
    repository.commit(&[("base/notes.txt", &source)]);
    let error = ask(&asking, kubectl().path()).await.unwrap_err();
    assert_eq!(error.reason, Reason::TooLarge);
    assert!(error.message.contains("out of the directories that the kustomization refers to"), "{error}");
}

#[tokio::test]
async fn a_kustomize_that_cannot_be_started_is_not_the_fault_of_what_was_received() {
    let repository = blue("resources: [../base]\n");
    let asking = Asking::of(&repository).path("blue");
    let programs = tempfile::tempdir().unwrap();
    // Found, but nobody may run it.
    std::fs::write(programs.path().join("kustomize"), "").unwrap();
    let failed = || async { ask(&asking, programs.path()).await.unwrap_err() };
    assert_eq!(failed().await.reason, Reason::Failed);
    let kept = asking.fetch.cache.join("tip.git/kept");
    std::fs::write(&kept, "").unwrap();
    let error = failed().await;
    assert!(error.reason == Reason::Failed && error.message.contains("run kustomize"), "{error:?}");
    assert!(kept.exists(), "the cache has been thrown away");
}

#[tokio::test]
async fn what_kustomize_complains_of_is_told() {
    refused(&blue("resources: [../base]\nnoSuchField: 1\n"), Reason::Invalid, "noSuchField").await;
    refused(&blue("resources: [\n"), Reason::Invalid, "blue/kustomization.yaml: ").await;
}

#[tokio::test]
async fn without_kustomize_it_is_said_what_to_install() {
    let repository = blue("resources: [../base]\n");
    let nowhere = tempfile::tempdir().unwrap();
    let error = ask(&Asking::of(&repository).path("blue"), nowhere.path()).await.unwrap_err();
    assert!(error.reason == Reason::MissingTool && error.message.contains("install"), "{error:?}");
}
