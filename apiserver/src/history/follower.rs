//! From the store to the log: one watch on everything, off the way of writes.
//!
//! What cannot be recorded because the store has forgotten it leaves a mark. What cannot be written is tried again, from where the
//! log is.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use orch_api::Clock;
use orch_store::{Batch, Change, ChangeKind, Entry, Prefix, Revision, Store, StoreError};
use serde::Deserialize;
use tracing::{error, info, warn};

use super::History;
use super::index::ObjectPath;
use super::log::News;
use super::record::{Head, Id, Record, Verb};
use crate::kinds::{KindTable, Kinds};
use crate::origin::{Origin, is_record, object_in, origin_in};

/// Commits that are recorded together, if they are there.
const TOGETHER: usize = 256;
/// Fewer, if their objects are large.
const GROUP_BYTES: usize = 2 << 20;
/// How far the log is behind a store in which nothing happens that it keeps.
const PROGRESS_EVERY_MS: i64 = 60_000;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Records every change, for ever. Survives the failures of the store and of the disk.
pub(crate) async fn run(history: History, store: Arc<dyn Store>, kinds: KindTable, clock: Arc<dyn Clock>) {
    let mut follower = Follower { history, store, kinds, clock, progress: 0 };
    let mut pause = FIRST_PAUSE;
    loop {
        let outcome = match follower.history.load().await {
            Ok(()) => follower.follow(&mut pause).await,
            Err(error) => Err(Failure::Log(error)),
        };
        let outcome = match outcome {
            Err(Failure::Store(StoreError::Compacted { oldest, .. })) => follower.miss(oldest).await,
            Err(Failure::Store(StoreError::Future { current, .. })) => follower.begin_anew(current).await,
            other => other,
        };
        match outcome {
            Ok(()) => continue,
            Err(Failure::Log(error)) => error!(%error, "the history cannot be written; trying again"),
            Err(Failure::Store(error)) => warn!(%error, "the history cannot read the store; trying again"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Why changes are not recorded.
enum Failure {
    Store(StoreError),
    Log(std::io::Error),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Log(error)
    }
}

struct Follower {
    history: History,
    store: Arc<dyn Store>,
    kinds: KindTable,
    clock: Arc<dyn Clock>,
    /// When the log last said how far it is.
    progress: i64,
}

impl Follower {
    fn now(&self) -> i64 {
        self.clock.now().as_millisecond()
    }

    async fn follow(&mut self, pause: &mut Duration) -> Result<(), Failure> {
        let after = Revision(self.history.reached());
        let mut watch = self.store.watch(&Prefix::all(), after).await?.ready_chunks(TOGETHER);
        // Not before: a log may be that of another store, which was further.
        self.history.reach(after.0);
        while let Some(batches) = watch.next().await {
            let (kinds, now) = (self.kinds.now(), self.now());
            let mut group = Group::default();
            for batch in batches {
                let Ok(batch) = batch else {
                    // What came before it counts.
                    self.take(group, now).await?;
                    return batch.map(drop).map_err(Failure::Store);
                };
                group.push(&kinds, &batch, now);
                if group.bytes > GROUP_BYTES {
                    self.take(std::mem::take(&mut group), now).await?;
                }
            }
            self.take(group, now).await?;
            *pause = FIRST_PAUSE;
        }
        let reason = "the store has ended its watch".into();
        Err(StoreError::Unavailable { reason, ambiguous: false, source: None }.into())
    }

    /// Records what has happened. That nothing has which is kept is written now and then.
    async fn take(&mut self, group: Group, now: i64) -> Result<(), Failure> {
        let Some(reached) = group.reached else { return Ok(()) };
        if !group.news.is_empty() || now.saturating_sub(self.progress) >= PROGRESS_EVERY_MS {
            self.history.append(group.news, reached.0, now).await?;
            self.progress = now;
        }
        self.history.reach(reached.0);
        Ok(())
    }

    /// The store has forgotten what follows the log: it goes on behind that, with a mark unless the log is new.
    async fn miss(&mut self, oldest: Revision) -> Result<(), Failure> {
        let (after, now) = (self.history.reached(), self.now());
        if after > 0 {
            warn!(after, until = %oldest, "the store has forgotten changes before the history had them; they are missing in it");
            self.mark(after, oldest, now).await
        } else {
            info!(from = %oldest, "the history begins");
            self.history.append(Vec::new(), oldest.0, now).await?;
            self.history.reach(oldest.0);
            Ok(())
        }
    }

    /// The store is not as far as the log: it was restored from a backup, or is another one.
    async fn begin_anew(&mut self, current: Revision) -> Result<(), Failure> {
        let (after, now) = (self.history.reached(), self.now());
        warn!(after, store = %current, "the store went back to an earlier revision; its history begins anew, and the old one is put aside");
        self.history.reach(0);
        self.history.set_aside().await?;
        self.mark(0, current, now).await
    }

    async fn mark(&mut self, after: u64, until: Revision, now: i64) -> Result<(), Failure> {
        let record = Record::missed(after, until.0, now);
        let news = record.map(|record| News { record, previous: None }).into_iter().collect();
        self.history.append(news, until.0, now).await?;
        self.history.reach(until.0);
        Ok(())
    }
}

/// Commits that are recorded together.
#[derive(Default)]
struct Group {
    news: Vec<News>,
    bytes: usize,
    reached: Option<Revision>,
}

impl Group {
    fn push(&mut self, kinds: &Kinds, batch: &Batch, now: i64) {
        let news = changes(kinds, batch, now);
        let values = news.iter().flat_map(|news| news.record.before.iter().chain(&news.record.after));
        self.bytes += values.map(bytes::Bytes::len).sum::<usize>();
        self.news.extend(news);
        self.reached = Some(batch.revision);
    }
}

/// What is to be recorded of a commit. Pure.
fn changes(kinds: &Kinds, batch: &Batch, now: i64) -> Vec<News> {
    let record = batch.changes.iter().find(|change| is_record(&change.key));
    let deletion = record.and_then(|record| match &record.kind {
        ChangeKind::Put(entry) => serde_json::from_slice::<Origin>(&entry.value).ok(),
        ChangeKind::Delete => None,
    });
    let unknown = Origin { at: now, ..Origin::default() };
    let deletion = deletion.as_ref().unwrap_or(&unknown);
    let numbered = (0..).zip(&batch.changes);
    let changes = numbered.filter_map(|(number, change)| {
        let id = Id { revision: batch.revision.0, number };
        news(kinds, change, id, deletion, &unknown)
    });
    changes.collect()
}

fn news(kinds: &Kinds, change: &Change, id: Id, deletion: &Origin, unknown: &Origin) -> Option<News> {
    ObjectPath::of_key(&change.key)?;
    let served = kinds.kept_at(change.key.as_str());
    if served.iter().any(|served| !served.entry.recorded) {
        return None;
    }
    let before = change.previous.as_ref();
    let plans = served.iter().find(|served| served.entry.is_plan);
    // What a plan is carried out from is never served, not even as hashes.
    let object = |entry: &Entry| match plans {
        Some(plans) => plans.window.reading().read(&entry.value).unwrap_or_default(),
        None => object_in(&entry.value),
    };
    let (verb, after, origin) = match &change.kind {
        // It has only been encrypted anew.
        ChangeKind::Put(entry) if before.is_some_and(|before| before.value == entry.value) => return None,
        ChangeKind::Put(entry) => {
            let verb = if entry.created == entry.modified { Verb::Created } else { Verb::Updated };
            (verb, Some(object(entry)), origin_in(&entry.value).unwrap_or_else(|| unknown.clone()))
        }
        ChangeKind::Delete => (Verb::Deleted, None, deletion.clone()),
    };
    let previous = before.map(|before| before.modified.0);
    let before = before.map(object);
    let TypeMeta { api_version, kind } = after
        .as_ref()
        .or(before.as_ref())
        .and_then(|object| serde_json::from_slice(object).ok())
        .unwrap_or_default();
    let is_sensitive = served.iter().any(|served| served.kind().is_sensitive);
    let head = Head { id, verb, key: change.key.clone(), api_version, kind, origin, is_sensitive };
    Some(News { record: Record { head, before, after }, previous })
}

/// What an object says that it is.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct TypeMeta {
    api_version: String,
    kind: String,
}
