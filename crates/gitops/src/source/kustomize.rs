//! Directories that kustomize makes manifests of.
//!
//! Kustomize is a program of its own, found on PATH. It is shown a copy of the regular files of those directories that the
//! kustomization refers to, and nothing else: what it would fetch from elsewhere is refused before, and it has no network where
//! this process may take that away.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use git2::{Repository, Tree};

use super::files::{EntryKind, Found, Taken, Walk, clean, find};
use super::references::{self, There};
use super::{File, Limits, Reason, SourceError, confine};

/// What kustomize calls the file that says what is to be made.
pub(super) const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// Whether kustomize is to make the manifests of a directory.
pub(super) fn is_built(directory: &Tree<'_>) -> bool {
    NAMES.iter().any(|name| directory.get_name(name).is_some())
}

/// What kustomize makes of a directory, as one file.
pub(super) fn build(
    repository: &Repository,
    root: &Tree<'_>,
    path: &str,
    limits: &Limits,
) -> Result<File, SourceError> {
    let path = clean(path);
    let copy = tempfile::tempdir().map_err(|error| SourceError::io("make a directory", &error))?;
    let directories = referred(repository, root, &path, limits)?;
    export(repository, root, &directories, copy.path(), limits)?;
    let (program, verb) = tool().ok_or_else(no_tool)?;
    let directory = copy.path().join(&path);
    let text = run(Command::new(program).arg(verb).arg(&directory), copy.path(), limits)?;
    Ok(File { path: format!("kustomize build {}", if path.is_empty() { "." } else { &path }), text })
}

/// The directories that a kustomization is made from: its own, and those that it refers to.
fn referred(
    repository: &Repository,
    root: &Tree<'_>,
    path: &str,
    limits: &Limits,
) -> Result<BTreeSet<String>, SourceError> {
    let taken = RefCell::new(Taken::for_kustomize(limits));
    let look = |path: &str| match find(repository, root, path)? {
        Found::Directory(_) => Some(There::Directory),
        Found::File(_) => Some(There::File),
    };
    let read = |path: &str| match find(repository, root, path) {
        Some(Found::File(entry)) => String::from_utf8(taken.borrow_mut().read(repository, &entry)?)
            .map_err(|_| SourceError::invalid(format!("{path} is not text in UTF-8"))),
        _ => Err(SourceError::invalid(format!("{path} is no file"))),
    };
    references::check(path, look, read)
}

/// Writes the regular files of these directories of a commit, and of those below, into a directory of this machine. Links and what is
/// too large for a manifest are left out: kustomize says so, should it need them.
fn export(
    repository: &Repository,
    root: &Tree<'_>,
    directories: &BTreeSet<String>,
    to: &Path,
    limits: &Limits,
) -> Result<(), SourceError> {
    let mut taken = Taken::for_kustomize(limits);
    let mut walk = Walk { repository, hidden: true, left: limits.entries };
    for directory in outermost(directories) {
        let Some(Found::Directory(tree)) = find(repository, root, directory) else { continue };
        walk.all(&tree, directory, 0, &mut |entry| {
            if entry.kind == EntryKind::Link || taken.is_too_large(repository, &entry)? {
                return Ok(());
            }
            let content = taken.read(repository, &entry)?;
            // The walk has refused every name that could lead elsewhere, and the directory is nobody else's.
            let path = to.join(&entry.path);
            let written =
                path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, content));
            written.map_err(|error| SourceError::io(&format!("write {}", entry.path), &error))
        })?;
    }
    Ok(())
}

/// Those of the directories that are not within another one.
fn outermost(directories: &BTreeSet<String>) -> impl Iterator<Item = &str> {
    let is_within = |inner: &str| {
        let above = inner.match_indices('/').map(|(end, _)| &inner[..end]);
        above.chain([""]).any(|outer| outer != inner && directories.contains(outer))
    };
    directories.iter().map(String::as_str).filter(move |directory| !is_within(directory))
}

/// The program that there is, and its verb.
pub(super) fn tool() -> Option<(PathBuf, &'static str)> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let find =
        |name: &str| std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    let kustomize = find("kustomize").map(|program| (program, "build"));
    kustomize.or_else(|| find("kubectl").map(|program| (program, "kustomize")))
}

fn no_tool() -> SourceError {
    SourceError::new(
        Reason::MissingTool,
        "there is a kustomization, but neither kustomize nor kubectl on the PATH of orchd: install one of them, or commit what \
         `kustomize build` makes",
    )
}

fn run(command: &mut Command, home: &Path, limits: &Limits) -> Result<String, SourceError> {
    // What it would fetch has been refused already.
    confine::network()?;
    let failed = |error: io::Error| SourceError::io("run kustomize", &error);
    let errors = tempfile::tempfile().map_err(failed)?;
    let mut child = command
        .env_clear()
        .envs([("HOME", home), ("TMPDIR", &std::env::temp_dir()), ("PATH", Path::new("/nonexistent"))])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors.try_clone().map_err(failed)?)
        .spawn()
        .map_err(failed)?;
    let mut made = Vec::new();
    if let Some(output) = child.stdout.take() {
        output.take(limits.total_bytes as u64 + 1).read_to_end(&mut made).map_err(failed)?;
    }
    let status = child.wait().map_err(failed)?;
    if made.len() > limits.total_bytes {
        return Err(SourceError::too_large(format!(
            "kustomize makes more than {} bytes",
            limits.total_bytes
        )));
    }
    if !status.success() {
        return Err(SourceError::invalid(format!("kustomize: {}", said(errors, home).map_err(failed)?)));
    }
    String::from_utf8(made).map_err(|_| SourceError::invalid("kustomize makes what is not text in UTF-8"))
}

/// What it complained of, by the paths of the repository.
fn said(mut errors: fs::File, home: &Path) -> io::Result<String> {
    errors.rewind()?;
    let mut said = Vec::new();
    errors.take(4000).read_to_end(&mut said)?;
    let said = String::from_utf8_lossy(&said).replace(&format!("{}/", home.display()), "");
    Ok(said.trim().trim_start_matches("error: ").trim_start_matches("Error: ").to_owned())
}
