//! Which commit a reference means, as the repository changes.

use orch_gitops::source::{Fetched, Reason, Reference};

use crate::asking::{Asking, pairs};
use crate::repository::Repository;
use crate::server::{HttpServer, daemon};

const MANIFEST: (&str, &str) = ("apps/a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");

#[tokio::test]
async fn the_files_of_a_directory_come_with_their_commit() {
    let (repository, commit) = Repository::with(&[
        MANIFEST,
        ("apps/deep/er/b.json", "{}"),
        ("apps/c.yml", "c"),
        ("apps/README.md", "not a manifest"),
        ("apps/.github/workflows/ci.yaml", "not one either"),
        ("other/d.yaml", "elsewhere"),
    ]);
    let snapshot = Asking::of(&repository).path("./apps/").snapshot().await;
    assert_eq!((snapshot.revision, snapshot.reference), (commit, "refs/heads/main".to_owned()));
    assert_eq!((snapshot.author.as_str(), snapshot.subject.as_str()), ("Ada <ada@example.com>", "change"));
    assert_eq!(snapshot.time.to_string(), "2026-01-31T12:00:00Z");
    let found: Vec<_> = snapshot.files.iter().map(|file| (file.path.as_str(), file.text.as_str())).collect();
    assert_eq!(found, [MANIFEST, ("apps/c.yml", "c"), ("apps/deep/er/b.json", "{}")]);
}

#[tokio::test]
async fn what_is_known_is_not_sent_again() {
    let (repository, first) = Repository::with(&[MANIFEST]);
    let server = HttpServer::start(&repository.root()).await;
    let mut asking = Asking::at(&server.url("127.0.0.1"));
    assert_eq!(asking.snapshot().await.revision, first);
    let requests = server.seen().len();
    asking.fetch.known = Some(first.clone());
    assert_eq!(asking.ask().await.unwrap(), Fetched::Unchanged { revision: first });
    let seen = server.seen();
    assert!(seen[requests..].iter().all(|one| one.method == "GET"), "only what there is was asked: {seen:?}");
    let second = repository.commit(&[("apps/b.yaml", "b")]);
    assert_eq!(asking.snapshot().await.revision, second);
    asking.fetch.known = None;
    let requests = server.seen().len();
    assert_eq!(asking.files().await, pairs(&[MANIFEST, ("apps/b.yaml", "b")]));
    let seen = server.seen();
    assert!(
        seen[requests..].iter().all(|one| one.method == "GET"),
        "what is in the cache is not sent: {seen:?}"
    );
}

#[tokio::test]
async fn history_is_not_received() {
    let (repository, _) = Repository::with(&[("old.yaml", "old")]);
    for text in ["1", "2", "3"] {
        repository.commit(&[("a.yaml", text)]);
    }
    let (url, _daemon) = daemon(&repository.root()).await;
    let asking = Asking::at(&format!("{url}/repository"));
    assert_eq!(asking.files().await, pairs(&[("a.yaml", "3"), ("old.yaml", "old")]));
    assert_eq!(history(&asking, &repository), 1);
    repository.commit(&[("a.yaml", "4")]);
    repository.commit(&[("a.yaml", "5")]);
    assert_eq!(asking.files().await, pairs(&[("a.yaml", "5"), ("old.yaml", "old")]));
    assert!(history(&asking, &repository) <= 3, "not what was before what there was");
}

fn history(asking: &Asking, repository: &Repository) -> usize {
    let cache = asking.fetch.cache.join("tip.git");
    let cache = format!("--git-dir={}", cache.display());
    repository.git(&[&cache, "rev-list", "--count", "refs/orch/tip"]).parse().unwrap()
}

#[tokio::test]
async fn a_branch_that_is_forced_elsewhere_is_where_it_is() {
    let (repository, first) = Repository::with(&[("a.yaml", "1")]);
    repository.commit(&[("a.yaml", "2")]);
    let (url, _daemon) = daemon(&repository.root()).await;
    let local = Asking::of(&repository).reference(Reference::Branch("main".into()));
    let remote = Asking::at(&format!("{url}/repository")).reference(Reference::Branch("main".into()));
    for asking in [&local, &remote] {
        assert_eq!(asking.files().await, pairs(&[("a.yaml", "2")]));
    }
    repository.git(&["reset", "-q", "--hard", &first]);
    for asking in [&local, &remote] {
        assert_eq!(asking.snapshot().await.revision, first, "back to an older commit");
    }
    repository.git(&["checkout", "-q", "--orphan", "fresh"]);
    let fresh = repository.commit(&[("a.yaml", "3")]);
    repository.git(&["branch", "-f", "main", &fresh]);
    for asking in [&local, &remote] {
        assert_eq!(asking.files().await, pairs(&[("a.yaml", "3")]), "to one that shares nothing");
    }
}

