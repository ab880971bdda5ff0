//! A commit is one etcd transaction: it compares what every write believes, then writes; or else it reads.

use etcd_client::{Compare, CompareOp, Txn, TxnOp, TxnOpResponse, TxnResponse};

use super::call::{Failure, Repeat};
use super::{EtcdStore, entry, header_revision};
use crate::{Entry, Expect, Limits, Op, Revision, StoreError, Write};

impl EtcdStore {
    /// Commits; the writes were checked against the limits.
    pub(super) async fn commit_checked(&self, writes: &[Write]) -> Result<Revision, StoreError> {
        let txn = self.transaction(writes);
        let response = self.members.call(Repeat::Harmful, |mut etcd| {
            let txn = txn.clone();
            async move { etcd.txn(txn).await }
        });
        let response = response.await.map_err(|failure| self.commit_failed(failure, writes))?;
        if response.succeeded() {
            return header_revision(response.header());
        }
        Err(self.conflict(&response, writes))
    }

    fn transaction(&self, writes: &[Write]) -> Txn {
        let compares: Vec<_> = writes
            .iter()
            .map(|write| {
                let modified = match write.expect {
                    Expect::Absent => 0,
                    Expect::At(revision) => i64::try_from(revision.0).unwrap_or(i64::MAX),
                };
                Compare::mod_revision(self.etcd_key(&write.key), CompareOp::Equal, modified)
            })
            .collect();
        let operations: Vec<_> = writes
            .iter()
            .filter_map(|write| match &write.op {
                Op::Put(value) => Some(TxnOp::put(self.etcd_key(&write.key), value.clone(), None)),
                Op::Delete if write.expect == Expect::Absent => None,
                Op::Delete => Some(TxnOp::delete(self.etcd_key(&write.key), None)),
            })
            .collect();
        let reads: Vec<_> = writes.iter().map(|write| TxnOp::get(self.etcd_key(&write.key), None)).collect();
        Txn::new().when(compares).and_then(operations).or_else(reads)
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
        response.take_kvs().into_iter().find_map(|kv| entry(&self.config.prefix, kv))
    }

    fn commit_failed(&self, failure: Failure, writes: &[Write]) -> StoreError {
        let limits = &self.config.limits;
        if failure.says("request is too large") || failure.says("larger than max") {
            return StoreError::TooLarge { unit: "bytes", size: Limits::size(writes), limit: limits.bytes };
        }
        if failure.says("too many operations") {
            return StoreError::TooLarge { unit: "writes", size: writes.len(), limit: limits.writes };
        }
        failure.of_commit()
    }
}
