//! The etcd backend, on a real etcd: conformance, and what only it does.

use std::sync::Arc;

use orch_store::conformance;
use orch_store::testing::EtcdServer;

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms() {
    let etcd = EtcdServer::start_fast().await;
    conformance::run(Arc::new(etcd.store().await)).await;
}
