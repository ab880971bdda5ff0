//! [`Record`]: what is kept of a plan beside what it shows.

use std::collections::BTreeMap;

use orch_api::Status;
use orch_api::plan::PLAN_RECORD;
use orch_store::{Expect, Key, Revision, Write};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::origin::is_record;

/// What is kept of a plan beside what it shows: part of the stored object, in a field that is never served.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The changes as they were given, if those shown are not all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changes: Option<Value>,
    /// By key: the revision of everything that the plan was made from; none for what was not there.
    reads: BTreeMap<String, Option<u64>>,
}

impl Record {
    /// The record of a plan that has read and would write this.
    pub(super) fn new(changes: Option<Value>, writes: &[Write]) -> Self {
        let objects = writes.iter().filter(|write| !is_record(&write.key));
        let reads = objects.map(|write| (write.key.to_string(), believed(write).map(|at| at.0)));
        Self { changes, reads: reads.collect() }
    }

    /// The record of a stored plan.
    ///
    /// # Errors
    /// 500 if it has none that can be read.
    pub(super) fn of(plan: &Value) -> Result<Self, Status> {
        let record = plan.get(PLAN_RECORD).unwrap_or(&Value::Null);
        Self::deserialize(record)
            .map_err(|error| Status::internal(format!("the plan has no record: {error}")))
    }

    /// The changes as they were given.
    pub(super) fn changes<'a>(&'a self, plan: &'a Value) -> &'a Value {
        self.changes.as_ref().unwrap_or(&plan["spec"]["changes"])
    }

    /// Everything that the plan was made from.
    ///
    /// # Errors
    /// 500 if a key is none.
    pub(super) fn reads(&self) -> Result<BTreeMap<Key, Option<Revision>>, Status> {
        let read = |(key, at): (&String, &Option<u64>)| {
            Ok((Key::new(key).map_err(Status::internal)?, at.map(Revision)))
        };
        self.reads.iter().map(read).collect()
    }
}

/// What a write believes of its key: the revision that wrote it, or that it is not there.
pub(super) fn believed(write: &Write) -> Option<Revision> {
    match write.expect {
        Expect::Absent => None,
        Expect::At(revision) => Some(revision),
    }
}
