//! The embedded backend: conformance, and what only it does.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use orch_store::conformance;
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore, Retention};
use orch_store::{Key, Prefix, ReadAt, Revision, Store, StoreError, Write};

fn key(name: impl std::fmt::Display) -> Key {
    Key::new(format!("/test/{name}")).unwrap()
}

fn open(directory: &Path) -> EmbeddedStore {
    EmbeddedStore::open(EmbeddedConfig::new(directory)).unwrap()
}

/// Small files, so that segments and snapshots come soon.
fn small(directory: &Path) -> EmbeddedConfig {
    let retention = Retention { changes: 100, ..Retention::default() };
    EmbeddedConfig { retention, segment_bytes: 4096, snapshot_bytes: 8192, ..EmbeddedConfig::new(directory) }
}

async fn create(store: &EmbeddedStore, name: impl std::fmt::Display) -> Revision {
    store.commit(&[Write::create(key(name), "value")]).await.unwrap()
}

async fn has(store: &EmbeddedStore, name: impl std::fmt::Display) -> bool {
    store.get(&key(name), ReadAt::Latest).await.unwrap().is_some()
}

fn files(directory: &Path, kind: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(kind));
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms() {
    let directory = tempfile::tempdir().unwrap();
    conformance::run(Arc::new(open(directory.path()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_with_small_files_and_a_long_history() {
    let directory = tempfile::tempdir().unwrap();
    let config = EmbeddedConfig { retention: Retention::default(), ..small(directory.path()) };
    conformance::run(Arc::new(EmbeddedStore::open(config).unwrap())).await;
}

#[tokio::test]
async fn everything_is_there_after_a_restart_history_included() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second, third) = {
        let store = open(directory.path());
        let first = create(&store, "a").await;
        let second = store.commit(&[Write::update(key("a"), first, "new")]).await.unwrap();
        (first, second, create(&store, "b").await)
    };
    let store = open(directory.path());
    assert_eq!(store.revision().await.unwrap(), third);
    let entry = store.get(&key("a"), ReadAt::Latest).await.unwrap().unwrap();
    assert_eq!((entry.created, entry.modified, &entry.value[..]), (first, second, &b"new"[..]));
    let entry = store.get(&key("a"), ReadAt::Exactly(first)).await.unwrap().unwrap();
    assert_eq!(&entry.value[..], b"value");
    let watch = store.watch(&Prefix::all(), first).await.unwrap();
    let seen: Vec<_> = watch.take(2).map(|batch| batch.unwrap().revision).collect().await;
    assert_eq!(seen, [second, third]);
    assert_eq!(create(&store, "c").await, third.next());
}

#[tokio::test]
async fn a_directory_has_one_process_and_the_second_is_told_which() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let error = EmbeddedStore::open(EmbeddedConfig::new(directory.path())).unwrap_err();
    let expected = format!("{} is in use by process {}", directory.path().display(), std::process::id());
    assert_eq!(error.to_string(), expected);
    assert!(matches!(error, StoreError::InUse { .. }));
    drop(store);
    open(directory.path());
}

#[tokio::test]
async fn a_torn_write_is_removed_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    create(&store, "a").await;
    let log = files(directory.path(), "log-").pop().unwrap();
    let acknowledged = std::fs::metadata(&log).unwrap().len();
    create(&store, "b").await;
    drop(store);
    let whole = std::fs::read(&log).unwrap();
    for keep in acknowledged..whole.len() as u64 {
        std::fs::write(&log, &whole[..keep as usize]).unwrap();
        let store = open(directory.path());
        assert!(has(&store, "a").await && !has(&store, "b").await, "cut at {keep}");
        drop(store);
        assert_eq!(std::fs::metadata(&log).unwrap().len(), acknowledged);
    }
    let store = open(directory.path());
    create(&store, "c").await;
    drop(store);
    assert!(has(&open(directory.path()), "c").await);
}

#[tokio::test]
async fn what_was_acknowledged_and_changed_since_is_reported_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(small(directory.path())).unwrap();
    for n in 0..300 {
        create(&store, n).await;
    }
    drop(store);
    let mut damaged = files(directory.path(), "log-");
    assert!(damaged.len() > 2);
    damaged.extend(files(directory.path(), "snapshot-"));
    for path in damaged {
        let sound = std::fs::read(&path).unwrap();
        for at in (0..sound.len()).step_by(97).chain([sound.len() - 1]) {
            let mut content = sound.clone();
            content[at] ^= 0x40;
            std::fs::write(&path, content).unwrap();
            let error = EmbeddedStore::open(small(directory.path())).unwrap_err();
            let StoreError::Corrupt { file, offset, .. } = error else { panic!("{at}: {error}") };
            assert!(file == path && offset <= at as u64, "{at}: {} {offset}", file.display());
        }
        std::fs::write(&path, sound).unwrap();
    }
    open(directory.path());
}

