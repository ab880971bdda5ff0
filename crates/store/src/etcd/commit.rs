//! What a group of commits is to etcd: one transaction. A commit compares what every write believes, then writes; or
//! else it reads. One of a group does so in a transaction nested in the group's, so that none fails with another.

use std::sync::Arc;

use etcd_client::{Compare, CompareOp, Txn, TxnOp, TxnOpResponse, TxnResponse};
use futures::future::{BoxFuture, FutureExt as _, join_all};

use super::call::{Failure, Repeat};
use super::entry;
use super::group::Pending;
use super::members::Members;
use super::revision::{LAST, at, etcd_revision, seal, whole};
use crate::{Entry, Expect, Limits, Op, Revision, StoreError, Write};

/// Sends groups of commits to etcd, and answers them.
pub(super) struct Committer {
    pub(super) members: Arc<Members>,
    pub(super) prefix: String,
    pub(super) limits: Limits,
}

impl Committer {
    /// Commits a group; each learns its own outcome. A group that etcd refuses as a whole is taken apart.
    pub(super) fn commit(&self, group: Vec<Pending>) -> BoxFuture<'_, ()> {
        async move {
            let request = self.members.call(Repeat::Harmful, |mut etcd| {
                let txn = self.transaction(&group);
                async move { etcd.txn(txn).await }
            });
            match request.await {
                Ok(response) => self.conclude(group, response),
                Err(failure) if group.len() > 1 && failure.is_of_content() => {
                    join_all(group.into_iter().map(|commit| self.commit(vec![commit]))).await;
                }
                Err(failure) => self.fail(group, failure),
            }
        }
        .boxed()
    }

    fn transaction(&self, group: &[Pending]) -> Txn {
        match group {
            [alone] => self.branches(&alone.writes, LAST),
            group => {
                let nested = places(group.len()).zip(group);
                let nested = nested.map(|(place, commit)| TxnOp::txn(self.branches(&commit.writes, place)));
                Txn::new().and_then(nested.collect::<Vec<_>>())
            }
        }
    }

    fn branches(&self, writes: &[Write], place: u8) -> Txn {
        let compares: Vec<_> = writes
            .iter()
            .map(|write| {
                let modified = match write.expect {
                    Expect::Absent => 0,
                    // That is before etcd's first revision; 0 would mean absent.
                    Expect::At(revision) if etcd_revision(revision) == 0 => -1,
                    Expect::At(revision) => etcd_revision(revision),
                };
                Compare::mod_revision(self.etcd_key(write), CompareOp::Equal, modified)
            })
            .collect();
        let operations: Vec<_> = writes
            .iter()
            .filter_map(|write| match &write.op {
                Op::Put(value) => Some(TxnOp::put(self.etcd_key(write), seal(value, place), None)),
                Op::Keep => None,
                Op::Delete if write.expect == Expect::Absent => None,
                Op::Delete => Some(TxnOp::delete(self.etcd_key(write), None)),
            })
            .collect();
        let reads: Vec<_> = writes.iter().map(|write| TxnOp::get(self.etcd_key(write), None)).collect();
        Txn::new().when(compares).and_then(operations).or_else(reads)
    }

    fn etcd_key(&self, write: &Write) -> Vec<u8> {
        [self.prefix.as_bytes(), write.key.as_bytes()].concat()
    }

    /// Answers a group that etcd has answered.
    fn conclude(&self, group: Vec<Pending>, response: TxnResponse) {
        // A commit without an answer is told that its fate is unknown, by the end of its channel.
        let Some(revision) = response.header().map(etcd_client::ResponseHeader::revision) else { return };
        let places = places(group.len());
        let answers = match group.len() {
            1 => vec![TxnOpResponse::Txn(response)],
            _ => response.op_responses(),
        };
        for ((commit, place), answer) in group.into_iter().zip(places).zip(answers) {
            let TxnOpResponse::Txn(answer) = answer else { continue };
            let outcome = if !answer.succeeded() {
                Err(self.conflict(&answer, &commit.writes))
            } else if commit.writes.iter().any(Write::changes) {
                Ok(at(revision, place))
            } else {
                Ok(whole(revision))
            };
            commit.reply(outcome);
        }
    }

    /// The first write whose belief the transaction's reads show to be wrong.
    fn conflict(&self, response: &TxnResponse, writes: &[Write]) -> StoreError {
        let currents = response.op_responses().into_iter().map(|read| self.current(read));
        for (index, (Write { key, expect, .. }, current)) in writes.iter().zip(currents).enumerate() {
            let holds = match expect {
                Expect::Absent => current.is_none(),
                Expect::At(revision) => current.as_ref().is_some_and(|entry| entry.modified == *revision),
            };
            if !holds {
                let current = current.map(Box::new);
                return StoreError::Conflict { index, key: key.clone(), expect: *expect, current };
            }
        }
        StoreError::Unavailable {
            reason: "etcd refused a transaction but its reads show no conflict".into(),
            ambiguous: false,
            source: None,
        }
    }

    fn current(&self, read: TxnOpResponse) -> Option<Entry> {
        let TxnOpResponse::Get(mut response) = read else { return None };
        response.take_kvs().into_iter().find_map(|kv| entry(&self.prefix, kv))
    }

    /// Answers a group that has failed as a whole.
    fn fail(&self, group: Vec<Pending>, failure: Failure) {
        let limits = &self.limits;
        let error = if let ([commit], true) = (&group[..], failure.is_too_large()) {
            let size = Limits::size(&commit.writes);
            StoreError::TooLarge { unit: "bytes", size, limit: limits.bytes }
        } else if let ([commit], true) = (&group[..], failure.is_too_many()) {
            StoreError::TooLarge { unit: "writes", size: commit.writes.len(), limit: limits.writes }
        } else {
            failure.of_commit()
        };
        group.into_iter().for_each(|commit| commit.reply(Err(error.clone())));
    }
}

/// The places of the commits of a group, in order.
fn places(commits: usize) -> impl Iterator<Item = u8> {
    (0..LAST).take(commits.saturating_sub(1)).chain([LAST])
}

impl Failure {
    fn is_too_large(&self) -> bool {
        self.says("request is too large") || self.says("larger than max")
    }

    fn is_too_many(&self) -> bool {
        self.says("too many operations")
    }

    /// Whether etcd refused the request for what is in it, so that a part of it may be accepted.
    fn is_of_content(&self) -> bool {
        self.is_too_large() || self.is_too_many() || self.says("permission denied")
    }
}

/// What is told of a commit whose answer was lost.
pub(super) fn lost() -> StoreError {
    StoreError::Unavailable {
        reason: "the answer of etcd to a commit is missing".into(),
        ambiguous: true,
        source: None,
    }
}

/// What is told of a commit that waited too long to be sent.
pub(super) fn not_sent() -> StoreError {
    StoreError::Unavailable {
        reason: "cannot commit to etcd: commits before this one take too long".into(),
        ambiguous: false,
        source: None,
    }
}

/// The revision of a commit, as its `Result`.
pub(super) type Outcome = Result<Revision, StoreError>;
