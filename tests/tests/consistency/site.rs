//! What is tested: servers as processes, over a store as a process, each behind a connection that can be cut.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt as _;
use orch_client::{HttpClient, Kubeconfig, Overrides};
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_store::testing::{EtcdServer, Proxy};
use orch_store::{ChangeKind, Prefix, Revision, Store};
use orch_tests::Orchd;
use serde_json::Value as Json;
use tokio::task::block_in_place;

use crate::clients::{PREFIX, value_of};
use crate::stream::Change;

/// Servers over one store.
pub(crate) struct Site {
    pub(crate) etcd: Option<EtcdServer>,
    pub(crate) members: Vec<Member>,
}

/// A server, and the way to it.
pub(crate) struct Member {
    pub(crate) orch: Orchd,
    pub(crate) way: Proxy,
    /// The way from it to the store, on etcd.
    pub(crate) store: Option<Proxy>,
}

impl Site {
    /// One server on the embedded store.
    pub(crate) async fn embedded() -> Self {
        let orch = block_in_place(|| Orchd::start(&["--runtime", "none"]));
        Self { etcd: None, members: vec![Member::reached(orch, None).await] }
    }

    /// So many servers over one etcd, the first with further arguments.
    pub(crate) async fn over_etcd(count: usize, first: &[&str]) -> Self {
        let etcd = EtcdServer::start().await;
        let mut members: Vec<Member> = Vec::new();
        for _ in 0..count {
            let store = Proxy::start(etcd.address()).await;
            let endpoint = store.endpoint();
            let mut args = vec!["--store", "etcd", "--etcd-endpoints", &endpoint];
            args.extend(if members.is_empty() { first } else { &["--runtime", "none"] });
            let orch = block_in_place(|| match members.first() {
                None => Orchd::start(&args),
                Some(other) => Orchd::join(&other.orch, &args),
            });
            members.push(Member::reached(orch, Some(store)).await);
        }
        Self { etcd: Some(etcd), members }
    }

    /// A client of each member.
    pub(crate) fn clients(&self) -> Arc<[HttpClient]> {
        self.members.iter().map(Member::client).collect()
    }

    /// Every change of the clients' objects after a revision, from the store itself. Servers on the embedded store end.
    pub(crate) async fn history(&mut self, after: u64) -> Vec<Change> {
        match &self.etcd {
            Some(etcd) => read(&etcd.store().await, after).await,
            None => {
                let orch = &mut self.members[0].orch;
                block_in_place(|| orch.stop());
                let directory = orch.data_dir().join("store");
                let store = block_in_place(|| EmbeddedStore::open(EmbeddedConfig::new(directory)).unwrap());
                read(&store, after).await
            }
        }
    }
}

impl Member {
    async fn reached(orch: Orchd, store: Option<Proxy>) -> Self {
        let way = Proxy::start(orch.address()).await;
        Self { orch, way, store }
    }

    /// The administrator, by the way that can be cut.
    pub(crate) fn client(&self) -> HttpClient {
        let file = self.orch.kubeconfig();
        let config = Kubeconfig::parse(&std::fs::read_to_string(&file).unwrap(), &file).unwrap();
        let server = Some(format!("https://{}", self.way.address()));
        HttpClient::new(&config.connection(&Overrides { server, ..Overrides::default() }).unwrap()).unwrap()
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(&mut self) {
        self.orch.kill();
    }

    /// Starts it again. It listens elsewhere; the way to it stays the same.
    pub(crate) fn start_again(&mut self) {
        block_in_place(|| self.orch.start_again());
        self.way.forward_to(self.orch.address());
    }
}

async fn read(store: &dyn Store, after: u64) -> Vec<Change> {
    let end = store.revision().await.unwrap();
    let prefix = Prefix::new("/registry/core/configmaps/default").unwrap();
    let mut watch = store.watch(&prefix, Revision(after)).await.unwrap();
    let (mut changes, mut reached) = (Vec::new(), Revision(after));
    while reached < end {
        let batch = watch.next().await.unwrap().unwrap();
        reached = batch.revision;
        for change in batch.changes {
            let key = change.key.as_str().rsplit('/').next().unwrap().to_owned();
            let value = match change.kind {
                ChangeKind::Put(entry) => {
                    // Behind the object stands who wrote it.
                    let object = entry.value.split(|byte| *byte == b'\n').next().unwrap();
                    let object: Json = serde_json::from_slice(object).unwrap();
                    Some(object).filter(|_| key.starts_with(PREFIX)).map(|object| value_of(&object))
                }
                ChangeKind::Delete => None,
            };
            if key.starts_with(PREFIX) {
                changes.push(Change { revision: batch.revision.0, key, value });
            }
        }
    }
    assert_distinct(&changes);
    changes
}

/// A value stands for a revision.
fn assert_distinct(changes: &[Change]) {
    let mut revisions = BTreeMap::new();
    for change in changes {
        if let Some(value) = change.value {
            assert_eq!(revisions.insert(value, change.revision), None, "{change:?} was written twice");
        }
    }
}
