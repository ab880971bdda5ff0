//! A watch on etcd: one stream, made anew from where it was whenever it breaks.
//!
//! etcd answers with the changes of whole revisions of its own, cut into fragments where they are large. The changes of a
//! commit are complete when those of a later one begin, or with the last fragment.
//!
//! A watch that starts exactly at the compacted revision is refused by us, because older etcds would serve it without
//! the deletions of that revision, and not say so.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use etcd_client::proto::{PbEvent, PbKeyValue};
use etcd_client::{EventType, GetOptions, WatchClient, WatchOptions, WatchResponse, WatchStream};
use futures::stream;
use tokio::sync::watch;
use tokio::time::Instant;

use super::call::Failure;
use super::config::Progress;
use super::members::Members;
use super::read::{is_compacted, is_future};
use super::revision::{LAST, at, contained, etcd_revision, place_of, whole};
use super::{EtcdStore, entry_of, header_revision, store_key};
use crate::{Batch, Change, ChangeKind, Prefix, Revision, StoreError, Watch};

/// Between two attempts to make the stream; doubled each time, up to the second.
const RECONNECT_AFTER: Duration = Duration::from_millis(20);
const RECONNECT_AFTER_MOST: Duration = Duration::from_secs(2);
/// How long to wait for an answer about progress: a member that lags behind, or has changes to deliver first, may
/// tell less than was asked, or nothing.
const PROGRESS_AGAIN_AFTER: Duration = Duration::from_millis(50);

