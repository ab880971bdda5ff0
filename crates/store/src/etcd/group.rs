//! Group commit: while transactions are on their way, the commits that wait are gathered, and go together when one
//! has come back.
//!
//! etcd's work for a write is mostly the work for its request, so that many in one cost little more than one. A
//! commit that finds nothing on its way is sent at once, alone. All of that happens in tasks of their own: a caller that
//! goes away takes no other's answer with it.
//!
//! A group holds no key twice, since etcd would refuse it: the later commit waits for a later group. A commit that
//! deletes ends its group, as `revision` asks for.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

use super::commit::{Committer, Outcome, lost, not_sent};
use super::revision::PLACES;
use crate::{Expect, Key, Limits, Op, Write};

/// A group is closed when it has this many bytes: a third of what etcd accepts by default.
const GROUP_BYTES: usize = 512 * 1024;
/// How many commits are passed over for one group before it is closed.
const PASSED_OVER: usize = 256;
/// How many commits may wait. More wait for room.
const WAITING: usize = 4096;

/// A commit that waits for its outcome.
pub(super) struct Pending {
    pub(super) writes: Vec<Write>,
    /// When it is no longer worth sending.
    deadline: Instant,
    reply: oneshot::Sender<Outcome>,
    _room: OwnedSemaphorePermit,
}

impl Pending {
    pub(super) fn reply(self, outcome: Outcome) {
        // Whoever has gone away does not want to know.
        self.reply.send(outcome).ok();
    }

    fn deletes(&self) -> bool {
        self.writes.iter().any(|write| write.op == Op::Delete && write.expect != Expect::Absent)
    }
}

/// The commits that wait, and the tasks that send them.
pub(super) struct CommitQueue {
    committer: Committer,
    room: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
}

struct Waiting {
    commits: VecDeque<Pending>,
    /// How many more groups may be on their way.
    idle_senders: usize,
    /// What a group may hold.
    limits: Limits,
}

impl CommitQueue {
    /// Sends with `committer`, up to `in_flight` groups at a time.
    pub(super) fn new(committer: Committer, in_flight: usize) -> Arc<Self> {
        let limits = committer.limits;
        let limits = Limits { bytes: limits.bytes.min(GROUP_BYTES), ..limits };
        let waiting = Waiting { commits: VecDeque::new(), idle_senders: in_flight.max(1), limits };
        Arc::new(Self { committer, room: Arc::new(Semaphore::new(WAITING)), waiting: Mutex::new(waiting) })
    }

    /// Commits; the writes were checked against the limits.
    pub(super) async fn commit(self: &Arc<Self>, writes: &[Write]) -> Outcome {
        let deadline = Instant::now() + self.committer.members.request_timeout;
        let room = timeout_at(deadline, self.room.clone().acquire_owned()).await;
        let room = room.ok().and_then(Result::ok).ok_or_else(not_sent)?;
        let (reply, outcome) = oneshot::channel();
        self.add(Pending { writes: writes.to_vec(), deadline, reply, _room: room });
        outcome.await.unwrap_or_else(|_| Err(lost()))
    }

    fn add(self: &Arc<Self>, commit: Pending) {
        let mut waiting = self.waiting.lock();
        waiting.commits.push_back(commit);
        if waiting.idle_senders > 0 {
            waiting.idle_senders -= 1;
            tokio::spawn(Sender { queue: self.clone(), idle: false }.run());
        }
    }
}

impl Waiting {
    /// Takes the commits that go together next, in the order in which they came.
    fn next_group(&mut self) -> Vec<Pending> {
        let now = Instant::now();
        let mut group = Group::default();
        let mut passed_over = Vec::new();
        while !group.is_closed && passed_over.len() < PASSED_OVER {
            let Some(commit) = self.commits.pop_front() else { break };
            if commit.reply.is_closed() {
                continue;
            } else if commit.deadline <= now {
                commit.reply(Err(not_sent()));
            } else if group.has_key_of(&commit) {
                passed_over.push(commit);
            } else if group.has_room_for(&commit, &self.limits) {
                group.push(commit);
            } else {
                passed_over.push(commit);
                break;
            }
        }
        passed_over.into_iter().rev().for_each(|commit| self.commits.push_front(commit));
        group.commits
    }
}

/// Commits that go together.
#[derive(Default)]
struct Group {
    commits: Vec<Pending>,
    keys: HashSet<Key>,
    bytes: usize,
    /// The most writes of one commit.
    writes: usize,
    /// Whether nothing may follow.
    is_closed: bool,
}

impl Group {
    fn has_key_of(&self, commit: &Pending) -> bool {
        commit.writes.iter().any(|write| self.keys.contains(&write.key))
    }

    /// A group of one may be as large as etcd allows.
    fn has_room_for(&self, commit: &Pending, limits: &Limits) -> bool {
        // etcd adds up the operations of a transaction, here one a commit, and those of the largest one nested in it.
        let operations = self.commits.len() + 1 + self.writes.max(commit.writes.len());
        let bytes = self.bytes + Limits::size(&commit.writes);
        self.commits.is_empty()
            || (self.commits.len() < PLACES && operations <= limits.writes && bytes <= limits.bytes)
    }

    fn push(&mut self, commit: Pending) {
        self.keys.extend(commit.writes.iter().map(|write| write.key.clone()));
        self.bytes += Limits::size(&commit.writes);
        self.writes = self.writes.max(commit.writes.len());
        self.is_closed = commit.deletes();
        self.commits.push(commit);
    }
}

/// A task that sends groups until no commit waits.
struct Sender {
    queue: Arc<CommitQueue>,
    /// Whether it has counted itself among the idle.
    idle: bool,
}

impl Sender {
    async fn run(mut self) {
        while let Some(group) = self.next_group() {
            self.queue.committer.commit(group).await;
        }
    }

    fn next_group(&mut self) -> Option<Vec<Pending>> {
        let mut waiting = self.queue.waiting.lock();
        let group = waiting.next_group();
        if group.is_empty() {
            // Under the same lock: whoever adds a commit from now on starts another sender.
            waiting.idle_senders += 1;
            self.idle = true;
            return None;
        }
        Some(group)
    }
}

impl Drop for Sender {
    /// One that panicked is replaced by the next commit.
    fn drop(&mut self) {
        if !self.idle {
            self.queue.waiting.lock().idle_senders += 1;
        }
    }
}
