//! Objects that are kept for a while only, such as events, are deleted when their time is over; so are the records of
//! deletions.
//!
//! Many go in one commit, outside of any request. Several servers may do it over one store: each commit says what it believes.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orch_api::Clock;
use orch_store::{Key, Prefix, ReadAt, Store, StoreError, Write};
use tracing::{debug, warn};

use crate::cache::{Cache, Cached};
use crate::kinds::KindTable;
use crate::origin::{Origin, RECORDS, recorded_at};

/// What is over within this time goes together.
const TOGETHER: Duration = Duration::from_secs(60);
/// How many are deleted in one commit, at most: the store has others to serve.
const AT_ONCE: usize = 127;
/// How long the record of a deletion is kept: those who follow the store see it at once.
const RECORD_KEPT: SignedDuration = SignedDuration::from_secs(60);
/// When to look again if nothing that there is will ever be over.
const IDLE: Duration = Duration::from_secs(10 * 60);

/// Deletes what is over, again and again. Never returns. Reads the objects of kinds that expire at most once a minute, and
/// leaves an idle store alone.
pub(crate) async fn run(kinds: KindTable, cache: Arc<Cache>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) {
    cache.loaded().await;
    loop {
        let now = clock.now();
        let (over, mut next) = due(&kinds, now);
        for kind in over {
            let many = kind.objects.len();
            match delete(&*store, kind, now).await {
                Ok(commits) => debug!(many, commits, "what was over is deleted"),
                Err(error) => warn!(%error, "cannot delete what is over; trying again later"),
            }
        }
        match forget_records(&*store, now).await {
            Ok(record) => next = next.into_iter().chain(record).min(),
            Err(error) => warn!(%error, "cannot delete old records of deletions; trying again later"),
        }
        let wait = next.and_then(|next| Duration::try_from(next.duration_since(now)).ok());
        clock.sleep(wait.map_or(IDLE, |wait| wait.max(TOGETHER))).await;
    }
}

/// The objects of a kind that are over.
struct Over {
    objects: Vec<Arc<Cached>>,
    /// Whether the history is to know of their end.
    recorded: bool,
}

/// What is over, by kind, and when the next will be.
fn due(kinds: &KindTable, now: Timestamp) -> (Vec<Over>, Option<Timestamp>) {
    let (mut over, mut next) = (Vec::new(), None);
    for served in kinds.now().all() {
        let Some(expires) = served.entry.expires else { continue };
        let mut objects = Vec::new();
        for object in served.window.all() {
            let Ok(value) = object.value() else { continue };
            match expires(&value) {
                Some(at) if at <= now => objects.push(object),
                Some(at) => next = Some(next.map_or(at, |next: Timestamp| next.min(at))),
                None => {}
            }
        }
        if !objects.is_empty() {
            over.push(Over { objects, recorded: served.entry.recorded });
        }
    }
    (over, next)
}

/// Deletes the objects as they were seen, many in one commit. Those that somebody has written since
/// are left for another time. Answers with how many commits it took.
async fn delete(store: &dyn Store, over: Over, now: Timestamp) -> Result<usize, StoreError> {
    let mut commits = 0;
    for chunk in over.objects.chunks(AT_ONCE.min(store.limits().writes - 1)) {
        let deletes = chunk.iter().map(|object| Write::delete(object.key.clone(), object.revision)).collect();
        let origin = over.recorded.then(|| Origin::server(now, "its time is over"));
        commits += commit(store, deletes, origin).await?;
    }
    Ok(commits)
}

/// Deletes entries, but for those that somebody has written since. Answers with how many attempts it took.
async fn commit(
    store: &dyn Store,
    mut deletes: Vec<Write>,
    origin: Option<Origin>,
) -> Result<usize, StoreError> {
    let mut attempts = 0;
    while !deletes.is_empty() {
        attempts += 1;
        let record = origin.as_ref().map(Origin::record).transpose();
        let record = record.map_err(|error| StoreError::Invalid { reason: error.to_string() })?;
        let writes: Vec<Write> = deletes.iter().cloned().chain(record).collect();
        match store.commit(&writes).await {
            Ok(_) => break,
            Err(StoreError::Conflict { key, .. }) => without(&mut deletes, &key),
            Err(error) => return Err(error),
        }
    }
    Ok(attempts)
}

/// Deletes the records of deletions that everybody has seen. Answers when the next one's time is over.
async fn forget_records(store: &dyn Store, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let prefix = Prefix::new(RECORDS).map_err(|error| StoreError::Invalid { reason: error.to_string() })?;
    loop {
        let page = store.list(&prefix, ReadAt::Latest, None, AT_ONCE).await?;
        let end = |key: &Key| recorded_at(key).and_then(|at| at.checked_add(RECORD_KEPT).ok()).unwrap_or(now);
        let (over, kept): (Vec<_>, Vec<_>) =
            page.entries.into_iter().partition(|entry| end(&entry.key) <= now);
        let deletes = over.into_iter().map(|entry| Write::delete(entry.key, entry.modified)).collect();
        commit(store, deletes, None).await?;
        match kept.first() {
            Some(entry) => return Ok(Some(end(&entry.key))),
            None if page.more.is_none() => return Ok(None),
            None => {}
        }
    }
}

fn without(writes: &mut Vec<Write>, key: &Key) {
    writes.retain(|write| write.key != *key);
}
