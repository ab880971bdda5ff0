//! Durable commits of 1 KiB a second, of both backends beside what bounds them: appends with fdatasync and redb
//! beside the embedded store, bare transactions beside the etcd one. Also how long the embedded store takes to open.
//!
//! ```text
//! cargo run --release -p orch-store --features testing --example commit_rate [SECONDS]
//! ```

#![expect(clippy::unwrap_used, reason = "a measurement: whatever goes wrong ends it")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use etcd_client::{Compare, CompareOp, KvClient, Txn, TxnOp};
use futures::future::join_all;
use orch_store::embedded::{EmbeddedConfig, EmbeddedStore};
use orch_store::etcd::{EtcdConfig, EtcdStore};
use orch_store::testing::EtcdServer;
use orch_store::{Key, Store, Write};
use redb::{Database, TableDefinition};
use tokio::sync::oneshot;

const VALUE_BYTES: usize = 1024;
const CLIENTS: [usize; 3] = [1, 16, 64];

#[tokio::main]
async fn main() {
    let seconds = std::env::args().nth(1).map_or(3, |seconds| seconds.parse().unwrap());
    let time = Duration::from_secs(seconds);
    let directory = tempfile::tempdir().unwrap();
    for clients in CLIENTS {
        report("append + fdatasync, one by one or in groups", clients, raw(directory.path(), clients, time));
    }
    for clients in CLIENTS {
        let group = Group::start(&directory.path().join(format!("redb-{clients}")));
        let commit = move |key, value| {
            let group = group.clone();
            async move { group.commit(key, value).await }
        };
        report("redb: log and state, group commit", clients, measure(clients, time, commit).await);
    }
    for clients in CLIENTS {
        let path = directory.path().join(format!("embedded-{clients}"));
        let store = EmbeddedStore::open(EmbeddedConfig::new(path)).unwrap();
        report("embedded store", clients, through(Arc::new(store), clients, time).await);
    }
    opening(&directory.path().join("opening")).await;
    etcd(time).await;
}

fn report(what: &str, clients: usize, (rate, latencies): (f64, Vec<Duration>)) {
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    println!("{what:44} {clients:3} clients {rate:8.0}/s   p50 {:6.2} ms   p99 {:6.2} ms", at(0.5), at(0.99));
}

/// Commits until the time is up; each client waits for one before the next.
async fn measure<F: Future<Output = ()> + Send + 'static>(
    clients: usize,
    time: Duration,
    commit: impl Fn(String, Vec<u8>) -> F + Clone + Send + 'static,
) -> (f64, Vec<Duration>) {
    // Measurements share a store.
    static MEASUREMENTS: AtomicUsize = AtomicUsize::new(0);
    let measurement = MEASUREMENTS.fetch_add(1, Ordering::Relaxed);
    let start = Instant::now();
    let clients = (0..clients).map(|client| {
        let commit = commit.clone();
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            while start.elapsed() < time {
                let begin = Instant::now();
                let key = format!("/bench/{measurement}/{client}/{}", latencies.len());
                commit(key, vec![b'x'; VALUE_BYTES]).await;
                latencies.push(begin.elapsed());
            }
            latencies
        })
    });
    let mut latencies: Vec<_> = join_all(clients).await.into_iter().flat_map(Result::unwrap).collect();
    latencies.sort();
    (latencies.len() as f64 / start.elapsed().as_secs_f64(), latencies)
}

async fn through(store: Arc<dyn Store>, clients: usize, time: Duration) -> (f64, Vec<Duration>) {
    let commit = move |key: String, value| {
        let store = store.clone();
        async move {
            store.commit(&[Write::create(Key::new(key).unwrap(), value)]).await.unwrap();
        }
    };
    measure(clients, time, commit).await
}

/// What the disk gives if as many values as there are clients are written at once.
fn raw(directory: &Path, clients: usize, time: Duration) -> (f64, Vec<Duration>) {
    let mut file = File::create(directory.join("raw")).unwrap();
    let group = vec![b'x'; VALUE_BYTES * clients];
    let start = Instant::now();
    let mut latencies = Vec::new();
    while start.elapsed() < time {
        let begin = Instant::now();
        file.write_all(&group).unwrap();
        file.sync_data().unwrap();
        latencies.push(begin.elapsed());
    }
    latencies.sort();
    ((latencies.len() * clients) as f64 / start.elapsed().as_secs_f64(), latencies)
}

