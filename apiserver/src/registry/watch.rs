//! `watch`: the present objects if asked for, then every change, from the cache's rings.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, unfold};
use futures::{FutureExt as _, StreamExt as _};
use orch_api::{Clock, EventType, FieldError, INITIAL_EVENTS_END, Reason, Status, Verb, VersionMatch};
use orch_store::Revision;
use serde_json::json;

use super::list::revision_asked;
use super::{Call, Registry};
use crate::cache::{Cached, Change, Cursor, Lagged, Query, Window, line};
use crate::fairness::Leave;
use crate::kinds::Served;
use crate::registry::Answer;

/// How often a quiet watch that wants bookmarks gets one.
const BOOKMARK_INTERVAL: Duration = Duration::from_secs(60);
/// How long a watch lasts if the client does not say: between half an hour and an hour, so that not all end at once.
const SHORTEST_SECONDS: u64 = 1800;
/// Changes taken from the ring at a time.
const BATCH: usize = 128;
/// Events travel in pieces of about this size: what is kept for a watcher that does not read.
const PIECE_BYTES: usize = 64 * 1024;

/// Events of one kind, in batches. Ends with an error event, or when its time is up.
pub(crate) struct Watch {
    /// The kind of the objects.
    pub(crate) kind: Arc<Served>,
    /// The events.
    pub(crate) events: BoxStream<'static, Vec<Item>>,
    /// The caller's leave to watch: kept for as long as events may come.
    pub(crate) leave: Option<Leave>,
}

/// One event of a watch; its bytes are shared with every other watcher where they are the same.
pub(crate) enum Item {
    /// Something has happened to an object.
    Change(Arc<Change>, EventType),
    /// The object was there when the watch began.
    Present(Arc<Cached>),
    /// A bookmark: its object.
    Bookmark(Bytes),
    /// The watch has failed and ends.
    Error(Box<Status>),
}

impl Item {
    /// What kind of event it is.
    pub(crate) fn event(&self) -> EventType {
        match self {
            Self::Change(_, event) => *event,
            Self::Present(_) => EventType::Added,
            Self::Bookmark(_) => EventType::Bookmark,
            Self::Error(_) => EventType::Error,
        }
    }

    /// About how large the event's object is. Cost: none.
    fn object_bytes(&self) -> usize {
        match self {
            Self::Change(change, _) => change.bytes(),
            Self::Present(object) => object.size(),
            Self::Bookmark(object) => object.len(),
            Self::Error(_) => 0,
        }
    }

    /// The event's object as JSON.
    pub(crate) fn object(&self) -> Bytes {
        match self {
            Self::Change(change, event) => change.object(*event),
            Self::Present(object) => object.wire(),
            Self::Bookmark(object) => object.clone(),
            Self::Error(status) => serde_json::to_vec(status).unwrap_or_default().into(),
        }
    }

    /// The event as a line.
    pub(crate) fn line(&self) -> Bytes {
        match self {
            Self::Change(change, event) => change.line(*event),
            other => line(other.event(), &other.object()),
        }
    }
}

/// Where a watch starts.
enum Start {
    /// With the present objects, as of now.
    Now,
    /// With the present objects, as of this revision or later.
    AtLeast(Revision),
    /// With what comes after this revision.
    After(Revision),
    /// With what comes after now.
    AfterNow,
    /// With what comes after what is known here, even if that is of some time ago.
    AfterKnown,
}

/// Starts a watch.
pub(super) async fn watch(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    let query = call.query()?;
    let window = &call.kind.window;
    let (mut pending, cursor) = match start(call)? {
        Start::Now => {
            registry.cache.catch_up().await?;
            present(window, &query)
        }
        Start::AtLeast(revision) => {
            registry.cache.loaded().await;
            registry.cache.wait_for(revision).await?;
            present(window, &query)
        }
        Start::After(revision) => {
            registry.cache.loaded().await;
            registry.cache.wait_for(revision).await?;
            match after(window, &query, revision) {
                Ok(started) => started,
                Err(oldest) => return Ok(failed(call, too_old(revision, oldest))),
            }
        }
        Start::AfterNow => {
            registry.cache.catch_up().await?;
            from_now(window, &query)
        }
        Start::AfterKnown => {
            registry.cache.loaded().await;
            from_now(window, &query)
        }
    };
    let params = call.params();
    if params.send_initial_events == Some(true) && params.allow_watch_bookmarks {
        // Taken under the same lock as the objects: nothing lies between them.
        let revision = cursor.start;
        pending.push_back(Item::Bookmark(bookmark(&call.kind, revision, true)));
    }
    let seconds =
        params.timeout_seconds.unwrap_or_else(|| SHORTEST_SECONDS + rand::random_range(0..SHORTEST_SECONDS));
    let mut state = Watcher {
        kind: call.kind.clone(),
        query,
        pending,
        cursor: cursor.cursor,
        wants_bookmarks: params.allow_watch_bookmarks,
        last_bookmark: Revision::ZERO,
        alarm: std::future::ready(()).boxed(),
        left: Duration::from_secs(seconds),
        clock: registry.clock.clone(),
        over: false,
    };
    state.set_alarm();
    let events = unfold(state, Watcher::next).boxed();
    Ok(Answer::Watch(Watch { kind: call.kind.clone(), events, leave: None }))
}

struct Started {
    cursor: Cursor,
    start: Revision,
}

fn present(window: &Arc<Window>, query: &Query) -> (VecDeque<Item>, Started) {
    let (snapshot, cursor) = window.list_and_watch(query);
    (snapshot.objects.into_iter().map(Item::Present).collect(), Started { cursor, start: snapshot.revision })
}

