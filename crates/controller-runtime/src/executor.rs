//! [`Executor`]: carries out the writes of a plan.

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, stream};
use orch_api::{Client, Params, Reason, Request, Status};
use serde::Deserialize;
use tracing::debug;

use crate::caches::Pending;
use crate::progress::Expected;
use crate::{Action, Caches, Note, Plan, Recorder, Write};

/// Writes in flight for one plan. The server commits in groups, so more at once is not slower for each.
const IN_FLIGHT: usize = 128;

/// Carries out the writes of plans, through one client and under one name.
#[derive(Clone)]
pub struct Executor {
    /// Where writes go.
    pub client: Arc<dyn Client>,
    /// The caches that have to show what has been written.
    pub caches: Arc<Caches>,
    /// Where events go.
    pub recorder: Recorder,
    /// The field manager of all writes.
    pub field_manager: &'static str,
}

impl Executor {
    /// Carries out a plan, and waits until the caches show what has been written. Creates start slowly – one, then two, four,
    /// … at a time – and stop at the first that fails, so that a thousand equal ones don't fail a thousand times;
    /// everything else is tried regardless.
    ///
    /// # Errors
    /// The first failure. What has succeeded stays; planning again finds out what is left to do.
    pub async fn execute(&self, plan: Plan) -> Result<(), Status> {
        let (creates, others): (Vec<_>, Vec<_>) =
            plan.writes.into_iter().partition(|write| matches!(write.action, Action::Create(_)));
        let mut progress = Outcome::default();
        self.write_all(others, &mut progress).await;
        self.create_slowly(creates, &mut progress).await;
        self.write_all(plan.status.into_iter().collect(), &mut progress).await;
        self.caches.seen(progress.pending).await;
        if let Some(status) = progress.failure {
            return Err(status);
        }
        plan.events.into_iter().for_each(|note| self.recorder.record(note));
        Ok(())
    }

    async fn create_slowly(&self, mut creates: Vec<Write>, progress: &mut Outcome) {
        let mut batch = 1;
        while !creates.is_empty() {
            let rest = creates.split_off(batch.min(creates.len()));
            if !self.write_all(creates, progress).await {
                return debug!(skipped = rest.len(), "a create failed: leaving the rest for later");
            }
            creates = rest;
            batch *= 2;
        }
    }

    /// Carries out independent writes. Answers whether all have succeeded.
    async fn write_all(&self, writes: Vec<Write>, progress: &mut Outcome) -> bool {
        let mut results = stream::iter(writes).map(|write| self.write(write)).buffer_unordered(IN_FLIGHT);
        let mut all = true;
        while let Some(result) = results.next().await {
            match result {
                Ok(pending) => progress.pending.extend(pending),
                Err(status) => {
                    all = false;
                    progress.failure.get_or_insert(status);
                }
            }
        }
        all
    }

    async fn write(&self, write: Write) -> Result<Vec<Pending>, Status> {
        debug!(%write, "writing");
        let key = write.key();
        let outcome = self.send(&write).await;
        let answer = match (outcome, &write.action) {
            // What was to be deleted is gone: somebody else was faster.
            (Err(status), Action::Delete { .. }) if status.is(&Reason::NotFound) => Bytes::new(),
            (Err(status), _) => {
                if let Some(note) = write.on_failure {
                    self.recorder.record(Note { message: format!("{}: {status}", note.message), ..note });
                }
                return Err(status);
            }
            (Ok(answer), _) => answer,
        };
        write.on_success.into_iter().for_each(|note| self.recorder.record(note));
        let expected = match write.action {
            Action::Delete { uid, .. } => Some(Expected::Deletion { key, uid }),
            // Answered with a list, whose revision is the store's and may be that of another kind's change.
            Action::DeleteCollection => None,
            _ => revision_of(&answer).map(Expected::Revision),
        };
        Ok(expected.map(|expected| self.caches.expect(&write.target, &expected)).unwrap_or_default())
    }

    async fn send(&self, write: &Write) -> Result<Bytes, Status> {
        let params = Params {
            field_manager: Some(self.field_manager.to_owned()),
            force: matches!(write.action, Action::Apply { force: true, .. }),
            ..Params::default()
        };
        let (verb, body) = (write.action.verb(), write.action.body()?);
        self.client.send(Request { verb, target: write.target.clone(), params, body }).await
    }
}

#[derive(Default)]
struct Outcome {
    pending: Vec<Pending>,
    failure: Option<Status>,
}

/// The revision of the object that the server answered with; none if it answered with something else.
fn revision_of(answer: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        kind: String,
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Metadata {
        resource_version: String,
    }
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    (answer.kind != "Status").then(|| answer.metadata.resource_version.parse().ok()).flatten()
}
