//! What every [`Store`] must do, as tests that any backend can be handed to.
//!
//! [`run`] panics at the first thing that is wrong. Each case works below a prefix of its own, so that it can be
//! run on a store that holds other things; but some cases compact the whole store, so it must be a test's.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test suite: a panic is its verdict")]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;

use crate::{Batch, Change, Entry, Key, Prefix, ReadAt, Revision, Store, StoreError, Watch, Write};

mod commits;
mod compaction;
mod concurrency;
mod groups;
mod reads;
mod watches;

/// Nothing in the suite may take longer.
const DEADLINE: Duration = Duration::from_secs(30);

type Case = (&'static str, fn(Scope) -> BoxFuture<'static, ()>);

macro_rules! cases {
    ($($module:ident :: $case:ident),* $(,)?) => {
        &[$((stringify!($case), |scope| Box::pin($module::$case(scope)))),*]
    };
}

const CASES: &[Case] = cases![
    commits::a_created_key_is_found,
    commits::an_update_keeps_when_it_was_created,
    commits::a_deleted_key_is_gone_and_can_be_created_anew,
    commits::a_wrong_belief_is_a_conflict_that_tells_the_truth,
    commits::several_keys_are_written_at_one_revision,
    commits::one_wrong_belief_stops_the_whole_commit,
    commits::a_commit_can_state_that_a_key_is_absent,
    commits::a_commit_can_state_what_it_leaves_alone,
    commits::a_commit_that_changes_nothing_makes_no_revision,
    commits::writing_a_key_twice_is_invalid,
    commits::a_large_value_is_kept_and_a_larger_one_refused,
    commits::too_many_writes_are_refused,
    reads::a_read_sees_the_moment_that_it_asks_for,
    reads::the_future_cannot_be_read,
    reads::a_list_is_in_order_and_stays_below_its_prefix,
    reads::a_list_goes_on_where_it_stopped,
    reads::ten_thousand_keys_are_listed_at_one_revision_while_others_write,
    concurrency::one_of_many_writers_wins_each_revision,
    concurrency::counters_lose_no_increment,
    groups::every_revision_of_commits_at_once_can_be_read,
    groups::every_value_comes_back_as_it_was_put,
];

/// What is asked of stores that can be watched and that keep no more history than they are told to.
const FOLLOWED: &[Case] = cases![
    watches::a_watch_delivers_what_came_after_in_order_once,
    watches::a_watch_delivers_what_comes,
    watches::the_changes_of_a_commit_arrive_together,
    watches::a_change_tells_what_was_before,
    watches::a_watch_stays_below_its_prefix,
    watches::a_watch_resumes_where_another_stopped,
    watches::a_slow_watch_hinders_nobody_and_misses_nothing,
    watches::a_watch_reaches_every_revision_told,
    watches::a_list_and_a_watch_fit_together,
    watches::the_future_cannot_be_watched,
    compaction::the_compacted_past_cannot_be_read,
    compaction::the_compacted_past_cannot_be_watched,
    compaction::the_present_survives_compaction,
    compaction::compaction_can_be_repeated_but_not_reach_ahead,
    concurrency::watches_agree_with_the_commits_acknowledged,
    groups::commits_at_once_fail_alone_and_have_a_revision_each,
    groups::a_watch_resumes_between_commits_at_once,
    groups::compaction_between_commits_at_once_keeps_what_comes_after,
    groups::a_commit_at_once_with_others_is_still_all_or_nothing,
    groups::a_commit_nobody_waits_for_takes_no_other_with_it,
];

/// Runs every case, one after the other.
pub async fn run(store: Arc<dyn Store>) {
    run_unfollowed(store.clone()).await;
    run_each(FOLLOWED, store).await;
}

/// Runs the cases that say nothing of watches and compaction: for stores that nobody can follow.
pub async fn run_unfollowed(store: Arc<dyn Store>) {
    run_each(CASES, store).await;
}

async fn run_each(cases: &[Case], store: Arc<dyn Store>) {
    for (name, case) in cases {
        eprintln!("conformance: {name}");
        let root = format!("/conformance/{name}-{:08x}", rand::random::<u32>());
        within(name, case(Scope { store: store.clone(), root })).await;
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not done after {DEADLINE:?}"),
    }
}

/// A store and a place in it that only one case uses.
#[derive(Clone)]
struct Scope {
    store: Arc<dyn Store>,
    root: String,
}

impl Scope {
    fn key(&self, name: &str) -> Key {
        Key::new(format!("{}/{name}", self.root)).unwrap()
    }

    fn prefix(&self) -> Prefix {
        Prefix::new(&self.root).unwrap()
    }

    async fn create(&self, name: &str, value: &'static str) -> Revision {
        self.commit(Write::create(self.key(name), value)).await
    }

    async fn update(&self, name: &str, at: Revision, value: &'static str) -> Revision {
        self.commit(Write::update(self.key(name), at, value)).await
    }

    async fn delete(&self, name: &str, at: Revision) -> Revision {
        self.commit(Write::delete(self.key(name), at)).await
    }

    async fn commit(&self, write: Write) -> Revision {
        self.store.commit(&[write]).await.unwrap()
    }

    async fn refused(&self, writes: &[Write]) -> StoreError {
        self.store.commit(writes).await.unwrap_err()
    }

    async fn get(&self, name: &str) -> Option<Entry> {
        self.get_at(name, ReadAt::Latest).await.unwrap()
    }

    async fn get_at(&self, name: &str, at: ReadAt) -> Result<Option<Entry>, StoreError> {
        self.store.get(&self.key(name), at).await
    }

    async fn revision(&self) -> Revision {
        self.store.revision().await.unwrap()
    }

    async fn watch(&self, after: Revision) -> Watch {
        self.store.watch(&self.prefix(), after).await.unwrap()
    }

    fn entry(&self, name: &str, value: &'static str, created: Revision, modified: Revision) -> Entry {
        Entry { key: self.key(name), value: Bytes::from_static(value.as_bytes()), created, modified }
    }
}

/// The next batch that has changes.
async fn next_changes(watch: &mut Watch) -> Batch {
    loop {
        let batch = next(watch).await.unwrap();
        if !batch.changes.is_empty() {
            return batch;
        }
    }
}

async fn next(watch: &mut Watch) -> Result<Batch, StoreError> {
    within("the next batch of a watch", watch.next()).await.unwrap_or_else(|| panic!("the watch ended"))
}

/// Reads the watch until it has reached `revision`, checks that it moves forwards only, and returns the changes.
async fn read_to(watch: &mut Watch, revision: Revision) -> Vec<(Revision, Change)> {
    let mut reached = Revision::ZERO;
    let mut changes = Vec::new();
    while reached < revision {
        let batch = next(watch).await.unwrap();
        let forwards =
            if batch.changes.is_empty() { batch.revision >= reached } else { batch.revision > reached };
        assert!(forwards, "from {reached} to {batch:?}");
        reached = batch.revision;
        changes.extend(batch.changes.into_iter().map(|change| (reached, change)));
    }
    changes
}
