//! Repositories that mean no good.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;

use orch_gitops::source::{Reason, manifests};

use crate::asking::{Asking, pairs};
use crate::repository::Repository;
use crate::server::daemon;

const FILE: &str = "100644";
const DIRECTORY: &str = "40000";
const LINK: &str = "120000";

#[tokio::test]
async fn names_that_lead_elsewhere_are_refused() {
    let repository = Repository::new();
    let blob = repository.object("blob", b"a: b\n");
    let (url, _daemon) = daemon(&repository.root()).await;
    for name in ["..", ".", "../x.yaml", "/etc/x.yaml", ".git", ".GIT", "a\\b.yaml", "a\u{7}.yaml"] {
        let tree = repository.tree(&[(FILE, "x.yaml", &blob)]);
        let local = Asking::of(&repository);
        let remote = Asking::at(&format!("{url}/repository"));
        for (mode, id, asking) in [(FILE, &blob, local), (DIRECTORY, &tree, remote)] {
            let inner = repository.tree(&[(mode, name, id)]);
            repository.commit_tree(&repository.tree(&[(DIRECTORY, "apps", &inner)]));
            asking.path("apps").refused(Reason::Invalid, "holds a name that is not accepted").await;
        }
    }
}

#[tokio::test]
async fn names_longer_than_a_file_system_has_are_refused() {
    let repository = Repository::new();
    let blob = repository.object("blob", b"a: b\n");
    let name = |length: usize| format!("{}.yaml", "n".repeat(length - 5));
    repository.commit_tree(&repository.tree(&[(FILE, &name(255), &blob)]));
    assert_eq!(Asking::of(&repository).files().await, pairs(&[(&name(255), "a: b\n")]));
    repository.commit_tree(&repository.tree(&[(FILE, &name(256), &blob)]));
    let said = Asking::of(&repository).refused(Reason::Invalid, "a name that is not accepted").await;
    assert!(said.len() < 1_000, "{said}");
    let mut deep = repository.tree(&[(FILE, "a.yaml", &blob)]);
    for _ in 0..20 {
        deep = repository.tree(&[(DIRECTORY, &"d".repeat(255), &deep)]);
    }
    repository.commit_tree(&deep);
    Asking::of(&repository).refused(Reason::TooLarge, "a path of more than 4096 bytes").await;
}

#[tokio::test]
async fn names_that_lead_elsewhere_are_not_copied_for_kustomize_either() {
    let repository = Repository::new();
    let blob = repository.object("blob", b"resources: []\n");
    let evil = repository.tree(&[(FILE, "../../evil", &blob)]);
    let tree = repository.tree(&[(DIRECTORY, "evil", &evil), (FILE, "kustomization.yaml", &blob)]);
    repository.commit_tree(&tree);
    Asking::of(&repository).refused(Reason::Invalid, "holds a name that is not accepted").await;
}

#[tokio::test]
async fn links_are_not_followed() {
    let (repository, _) = Repository::with(&[("apps/a.yaml", "a"), ("base/b.yaml", "b")]);
    let apps = repository.path().join("apps");
    for (name, target) in
        [("l.yaml", "/etc/passwd"), ("l.yaml", "a.yaml"), ("base", "../base"), ("l.json", "../../../x")]
    {
        symlink(target, apps.join(name)).unwrap();
        repository.commit(&[]);
        let asking = Asking::of(&repository).path("apps");
        asking.refused(Reason::Invalid, &format!("apps/{name} is a symbolic link")).await;
        fs::remove_file(apps.join(name)).unwrap();
    }
    symlink("../README", apps.join("README")).unwrap();
    repository.commit(&[]);
    assert_eq!(Asking::of(&repository).path("apps").files().await, pairs(&[("apps/a.yaml", "a")]));
    symlink("apps", repository.path().join("current")).unwrap();
    repository.commit(&[]);
    Asking::of(&repository).path("current").refused(Reason::NotFound, "is not a directory").await;
}