#[tokio::test]
async fn a_branch_that_is_deleted_is_not_found() {
    let (repository, _) = Repository::with(&[MANIFEST]);
    repository.git(&["branch", "feature/x"]);
    let asking = Asking::of(&repository).reference(Reference::Branch("feature/x".into()));
    asking.snapshot().await;
    repository.git(&["branch", "-D", "feature/x"]);
    asking.refused(Reason::NotFound, "has no branch feature/x; it has main").await;
}

#[tokio::test]
async fn tags_are_found_with_and_without_a_message_and_may_move() {
    let (repository, first) = Repository::with(&[("a.yaml", "1")]);
    repository.git(&["tag", "-a", "-m", "first", "v1.2.0"]);
    repository.git(&["tag", "-a", "-m", "of a tag", "nested", "v1.2.0"]);
    repository.git(&["tag", "plain"]);
    let second = repository.commit(&[("a.yaml", "2")]);
    repository.git(&["tag", "v1.10.0"]);
    repository.git(&["tag", "v2.0.0-rc.1"]);
    let (url, _daemon) = daemon(&repository.root()).await;
    let url = format!("{url}/repository");
    for tag in ["v1.2.0", "nested", "plain"] {
        let mut asking = Asking::at(&url).reference(Reference::Tag(tag.into()));
        assert_eq!(asking.snapshot().await.revision, first, "{tag}");
        asking.fetch.known = Some(first.clone());
        assert_eq!(asking.ask().await.unwrap(), Fetched::Unchanged { revision: first.clone() }, "{tag}");
    }
    let range = Asking::at(&url).reference(Reference::Semver(">=1.2, <2".into()));
    let found = range.snapshot().await;
    assert_eq!((found.revision, found.reference.as_str()), (second.clone(), "refs/tags/v1.10.0"));
    repository.git(&["tag", "-f", "plain"]);
    let moved = Asking::at(&url).reference(Reference::Tag("plain".into()));
    assert_eq!(moved.snapshot().await.revision, second);
    repository.git(&["tag", "blob", &repository.object("blob", b"x")]);
    let blob = Asking::at(&url).reference(Reference::Tag("blob".into()));
    blob.refused(Reason::NotFound, "refs/tags/blob is no commit").await;
}

#[tokio::test]
async fn a_commit_is_found_wherever_it_is_in_history() {
    let (repository, first) = Repository::with(&[("a.yaml", "1")]);
    let second = repository.commit(&[("a.yaml", "2")]);
    let (url, _daemon) = daemon(&repository.root()).await;
    let url = format!("{url}/repository");
    for (allows, commit, text) in [("false", &first, "1"), ("true", &first, "1"), ("false", &second, "2")] {
        repository.git(&["config", "uploadpack.allowReachableSHA1InWant", allows]);
        for asking in [Asking::at(&url), Asking::of(&repository)] {
            let asking = asking.reference(Reference::Commit(commit.clone()));
            assert_eq!(asking.files().await, pairs(&[("a.yaml", text)]), "{allows} {text}");
        }
        let unknown = Asking::at(&url).reference(Reference::Commit("0123456789".repeat(4)));
        unknown.refused(Reason::NotFound, "0123456789").await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let empty = Repository::new();
    Asking::of(&empty).refused(Reason::NotFound, "the repository is empty").await;
    let (repository, _) = Repository::with(&[MANIFEST]);
    let of = |path: &str| Asking::of(&repository).path(path);
    of("app").refused(Reason::NotFound, "has no directory app").await;
    of("apps/a.yaml").refused(Reason::NotFound, "is not a directory").await;
    let (url, _daemon) = daemon(&repository.root()).await;
    Asking::at(&format!("{url}/none")).refused(Reason::NotFound, "Is there a repository").await;
}
