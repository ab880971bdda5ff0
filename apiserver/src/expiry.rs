//! Objects that are kept for a while only, such as events, are deleted when their time is over.
//!
//! Many go in one commit, outside of any request. Several servers may do it over one store: each commit says what it believes.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use orch_api::Clock;
use orch_store::{Key, Limits, Store, StoreError, Write};
use tracing::{debug, warn};

use crate::cache::{Cache, Cached};
use crate::kinds::KindTable;

/// What is over within this time goes together.
const TOGETHER: Duration = Duration::from_secs(60);
/// When to look again if nothing that there is will ever be over.
const IDLE: Duration = Duration::from_secs(10 * 60);

/// Deletes what is over, again and again. Never returns. Reads the objects of kinds that expire at most once a minute, and
/// leaves an idle store alone.
pub(crate) async fn run(kinds: KindTable, cache: Arc<Cache>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) {
    cache.loaded().await;
    loop {
        let now = clock.now();
        let (over, next) = due(&kinds, now);
        let many = over.len();
        if many > 0 {
            match delete(&*store, over).await {
                Ok(commits) => debug!(many, commits, "what was over is deleted"),
                Err(error) => warn!(%error, "cannot delete what is over; trying again later"),
            }
        }
        let wait = next.and_then(|next| Duration::try_from(next.duration_since(now)).ok());
        clock.sleep(wait.map_or(IDLE, |wait| wait.max(TOGETHER))).await;
    }
}

/// What is over, and when the next will be.
fn due(kinds: &KindTable, now: Timestamp) -> (Vec<Arc<Cached>>, Option<Timestamp>) {
    let (mut over, mut next) = (Vec::new(), None);
    for served in kinds.now().all() {
        let Some(expires) = served.entry.expires else { continue };
        for object in served.window.all() {
            let Ok(value) = object.value() else { continue };
            match expires(&value) {
                Some(at) if at <= now => over.push(object),
                Some(at) => next = Some(next.map_or(at, |next: Timestamp| next.min(at))),
                None => {}
            }
        }
    }
    (over, next)
}

/// Deletes the objects as they were seen, as many in one commit as the store takes. Those that somebody has written since
/// are left for another time. Answers with how many commits it took.
async fn delete(store: &dyn Store, objects: Vec<Arc<Cached>>) -> Result<usize, StoreError> {
    let mut commits = 0;
    for chunk in objects.chunks(Limits::default().writes) {
        let mut writes: Vec<Write> =
            chunk.iter().map(|object| Write::delete(object.key.clone(), object.revision)).collect();
        while !writes.is_empty() {
            commits += 1;
            match store.commit(&writes).await {
                Ok(_) => break,
                Err(StoreError::Conflict { key, .. }) => without(&mut writes, &key),
                Err(error) => return Err(error),
            }
        }
    }
    Ok(commits)
}

fn without(writes: &mut Vec<Write>, key: &Key) {
    writes.retain(|write| write.key != *key);
}
