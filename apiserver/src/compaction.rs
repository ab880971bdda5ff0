//! Forgetting old revisions, for stores that keep all of them until told otherwise.

use std::sync::Arc;
use std::time::Duration;

use orch_api::Clock;
use orch_store::{Store, StoreError};
use tracing::{debug, warn};

/// Compacts a store again and again, so that between one and two times `keep` of history are kept. Never returns.
///
/// An idle store is left alone. Several servers may do it to one store: what is compacted already stays so.
pub(crate) async fn run(store: Arc<dyn Store>, clock: Arc<dyn Clock>, keep: Duration) {
    let (mut known, mut compacted) = (None, None);
    loop {
        clock.sleep(keep).await;
        if let Some(before) = known.filter(|known| compacted != Some(*known)) {
            match store.compact(before).await {
                Ok(()) => {
                    debug!(%before, "compacted");
                    compacted = Some(before);
                }
                Err(StoreError::Compacted { .. }) => compacted = Some(before),
                Err(error) => warn!(%before, %error, "cannot compact the store; trying again later"),
            }
        }
        match store.revision().await {
            Ok(revision) => known = Some(revision),
            Err(error) => warn!(%error, "cannot ask the store how far it is"),
        }
    }
}
