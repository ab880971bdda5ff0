//! Watches: a cursor into the history, woken when it grows. Nothing is kept per watch.

use std::collections::VecDeque;
use std::sync::Arc;

use futures::stream;
use tokio::sync::watch;

use super::{Head, Shared};
use crate::{Batch, Prefix, Revision, StoreError, Watch};

/// The most batches taken from the history at once.
const CHUNK_BATCHES: usize = 64;
/// The most batches of other prefixes passed over while holding the lock.
const CHUNK_SCAN: usize = 4096;

/// Opens a watch; the caller has checked that `after` is not in the future.
pub(super) fn open(shared: Arc<Shared>, prefix: Prefix, after: Revision) -> Result<Watch, StoreError> {
    shared.index.read().check_kept(after)?;
    let head = shared.head.subscribe();
    let cursor = Cursor { shared, prefix, head, position: after, told: after, ready: VecDeque::new() };
    Ok(Box::pin(stream::unfold(Some(cursor), |cursor| async {
        let mut cursor = cursor?;
        match cursor.next().await {
            Ok(Some(batch)) => Some((Ok(batch), Some(cursor))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })))
}

struct Cursor {
    shared: Arc<Shared>,
    prefix: Prefix,
    head: watch::Receiver<Head>,
    /// Everything up to here was delivered, is in `ready`, or is of no concern.
    position: Revision,
    /// The last revision that the reader was told of.
    told: Revision,
    ready: VecDeque<Batch>,
}

impl Cursor {
    async fn next(&mut self) -> Result<Option<Batch>, StoreError> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                self.told = batch.revision;
                return Ok(Some(batch));
            }
            let head = *self.head.borrow_and_update();
            if self.position < head.revision {
                self.advance()?;
            } else if head.asked > self.told {
                self.told = self.position;
                return Ok(Some(Batch { revision: self.position, changes: Vec::new() }));
            } else if head.closed || self.head.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    /// Moves on through the history, a bounded way.
    fn advance(&mut self) -> Result<(), StoreError> {
        let index = self.shared.index.read();
        for batch in index.changes_after(self.position)?.take(CHUNK_SCAN) {
            if self.ready.len() == CHUNK_BATCHES {
                break;
            }
            let changes: Vec<_> =
                batch.changes.iter().filter(|change| self.prefix.contains(&change.key)).cloned().collect();
            if !changes.is_empty() {
                self.ready.push_back(Batch { revision: batch.revision, changes });
            }
            self.position = batch.revision;
        }
        Ok(())
    }
}
