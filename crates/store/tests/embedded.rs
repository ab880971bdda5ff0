//! The embedded backend: conformance, and what only it does.

use std::sync::Arc;

use orch_store::conformance;
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedConfig::new(directory.path())).unwrap();
    conformance::run(Arc::new(store)).await;
}
