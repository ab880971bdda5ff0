//! The embedded store's files, damaged.

use std::path::PathBuf;

use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_store::{Key, Prefix, ReadAt, Store as _, Write};

const COMMITS: u64 = 5;

/// The log of a few commits.
pub(crate) fn logs() -> Vec<Vec<u8>> {
    let directory = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path())).unwrap();
        for number in 0..COMMITS {
            let key = Key::new(format!("/registry/core/configmaps/default/{number}")).unwrap();
            store.commit(&[Write::create(key, format!("value {number}").into_bytes())]).await.unwrap();
        }
    });
    vec![std::fs::read(log_in(directory.path())).unwrap()]
}

fn log_in(directory: &std::path::Path) -> PathBuf {
    let mut entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.find(|path| path.file_name().unwrap().to_string_lossy().starts_with("log-")).unwrap()
}

/// A damaged log is refused, or opened with what was written before the damage, in order and whole.
pub(crate) fn log(data: &[u8]) {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(format!("log-{:020}", 0)), data).unwrap();
    let Ok(store) = EmbeddedStore::open(EmbeddedConfig::new(directory.path())) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let list = runtime.block_on(store.list(&Prefix::all(), ReadAt::Latest, None, 0)).unwrap();
    for (number, entry) in list.entries.iter().enumerate() {
        assert_eq!(entry.value, format!("value {number}"), "{}", entry.key.as_str());
    }
    assert!(list.entries.len() as u64 <= COMMITS);
}