impl EtcdStore {
    pub(super) async fn open_watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, StoreError> {
        let mut cursor = Cursor {
            members: self.members.clone(),
            prefix: prefix.clone(),
            store_prefix: self.config.prefix.clone(),
            asked: self.asked.subscribe(),
            stream: None,
            position: after,
            told: after,
            partial: None,
            ready: VecDeque::new(),
            progress_due: None,
        };
        cursor.first_connect().await?;
        Ok(Box::pin(stream::unfold(Some(cursor), |cursor| async {
            let mut cursor = cursor?;
            match cursor.next().await {
                Ok(Some(batch)) => Some((Ok(batch), Some(cursor))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })))
    }
}

impl Members {
    /// The oldest revision that can be read, given one that cannot, and a key. etcd tells it only to watches.
    pub(super) async fn oldest_revision(
        &self,
        compacted: Revision,
        key: Vec<u8>,
    ) -> Result<Revision, StoreError> {
        let options = WatchOptions::new().with_start_revision(contained(compacted).max(1));
        let ask = async {
            let mut stream = self.pick().watch().watch(key, Some(options)).await?;
            while let Some(response) = stream.message().await? {
                if response.canceled() {
                    return Ok(whole(response.compact_revision()));
                }
            }
            Ok(whole(etcd_revision(compacted)))
        };
        let answer = tokio::time::timeout(self.request_timeout, ask).await;
        let answer = answer.map_or(Err(Failure::TimedOut), |answer| answer.map_err(Failure::Etcd));
        answer.map_err(|failure| failure.unavailable("cannot read etcd's oldest revision"))
    }

    /// Fails with `Compacted` if the store can no longer be read at `revision`.
    async fn check_kept(&self, revision: Revision, key: Vec<u8>) -> Result<(), StoreError> {
        let options =
            GetOptions::new().with_revision(contained(revision)).with_count_only().with_serializable();
        match self.get_once(&key, &options).await {
            Err(failure) if is_compacted(&failure) => {
                let oldest = self.oldest_revision(revision, key).await?;
                Err(StoreError::Compacted { asked: revision, oldest })
            }
            // Another member may not have come so far.
            Err(failure) if !is_future(&failure) => Err(failure.unavailable("cannot watch etcd")),
            _ => Ok(()),
        }
    }
}

struct Cursor {
    members: Arc<Members>,
    prefix: Prefix,
    store_prefix: String,
    asked: watch::Receiver<Revision>,
    stream: Option<WatchStream>,
    /// Everything up to here was delivered, is in `ready`, or is of no concern.
    position: Revision,
    /// The last revision that the reader was told of.
    told: Revision,
    /// The commit whose changes are arriving.
    partial: Option<Batch>,
    ready: VecDeque<Batch>,
    /// When to ask for progress, if it is not already known to be unnecessary.
    progress_due: Option<Instant>,
}

impl Cursor {
    async fn next(&mut self) -> Result<Option<Batch>, StoreError> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                self.told = batch.revision;
                return Ok(Some(batch));
            }
            let asked = *self.asked.borrow_and_update();
            if asked > self.told && asked <= self.position {
                self.told = self.position;
                return Ok(Some(Batch { revision: self.position, changes: Vec::new() }));
            }
            if self.stream.is_none() {
                self.reconnect().await?;
            }
            let must_ask = asked > self.position && self.members.progress == Progress::Requested;
            if must_ask {
                self.progress_due.get_or_insert_with(Instant::now);
            } else {
                self.progress_due = None;
            }
            if !self.step().await? {
                return Ok(None);
            }
        }
    }

    /// Waits for the stream, for a question, or for the time to ask for progress. False when the store is closed.
    async fn step(&mut self) -> Result<bool, StoreError> {
        let Some(stream) = &mut self.stream else { return Ok(self.asked.has_changed().is_ok()) };
        let due = self.progress_due;
        let progress_due = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = stream.message() => match message {
                Ok(Some(response)) => self.take(response)?,
                Ok(None) => self.disconnect("etcd ended the stream"),
                Err(error) => self.disconnect(&error.to_string()),
            },
            changed = self.asked.changed() => return Ok(changed.is_ok()),
            () = progress_due => {
                self.progress_due = Some(Instant::now() + PROGRESS_AGAIN_AFTER);
                if let Err(error) = stream.request_progress().await {
                    self.disconnect(&error.to_string());
                }
            }
        }
        Ok(true)
    }

    /// Connects, with as many attempts as the time for a request allows.
    async fn first_connect(&mut self) -> Result<(), StoreError> {
        let deadline = Instant::now() + self.members.request_timeout;
        let mut wait = RECONNECT_AFTER;
        loop {
            match self.connect().await {
                Err(StoreError::Unavailable { .. }) if Instant::now() + wait < deadline => {}
                outcome => return outcome,
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RECONNECT_AFTER_MOST);
        }
    }

    fn disconnect(&mut self, reason: &str) {
        tracing::debug!(prefix = %self.prefix, position = %self.position, reason, "watch interrupted");
        self.stream = None;
        self.partial = None;
    }

    /// Connects again and again until it succeeds or the watch is over.
    async fn reconnect(&mut self) -> Result<(), StoreError> {
        let mut wait = RECONNECT_AFTER;
        loop {
            match self.connect().await {
                Ok(()) => return Ok(()),
                // Once: it may be many attempts.
                Err(error @ StoreError::Unavailable { .. }) if wait == RECONNECT_AFTER => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(prefix = %self.prefix, error, "cannot resume a watch yet");
                }
                Err(StoreError::Unavailable { .. }) => {}
                Err(error) => return Err(error),
            }
            // Spread, so that many watches do not come back at one moment.
            tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.5))).await;
            wait = (wait * 2).min(RECONNECT_AFTER_MOST);
            if self.asked.has_changed().is_err() {
                return Ok(());
            }
        }
    }

    /// Makes the stream. Fails with `Future` if etcd has not come as far as the watch: it was restored from a backup.
    async fn connect(&mut self) -> Result<(), StoreError> {
        let timeout = self.members.request_timeout;
        let member = self.members.pick();
        let stream = tokio::time::timeout(timeout, self.request(member.watch())).await;
        let stream = stream.map_or(Err(Failure::TimedOut), |stream| stream.map_err(Failure::Etcd));
        if stream.is_err() {
            member.set_down();
        }
        let (stream, created) = stream.map_err(|failure| failure.unavailable("cannot watch etcd"))?;
        self.partial = None;
        let reached = header_revision(created.header())?;
        if !created.created() {
            return Err(interrupted("etcd did not open the watch"));
        }
        if created.canceled() {
            self.check_canceled(&created)?;
        }
        if self.position > Revision::ZERO {
            self.members.check_kept(self.position, self.etcd_key("/")).await?;
        }
        if self.position > reached {
            // The member may lag behind.
            let (asked, current) = (self.position, self.members.current_revision(self.etcd_key("/")).await?);
            if asked > current {
                return Err(StoreError::Future { asked, current });
            }
        }
        self.stream = Some(stream);
        Ok(())
    }

    fn etcd_key(&self, key: &str) -> Vec<u8> {
        [self.store_prefix.as_bytes(), key.as_bytes()].concat()
    }

    async fn request(
        &self,
        mut etcd: WatchClient,
    ) -> Result<(WatchStream, WatchResponse), etcd_client::Error> {
        let mut options = WatchOptions::new()
            .with_start_revision(contained(self.position) + 1)
            .with_prev_key()
            .with_progress_notify()
            .with_fragment();
        let start = match self.members.progress {
            Progress::Requested => {
                options = options.with_range(self.etcd_key(&self.prefix.end()));
                self.etcd_key(self.prefix.as_str())
            }
            Progress::SeenInAllKeys => {
                options = options.with_all_keys();
                Vec::new()
            }
        };
        let mut stream = etcd.watch(start, Some(options)).await?;
        match stream.message().await? {
            Some(response) => Ok((stream, response)),
            None => Err(etcd_client::Error::WatchError("the stream ended at once".into())),
        }
    }

    /// Fails with what a cancellation means; it always means something.
    fn check_canceled(&self, response: &WatchResponse) -> Result<(), StoreError> {
        if response.compact_revision() > 0 {
            let oldest = whole(response.compact_revision());
            return Err(StoreError::Compacted { asked: self.position, oldest });
        }
        Err(interrupted(&format!("etcd canceled the watch: {}", response.cancel_reason())))
    }

    fn take(&mut self, response: WatchResponse) -> Result<(), StoreError> {
        if response.canceled() {
            return match self.check_canceled(&response) {
                Err(StoreError::Unavailable { reason, .. }) => {
                    self.disconnect(&reason);
                    Ok(())
                }
                outcome => outcome,
            };
        }
        let response = response.0;
        if response.events.is_empty() && !response.created {
            let revision = response.header.map_or(0, |header| header.revision);
            if self.partial.is_none() {
                self.position = self.position.max(whole(revision));
            }
            return Ok(());
        }
        let last = response.events.last().and_then(|event| event.kv.as_ref()).map(|kv| kv.mod_revision);
        for event in response.events {
            self.take_event(event);
        }
        if !response.fragment {
            self.complete();
            self.position = self.position.max(whole(last.unwrap_or(0)));
        }
        Ok(())
    }

    fn take_event(&mut self, event: PbEvent) {
        let Some(kv) = event.kv else { return };
        let etcd = kv.mod_revision;
        let is_delete = event.r#type == EventType::Delete as i32;
        let place = if is_delete { LAST } else { place_of(&kv.value) };
        let revision = at(etcd, place);
        if revision <= self.position {
            return;
        }
        if self.partial.as_ref().is_some_and(|partial| partial.revision < revision) {
            self.complete();
        }
        let changes = &mut self.partial.get_or_insert(Batch { revision, changes: Vec::new() }).changes;
        let Some(key) = store_key(&self.store_prefix, &kv.key).filter(|key| self.prefix.contains(key)) else {
            return;
        };
        let entry = |kv: PbKeyValue| entry_of(key.clone(), kv.value, kv.create_revision, kv.mod_revision);
        let previous = event.prev_kv.map(entry);
        let kind = if is_delete { ChangeKind::Delete } else { ChangeKind::Put(entry(kv)) };
        changes.push(Change { key, kind, previous });
    }

    /// All changes of the commit that was arriving have arrived.
    fn complete(&mut self) {
        let Some(batch) = self.partial.take() else { return };
        self.position = batch.revision;
        if !batch.changes.is_empty() {
            self.ready.push_back(batch);
        }
    }
}

fn interrupted(reason: &str) -> StoreError {
    StoreError::Unavailable { reason: reason.to_owned(), ambiguous: false, source: None }
}
