//! Directories that kustomize makes manifests of.
//!
//! Kustomize is a program of its own, found on PATH. It is shown a copy of the repository's regular files and nothing else:
//! what it would fetch from elsewhere is refused before, and it has no network where this process may take that away.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use git2::{Repository, Tree};

use super::files::{EntryKind, Taken, Walk, clean};
use super::{File, Limits, Reason, SourceError, confine, references};

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
    let files = export(repository, root, copy.path(), limits)?;
    references::check(&files, &path, |file| fs::read_to_string(copy.path().join(file)))?;
    let (program, verb) = tool().ok_or_else(no_tool)?;
    let directory = copy.path().join(&path);
    let text = run(Command::new(program).arg(verb).arg(&directory), copy.path(), limits)?;
    Ok(File { path: format!("kustomize build {}", if path.is_empty() { "." } else { &path }), text })
}

/// Writes the regular files of a commit into a directory, and says which there are. Links and what is too large for a manifest
/// are left out: kustomize says so, should it need them.
fn export(
    repository: &Repository,
    root: &Tree<'_>,
    to: &Path,
    limits: &Limits,
) -> Result<BTreeSet<String>, SourceError> {
    let mut taken = Taken::new(limits);
    let mut files = BTreeSet::new();
    let mut walk = Walk { repository, hidden: true, left: limits.entries };
    walk.all(root, "", 0, &mut |entry| {
        if entry.kind == EntryKind::Link || taken.is_too_large(repository, &entry)? {
            return Ok(());
        }
        let content = taken.read(repository, &entry)?;
        // The walk has refused every name that could lead elsewhere, and the directory is nobody else's.
        let path = to.join(&entry.path);
        let written =
            path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, content));
        written.map_err(|error| SourceError::io(&format!("write {}", entry.path), &error))?;
        files.insert(entry.path);
        Ok(())
    })?;
    Ok(files)
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
