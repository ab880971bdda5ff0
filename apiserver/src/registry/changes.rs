//! `get` and `list` of a kind whose objects are the changes of all others: they come from the history, newest first.
//!
//! Whoever asks sees the changes of objects that they may get, and the marks of gaps.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use orch_api::{Asked, Attributes, Authorizer, MASTERS, ResourceAttributes, Status};
use orch_store::Revision;

use super::{Answer, Call, List, Listed, Registry, Written};
use crate::authn::Identity;
use crate::history::{self, History, Id, ObjectPath, Record, Verb, unreadable};
use crate::kinds::Served;
use crate::status::from_store;

/// The most changes of a page, and how many there are if nobody says.
const MOST_CHANGES: usize = 1_000;
/// A page ends where it has become so large.
const PAGE_BYTES: usize = 8 << 20;

/// One change.
pub(super) async fn get(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    let (history, _) = caught_up(registry).await?;
    let not_found = || Status::not_found(call.kind.kind(), call.name());
    let id: Id = call.name().parse().map_err(|_| not_found())?;
    let (sight, kind) = (Sight::of(registry, &call.identity), call.kind.clone());
    let read = move || -> std::io::Result<Option<Bytes>> {
        let change = history.change(id)?;
        let visible = change
            .filter(|record| record.head.verb == Verb::Missed || sight.may_get(record.head.key.as_str()));
        Ok(visible.map(|record| shown(&history, &record, &kind)))
    };
    let bytes = off_the_runtime(read).await?.ok_or_else(not_found)?;
    Ok(Answer::Object(Written { code: 200, bytes, warnings: Vec::new() }))
}

/// A page of changes. Cost: those that are shown are read from disk.
pub(super) async fn list(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    let query = call.query()?;
    let (history, revision) = caught_up(registry).await?;
    let limit = call.params().limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(MOST_CHANGES).min(MOST_CHANGES);
    let before = call.params().cont.as_deref().map(decode).transpose()?;
    // Changes have no labels.
    let limit = if query.labels.matches(&Default::default()) { limit } else { 0 };
    let (sight, kind) = (Sight::of(registry, &call.identity), call.kind.clone());
    let read = move || {
        let mut page = Page::default();
        let mut seen = HashMap::new();
        let may_get = |key: &str| *seen.entry(key.to_owned()).or_insert_with(|| sight.may_get(key));
        history.select(&query.fields.terms, before, may_get, |record| {
            if page.items.len() >= limit || page.bytes > PAGE_BYTES {
                page.is_last = limit == 0;
                return false;
            }
            page.push(record.head.id, shown(&history, &record, &kind));
            true
        })?;
        Ok(page)
    };
    let page = off_the_runtime(read).await?;
    let cont = page.last.filter(|_| !page.is_last).map(encode).unwrap_or_default();
    let items = page.items.into_iter().map(Listed::Written).collect();
    Ok(Answer::List(List { kind: call.kind.clone(), items, revision, cont, remaining: None }))
}

struct Page {
    items: Vec<Bytes>,
    bytes: usize,
    last: Option<Id>,
    is_last: bool,
}

impl Default for Page {
    fn default() -> Self {
        Self { items: Vec::new(), bytes: 0, last: None, is_last: true }
    }
}

impl Page {
    fn push(&mut self, id: Id, change: Bytes) {
        self.bytes += change.len();
        self.items.push(change);
        self.last = Some(id);
    }
}

/// The history, once it has everything that was committed before the call, and the revision of that.
async fn caught_up(registry: &Registry) -> Result<(History, Revision), Status> {
    let history = registry.history.clone().ok_or_else(Status::no_such_path)?;
    let revision = registry.store.revision().await.map_err(from_store)?;
    history.caught_up(revision).await?;
    Ok((history, revision))
}

fn shown(history: &History, record: &Record, kind: &Served) -> Bytes {
    let hide = |value: &[u8]| history.hash(value);
    history::served(record, (&kind.api_version, kind.kind().name), &hide).to_string().into()
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, Status> {
    tokio::task::spawn_blocking(work).await.map_err(Status::internal)?.map_err(unreadable)
}

/// What somebody may see.
pub(crate) struct Sight {
    authorizer: Arc<dyn Authorizer>,
    identity: Identity,
}

impl Sight {
    pub(crate) fn of(registry: &Registry, identity: &Identity) -> Self {
        Self { authorizer: registry.gate.authorizer().clone(), identity: identity.clone() }
    }

    /// Whether the object that is, or was, kept somewhere may be read.
    pub(crate) fn may_get(&self, key: &str) -> bool {
        let Some(path) = ObjectPath::of(key) else { return false };
        let subject = self.identity.subject();
        let resource = ResourceAttributes {
            group: path.group,
            resource: path.plural,
            namespace: path.namespace,
            name: path.name.to_owned(),
            ..ResourceAttributes::default()
        };
        let asked = Asked::Resource(Box::new(resource));
        subject.is_in(MASTERS) || self.authorizer.decide(&Attributes { subject, verb: "get", asked }).allowed
    }
}

fn encode(id: Id) -> String {
    URL_SAFE_NO_PAD.encode(id.to_string())
}

/// The change that the page before ended with.
fn decode(text: &str) -> Result<Id, Status> {
    let bad = || Status::bad_request("invalid continue token: it was not made by this server for this list");
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
    std::str::from_utf8(&bytes).ok().and_then(|id| id.parse().ok()).ok_or_else(bad)
}
