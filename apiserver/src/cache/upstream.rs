//! The one task that reads the store: load everything, then follow it; when history is lost, load again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use orch_api::Kind;
use orch_store::{Batch, Change, ChangeKind, Entry, Key, Prefix, ReadAt, Revision, StoreError};
use tracing::{error, info, warn};

use super::{Cache, Cached, Window};

/// Entries read at a time while loading.
const PAGE: usize = 2_000;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) async fn run(cache: &Cache) {
    let mut pause = FIRST_PAUSE;
    let mut from = None;
    loop {
        let outcome = match from {
            None => load(cache).await.map(|revision| from = Some(revision)),
            Some(revision) => follow(cache, revision, &mut pause).await,
        };
        match outcome {
            Ok(()) => continue,
            Err(StoreError::Compacted { asked, oldest }) => {
                info!(%asked, %oldest, "the watch cache has lost history; it loads again, and watchers list again");
                from = None;
            }
            Err(error) => {
                // Nothing is lost: what has been reached stays true, and the watch resumes from there.
                from = from.map(|_| cache.reached());
                warn!(%error, "the watch cache cannot read the store; trying again");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

async fn load(cache: &Cache) -> Result<Revision, StoreError> {
    let root = Prefix::new(crate::kinds::ROOT).map_err(|e| StoreError::Invalid { reason: e.to_string() })?;
    let mut found: HashMap<Kind, Vec<Arc<Cached>>> = HashMap::new();
    let (mut at, mut more, mut revision) = (ReadAt::Latest, None::<Key>, Revision::ZERO);
    loop {
        let page = cache.store.list(&root, at, more.as_ref(), PAGE).await?;
        revision = revision.max(page.revision);
        for entry in &page.entries {
            let Some(window) = cache.window_of(entry.key.as_str()) else { continue };
            if let Some(object) = read(entry, window) {
                found.entry(*window.kind()).or_default().push(object);
            }
        }
        let Some(next) = page.more else { break };
        (at, more) = (ReadAt::Exactly(page.revision), Some(next));
        tokio::task::yield_now().await;
    }
    for window in cache.windows.values() {
        window.replace(found.remove(window.kind()).unwrap_or_default(), revision);
    }
    cache.reached.send_replace(revision);
    Ok(revision)
}

async fn follow(cache: &Cache, after: Revision, pause: &mut Duration) -> Result<(), StoreError> {
    let root = Prefix::new(crate::kinds::ROOT).map_err(|e| StoreError::Invalid { reason: e.to_string() })?;
    let mut watch = match cache.store.watch(&root, after).await {
        // The store went back in time: it was restored from a backup. What is cached is of another history.
        Err(StoreError::Future { asked, current }) => {
            return Err(StoreError::Compacted { asked, oldest: current });
        }
        other => other?,
    };
    while let Some(batch) = watch.next().await {
        take(cache, batch?);
        *pause = FIRST_PAUSE;
    }
    Err(StoreError::Unavailable {
        reason: "the store has ended its watch".into(),
        ambiguous: false,
        source: None,
    })
}

fn take(cache: &Cache, batch: Batch) {
    let mut changes: Vec<(&Arc<Window>, Vec<_>)> = Vec::new();
    for change in batch.changes {
        let Some(window) = cache.window_of(change.key.as_str()) else { continue };
        let object = now(&change, window);
        match changes.iter_mut().find(|(known, _)| Arc::ptr_eq(known, window)) {
            Some((_, changes)) => changes.push((change.key, object)),
            None => changes.push((window, vec![(change.key, object)])),
        }
    }
    for (window, changes) in changes {
        window.apply(batch.revision, changes);
    }
    cache.reached.send_replace(batch.revision);
}

fn now(change: &Change, window: &Window) -> Option<Arc<Cached>> {
    match &change.kind {
        ChangeKind::Put(entry) => read(entry, window),
        ChangeKind::Delete => None,
    }
}

fn read(entry: &Entry, window: &Window) -> Option<Arc<Cached>> {
    match Cached::read(entry, window.selectable()) {
        Ok(object) => Some(Arc::new(object)),
        Err(error) => {
            error!(key = %entry.key, kind = %window.kind(), %error, "a stored object cannot be read and is not served");
            None
        }
    }
}