#[tokio::test]
async fn links_and_submodules_made_by_hand_are_no_files() {
    let repository = Repository::new();
    let link = repository.object("blob", b"/etc/passwd");
    let tree = repository.tree(&[(LINK, "l.yaml", &link)]);
    repository.commit_tree(&tree);
    Asking::of(&repository).refused(Reason::Invalid, "l.yaml is a symbolic link").await;
    let blob = repository.object("blob", b"a");
    let commit = repository.commit(&[]);
    repository.commit_tree(&repository.tree(&[(FILE, "a.yaml", &blob), ("160000", "sub.yaml", &commit)]));
    assert_eq!(Asking::of(&repository).files().await, pairs(&[("a.yaml", "a")]));
}

#[tokio::test]
async fn a_file_that_is_too_large_is_not_read() {
    let (repository, _) = Repository::with(&[("small.yaml", "a")]);
    let large = fs::File::create(repository.path().join("large.yaml")).unwrap();
    large.set_len(100 << 20).unwrap();
    repository.commit(&[]);
    let asking = Asking::of(&repository);
    asking.refused(Reason::TooLarge, "large.yaml has 104857600 bytes").await;
    fs::rename(repository.path().join("large.yaml"), repository.path().join("large.bin")).unwrap();
    repository.commit(&[]);
    assert_eq!(asking.files().await, pairs(&[("small.yaml", "a")]), "what is not taken may be large");
}

#[tokio::test]
async fn too_many_files_are_refused() {
    let repository = Repository::new();
    let blob = repository.object("blob", b"a: b\n");
    let lines: String =
        (0..100_000).map(|number| format!("{FILE} blob {blob}\t{number:06}.yaml\n")).collect();
    let tree = repository.git_told(&["mktree"], lines.as_bytes());
    repository.commit_tree(&tree);
    Asking::of(&repository).refused(Reason::TooLarge, "more than 10000 files").await;
    let few = Asking::of(&repository).with(|fetch| fetch.limits.entries = 5_000);
    few.refused(Reason::TooLarge, "too many files").await;
}

#[tokio::test]
async fn trees_that_multiply_are_not_walked_to_their_end() {
    let repository = Repository::new();
    let mut tree = repository.tree(&[(FILE, "a.md", &repository.object("blob", b"x"))]);
    for _ in 0..10 {
        let names: Vec<String> = (0..10).map(|name| name.to_string()).collect();
        let entries: Vec<_> = names.iter().map(|name| (DIRECTORY, name.as_str(), tree.as_str())).collect();
        tree = repository.tree(&entries);
    }
    repository.commit_tree(&tree);
    Asking::of(&repository).refused(Reason::TooLarge, "too many files").await;
    for _ in 0..100 {
        tree = repository.tree(&[(DIRECTORY, "d", &tree)]);
    }
    repository.commit_tree(&tree);
    Asking::of(&repository).refused(Reason::TooLarge, "directories deep").await;
}

#[tokio::test]
async fn a_branch_whose_name_is_no_text_is_in_nobodys_way() {
    let (repository, commit) = Repository::with(&[("a.yaml", "a")]);
    let name = OsStr::from_bytes(b"\xff\xfe");
    fs::write(repository.path().join(".git/refs/heads").join(name), format!("{commit}\n")).unwrap();
    let (url, _daemon) = daemon(&repository.root()).await;
    for asking in [Asking::of(&repository), Asking::at(&format!("{url}/repository"))] {
        assert_eq!(asking.files().await, pairs(&[("a.yaml", "a")]));
    }
}

#[tokio::test]
async fn what_is_no_text_and_no_yaml_is_said_with_its_place() {
    let (repository, _) = Repository::with(&[("a.yaml", "kind: [\n"), ("b.yaml", "kind: A\n")]);
    let error = manifests(&Asking::of(&repository).snapshot().await).unwrap_err();
    let lines: Vec<&str> = error.message.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    assert!(
        lines[0].starts_with("a.yaml:1:7: not valid YAML") && lines[1].starts_with("b.yaml:1:1: apiVersion")
    );
    fs::write(repository.path().join("b.yaml"), b"\xff\xfe\x00").unwrap();
    repository.commit(&[]);
    Asking::of(&repository).refused(Reason::Invalid, "b.yaml is not text").await;
}
