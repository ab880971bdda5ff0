//! The one thread that changes the store: it gathers the commits that wait into a group, checks them in order,
//! makes the group durable with one fdatasync, and only then shows and acknowledges it.

use std::collections::HashMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};

use super::frame::Commit;
use super::index::{Index, Retention};
use super::log::Log;
use super::{Shared, snapshot};
use crate::{Entry, Expect, Key, Op, Revision, StoreError, Write};

/// A group is closed when it has this many commits or bytes.
const GROUP_COMMITS: usize = 1024;
const GROUP_BYTES: usize = 8 << 20;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Request {
    Commit { writes: Vec<Write>, reply: Reply<Revision> },
    Compact { before: Revision, reply: Reply<()> },
}

type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

#[derive(Debug)]
pub(super) struct Writer {
    pub(super) directory: PathBuf,
    pub(super) log: Log,
    pub(super) shared: Arc<Shared>,
    pub(super) requests: mpsc::Receiver<Request>,
    pub(super) retention: Retention,
    /// A snapshot is due when it would free this many bytes of log, and no fewer than the last one had.
    pub(super) snapshot_bytes: u64,
    pub(super) last_snapshot_bytes: u64,
    pub(super) snapshot: Option<JoinHandle<Result<u64, StoreError>>>,
}

impl Writer {
    /// Serves requests until the store is closed and none is left.
    pub(super) fn run(mut self, clock: tokio::runtime::Runtime) {
        loop {
            match self.next_request(&clock) {
                Wake::Request(Request::Commit { writes, reply }) => self.commit(writes, reply),
                Wake::Request(Request::Compact { before, reply }) => {
                    reply.send(self.compact(before)).ok();
                }
                Wake::HistoryExpired => {
                    self.shared.index.write().retain(&self.retention, Instant::now());
                }
                Wake::Closed => break,
            }
            self.snapshot_if_due();
        }
        self.finish_snapshot();
    }

    /// Waits for a request, or until the oldest change is too old to keep.
    fn next_request(&mut self, clock: &tokio::runtime::Runtime) -> Wake {
        if let Ok(request) = self.requests.try_recv() {
            return Wake::Request(request);
        }
        let oldest = self.shared.index.read().oldest();
        let expiry = oldest.and_then(|oldest| oldest.checked_add(self.retention.age));
        clock.block_on(async {
            let request = self.requests.recv();
            let request = match expiry {
                Some(expiry) => match tokio::time::timeout_at(expiry.into(), request).await {
                    Ok(request) => request,
                    Err(_) => return Wake::HistoryExpired,
                },
                None => request.await,
            };
            request.map_or(Wake::Closed, Wake::Request)
        })
    }

    /// Commits `writes` together with all that wait behind them.
    fn commit(&mut self, writes: Vec<Write>, reply: Reply<Revision>) {
        let shared = self.shared.clone();
        let mut compaction = None;
        let group = {
            let index = shared.index.read();
            let mut group = Group::new(&index);
            group.add(&writes, reply);
            while !group.is_full() {
                match self.requests.try_recv() {
                    Ok(Request::Commit { writes, reply }) => group.add(&writes, reply),
                    Ok(Request::Compact { before, reply }) => {
                        compaction = Some((before, reply));
                        break;
                    }
                    Err(_) => break,
                }
            }
            group.finish()
        };
        let durable = self.log.append(&group.commits);
        self.conclude(group, durable);
        if let Some((before, reply)) = compaction {
            reply.send(self.compact(before)).ok();
        }
    }

    /// Shows a group that is durable, and answers its callers.
    fn conclude(&self, group: Staged, durable: Result<(), StoreError>) {
        if let Err(error) = &durable {
            tracing::warn!(error = error as &dyn Error, commits = group.commits.len(), "cannot commit");
        } else if !group.commits.is_empty() {
            let now = Instant::now();
            let mut index = self.shared.index.write();
            group.commits.into_iter().for_each(|commit| index.apply(commit, now));
            index.retain(&self.retention, now);
            let revision = index.revision();
            drop(index);
            self.shared.head.send_modify(|head| head.revision = revision);
        }
        for (reply, outcome) in group.outcomes {
            // What was refused may have been refused because of a commit that was not made durable.
            reply.send(durable.clone().and(outcome)).ok();
        }
    }

