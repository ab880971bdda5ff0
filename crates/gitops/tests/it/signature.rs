//! Commits that must be signed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use orch_gitops::source::Reason;
use tempfile::TempDir;

use crate::asking::{Asking, pairs};
use crate::repository::Repository;
use crate::server::{key, public};

const FILES: [(&str, &str); 1] = [("a.yaml", "a")];

/// Commits, signed with a key.
fn commit(repository: &Repository, key: &Path) -> String {
    let key = format!("user.signingKey={}", key.display());
    repository.commit_with(&["-c", "gpg.format=ssh", "-c", "commit.gpgSign=true", "-c", &key], &FILES)
}

fn asking(repository: &Repository, signers: &[&str]) -> Asking {
    let signers = signers.iter().map(|&signer| signer.to_owned()).collect();
    Asking::of(repository).with(|fetch| fetch.signers = Some(signers))
}

/// A key of somebody who counts, and one of somebody who does not.
fn keys(directory: &TempDir, kind: &str) -> [PathBuf; 2] {
    ["ours", "theirs"].map(|name| key(&directory.path().join(format!("{name}-{kind}")), kind, ""))
}

#[tokio::test]
async fn a_commit_counts_that_somebody_signed_who_counts() {
    let directory = tempfile::tempdir().unwrap();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let [ours, theirs] = keys(&directory, kind).map(|key| (public(&key), key));
        let repository = Repository::new();
        commit(&repository, &ours.1);
        let several = format!("# who counts\n\n{}\n{}\n", theirs.0, ours.0);
        for signers in [[ours.0.as_str()], [several.as_str()]] {
            assert_eq!(asking(&repository, &signers).files().await, pairs(&FILES), "{kind}");
        }
        let strangers = asking(&repository, &[&theirs.0]);
        strangers.refused(Reason::NotSigned, "which is none of the keys of spec.verify").await;
    }
}

#[tokio::test]
async fn curves_that_are_not_accepted_are_said() {
    let directory = tempfile::tempdir().unwrap();
    for (bits, accepted) in [("384", true), ("521", false)] {
        let path = directory.path().join(bits);
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ecdsa", "-b", bits, "-N", "", "-C", "test", "-f"]).arg(&path);
        assert!(keygen.status().unwrap().success());
        let repository = Repository::new();
        commit(&repository, &path);
        let asking = asking(&repository, &[&public(&path)]);
        match accepted {
            true => assert_eq!(asking.files().await, pairs(&FILES)),
            false => drop(asking.refused(Reason::NotSigned, "which is not accepted").await),
        }
    }
}

#[tokio::test]
async fn what_is_not_signed_does_not_count() {
    let directory = tempfile::tempdir().unwrap();
    let [ours, _] = keys(&directory, "ed25519");
    let (repository, _) = Repository::with(&FILES);
    let asking = asking(&repository, &[&public(&ours)]);
    asking.refused(Reason::NotSigned, "is not signed").await;
    commit(&repository, &ours);
    assert_eq!(asking.files().await, pairs(&FILES));
    repository.commit(&[]);
    asking.refused(Reason::NotSigned, "is not signed").await;
}

#[tokio::test]
async fn a_signature_of_something_else_does_not_count() {
    let directory = tempfile::tempdir().unwrap();
    let [ours, _] = keys(&directory, "ed25519");
    let repository = Repository::new();
    let signed = repository.git(&["cat-file", "commit", &commit(&repository, &ours)]) + "\n";
    let signer = public(&ours);
    for (changed, says) in [
        (signed.replace("change", "chance"), "it has been tampered with"),
        (
            signed.replace("BEGIN SSH", "BEGIN PGP").replace("END SSH", "END PGP"),
            "has a signature that cannot be read",
        ),
        (shortened(&signed), "has a signature that cannot be read"),
        (signed_for(&ours, "file", &signed), "that is not for commits"),
    ] {
        assert_ne!(changed, signed, "{says}");
        let commit = repository.object("commit", changed.as_bytes());
        repository.git(&["update-ref", "refs/heads/main", &commit]);
        asking(&repository, &[&signer]).refused(Reason::NotSigned, says).await;
    }
    let right = repository.object("commit", signed_for(&ours, "git", &signed).as_bytes());
    repository.git(&["update-ref", "refs/heads/main", &right]);
    assert_eq!(
        asking(&repository, &[&signer]).files().await,
        pairs(&FILES),
        "the same way makes one that counts"
    );
}

/// The commit without one line of its signature.
fn shortened(signed: &str) -> String {
    let lines: Vec<&str> = signed.lines().collect();
    let begin = lines.iter().position(|line| line.starts_with("gpgsig ")).unwrap();
    [&lines[..=begin + 1], &lines[begin + 3..]].concat().join("\n") + "\n"
}

/// The commit, signed by ssh-keygen for some purpose.
fn signed_for(key: &Path, purpose: &str, signed: &str) -> String {
    let bare = without_signature(signed);
    let text = key.with_extension("commit");
    fs::write(&text, &bare).unwrap();
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-Y", "sign", "-n", purpose, "-f"]).arg(key).arg(&text).stderr(Stdio::null());
    assert!(keygen.status().unwrap().success());
    let file = key.with_extension("commit.sig");
    let signature = fs::read_to_string(&file).unwrap();
    fs::remove_file(file).unwrap();
    let (head, message) = bare.split_once("\n\n").unwrap();
    format!("{head}\ngpgsig {}\n\n{message}", signature.trim_end().replace('\n', "\n "))
}

fn without_signature(signed: &str) -> String {
    let (before, rest) = signed.split_once("\ngpgsig ").unwrap();
    let (_, after) = rest.split_once("-----END SSH SIGNATURE-----\n").unwrap();
    format!("{before}\n{}", after.trim_start_matches(" \n"))
}

#[tokio::test]
async fn keys_that_are_none_let_nothing_through() {
    let (repository, _) = Repository::with(&FILES);
    asking(&repository, &[]).refused(Reason::InvalidSecret, "has no public key").await;
    asking(&repository, &["# nobody\n"]).refused(Reason::InvalidSecret, "has no public key").await;
    asking(&repository, &["ssh-ed25519 AAAA"])
        .refused(Reason::InvalidSecret, "is neither a public key")
        .await;
}
