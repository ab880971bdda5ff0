//! The embedded backend under `kill -9`: a process that writes is killed again and again, at random moments; each
//! time, everything that it had acknowledged must be found, and nothing half done.
//!
//! The test binary is the writing process too, when `CRASH_TEST_DIRECTORY` says where to write. Replay a run with
//! `CRASH_TEST_SEED`.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use orch_store::embedded::{EmbeddedConfig, EmbeddedStore, Retention};
use orch_store::{Entry, Key, Prefix, ReadAt, Revision, Store, Write};
use rand::{RngExt as _, SeedableRng as _};

const NAME: &str = "what_was_acknowledged_survives_kill_9";
const DIRECTORY: &str = "CRASH_TEST_DIRECTORY";
const SEED: &str = "CRASH_TEST_SEED";
const KILLS: usize = 60;
const WRITERS: usize = 8;
/// Each writer keeps its last items, so that the store stays small.
const ITEMS: u64 = 20;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        runtime.block_on(write_until_killed(Path::new(&directory)));
    } else if std::env::args().any(|argument| argument == "--list") {
        println!("{NAME}: test");
    } else {
        let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
        println!("test {NAME}, {SEED}={seed}");
        kill_again_and_again(&runtime, seed);
    }
}

fn open(directory: &Path) -> EmbeddedStore {
    // Small, so that new segments and snapshots are being written when the process is killed.
    let retention = Retention { changes: 300, ..Retention::default() };
    let config = EmbeddedConfig::new(directory);
    let config = EmbeddedConfig { retention, segment_bytes: 64 << 10, snapshot_bytes: 128 << 10, ..config };
    EmbeddedStore::open(config).unwrap()
}

fn counter_key(writer: usize) -> Key {
    Key::new(format!("/{writer}/counter")).unwrap()
}

fn item_key(writer: usize, n: u64) -> Key {
    Key::new(format!("/{writer}/items/{n:020}")).unwrap()
}

fn item_value(writer: usize, n: u64) -> Vec<u8> {
    let length = (n * 37 + writer as u64 * 101) % 5000;
    format!("{writer}/{n};").bytes().cycle().take(length as usize).collect()
}

fn number(counter: &Entry) -> u64 {
    std::str::from_utf8(&counter.value).unwrap().parse().unwrap()
}

async fn write_until_killed(directory: &Path) {
    let store = Arc::new(open(directory));
    let writers = (0..WRITERS).map(|writer| tokio::spawn(write(store.clone(), writer)));
    futures::future::join_all(writers).await;
}

/// Commits an item, the removal of an old one and a counter, again and again, and prints what is acknowledged.
async fn write(store: Arc<EmbeddedStore>, writer: usize) {
    let mut counter = store.get(&counter_key(writer), ReadAt::Latest).await.unwrap();
    loop {
        let n = counter.as_ref().map_or(0, |counter| number(counter) + 1);
        let mut writes = vec![Write::create(item_key(writer, n), item_value(writer, n))];
        writes.push(match &counter {
            None => Write::create(counter_key(writer), n.to_string()),
            Some(counter) => Write::update(counter_key(writer), counter.modified, n.to_string()),
        });
        if n >= ITEMS {
            let old = store.get(&item_key(writer, n - ITEMS), ReadAt::Latest).await.unwrap().unwrap();
            writes.push(Write::delete(old.key, old.modified));
        }
        let revision = store.commit(&writes).await.unwrap();
        println!("{writer} {n} {revision}");
        counter = store.get(&counter_key(writer), ReadAt::Latest).await.unwrap();
    }
}

fn kill_again_and_again(runtime: &tokio::runtime::Runtime, seed: u64) {
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let mut acknowledged = BTreeMap::new();
    let mut count = 0;
    for _ in 0..KILLS {
        count += run_and_kill(directory.path(), &mut random, &mut acknowledged);
        // Also checks that what is there can be opened, and closes it.
        runtime.block_on(check(&open(directory.path()), &acknowledged));
    }
    assert!(count > KILLS, "the writers hardly wrote");
    println!("{KILLS} kills, {count} commits acknowledged, in {:.1?}", started.elapsed());
}

/// Runs the writing process for a random time, and adds the last commit of each writer that it acknowledged.
fn run_and_kill(
    directory: &Path,
    random: &mut impl rand::Rng,
    acknowledged: &mut BTreeMap<usize, (u64, Revision)>,
) -> usize {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let mut child = command.env(DIRECTORY, directory).stdout(Stdio::piped()).spawn().unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || output.lines().map(Result::unwrap).collect::<Vec<_>>());
    std::thread::sleep(Duration::from_micros(random.random_range(5_000..150_000)));
    child.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), None, "the writing process ended by itself: {status}");
    let lines = reader.join().unwrap();
    for line in &lines {
        let fields: Vec<u64> = line.split(' ').map(|field| field.parse().unwrap()).collect();
        let [writer, n, revision] = fields[..] else { continue };
        acknowledged.insert(usize::try_from(writer).unwrap(), (n, Revision(revision)));
    }
    lines.len()
}

async fn check(store: &EmbeddedStore, acknowledged: &BTreeMap<usize, (u64, Revision)>) {
    let last = store.revision().await.unwrap();
    for writer in 0..WRITERS {
        let prefix = Prefix::new(format!("/{writer}/items")).unwrap();
        let items = store.list(&prefix, ReadAt::Latest, None, 0).await.unwrap().entries;
        let counter = store.get(&counter_key(writer), ReadAt::Latest).await.unwrap();
        let Some(counter) = counter else {
            assert!(
                items.is_empty() && !acknowledged.contains_key(&writer),
                "writer {writer} lost everything"
            );
            continue;
        };
        let n = number(&counter);
        if let Some((acknowledged, revision)) = acknowledged.get(&writer) {
            assert!(n >= *acknowledged, "writer {writer}: {acknowledged} was acknowledged, {n} is there");
            assert!(last >= *revision);
            let item = items.iter().find(|item| item.key == item_key(writer, *acknowledged));
            assert!(item.is_none_or(|item| item.modified == *revision));
            assert!(item.is_some() || n >= acknowledged + ITEMS, "writer {writer} lost {acknowledged}");
        }
        // Each commit did all three things, or none.
        let expected: Vec<_> = ((n + 1).saturating_sub(ITEMS)..=n).collect();
        let keys: Vec<_> = items.iter().map(|item| item.key.clone()).collect();
        assert_eq!(keys, expected.iter().map(|n| item_key(writer, *n)).collect::<Vec<_>>());
        assert!(items.iter().zip(&expected).all(|(item, n)| item.value == item_value(writer, *n)));
        assert_eq!(items.last().map(|item| item.modified), Some(counter.modified));
    }
}