    fn compact(&mut self, before: Revision) -> Result<(), StoreError> {
        {
            let mut index = self.shared.index.write();
            let current = index.revision();
            if before > current {
                return Err(StoreError::Future { asked: before, current });
            }
            if before <= index.compacted() {
                return Ok(());
            }
            index.compact(before);
        }
        // Who asks for it wants the room back. Without room for a snapshot, the log is kept.
        let last = self.shared.index.read().revision();
        match self.log.rotate(last) {
            Ok(()) => self.start_snapshot(),
            Err(error) => tracing::warn!(error = &error as &dyn Error, "cannot free the log"),
        }
        Ok(())
    }

    fn snapshot_if_due(&mut self) {
        let compacted = self.shared.index.read().compacted();
        if self.log.dead_bytes(compacted) >= self.snapshot_bytes.max(self.last_snapshot_bytes) {
            self.start_snapshot();
        }
    }

    /// Starts writing a snapshot of the oldest revision kept, so that the log after it is exactly the history.
    fn start_snapshot(&mut self) {
        self.finish_snapshot();
        let (revision, entries) = {
            let index = self.shared.index.read();
            (index.compacted(), index.at_compacted())
        };
        self.log.release(revision);
        let directory = self.directory.clone();
        let job = move || snapshot::take(&directory, revision, entries);
        match std::thread::Builder::new().name("store-snapshot".into()).spawn(job) {
            Ok(job) => self.snapshot = Some(job),
            Err(error) => tracing::warn!(error = &error as &dyn Error, "cannot start a snapshot"),
        }
    }

    fn finish_snapshot(&mut self) {
        match self.snapshot.take().map(JoinHandle::join) {
            None => {}
            Some(Ok(Ok(bytes))) => self.last_snapshot_bytes = bytes,
            Some(Ok(Err(error))) => {
                tracing::warn!(error = &error as &dyn Error, "cannot write a snapshot; the log is kept");
            }
            Some(Err(_)) => tracing::error!("writing a snapshot panicked; the log is kept"),
        }
    }
}

enum Wake {
    Request(Request),
    HistoryExpired,
    Closed,
}

/// Commits checked against the store and against each other, not yet durable.
struct Group<'a> {
    index: &'a Index,
    /// What keys become by the commits before.
    staged: HashMap<Key, Option<Entry>>,
    revision: Revision,
    bytes: usize,
    result: Staged,
}

#[derive(Default)]
struct Staged {
    commits: Vec<Commit>,
    outcomes: Vec<(Reply<Revision>, Result<Revision, StoreError>)>,
}

impl<'a> Group<'a> {
    fn new(index: &'a Index) -> Self {
        let revision = index.revision();
        Self { index, staged: HashMap::new(), revision, bytes: 0, result: Staged::default() }
    }

    fn is_full(&self) -> bool {
        self.result.outcomes.len() >= GROUP_COMMITS || self.bytes >= GROUP_BYTES
    }

    fn finish(self) -> Staged {
        self.result
    }

    fn add(&mut self, writes: &[Write], reply: Reply<Revision>) {
        let outcome = self.check(writes).map(|()| self.stage(writes));
        self.result.outcomes.push((reply, outcome));
    }

    fn current(&self, key: &Key) -> Option<&Entry> {
        self.staged.get(key).map_or_else(|| self.index.current(key), Option::as_ref)
    }

    fn check(&self, writes: &[Write]) -> Result<(), StoreError> {
        for (index, Write { key, expect, .. }) in writes.iter().enumerate() {
            let current = self.current(key);
            let holds = match expect {
                Expect::Absent => current.is_none(),
                Expect::At(revision) => current.is_some_and(|entry| entry.modified == *revision),
            };
            if !holds {
                let current = current.cloned().map(Box::new);
                return Err(StoreError::Conflict { index, key: key.clone(), expect: *expect, current });
            }
        }
        Ok(())
    }

    fn stage(&mut self, writes: &[Write]) -> Revision {
        let revision = self.revision.next();
        let mut changes = Vec::with_capacity(writes.len());
        for Write { key, op, .. } in writes {
            let current = self.current(key);
            let entry = match op {
                Op::Put(value) => {
                    let created = current.map_or(revision, |entry| entry.created);
                    Some(Entry { key: key.clone(), value: value.clone(), created, modified: revision })
                }
                Op::Keep => continue,
                Op::Delete if current.is_none() => continue,
                Op::Delete => None,
            };
            self.bytes += key.as_bytes().len() + entry.as_ref().map_or(0, |entry| entry.value.len());
            self.staged.insert(key.clone(), entry.clone());
            changes.push((key.clone(), entry));
        }
        if !changes.is_empty() {
            self.revision = revision;
            self.result.commits.push(Commit { revision, changes });
        }
        self.revision
    }
}
