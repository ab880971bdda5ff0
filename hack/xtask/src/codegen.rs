//! `cargo xtask codegen`: writes what is derived from the ontology, so that it can be read, diffed and published.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The workspace's root directory.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Writes every generated file, or with `check` only says which ones are out of date.
pub(crate) fn run(check: bool) -> Result<()> {
    let directory = root().join("ontology/generated");
    let files = orch_ontology::generated();
    let stale: Vec<&String> = files
        .iter()
        .filter(|(name, content)| fs::read_to_string(directory.join(name)).ok().as_ref() != Some(content))
        .map(|(name, _)| name)
        .collect();
    let orphans =
        existing(&directory)?.into_iter().filter(|name| !files.contains_key(name)).collect::<Vec<_>>();
    if check {
        if stale.is_empty() && orphans.is_empty() {
            return Ok(());
        }
        bail!(
            "ontology/generated is out of date ({stale:?}, to be removed: {orphans:?}); run: cargo xtask codegen"
        );
    }
    fs::create_dir_all(&directory)?;
    for name in stale {
        fs::write(directory.join(name), &files[name]).with_context(|| format!("cannot write {name}"))?;
        println!("wrote ontology/generated/{name}");
    }
    for name in orphans {
        fs::remove_file(directory.join(&name)).with_context(|| format!("cannot remove {name}"))?;
        println!("removed ontology/generated/{name}");
    }
    Ok(())
}

fn existing(directory: &Path) -> Result<BTreeSet<String>> {
    if !directory.is_dir() {
        return Ok(BTreeSet::new());
    }
    let entries = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    entries.collect()
}
