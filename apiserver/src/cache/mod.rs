//! The watch cache: one watch on the store feeds a window per kind, from which gets, lists and watches are served.
//!
//! - `object.rs`: an object as its wire bytes, with what selectors ask for; how it is written into the store.
//! - `window.rs`: the present objects of one kind and its recent changes; `feed.rs`: a ring of changes and its readers.
//! - `upstream.rs`: the one task that reads the store; `head.rs`: how far the store is.
//!
//! # Invariants
//!
//! - A window changes only in the upstream task, in the order of revisions.
//! - Once [`Cache::reached`] is `r`, every window contains every change up to `r`.
//! - A change is serialized once, whoever watches; no watcher holds changes of its own: slow ones are cut.
//!
//! A cache can also be over another ([`Cache::over`]), with changes that are handed to it rather than read from a store.

mod feed;
mod follower;
mod head;
mod object;
mod under;
mod upstream;
mod window;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use orch_api::{Reason, Status, StatusCause, StatusDetails};
use orch_store::{Batch, Revision, Store, StoreError};
use tokio::sync::watch;

pub(crate) use feed::{Change, Lagged, line};
pub(crate) use follower::Follower;
pub(crate) use object::{Cached, Reading, encode};
pub(crate) use under::Note;
pub(crate) use window::{Cursor, Query, Window};

use head::Head;

use crate::definitions::Definitions;
use crate::kinds::KindTable;
use crate::status::from_store;

/// How long a reader waits for the cache to reach a revision.
const PATIENCE: Duration = Duration::from_secs(3);

/// Every kind's window, and how far they have got.
pub(crate) struct Cache {
    store: Arc<dyn Store>,
    head: Head,
    kinds: KindTable,
    follower: Follower,
    reached: Arc<watch::Sender<Revision>>,
}

impl Cache {
    /// An empty cache of these kinds and of those that their objects define; [`run`](Self::run) fills it.
    pub(crate) fn new(store: Arc<dyn Store>, kinds: KindTable, follower: Follower) -> Self {
        let reached = Arc::new(watch::Sender::new(Revision::ZERO));
        for served in kinds.now().all() {
            served.window.follow(reached.clone());
        }
        let asked = store.clone();
        let head = Head::new(move || {
            let store = asked.clone();
            async move { store.revision().await }.boxed()
        });
        Self { store, head, kinds, follower, reached }
    }

    /// A cache that has reached a revision of `store`, of kinds whose windows are over those of another cache. It follows
    /// nothing: changes are handed to it.
    pub(crate) fn over(
        store: Arc<dyn Store>,
        kinds: KindTable,
        follower: Follower,
        reached: Revision,
    ) -> Self {
        let cache = Self::new(store, kinds, follower);
        cache.reached.send_replace(reached);
        cache
    }

    /// Takes in the changes of one revision of the store, the kinds that they define included.
    ///
    /// # Errors
    /// If the objects of a kind that has come cannot be read from the store.
    pub(crate) async fn take_in(
        &self,
        batch: Batch,
        definitions: &mut Definitions,
    ) -> Result<(), StoreError> {
        upstream::take_in(self, definitions, batch).await
    }

    /// Reads the store, for ever. Survives its failures.
    pub(crate) async fn run(self: Arc<Self>) {
        upstream::run(&self).await;
    }

    /// The revision up to which every window is complete; zero before the first load.
    pub(crate) fn reached(&self) -> Revision {
        *self.reached.borrow()
    }

    /// What `find` finds, now or after one of the changes to come. Waits for ever if it is never found.
    pub(crate) async fn until<T>(&self, find: impl Fn() -> Option<T>) -> T {
        let mut reached = self.reached.subscribe();
        loop {
            reached.borrow_and_update();
            if let Some(found) = find() {
                return found;
            }
            if reached.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Completes once the cache has been loaded.
    pub(crate) async fn loaded(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.reached.subscribe().wait_for(|reached| *reached > Revision::ZERO).await;
    }

    /// Waits until the cache has everything that was committed before the call.
    ///
    /// # Errors
    /// If the store cannot say how far it is, or the cache does not get there in time.
    pub(crate) async fn catch_up(&self) -> Result<(), Status> {
        let revision = self.head.revision().await.map_err(from_store)?;
        self.wait_for(revision).await.map_err(|_| {
            Status::unavailable("the server's cache has not caught up with the store in time; try again")
        })
    }

    /// Waits until the cache has reached a revision that a client named.
    ///
    /// # Errors
    /// 504 as Kubernetes answers, if the cache does not get there in time.
    pub(crate) async fn wait_for(&self, revision: Revision) -> Result<(), Status> {
        if self.reached() >= revision {
            return Ok(());
        }
        let mut reached = self.reached.subscribe();
        match tokio::time::timeout(PATIENCE, reached.wait_for(|reached| *reached >= revision)).await {
            Ok(_) => Ok(()),
            Err(_) => Err(too_large_revision(revision, self.reached())),
        }
    }
}

/// 504: there has been no such revision yet.
pub(crate) fn too_large_revision(asked: Revision, current: Revision) -> Status {
    let cause = StatusCause {
        reason: "ResourceVersionTooLarge".into(),
        message: "Too large resource version".into(),
        field: String::new(),
    };
    let details =
        StatusDetails { causes: vec![cause], retry_after_seconds: Some(1), ..StatusDetails::default() };
    let message = format!("Too large resource version: {asked}, current: {current}");
    Status::failure(Reason::Timeout, message).about(details)
}
