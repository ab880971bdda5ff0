//! Asking for files, as the controllers do.

use std::path::PathBuf;
use std::time::Duration;

use orch_gitops::source::{
    Credentials, Fetch, Fetched, Limits, Reason, Reference, Snapshot, SourceError, fetch_in_child,
};
use tempfile::TempDir;

use crate::repository::Repository;

/// One who asks for the same thing again and again.
pub(crate) struct Asking {
    pub(crate) fetch: Fetch,
    pub(crate) deadline: Duration,
    _cache: TempDir,
}

impl Asking {
    pub(crate) fn at(url: &str) -> Self {
        let cache = tempfile::tempdir().unwrap();
        let fetch = Fetch {
            url: url.to_owned(),
            reference: Reference::Head,
            path: String::new(),
            credentials: Credentials::default(),
            signers: None,
            cache: cache.path().join("cache"),
            known: None,
            limits: Limits::default(),
            local_roots: Vec::new(),
        };
        Self { fetch, deadline: Duration::from_secs(30), _cache: cache }
    }

    /// Of a repository on this machine.
    pub(crate) fn of(repository: &Repository) -> Self {
        let mut asking = Self::at(&repository.url());
        asking.fetch.local_roots = vec![repository.root()];
        asking
    }

    pub(crate) fn reference(mut self, reference: Reference) -> Self {
        self.fetch.reference = reference;
        self
    }

    pub(crate) fn path(mut self, path: &str) -> Self {
        self.fetch.path = path.to_owned();
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Fetch)) -> Self {
        change(&mut self.fetch);
        self
    }

    pub(crate) async fn ask(&self) -> Result<Fetched, SourceError> {
        fetch_in_child(&program(), &[], &self.fetch, self.deadline).await
    }

    pub(crate) async fn snapshot(&self) -> Snapshot {
        match self.ask().await {
            Ok(Fetched::Snapshot(snapshot)) => snapshot,
            other => panic!("{other:?}"),
        }
    }

    /// The paths and what they hold.
    pub(crate) async fn files(&self) -> Vec<(String, String)> {
        self.snapshot().await.files.into_iter().map(|file| (file.path, file.text)).collect()
    }

    /// Why there are no files, which says this.
    pub(crate) async fn refused(&self, reason: Reason, says: &str) -> String {
        let error = self.ask().await.unwrap_err();
        assert!(
            error.reason == reason && error.message.contains(says),
            "not {reason:?} with {says:?}: {error:?}"
        );
        error.message
    }
}

/// The example of this crate, which cargo builds with the tests.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().with_file_name("examples").join("git-fetch");
    assert!(program.exists(), "{} is missing: cargo test -p orch-gitops", program.display());
    program
}

pub(crate) fn pairs(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect()
}
