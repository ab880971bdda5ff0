//! The files of a commit, from Git's objects and without a checkout.

use git2::{ObjectType, Oid, Repository, Tree, TreeEntry};

use super::{File, Limits, SourceError};

/// Something in a tree that is not a tree.
pub(super) struct Entry {
    /// Its path from the root of the repository.
    pub(super) path: String,
    pub(super) id: Oid,
    pub(super) kind: EntryKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    File,
    Link,
}

const MODE_KINDS: i32 = 0o170_000;
const MODE_LINK: i32 = 0o120_000;
const MODE_FILE: i32 = 0o100_000;
/// How deep directories may be within each other.
const DEEPEST: usize = 64;
/// How long a name, and a path of them, may be in bytes: as file systems have it.
const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 4096;

/// The directory at a path.
pub(super) fn directory<'r>(
    repository: &'r Repository,
    root: &Tree<'r>,
    path: &str,
) -> Result<Tree<'r>, SourceError> {
    let mut tree = root.clone();
    for part in parts(path) {
        let found = tree.get_name(part).map(|entry| (entry.kind(), entry.id()));
        tree = match found {
            Some((Some(ObjectType::Tree), id)) => read_tree(repository, id)?,
            Some(_) => {
                return Err(SourceError::not_found(format!("spec.path: {path} is not a directory")));
            }
            None => {
                return Err(SourceError::not_found(format!("spec.path: the commit has no directory {path}")));
            }
        };
    }
    Ok(tree)
}

/// The parts of a path, without those that say nothing.
pub(super) fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty() && *part != ".")
}

/// The same path, without what says nothing.
pub(super) fn clean(path: &str) -> String {
    parts(path).collect::<Vec<_>>().join("/")
}

fn read_tree(repository: &Repository, id: Oid) -> Result<Tree<'_>, SourceError> {
    repository.find_tree(id).map_err(|error| SourceError::of_objects(&error))
}

/// What is at a path: a file with its entry, or a directory. None if nothing is, or something else, such as a link.
pub(super) enum Found<'r> {
    File(Entry),
    Directory(Tree<'r>),
}

/// Finds what is at a path without `.` and `..`, as [`resolve`] makes it. Links are not followed.
pub(super) fn find<'r>(repository: &'r Repository, root: &Tree<'r>, path: &str) -> Option<Found<'r>> {
    let mut tree = root.clone();
    let mut parts = parts(path).peekable();
    while let Some(part) = parts.next() {
        let entry = tree.get_name(part)?;
        let (kind, mode, id) = (entry.kind(), entry.filemode() & MODE_KINDS, entry.id());
        drop(entry);
        match (kind, mode) {
            (Some(ObjectType::Tree), _) => tree = repository.find_tree(id).ok()?,
            (Some(ObjectType::Blob), MODE_FILE) if parts.peek().is_none() => {
                return Some(Found::File(Entry { path: path.to_owned(), id, kind: EntryKind::File }));
            }
            _ => return None,
        }
    }
    Some(Found::Directory(tree))
}

/// All manifests below a directory, in the order of their paths. What begins with a dot is not looked at.
pub(super) fn manifests(
    repository: &Repository,
    root: &Tree<'_>,
    directory: &Tree<'_>,
    path: &str,
    limits: &Limits,
) -> Result<Vec<File>, SourceError> {
    let mut taken = Taken::new(limits);
    let mut files = Vec::new();
    let mut walk = Walk { repository, hidden: false, left: limits.entries };
    walk.all(directory, &clean(path), 0, &mut |entry| {
        match entry.kind {
            EntryKind::Link => refuse_link(repository, root, &entry)?,
            EntryKind::File if is_manifest(&entry.path) => {
                let text = String::from_utf8(taken.read(repository, &entry)?)
                    .map_err(|_| SourceError::invalid(format!("{} is not text in UTF-8", entry.path)))?;
                files.push(File { path: entry.path, text });
            }
            EntryKind::File => {}
        }
        Ok(())
    })?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn is_manifest(path: &str) -> bool {
    [".yaml", ".yml", ".json"].iter().any(|suffix| path.ends_with(suffix))
}

/// A link that would stand for manifests is no way to them; others do not matter.
fn refuse_link(repository: &Repository, root: &Tree<'_>, entry: &Entry) -> Result<(), SourceError> {
    if is_manifest(&entry.path) || links_to_directory(repository, root, entry) {
        let message =
            format!("{} is a symbolic link: these are not followed. Put a file in its place", entry.path);
        return Err(SourceError::invalid(message));
    }
    Ok(())
}

fn links_to_directory(repository: &Repository, root: &Tree<'_>, entry: &Entry) -> bool {
    let Ok(blob) = repository.find_blob(entry.id) else { return false };
    let Ok(target) = std::str::from_utf8(blob.content()) else { return false };
    let (above, _) = entry.path.rsplit_once('/').unwrap_or_default();
    let Some(target) = resolve(above, target) else { return false };
    directory(repository, root, &target).is_ok()
}

/// A relative path from a directory, from the root of the repository; none if it leaves that.
pub(super) fn resolve(directory: &str, relative: &str) -> Option<String> {
    if relative.starts_with('/') {
        return None;
    }
    let mut resolved: Vec<&str> = parts(directory).collect();
    for part in parts(relative) {
        match part {
            ".." => drop(resolved.pop()?),
            part => resolved.push(part),
        }
    }
    Some(resolved.join("/"))
}

/// What has been read, against what may be.
pub(super) struct Taken<'l> {
    limits: &'l Limits,
    /// What to do about there being too much.
    advice: &'static str,
    files: usize,
    bytes: usize,
}