/// What comes from now on.
fn from_now(window: &Arc<Window>, query: &Query) -> (VecDeque<Item>, Started) {
    let (start, cursor) = window.watch_from_now(query);
    (VecDeque::new(), Started { cursor, start })
}

/// What comes after a revision; or the oldest revision that works.
fn after(
    window: &Arc<Window>,
    query: &Query,
    revision: Revision,
) -> Result<(VecDeque<Item>, Started), Revision> {
    let (backlog, cursor) = window.watch(query, revision)?;
    let items = backlog.into_iter().filter_map(|change| item(window, query, change)).collect();
    Ok((items, Started { cursor, start: revision }))
}

fn item(window: &Window, query: &Query, change: Arc<Change>) -> Option<Item> {
    if !query.prefix.contains(change.key()?) {
        return None;
    }
    let selects = |object: &Cached| object.matches(&query.labels, &query.fields, window.selectable());
    change.event(selects).map(|event| Item::Change(change, event))
}

/// A watch that has failed: as in Kubernetes, what goes wrong once a watch has been understood is an event of it.
fn failed(call: &Call, status: Status) -> Answer {
    let events = stream::iter([vec![Item::Error(Box::new(status))]]).boxed();
    Answer::Watch(Watch { kind: call.kind.clone(), events, leave: None })
}

fn too_old(asked: Revision, oldest: Revision) -> Status {
    Status::expired(format!("too old resource version: {asked} ({oldest})"))
}

fn start(call: &Call) -> Result<Start, Status> {
    let params = call.params();
    let asked = revision_asked(call)?;
    match (params.send_initial_events, params.resource_version_match) {
        (Some(true), Some(VersionMatch::NotOlderThan)) => Ok(match asked {
            None => Start::Now,
            Some(revision) => Start::AtLeast(revision),
        }),
        (Some(_), None | Some(VersionMatch::Exact)) => Err(forbidden(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        )),
        (None, Some(_)) => Err(forbidden(
            "resourceVersionMatch",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        )),
        (Some(false), Some(_)) => Ok(match asked {
            None => Start::AfterNow,
            Some(Revision::ZERO) => Start::AfterKnown,
            Some(revision) => Start::After(revision),
        }),
        (None, None) => Ok(match asked {
            None => Start::Now,
            Some(Revision::ZERO) => Start::AtLeast(Revision::ZERO),
            Some(revision) => Start::After(revision),
        }),
    }
}

fn forbidden(parameter: &str, why: &str) -> Status {
    Verb::Watch.invalid_options(FieldError::forbidden(parameter, why))
}

struct Watcher {
    kind: Arc<Served>,
    query: Query,
    pending: VecDeque<Item>,
    cursor: Cursor,
    wants_bookmarks: bool,
    last_bookmark: Revision,
    /// Rings for the next bookmark, or the end.
    alarm: BoxFuture<'static, ()>,
    /// How much time there is after that.
    left: Duration,
    clock: Arc<dyn Clock>,
    over: bool,
}

impl Watcher {
    /// The next events, and the watcher after them.
    async fn next(mut self) -> Option<(Vec<Item>, Self)> {
        loop {
            if !self.pending.is_empty() {
                return Some((self.piece(), self));
            }
            if self.over {
                return None;
            }
            tokio::select! {
                biased;
                () = &mut self.alarm => {
                    self.over = self.left.is_zero();
                    self.push_bookmark();
                    self.set_alarm();
                }
                changes = self.cursor.next(BATCH) => match changes {
                    Err(Lagged) => return Some((vec![self.cut()], self)),
                    Ok(changes) => self.take(changes),
                }
            }
            if self.pending.is_empty() {
                // Many changes in a row may not concern this watcher: let others run.
                tokio::task::yield_now().await;
            }
        }
    }

    fn take(&mut self, changes: Vec<Arc<Change>>) {
        let items = changes.into_iter().filter_map(|change| item(&self.kind.window, &self.query, change));
        self.pending.extend(items);
    }

    fn set_alarm(&mut self) {
        let wait = if self.wants_bookmarks { self.left.min(BOOKMARK_INTERVAL) } else { self.left };
        self.left -= wait;
        self.alarm = self.clock.sleep(wait);
    }

    /// The next events that wait, at least one.
    fn piece(&mut self) -> Vec<Item> {
        let mut bytes = 0;
        let fits = |item: &&Item| {
            let first = bytes == 0;
            bytes += item.object_bytes().max(1);
            first || bytes <= PIECE_BYTES
        };
        let count = self.pending.iter().take_while(fits).count();
        self.pending.drain(..count).collect()
    }

    fn cut(&mut self) -> Item {
        self.over = true;
        let message =
            "too old resource version: the watch has fallen behind; list again and watch from there";
        Item::Error(Box::new(Status::failure(Reason::Expired, message)))
    }

    fn push_bookmark(&mut self) {
        let Some(revision) = self.cursor.caught_up().filter(|revision| *revision > self.last_bookmark) else {
            return;
        };
        if self.wants_bookmarks {
            self.last_bookmark = revision;
            self.pending.push_back(Item::Bookmark(bookmark(&self.kind, revision, false)));
        }
    }
}

fn bookmark(kind: &Served, revision: Revision, initial_events_end: bool) -> Bytes {
    let mut metadata = json!({"resourceVersion": revision.to_string(), "creationTimestamp": null});
    if initial_events_end {
        metadata["annotations"] = json!({INITIAL_EVENTS_END: "true"});
    }
    json!({"kind": kind.kind().name, "apiVersion": kind.api_version, "metadata": metadata}).to_string().into()
}
