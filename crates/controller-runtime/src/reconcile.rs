//! [`Reconciler`], and the loop that hands it keys.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use orch_api::{Reason, Status};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, error, info_span, warn};

use crate::{Key, Outcome, WorkQueue};

/// Brings one object closer to what it should be. Handed a key, not an event: it looks at how things are now.
///
/// Prefer a [`Planner`](crate::Planner); this is for those whose decisions need I/O.
#[async_trait]
pub trait Reconciler: Send + Sync + 'static {
    /// What is worked on.
    type Key: Key;

    /// Names the controller in logs and metrics.
    fn name(&self) -> &'static str;

    /// Does what is to be done about `key` now. Never called twice at once for one key.
    ///
    /// # Errors
    /// What kept it from succeeding; it is logged and tried again after a pause.
    async fn reconcile(&self, key: &Self::Key) -> Result<Outcome, Status>;
}

/// Hands the queue's keys to the reconciler, at most `workers` at a time, until cancelled; then waits for those under way.
/// A panic is one failed item.
pub async fn work<R: Reconciler>(
    reconciler: Arc<R>,
    queue: Arc<WorkQueue<R::Key>>,
    workers: usize,
    cancel: CancellationToken,
) {
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            Some(_) = running.join_next() => {}
            key = queue.next(), if running.len() < workers => {
                let (reconciler, queue) = (reconciler.clone(), queue.clone());
                let span = info_span!("reconcile", controller = reconciler.name(), ?key);
                running.spawn(attempt(reconciler, queue, key).instrument(span));
            }
        }
    }
    running.join_all().await;
}

async fn attempt<R: Reconciler>(reconciler: Arc<R>, queue: Arc<WorkQueue<R::Key>>, key: R::Key) {
    let outcome = match AssertUnwindSafe(reconciler.reconcile(&key)).catch_unwind().await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(status)) => {
            log_failure(&status);
            Outcome::Retry
        }
        Err(_) => {
            error!("the reconciler panicked: trying again");
            Outcome::Retry
        }
    };
    queue.finish(&key, outcome);
}

/// A conflict is the ordinary fate of a plan made on a state that has changed meanwhile: not worth a warning.
fn log_failure(status: &Status) {
    if status.is(&Reason::Conflict) {
        debug!(%status, "planned on an old state: trying again");
    } else {
        warn!(%status, "failed: trying again");
    }
}
