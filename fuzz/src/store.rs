//! The embedded store's files, damaged.

use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_store::{Prefix, ReadAt, Store as _};

/// The commits of the seed, each of one entry.
const COMMITS: u64 = 5;

/// A damaged log is refused, or opened with what was written before the damage, in order and whole.
pub fn log(data: &[u8]) {
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
