//! The one task that reads the store: load everything, then follow it; when history is lost, load again.
//!
//! It also keeps the table of kinds: at the revision at which an object that defines kinds has changed, the table changes,
//! before the cache says that it has reached the revision. Who sees the object sees its kinds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use orch_store::{Batch, Change, ChangeKind, Entry, Key, Prefix, ReadAt, Revision, StoreError};
use tracing::{error, info, warn};

use super::{Cache, Cached, Window};
use crate::definitions::{Definitions, Source};
use crate::kinds::{Kinds, Served};

/// Entries read at a time while loading.
const PAGE: usize = 2_000;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) async fn run(cache: &Cache) {
    let mut pause = FIRST_PAUSE;
    let mut from = None;
    let mut definitions = Definitions::beside(&cache.kinds.now());
    loop {
        let outcome = match from {
            None => load(cache, &mut definitions).await.map(|revision| from = Some(revision)),
            Some(revision) => follow(cache, &mut definitions, revision, (&mut from, &mut pause)).await,
        };
        match outcome {
            Ok(()) => continue,
            Err(StoreError::Compacted { asked, oldest }) => {
                info!(%asked, %oldest, "the watch cache has lost history; it loads again, and watchers list again");
                from = None;
            }
            Err(error) => {
                // What has been taken in stays true, and the watch resumes from there.
                warn!(%error, "the watch cache cannot read the store; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// Reads everything under a prefix, page by page, as of one revision.
async fn read_all(
    cache: &Cache,
    prefix: &Prefix,
    mut at: ReadAt,
    mut each: impl FnMut(&Entry),
) -> Result<Revision, StoreError> {
    let mut more = None::<Key>;
    loop {
        let page = cache.store.list(prefix, at, more.as_ref(), PAGE).await?;
        page.entries.iter().for_each(&mut each);
        let Some(next) = page.more else { return Ok(page.revision) };
        (at, more) = (ReadAt::Exactly(page.revision), Some(next));
        tokio::task::yield_now().await;
    }
}

async fn load(cache: &Cache, definitions: &mut Definitions) -> Result<Revision, StoreError> {
    let (before, mut at) = (cache.kinds.now(), ReadAt::Latest);
    let mut sources = Vec::new();
    for (defining, defines) in Definitions::defining(&before) {
        let each = |entry: &Entry| sources.push(Source::of(defines, entry));
        at = ReadAt::Exactly(read_all(cache, &everything(&defining)?, at, each).await?);
    }
    // The table made last may never have been served: the store may have failed before its objects were read.
    let after = definitions.renew(sources).await.unwrap_or_else(|| definitions.table());
    let root = Prefix::new(crate::kinds::ROOT).map_err(unreadable)?;
    let mut found: BTreeMap<usize, Vec<Arc<Cached>>> = BTreeMap::new();
    let place = |served: &Arc<Served>| after.all().iter().position(|other| Arc::ptr_eq(other, served));
    let revision = read_all(cache, &root, at, |entry| {
        for served in after.kept_at(entry.key.as_str()) {
            if let (Some(place), Some(object)) = (place(served), read(entry, &served.window)) {
                found.entry(place).or_default().push(object);
            }
        }
    })
    .await?;
    let followed = after.all().iter().enumerate().filter(|(_, served)| cache.follower.follows(served.kind()));
    cache.follower.replace(followed.flat_map(|(place, served)| {
        found.get(&place).into_iter().flatten().map(|object| (&**served, object))
    }));
    for (place, served) in after.all().iter().enumerate() {
        served.window.follow(cache.reached.clone());
        served.window.replace(found.remove(&place).unwrap_or_default(), revision);
    }
    serve(cache, &before, after, revision);
    cache.reached.send_replace(revision);
    Ok(revision)
}

/// Serves another table of kinds. Those who watch what is no longer served learn that it has ended.
fn serve(cache: &Cache, before: &Kinds, after: Arc<Kinds>, revision: Revision) {
    cache.kinds.replace(after.clone());
    for gone in before.all().iter().filter(|served| !after.has_window(&served.window)) {
        gone.window.retire(revision);
    }
}

/// Follows the store after a revision; `from` tells from where to go on when it ends.
async fn follow(
    cache: &Cache,
    definitions: &mut Definitions,
    after: Revision,
    (from, pause): (&mut Option<Revision>, &mut Duration),
) -> Result<(), StoreError> {
    let root = Prefix::new(crate::kinds::ROOT).map_err(unreadable)?;
    // The store went back in time: it was restored from a backup. What is cached is of another history.
    let restored = |error| match error {
        StoreError::Future { asked, current } => StoreError::Compacted { asked, oldest: current },
        other => other,
    };
    let mut watch = cache.store.watch(&root, after).await.map_err(restored)?;
    while let Some(batch) = watch.next().await {
        let batch = batch.map_err(restored)?;
        let revision = batch.revision;
        // Halfway there is nothing to go on from: the windows have the changes, and the kinds that they define are not there.
        *from = None;
        take_in(cache, definitions, batch).await?;
        (*from, *pause) = (Some(revision), FIRST_PAUSE);
    }
    Err(StoreError::Unavailable {
        reason: "the store has ended its watch".into(),
        ambiguous: false,
        source: None,
    })
}

/// Takes in the changes of one revision, the kinds that they define included.
pub(super) async fn take_in(
    cache: &Cache,
    definitions: &mut Definitions,
    batch: Batch,
) -> Result<(), StoreError> {
    let revision = batch.revision;
    if take(cache, batch) {
        redefine(cache, definitions, revision).await?;
    }
    cache.reached.send_replace(revision);
    Ok(())
}

/// Takes in the changes of one revision. Answers whether some are of objects that define kinds.
fn take(cache: &Cache, batch: Batch) -> bool {
    let kinds = cache.kinds.now();
    let mut changes: Vec<(&Arc<Served>, Vec<_>)> = Vec::new();
    for change in batch.changes {
        for served in kinds.kept_at(change.key.as_str()) {
            let news = (change.key.clone(), now(&change, &served.window));
            match changes.iter_mut().find(|(known, _)| Arc::ptr_eq(known, served)) {
                Some((_, changes)) => changes.push(news),
                None => changes.push((served, vec![news])),
            }
        }
    }
    let defining = changes.iter().any(|(served, _)| served.entry.defines.is_some());
    let followed = changes.iter().filter(|(served, _)| cache.follower.follows(served.kind()));
    cache
        .follower
        .take(followed.flat_map(|(served, changes)| changes.iter().map(|change| (&***served, change))));
    for (served, changes) in changes {
        served.window.apply(batch.revision, changes);
    }
    defining
}

/// Brings the table of kinds in step with the objects that define kinds, as of a revision that has been taken in.
async fn redefine(
    cache: &Cache,
    definitions: &mut Definitions,
    revision: Revision,
) -> Result<(), StoreError> {
    let before = cache.kinds.now();
    let defining = Definitions::defining(&before);
    let objects = defining.iter().flat_map(|(served, defines)| {
        served.window.all().into_iter().map(|object| Source::cached(*defines, &object))
    });
    let Some(after) = definitions.renew(objects.collect()).await else { return Ok(()) };
    for fresh in after.all().iter().filter(|served| !before.has_window(&served.window)) {
        fresh.window.follow(cache.reached.clone());
        fill(cache, fresh, revision).await?;
    }
    serve(cache, &before, after, revision);
    Ok(())
}

/// Fills the window of a kind that is new, as of a revision. Persists while the store cannot be read: the revision has been
/// taken in and cannot be taken in again.
async fn fill(cache: &Cache, served: &Served, revision: Revision) -> Result<(), StoreError> {
    let prefix = everything(served)?;
    let mut pause = FIRST_PAUSE;
    loop {
        let mut objects = Vec::new();
        let each = |entry: &Entry| objects.extend(read(entry, &served.window));
        match read_all(cache, &prefix, ReadAt::Exactly(revision), each).await {
            Err(error @ StoreError::Unavailable { .. }) => {
                warn!(%error, kind = %served.kind(), "the objects of a new kind cannot be read; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            outcome => {
                outcome?;
                served.window.replace(objects, revision);
                return Ok(());
            }
        }
    }
}

/// Where all objects of a kind are kept.
fn everything(served: &Served) -> Result<Prefix, StoreError> {
    served.prefix(None).map_err(unreadable)
}

fn unreadable(error: impl std::fmt::Display) -> StoreError {
    StoreError::Invalid { reason: error.to_string() }
}

fn now(change: &Change, window: &Window) -> Option<Arc<Cached>> {
    match &change.kind {
        ChangeKind::Put(entry) => read(entry, window),
        ChangeKind::Delete => None,
    }
}

fn read(entry: &Entry, window: &Window) -> Option<Arc<Cached>> {
    match Cached::read(entry, window.reading()) {
        Ok(object) => Some(Arc::new(object)),
        Err(error) => {
            error!(key = %entry.key, kind = %window.kind(), %error, "a stored object cannot be read and is not served");
            None
        }
    }
}