impl<'l> Taken<'l> {
    pub(super) fn new(limits: &'l Limits) -> Self {
        Self { limits, advice: "choose a directory by spec.path", files: 0, bytes: 0 }
    }

    /// Of what a kustomization refers to.
    pub(super) fn for_kustomize(limits: &'l Limits) -> Self {
        let advice = "move what it does not need out of the directories that the kustomization refers to";
        Self { advice, ..Self::new(limits) }
    }

    /// Whether a file has more than any may have.
    pub(super) fn is_too_large(&self, repository: &Repository, entry: &Entry) -> Result<bool, SourceError> {
        let header = repository.odb().and_then(|odb| odb.read_header(entry.id));
        let (bytes, _) = header.map_err(|error| SourceError::of_objects(&error))?;
        Ok(bytes > self.limits.file_bytes)
    }

    /// What a file says. Its size is looked at before it is read.
    pub(super) fn read(&mut self, repository: &Repository, entry: &Entry) -> Result<Vec<u8>, SourceError> {
        let of_objects = |error: git2::Error| SourceError::of_objects(&error);
        let odb = repository.odb().map_err(of_objects)?;
        let (bytes, _) = odb.read_header(entry.id).map_err(of_objects)?;
        self.files += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        let too_large = |message: String| Err(SourceError::too_large(message));
        let (&Limits { files, file_bytes, total_bytes, .. }, advice) = (self.limits, self.advice);
        if bytes > file_bytes {
            return too_large(format!("{} has {bytes} bytes; a file may have {file_bytes}", entry.path));
        }
        if self.files > files {
            return too_large(format!("there are more than {files} files: {advice}"));
        }
        if self.bytes > total_bytes {
            return too_large(format!("the files have more than {total_bytes} bytes in all: {advice}"));
        }
        Ok(odb.read(entry.id).map_err(of_objects)?.data().to_vec())
    }
}

/// A walk over trees, which may well be made to never end.
pub(super) struct Walk<'r> {
    pub(super) repository: &'r Repository,
    /// Whether what begins with a dot is walked, too.
    pub(super) hidden: bool,
    /// How many names may still be met.
    pub(super) left: usize,
}

impl Walk<'_> {
    pub(super) fn all(
        &mut self,
        tree: &Tree<'_>,
        path: &str,
        depth: usize,
        visit: &mut dyn FnMut(Entry) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        if depth > DEEPEST {
            return Err(SourceError::too_large(format!("{path} is more than {DEEPEST} directories deep")));
        }
        for entry in tree {
            self.left = self.left.checked_sub(1).ok_or_else(|| {
                SourceError::too_large("the commit has too many files: choose a directory by spec.path")
            })?;
            let name = name(&entry, path)?;
            if name.starts_with('.') && !self.hidden {
                continue;
            }
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            if path.len() > LONGEST_PATH {
                let message = format!("the commit has a path of more than {LONGEST_PATH} bytes: {name}");
                return Err(SourceError::too_large(message));
            }
            match (entry.kind(), entry.filemode() & MODE_KINDS) {
                (Some(ObjectType::Tree), _) => {
                    let below = read_tree(self.repository, entry.id())?;
                    self.all(&below, &path, depth + 1, visit)?;
                }
                (Some(ObjectType::Blob), MODE_LINK) => {
                    visit(Entry { path, id: entry.id(), kind: EntryKind::Link })?;
                }
                (Some(ObjectType::Blob), MODE_FILE) => {
                    visit(Entry { path, id: entry.id(), kind: EntryKind::File })?;
                }
                // A submodule: another repository, which nobody asked for.
                _ => {}
            }
        }
        Ok(())
    }
}

/// The name of an entry. Git itself makes none that is refused here.
fn name<'t>(entry: &'t TreeEntry<'_>, path: &str) -> Result<&'t str, SourceError> {
    let bytes = entry.name_bytes();
    let refused = || {
        let name = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_NAME)]);
        SourceError::invalid(format!("the commit holds a name that is not accepted: {name:?} in {path:?}"))
    };
    let name = std::str::from_utf8(bytes).map_err(|_| refused())?;
    let reserved = ["", ".", ".."].contains(&name) || name.eq_ignore_ascii_case(".git");
    if reserved
        || name.len() > LONGEST_NAME
        || name.contains(|c: char| c == '/' || c == '\\' || c.is_control())
    {
        return Err(refused());
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_resolved_within_the_repository() {
        assert_eq!(resolve("a/b", "../c/./d"), Some("a/c/d".into()));
        assert_eq!(resolve("", "x"), Some("x".into()));
        assert_eq!(resolve("a", "../.."), None);
        assert_eq!(resolve("a", "/etc"), None);
        assert_eq!(clean("./a//b/"), "a/b");
    }
}
