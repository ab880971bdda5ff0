//! The embedded backend: one directory, one process, everything in memory, a change log on disk.
//!
//! - `writer`: the one thread that commits, in groups, and compacts.
//! - `index`: the state in memory, which serves all reads; `watch`: cursors into its history.
//! - `log`, `snapshot`, `frame`: the files. `recovery`: opening them.
//!
//! On disk are a snapshot of the oldest revision kept and a log of every change after it; a start reads both.
//! `docs/decisions/0002-embedded-store.md` says why it is so.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use parking_lot::RwLock;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{Entry, Key, Limits, Page, Prefix, ReadAt, Revision, Store, StoreError, Watch, Write};

mod frame;
mod index;
mod log;
mod recovery;
mod snapshot;
#[path = "watch.rs"]
mod watching;
mod writer;

pub use index::Retention;
use writer::{Request, Writer};

/// Commits that may wait for the writer; more wait for room.
const WAITING_REQUESTS: usize = 4096;
/// No commit may be larger, whatever the limits say: a group of them must fit one frame.
const MAX_COMMIT_BYTES: usize = frame::MAX_PAYLOAD_BYTES / 4;
/// As many objects as a plan may have, and what goes with them.
const LIMITS: Limits = Limits { writes: 6_000, bytes: MAX_COMMIT_BYTES };

/// Where the store is and how it behaves.
#[derive(Debug, Clone)]
pub struct EmbeddedConfig {
    /// The directory, made if it does not exist.
    pub directory: PathBuf,
    /// How much history is kept for watches and for reads at a revision.
    pub retention: Retention,
    /// How much one commit may hold.
    pub limits: Limits,
    /// The size from which on a log file is followed by a new one.
    pub segment_bytes: u64,
    /// How many bytes of log are collected before a snapshot replaces them.
    pub snapshot_bytes: u64,
}

impl EmbeddedConfig {
    /// The defaults, in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            retention: Retention::default(),
            limits: LIMITS,
            segment_bytes: 4 << 20,
            snapshot_bytes: 16 << 20,
        }
    }
}

/// A store in one directory of this machine, of which this process is the only user.
///
/// Reads are served from memory and never wait for the disk. A commit costs a share of one fdatasync. All entries
/// and the retained history are in memory. Dropping it waits for what is being written, ends every watch, and frees
/// the directory.
#[derive(Debug)]
pub struct EmbeddedStore {
    limits: Limits,
    shared: Arc<Shared>,
    /// `None` only while dropping.
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
}

/// What the writer shows to readers.
#[derive(Debug)]
struct Shared {
    index: RwLock<index::Index>,
    head: watch::Sender<Head>,
}

/// What wakes watches.
#[derive(Debug, Clone, Copy)]
struct Head {
    /// The last revision in the index.
    revision: Revision,
    /// The last revision that anybody was told, so that watches must reach it.
    asked: Revision,
    closed: bool,
}

impl EmbeddedStore {
    /// Opens the directory, or makes a new store in it. Blocks while it reads: about a tenth of a second for
    /// 100 MB.
    ///
    /// Fails with [`InUse`](StoreError::InUse) if another process has it open, [`Corrupt`](StoreError::Corrupt) if
    /// what was once durable no longer is, and [`Unavailable`](StoreError::Unavailable). A torn write at the end of
    /// the log was never acknowledged: it is removed, with a warning.
    pub fn open(config: EmbeddedConfig) -> Result<Self, StoreError> {
        if config.limits.bytes > MAX_COMMIT_BYTES {
            let reason = format!("a commit may have at most {MAX_COMMIT_BYTES} bytes");
            return Err(StoreError::Invalid { reason });
        }
        let directory = &config.directory;
        let made = DirBuilder::new().mode(0o700).recursive(true).create(directory);
        made.and_then(|()| log::sync_parent(directory))
            .map_err(|error| frame::io_error("cannot make", directory, error))?;
        let lock = lock(directory)?;
        let recovered = recovery::recover(directory)?;
        let revision = recovered.index.revision();
        let shared = Arc::new(Shared {
            index: RwLock::new(recovered.index),
            head: watch::Sender::new(Head { revision, asked: revision, closed: false }),
        });
        let (requests, receiver) = mpsc::channel(WAITING_REQUESTS);
        let writer = Writer {
            directory: directory.clone(),
            log: log::Log::new(directory, config.segment_bytes, recovered.active, recovered.closed),
            shared: shared.clone(),
            requests: receiver,
            retention: config.retention,
            snapshot_bytes: config.snapshot_bytes,
            last_snapshot_bytes: recovered.snapshot_bytes,
            snapshot: None,
        };
        let writer =
            start(writer, lock).map_err(|error| frame::io_error("cannot serve", directory, error))?;
        Ok(Self { limits: config.limits, shared, requests: Some(requests), writer: Some(writer) })
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Request,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let gone = |ambiguous| StoreError::Unavailable {
            reason: "the writer of the embedded store has died".into(),
            ambiguous,
            source: None,
        };
        let requests = self.requests.as_ref().ok_or_else(|| gone(false))?;
        requests.send(request(reply)).await.map_err(|_| gone(false))?;
        answer.await.map_err(|_| gone(true))?
    }
}

/// Runs the writer in a thread that holds the directory's lock as long as it lives.
fn start(writer: Writer, lock: File) -> std::io::Result<JoinHandle<()>> {
    let clock = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    std::thread::Builder::new().name("store-writer".into()).spawn(move || {
        writer.run(clock);
        drop(lock);
    })
}

/// Takes the lock of `directory`, and leaves our process id in it for those who come later.
fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join("lock");
    let fail = |error| frame::io_error("cannot lock", &path, error);
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            file.read_to_string(&mut holder).map_err(fail)?;
            return Err(StoreError::InUse {
                directory: directory.to_owned(),
                pid: holder.trim().parse().ok(),
            });
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(fail(error)),
    }
    // The id is for people; the lock holds without it, on a full disk for instance.
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).ok();
    Ok(file)
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        drop(self.requests.take());
        if let Some(writer) = self.writer.take() {
            writer.join().ok();
        }
        self.shared.head.send_modify(|head| head.closed = true);
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn get(&self, key: &Key, at: ReadAt) -> Result<Option<Entry>, StoreError> {
        self.shared.index.read().get(key, at)
    }

    async fn list(
        &self,
        prefix: &Prefix,
        at: ReadAt,
        from: Option<&Key>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.shared.index.read().list(prefix, at, from, limit)
    }

    async fn commit(&self, writes: &[Write]) -> Result<Revision, StoreError> {
        self.limits.check(writes)?;
        self.ask(|reply| Request::Commit { writes: writes.to_vec(), reply }).await
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, StoreError> {
        let current = self.shared.head.borrow().revision;
        if after > current {
            return Err(StoreError::Future { asked: after, current });
        }
        watching::open(self.shared.clone(), prefix.clone(), after)
    }

    async fn compact(&self, before: Revision) -> Result<(), StoreError> {
        self.ask(|reply| Request::Compact { before, reply }).await
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        let mut answer = Revision::ZERO;
        self.shared.head.send_if_modified(|head| {
            answer = head.revision;
            let news = head.asked < head.revision;
            head.asked = head.revision;
            news
        });
        Ok(answer)
    }
}
