//! A store that fails when it is told to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt as _, future, stream};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{Batch, Entry, Key, Limits, Page, Prefix, ReadAt, Revision, Store, StoreError, Watch, Write};

/// What happens to one commit.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It does not happen, and fails with this error.
    Refuse(StoreError),
    /// It happens, but the answer is lost: it fails with an ambiguous `Unavailable`.
    LoseAnswer,
    /// It does not happen, and fails with an ambiguous `Unavailable`.
    LoseRequest,
    /// It happens after this time.
    Delay(Duration),
}

/// Wraps a store. Without faults it does what the store does.
#[derive(Debug)]
pub struct FaultyStore<S: ?Sized> {
    faults: Mutex<VecDeque<Fault>>,
    list_errors: Mutex<VecDeque<StoreError>>,
    lists: AtomicU64,
    state: watch::Sender<State>,
    store: Arc<S>,
}

#[derive(Debug, Clone, Default)]
struct State {
    /// Everything fails.
    down: bool,
    /// Watches deliver nothing.
    stalled: bool,
    /// Commits wait.
    commits_stalled: bool,
    /// How often watches were cut, and with which error the last time.
    cuts: u64,
    cut_error: Option<StoreError>,
}

impl<S: Store + ?Sized> FaultyStore<S> {
    /// Wraps `store`, with no faults yet.
    pub fn new(store: Arc<S>) -> Self {
        let (faults, list_errors, lists) = Default::default();
        Self { faults, list_errors, lists, state: watch::Sender::new(State::default()), store }
    }

    /// Adds a fault to the script: each commit takes the first that is left.
    pub fn next_commit(&self, fault: Fault) {
        self.faults.lock().push_back(fault);
    }

    /// Adds an error to the script: each list takes the first that is left, and fails with it.
    pub fn next_list(&self, error: StoreError) {
        self.list_errors.lock().push_back(error);
    }

    /// How often anything has been listed.
    pub fn lists(&self) -> u64 {
        self.lists.load(Ordering::Relaxed)
    }

    /// While down, every call fails with `Unavailable`. Open watches go on.
    pub fn set_down(&self, down: bool) {
        self.state.send_modify(|state| state.down = down);
    }

    /// While stalled, no watch delivers anything; afterwards, all that was held back.
    pub fn set_watches_stalled(&self, stalled: bool) {
        self.state.send_modify(|state| state.stalled = stalled);
    }

    /// While stalled, commits wait; afterwards, they happen.
    pub fn set_commits_stalled(&self, stalled: bool) {
        self.state.send_modify(|state| state.commits_stalled = stalled);
    }

    /// Ends every open watch with this error, such as `Compacted`.
    pub fn cut_watches(&self, error: StoreError) {
        self.state.send_modify(|state| {
            state.cuts += 1;
            state.cut_error = Some(error);
        });
    }

    fn check_up(&self) -> Result<(), StoreError> {
        if self.state.borrow().down { Err(unavailable("the store is down", false)) } else { Ok(()) }
    }
}

fn unavailable(reason: &str, ambiguous: bool) -> StoreError {
    StoreError::Unavailable { reason: format!("injected fault: {reason}"), ambiguous, source: None }
}

#[async_trait]
impl<S: Store + ?Sized> Store for FaultyStore<S> {
    async fn get(&self, key: &Key, at: ReadAt) -> Result<Option<Entry>, StoreError> {
        self.check_up()?;
        self.store.get(key, at).await
    }

    async fn list(
        &self,
        prefix: &Prefix,
        at: ReadAt,
        from: Option<&Key>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        self.check_up()?;
        self.lists.fetch_add(1, Ordering::Relaxed);
        let error = self.list_errors.lock().pop_front();
        match error {
            Some(error) => Err(error),
            None => self.store.list(prefix, at, from, limit).await,
        }
    }

    async fn commit(&self, writes: &[Write]) -> Result<Revision, StoreError> {
        self.check_up()?;
        // The sender lives in `self`, so waiting cannot fail.
        drop(self.state.subscribe().wait_for(|state| !state.commits_stalled).await);
        let fault = self.faults.lock().pop_front();
        match fault {
            None => self.store.commit(writes).await,
            Some(Fault::Refuse(error)) => Err(error),
            Some(Fault::LoseRequest) => Err(unavailable("the request was lost", true)),
            Some(Fault::LoseAnswer) => {
                self.store.commit(writes).await?;
                Err(unavailable("the answer was lost", true))
            }
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                self.store.commit(writes).await
            }
        }
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, StoreError> {
        self.check_up()?;
        let state = self.state.subscribe();
        let cuts = state.borrow().cuts;
        let watch = self.store.watch(prefix, after).await?;
        let watch = stream::unfold(Some((watch, state)), move |watch| async move {
            let (mut watch, mut state) = watch?;
            match next(&mut watch, &mut state, cuts).await? {
                Ok(batch) => Some((Ok(batch), Some((watch, state)))),
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(watch.boxed())
    }

    async fn compact(&self, before: Revision) -> Result<(), StoreError> {
        self.check_up()?;
        self.store.compact(before).await
    }

    fn limits(&self) -> Limits {
        self.store.limits()
    }

    async fn revision(&self) -> Result<Revision, StoreError> {
        self.check_up()?;
        self.store.revision().await
    }
}

/// The next item of a watch that was opened after `cuts` cuts.
async fn next(
    watch: &mut Watch,
    state: &mut watch::Receiver<State>,
    cuts: u64,
) -> Option<Result<Batch, StoreError>> {
    loop {
        let now = state.borrow_and_update().clone();
        if let Some(error) = now.cut_error.filter(|_| now.cuts > cuts) {
            return Some(Err(error));
        }
        let item = async { if now.stalled { future::pending().await } else { watch.next().await } };
        tokio::select! {
            biased;
            changed = state.changed() => if changed.is_err() { return None },
            item = item => return item,
        }
    }
}
