//! The cache may be lost, and may be broken.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::asking::{Asking, pairs};
use crate::repository::Repository;
use crate::server::daemon;

type Break = fn(&Path);

#[tokio::test]
async fn a_cache_that_is_broken_is_made_anew() {
    let (repository, _) = Repository::with(&[("a.yaml", "a"), ("b.yaml", "b")]);
    let (url, _daemon) = daemon(&repository.root()).await;
    let breaks: [(&str, Break); 6] = [
        ("a file in its place", |cache| {
            fs::remove_dir_all(cache).unwrap();
            fs::write(cache, "not a directory").unwrap();
        }),
        ("no repository", |cache| fs::remove_dir_all(cache.join("refs")).unwrap()),
        ("a configuration that is none", |cache| fs::write(cache.join("config"), "[[[").unwrap()),
        ("a pack that ends early", |cache| {
            let pack = fs::read(pack(cache)).unwrap();
            fs::write(fresh(&self::pack(cache)), &pack[..pack.len() / 2]).unwrap();
        }),
        ("a pack with other bytes", |cache| {
            let mut bytes = fs::read(pack(cache)).unwrap();
            let end = bytes.len() - 20;
            bytes[12..end].fill(0x55);
            fs::write(fresh(&pack(cache)), bytes).unwrap();
        }),
        ("an index that is none", |cache| {
            fs::write(fresh(&pack(cache).with_extension("idx")), "nothing").unwrap();
        }),
    ];
    for (what, break_it) in breaks {
        let asking = Asking::at(&format!("{url}/repository"));
        let files = pairs(&[("a.yaml", "a"), ("b.yaml", "b")]);
        assert_eq!(asking.files().await, files);
        break_it(&asking.fetch.cache.join("tip.git"));
        assert_eq!(asking.files().await, files, "{what}");
    }
}

fn pack(cache: &Path) -> PathBuf {
    let files = fs::read_dir(cache.join("objects/pack")).unwrap();
    let mut packs = files.map(|file| file.unwrap().path()).filter(|path| path.extension().unwrap() == "pack");
    packs.next().unwrap()
}

/// Packs are written once; what replaces one is another file.
fn fresh(path: &Path) -> &Path {
    fs::remove_file(path).unwrap();
    path
}

#[tokio::test]
async fn a_cache_does_not_grow_without_end() {
    let (repository, _) = Repository::with(&[("a.yaml", "a")]);
    let asking = Asking::of(&repository);
    asking.snapshot().await;
    let packs = asking.fetch.cache.join("tip.git/objects/pack");
    for number in 0..200 {
        fs::write(packs.join(format!("pack_git2_{number}")), "what is left of a pack").unwrap();
    }
    assert_eq!(asking.files().await, pairs(&[("a.yaml", "a")]));
    assert_eq!(fs::read_dir(&packs).unwrap().count(), 2, "a pack and its index");
    let large = fs::File::create(packs.join("pack_git2_large")).unwrap();
    large.set_len(2 * asking.fetch.limits.received_bytes).unwrap();
    assert_eq!(asking.files().await, pairs(&[("a.yaml", "a")]));
    assert_eq!(fs::read_dir(&packs).unwrap().count(), 2);
}

#[tokio::test]
async fn a_cache_is_for_nobody_else_on_the_machine() {
    let (repository, _) = Repository::with(&[("a.yaml", "a")]);
    let asking = Asking::of(&repository);
    asking.snapshot().await;
    let mut ahead = vec![asking.fetch.cache.clone()];
    while let Some(path) = ahead.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        assert_eq!(found.permissions().mode() & 0o077, 0, "{}", path.display());
        if found.is_dir() {
            ahead.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
}
