//! The store with faults: without any it conforms, and each fault does what it says.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_store::testing::{Fault, FaultyStore};
use orch_store::{Key, Prefix, ReadAt, Revision, Store, StoreError, Write, conformance};

struct Fixture {
    store: Arc<FaultyStore<EmbeddedStore>>,
    _directory: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path())).unwrap();
    Fixture { store: Arc::new(FaultyStore::new(Arc::new(store))), _directory: directory }
}

impl Fixture {
    async fn create(&self, name: &str) -> Result<Revision, StoreError> {
        self.store.commit(&[Write::create(Key::new(name).unwrap(), "")]).await
    }

    async fn has(&self, name: &str) -> bool {
        self.store.get(&Key::new(name).unwrap(), ReadAt::Latest).await.unwrap().is_some()
    }
}

fn is_ambiguous(outcome: Result<Revision, StoreError>) -> bool {
    matches!(outcome, Err(StoreError::Unavailable { ambiguous: true, .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn without_faults_it_conforms() {
    conformance::run(fixture().store).await;
}

#[tokio::test]
async fn each_commit_takes_the_next_fault() {
    let fixture = fixture();
    let refusal = StoreError::TooLarge { unit: "bytes", size: 2, limit: 1 };
    for fault in [Fault::Refuse(refusal), Fault::LoseRequest, Fault::LoseAnswer, Fault::Delay(Duration::ZERO)]
    {
        fixture.store.next_commit(fault);
    }
    assert!(matches!(fixture.create("/a").await, Err(StoreError::TooLarge { .. })));
    assert!(is_ambiguous(fixture.create("/b").await));
    assert!(is_ambiguous(fixture.create("/c").await));
    fixture.create("/d").await.unwrap();
    fixture.create("/e").await.unwrap();
    let mut found = Vec::new();
    for name in ["/a", "/b", "/c", "/d", "/e"] {
        found.push(fixture.has(name).await);
    }
    assert_eq!(found, [false, false, true, true, true]);
}

#[tokio::test]
async fn down_is_down_until_it_is_up() {
    let fixture = fixture();
    fixture.store.set_down(true);
    assert!(matches!(fixture.create("/a").await, Err(StoreError::Unavailable { ambiguous: false, .. })));
    assert!(fixture.store.revision().await.is_err());
    fixture.store.set_down(false);
    fixture.create("/a").await.unwrap();
}

#[tokio::test]
async fn watches_stall_and_are_cut() {
    let fixture = fixture();
    let start = fixture.store.revision().await.unwrap();
    let mut watch = fixture.store.watch(&Prefix::all(), start).await.unwrap();
    fixture.store.set_watches_stalled(true);
    let created = fixture.create("/a").await.unwrap();
    assert!(futures::poll!(watch.next()).is_pending());
    fixture.store.set_watches_stalled(false);
    assert_eq!(watch.next().await.unwrap().unwrap().revision, created);

    fixture.store.cut_watches(StoreError::Compacted { asked: start, oldest: created });
    assert!(matches!(watch.next().await, Some(Err(StoreError::Compacted { .. }))));
    assert!(watch.next().await.is_none());
    let mut again = fixture.store.watch(&Prefix::all(), start).await.unwrap();
    assert_eq!(again.next().await.unwrap().unwrap().revision, created);
}
