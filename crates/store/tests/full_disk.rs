//! The embedded backend on a disk that fills up.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use bytes::Bytes;
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_store::{Key, ReadAt, Store, StoreError, Write};

fn key(name: impl std::fmt::Display) -> Key {
    Key::new(format!("/test/{name}")).unwrap()
}

fn open(directory: &std::path::Path, segment_bytes: u64) -> EmbeddedStore {
    let config = EmbeddedConfig { segment_bytes, ..EmbeddedConfig::new(directory) };
    EmbeddedStore::open(config).unwrap()
}

async fn has(store: &EmbeddedStore, name: impl std::fmt::Display) -> bool {
    store.get(&key(name), ReadAt::Latest).await.unwrap().is_some()
}

/// A file system of `bytes` bytes, which needs root.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn new(bytes: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = format!("size={bytes}");
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("tmpfs"), directory.path(), Some("tmpfs"), flags, Some(&options[..])).unwrap();
        Self(directory)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        nix::mount::umount2(self.0.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_refuses_commits_and_loses_nothing() {
    fill_and_free(4 << 20).await;
}

#[tokio::test]
async fn a_disk_too_full_for_a_new_segment_loses_nothing_either() {
    // Every commit needs a new file.
    fill_and_free(1).await;
}

async fn fill_and_free(segment_bytes: u64) {
    let disk = SmallDisk::new(2 << 20);
    let directory = disk.0.path().join("store");
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let value = Bytes::from(vec![b'x'; 50_000]);
    let store = open(&directory, segment_bytes);
    let mut acknowledged = 0;
    let error = loop {
        match store.commit(&[Write::create(key(acknowledged), value.clone())]).await {
            Ok(_) => acknowledged += 1,
            Err(error) => break error,
        }
    };
    let StoreError::Unavailable { ambiguous: false, source: Some(cause), .. } = &error else {
        panic!("{error}")
    };
    assert!(cause.to_string().contains("No space left on device"), "{cause}");
    assert!(acknowledged > 10);
    // Reads go on, and it fails again until there is room.
    assert!(has(&store, acknowledged - 1).await && !has(&store, acknowledged).await);
    let again = store.commit(&[Write::create(key(acknowledged), value.clone())]).await;
    assert!(matches!(again, Err(StoreError::Unavailable { ambiguous: false, .. })));

    std::fs::remove_file(&ballast).unwrap();
    store.commit(&[Write::create(key("after"), value.clone())]).await.unwrap();
    let last = store.revision().await.unwrap();
    drop(store);
    let store = open(&directory, segment_bytes);
    assert_eq!(store.revision().await.unwrap(), last);
    for n in 0..acknowledged {
        assert_eq!(store.get(&key(n), ReadAt::Latest).await.unwrap().unwrap().value, value);
    }
    assert!(!has(&store, acknowledged).await && has(&store, "after").await);
}