#[tokio::test]
async fn a_missing_file_is_reported() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(small(directory.path())).unwrap();
    for n in 0..300 {
        create(&store, n).await;
    }
    drop(store);
    let logs = files(directory.path(), "log-");
    for missing in files(directory.path(), "snapshot-").iter().chain(&logs[..logs.len() - 1]) {
        let content = std::fs::read(missing).unwrap();
        std::fs::remove_file(missing).unwrap();
        let error = EmbeddedStore::open(small(directory.path())).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{}: {error}", missing.display());
        std::fs::write(missing, content).unwrap();
    }
}

#[tokio::test]
async fn the_log_and_the_history_stay_small_and_nothing_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(small(directory.path())).unwrap();
    let mut revision = create(&store, "counter").await;
    let kept = create(&store, "kept").await;
    for n in 0..2000 {
        revision = store.commit(&[Write::update(key("counter"), revision, n.to_string())]).await.unwrap();
    }
    let error = store.get(&key("counter"), ReadAt::Exactly(kept)).await.unwrap_err();
    let StoreError::Compacted { oldest, .. } = error else { panic!("{error}") };
    assert_eq!(oldest.0, revision.0 - 100);
    let old = store.get(&key("counter"), ReadAt::Exactly(oldest)).await.unwrap().unwrap();
    assert_eq!(&old.value[..], b"1899");
    drop(store);
    let bytes: u64 =
        files(directory.path(), "").iter().map(|path| std::fs::metadata(path).unwrap().len()).sum();
    assert!(bytes < 40_000, "{bytes}");
    assert_eq!(files(directory.path(), "snapshot-").len(), 1);
    let store = EmbeddedStore::open(small(directory.path())).unwrap();
    let entry = store.get(&key("counter"), ReadAt::Latest).await.unwrap().unwrap();
    assert_eq!((entry.modified, &entry.value[..]), (revision, &b"1999"[..]));
    assert_eq!(store.get(&key("kept"), ReadAt::Latest).await.unwrap().unwrap().modified, kept);
}

#[tokio::test]
async fn compacting_frees_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut revision = store.commit(&[Write::create(key("a"), "")]).await.unwrap();
    for _ in 0..100 {
        revision = store.commit(&[Write::update(key("a"), revision, vec![b'x'; 10_000])]).await.unwrap();
    }
    store.compact(revision).await.unwrap();
    drop(store);
    let bytes: u64 =
        files(directory.path(), "").iter().map(|path| std::fs::metadata(path).unwrap().len()).sum();
    assert!(bytes < 20_000, "{bytes}");
    let store = open(directory.path());
    let entry = store.get(&key("a"), ReadAt::Latest).await.unwrap().unwrap();
    assert_eq!((entry.modified, entry.value.len()), (revision, 10_000));
    let Err(error) = store.watch(&Prefix::all(), Revision(revision.0 - 1)).await else { panic!() };
    assert!(matches!(error, StoreError::Compacted { oldest, .. } if oldest == revision));
}

#[tokio::test]
async fn a_watch_that_falls_behind_the_history_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(small(directory.path())).unwrap();
    let mut watch = store.watch(&Prefix::all(), store.revision().await.unwrap()).await.unwrap();
    for n in 0..300 {
        create(&store, n).await;
    }
    let error = watch.next().await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Compacted { asked: Revision(1), .. }), "{error}");
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn history_expires_without_a_write() {
    let directory = tempfile::tempdir().unwrap();
    let retention = Retention { age: Duration::from_millis(50), ..Retention::default() };
    let config = EmbeddedConfig { retention, ..EmbeddedConfig::new(directory.path()) };
    let store = EmbeddedStore::open(config).unwrap();
    let first = create(&store, "a").await;
    create(&store, "b").await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while store.get(&key("a"), ReadAt::Exactly(first)).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    assert!(has(&store, "a").await);
}

#[tokio::test]
async fn closing_ends_watches() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let mut watch = store.watch(&Prefix::all(), store.revision().await.unwrap()).await.unwrap();
    create(&store, "a").await;
    drop(store);
    assert_eq!(watch.next().await.unwrap().unwrap().changes.len(), 1);
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn commits_left_by_their_callers_happen_wholly_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    for n in 0..50 {
        let writes = [Write::create(key(format!("{n}/a")), "1"), Write::create(key(format!("{n}/b")), "1")];
        let commit = store.commit(&writes);
        tokio::pin!(commit);
        assert!(futures::poll!(&mut commit).is_pending());
    }
    // In order behind all that were left.
    create(&store, "last").await;
    for n in 0..50 {
        assert_eq!(has(&store, format!("{n}/a")).await, has(&store, format!("{n}/b")).await);
    }
    drop(store);
    let reopened = open(directory.path());
    assert!(has(&reopened, "last").await);
}
