//! Repositories to fetch from, made by `git`.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A repository with a working directory.
pub(crate) struct Repository(TempDir);

impl Repository {
    pub(crate) fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        fs::create_dir(repository.path()).unwrap();
        repository.git(&["init", "-q", "-b", "main"]);
        repository
    }

    /// One with a commit of these files, and that commit.
    pub(crate) fn with(files: &[(&str, &str)]) -> (Self, String) {
        let repository = Self::new();
        let commit = repository.commit(files);
        (repository, commit)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("repository")
    }

    /// The directory that it is in.
    pub(crate) fn root(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// Adds files, and commits all that there is.
    pub(crate) fn commit(&self, files: &[(&str, &str)]) -> String {
        self.commit_with(&[], files)
    }

    /// The same, with options of git.
    pub(crate) fn commit_with(&self, options: &[&str], files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let path = self.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        self.git(&["add", "-A"]);
        self.git(&[options, &["commit", "-q", "--allow-empty", "-m", "change\n\nwhy"]].concat());
        self.git(&["rev-parse", "HEAD"])
    }

    /// Makes a tree the commit of `main`, whatever it holds.
    pub(crate) fn commit_tree(&self, tree: &str) -> String {
        let commit = self.git(&["commit-tree", "-m", "made by hand", tree]);
        self.git(&["update-ref", "refs/heads/main", &commit]);
        commit
    }

    /// An object of any kind, unchecked.
    pub(crate) fn object(&self, kind: &str, content: &[u8]) -> String {
        self.git_told(&["hash-object", "-w", "--literally", "-t", kind, "--stdin"], content)
    }

    /// A tree of names, their modes and objects, unchecked.
    pub(crate) fn tree(&self, entries: &[(&str, &str, &str)]) -> String {
        let mut content = Vec::new();
        for (mode, name, id) in entries {
            content.extend(format!("{mode} {name}\0").bytes());
            content.extend((0..40).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).unwrap()));
        }
        self.object("tree", &content)
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.git_told(args, b"")
    }

    /// Runs git, tells it something, and hears what it says.
    pub(crate) fn git_told(&self, args: &[&str], told: &[u8]) -> String {
        let mut command = git(self.0.path());
        command.current_dir(self.path()).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(told).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

/// git, without what the machine and whoever is at it have set.
pub(crate) fn git(home: &Path) -> Command {
    let mut git = Command::new("git");
    git.env("HOME", home).env("GIT_CONFIG_NOSYSTEM", "1");
    for (name, value) in [
        ("GIT_AUTHOR_NAME", "Ada"),
        ("GIT_AUTHOR_EMAIL", "ada@example.com"),
        ("GIT_COMMITTER_NAME", "Ada"),
        ("GIT_COMMITTER_EMAIL", "ada@example.com"),
        ("GIT_COMMITTER_DATE", "2026-01-31T12:00:00Z"),
        ("GIT_AUTHOR_DATE", "2026-01-31T12:00:00Z"),
    ] {
        git.env(name, value);
    }
    git
}
