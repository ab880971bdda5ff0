//! Where manifests come from.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::{Manifest, ManifestError};

/// A place to read manifests from, as `-f` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// `-`
    Stdin,
    /// A file, or a directory of files.
    Path(PathBuf),
    /// Refused when it is read.
    Url(String),
}

impl From<&str> for Input {
    fn from(text: &str) -> Self {
        match text {
            "-" => Self::Stdin,
            url if url.starts_with("http://") || url.starts_with("https://") => Self::Url(url.to_owned()),
            path => Self::Path(path.into()),
        }
    }
}

/// Reads all manifests, in the order of the inputs, of the files' names, and of the documents in a file.
pub fn read(inputs: &[Input], recursive: bool) -> Vec<Result<Manifest, ManifestError>> {
    inputs
        .iter()
        .flat_map(|input| read_one(input, recursive).unwrap_or_else(|error| vec![Err(error)]))
        .collect()
}

fn read_one(input: &Input, recursive: bool) -> Result<Vec<Result<Manifest, ManifestError>>, ManifestError> {
    match input {
        Input::Url(url) => Err(ManifestError::Url { url: url.clone() }),
        Input::Stdin => {
            let mut text = String::new();
            let read = std::io::stdin().lock().read_to_string(&mut text);
            read.map_err(|source| ManifestError::Read { path: "<stdin>".into(), source })?;
            Ok(Manifest::parse("<stdin>", &text))
        }
        Input::Path(path) if path.is_dir() => {
            let files = files(path, recursive)?;
            if files.is_empty() {
                return Err(ManifestError::Empty { path: path.clone(), recursive });
            }
            Ok(files
                .iter()
                .flat_map(|file| read_file(file).unwrap_or_else(|error| vec![Err(error)]))
                .collect())
        }
        Input::Path(path) => read_file(path),
    }
}

fn read_file(path: &Path) -> Result<Vec<Result<Manifest, ManifestError>>, ManifestError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ManifestError::Read { path: path.to_owned(), source })?;
    Ok(Manifest::parse(&path.display().to_string(), &text))
}

/// The manifests in a directory by name. Symbolic links to directories are not followed further down.
fn files(directory: &Path, recursive: bool) -> Result<Vec<PathBuf>, ManifestError> {
    let failed = |source| ManifestError::Read { path: directory.to_owned(), source };
    let entries = std::fs::read_dir(directory).map_err(failed)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            if recursive && !path.is_symlink() {
                found.extend(files(&path, recursive)?);
            }
        } else if path
            .extension()
            .is_some_and(|ext| ["yaml", "yml", "json"].iter().any(|known| ext == *known))
        {
            found.push(path);
        }
    }
    Ok(found)
}