const LOG: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("log");
const STATE: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("state");

/// The embedded store as it would be on redb: a log by revision and a state by key, one writer, group commit.
#[derive(Clone)]
struct Group(SyncSender<(String, Vec<u8>, oneshot::Sender<()>)>);

impl Group {
    fn start(path: &Path) -> Self {
        let database = Database::create(path).unwrap();
        let (sender, receiver) = sync_channel(4096);
        std::thread::spawn(move || Self::write(&database, &receiver));
        Self(sender)
    }

    async fn commit(&self, key: String, value: Vec<u8>) {
        let (reply, answer) = oneshot::channel();
        self.0.send((key, value, reply)).unwrap();
        answer.await.unwrap();
    }

    fn write(database: &Database, receiver: &Receiver<(String, Vec<u8>, oneshot::Sender<()>)>) {
        let mut revision = 1;
        while let Ok(first) = receiver.recv() {
            let group: Vec<_> = std::iter::once(first).chain(receiver.try_iter().take(1024)).collect();
            let transaction = database.begin_write().unwrap();
            {
                let mut log = transaction.open_table(LOG).unwrap();
                let mut state = transaction.open_table(STATE).unwrap();
                for (key, value, _) in &group {
                    revision += 1;
                    log.insert(revision, &value[..]).unwrap();
                    state.insert(&key[..], (revision, &value[..])).unwrap();
                }
            }
            transaction.commit().unwrap();
            group.into_iter().for_each(|(_, _, reply)| reply.send(()).unwrap());
        }
    }
}

/// How long a store of 10,000 entries of 1 KiB takes to open.
async fn opening(path: &Path) {
    let store = EmbeddedStore::open(EmbeddedConfig::new(path)).unwrap();
    for chunk in 0..100 {
        let key = |n| Key::new(format!("/bench/{chunk}/{n}")).unwrap();
        let writes: Vec<_> = (0..100).map(|n| Write::create(key(n), vec![b'x'; VALUE_BYTES])).collect();
        store.commit(&writes).await.unwrap();
    }
    let last = store.revision().await.unwrap();
    drop(store);
    for way in ["from the log", "from a snapshot"] {
        let start = Instant::now();
        let store = EmbeddedStore::open(EmbeddedConfig::new(path)).unwrap();
        println!("opening 10,000 entries {way}: {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
        store.compact(last).await.unwrap();
    }
}

async fn etcd(time: Duration) {
    let etcd = EtcdServer::start().await;
    let mut totals = BTreeMap::new();
    for clients in CLIENTS {
        for connections in [1, 2] {
            let channels = join_all((0..connections).map(|_| async {
                etcd_client::Client::connect([etcd.endpoint()], None).await.unwrap().kv_client()
            }));
            let (bare, latencies) = bare(channels.await, clients, time).await;
            report(&format!("bare etcd transactions, {connections} connections"), clients, (bare, latencies));
            for transactions in [1, 2, 4] {
                let config = EtcdConfig { connections, transactions, ..etcd.config() };
                let store = Arc::new(EtcdStore::connect(config).await.unwrap());
                let (rate, latencies) = through(store, clients, time).await;
                let what = format!("etcd store, {transactions} transactions on {connections} connections");
                report(&what, clients, (rate, latencies));
                totals.insert((clients, connections, transactions), rate / bare);
            }
        }
    }
    for ((clients, connections, transactions), ratio) in totals {
        let ratio = ratio * 100.0;
        println!(
            "{clients} clients, {connections} connections, {transactions} transactions: {ratio:.0} % of bare"
        );
    }
}

/// The same transaction that a store makes of a create, without the store.
async fn bare(channels: Vec<KvClient>, clients: usize, time: Duration) -> (f64, Vec<Duration>) {
    let turn = Arc::new(AtomicUsize::new(0));
    let commit = move |key: String, value: Vec<u8>| {
        let turn = turn.fetch_add(1, Ordering::Relaxed);
        let mut channel = channels[turn % channels.len()].clone();
        async move {
            let compare = Compare::mod_revision(&key[..], CompareOp::Equal, 0);
            let txn = Txn::new().when([compare]).and_then([TxnOp::put(key, value, None)]);
            assert!(channel.txn(txn).await.unwrap().succeeded());
        }
    };
    measure(clients, time, commit).await
}
