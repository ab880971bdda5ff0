//! `list`: the objects of a kind, whole or by page, as of one revision.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use orch_api::{FieldError, Status, Verb, VersionMatch};
use orch_store::{Key, ReadAt, Revision, StoreError};
use serde::{Deserialize, Serialize};

use super::{Answer, Call, List, Listed, Registry};
use crate::cache::{Cached, Query, too_large_revision};
use crate::status::from_store;

/// Entries read at a time where it is not known how many of them are selected: more each time, up to the most.
const READ_FIRST: usize = 1_000;
const READ_MOST: usize = 10_000;

/// The moment a list shows.
enum Moment {
    /// Now: everything committed before the request.
    Now,
    /// This revision or any later one.
    AtLeast(Revision),
    /// This revision and no other, after this key.
    Exactly(Revision, Option<Key>),
    /// Now, after this key: the rest of a list whose revision is forgotten.
    Rest(Key),
}

/// Answers with the objects that the request selects.
pub(super) async fn list(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    Ok(Answer::List(page(registry, call).await?))
}

/// The objects that the request selects, as many as it asks for.
pub(super) async fn page(registry: &Registry, call: &Call) -> Result<List, Status> {
    let query = call.query()?;
    let limit = call.params().limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    match moment(call)? {
        Moment::Now => registry.cache.catch_up().await?,
        Moment::AtLeast(revision) => {
            registry.cache.loaded().await;
            registry.cache.wait_for(revision).await?;
        }
        Moment::Exactly(revision, from) => return at(registry, call, &query, revision, from, limit).await,
        Moment::Rest(from) => {
            let now = registry.store.revision().await.map_err(from_store)?;
            return at(registry, call, &query, now, Some(from), limit).await;
        }
    }
    Ok(from_cache(call, &query, limit))
}

fn from_cache(call: &Call, query: &Query, limit: usize) -> List {
    let (snapshot, rest) = call.kind.window.page(query, limit);
    let last = snapshot.objects.last().filter(|_| rest > 0);
    let cont = last.map_or_else(String::new, |last| Token::encode(Some(snapshot.revision), query, &last.key));
    let items = snapshot.objects.into_iter().map(Listed::Cached).collect();
    List {
        kind: call.kind.clone(),
        items,
        revision: snapshot.revision,
        cont,
        remaining: remaining(query, rest as u64),
    }
}

/// The number of objects that follow is told only where no selector leaves some of them out, as Kubernetes does.
fn remaining(query: &Query, rest: u64) -> Option<u64> {
    (query.labels.is_empty() && query.fields.is_empty()).then_some(rest)
}

/// A page as of a revision of the past, from the store.
async fn at(
    registry: &Registry,
    call: &Call,
    query: &Query,
    revision: Revision,
    from: Option<Key>,
    limit: usize,
) -> Result<List, Status> {
    let selectable = call.kind.window.selectable();
    let selects_all = query.labels.is_empty() && query.fields.is_empty();
    let mut items: Vec<Arc<Cached>> = Vec::new();
    let start = from.clone();
    let (mut from, mut rest) = (from, 0);
    let mut read = READ_FIRST;
    loop {
        // Without selectors one read is one page; with them, as many are read as it takes.
        let ask = if selects_all && limit != usize::MAX { limit - items.len() } else { read };
        let page = registry.store.list(&query.prefix, ReadAt::Exactly(revision), from.as_ref(), ask).await;
        let page = page.map_err(|error| read_failed(error, revision, query, start.as_ref()))?;
        for entry in &page.entries {
            let object = Cached::read(entry, call.kind.window.reading()).map_err(Status::internal)?;
            if object.matches(&query.labels, &query.fields, selectable) {
                items.push(Arc::new(object));
            }
        }
        rest = if selects_all { page.remaining } else { rest };
        from = page.more;
        if from.is_none() || items.len() > limit || (selects_all && items.len() >= limit) {
            break;
        }
        read = (read * 2).min(READ_MOST);
        tokio::task::yield_now().await;
    }
    let more = from.is_some() || items.len() > limit;
    items.truncate(limit);
    let cont = match items.last() {
        Some(last) if more => Token::encode(Some(revision), query, &last.key),
        _ => String::new(),
    };
    let items = items.into_iter().map(Listed::Cached).collect();
    Ok(List { kind: call.kind.clone(), items, revision, cont, remaining: remaining(query, rest) })
}

fn read_failed(error: StoreError, asked: Revision, query: &Query, from: Option<&Key>) -> Status {
    match (error, from) {
        (StoreError::Compacted { .. }, None) => {
            Status::expired("The resourceVersion for the provided list is too old.")
        }
        (StoreError::Compacted { .. }, Some(from)) => {
            let mut status = Status::expired(
                "The provided continue parameter is too old to display a consistent list result. You can start a new list \
                 without the continue parameter, or use the continue token in this response to retrieve the remainder of \
                 the results. Continuing with the provided token results in an inconsistent list - objects that were \
                 created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
            );
            status.metadata.cont = Some(Token::encode(None, query, from).into());
            status
        }
        (StoreError::Future { current, .. }, _) => too_large_revision(asked, current),
        (other, _) => from_store(other),
    }
}

fn moment(call: &Call) -> Result<Moment, Status> {
    let params = call.params();
    let asked = revision_asked(call)?;
    if params.send_initial_events.is_some() {
        return Err(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
    }
    if let Some(cont) = &params.cont {
        if params.resource_version_match.is_some() {
            let why = "resourceVersionMatch is forbidden when continue is provided";
            return Err(forbidden("resourceVersionMatch", why));
        }
        if asked.is_some_and(|asked| asked > Revision::ZERO) {
            return Err(Status::bad_request(
                "specifying resource version is not allowed when using continue",
            ));
        }
        return Ok(match Token::decode(cont, &call.query()?)? {
            (Some(revision), key) => Moment::Exactly(revision, Some(key)),
            (None, key) => Moment::Rest(key),
        });
    }
    Ok(match matching(call)? {
        None => Moment::Now,
        Some((asked, Some(VersionMatch::Exact))) => Moment::Exactly(asked, None),
        // Kubernetes takes a page at a revision, without a word on how, for that very revision.
        Some((asked, None)) if params.limit.is_some() && asked > Revision::ZERO => {
            Moment::Exactly(asked, None)
        }
        Some((asked, _)) => Moment::AtLeast(asked),
    })
}

/// The `resourceVersion` of the request, and how what is read is to match it.
///
/// # Errors
/// 400 if it is not a revision; 422 if there is nothing to match.
pub(super) fn matching(call: &Call) -> Result<Option<(Revision, Option<VersionMatch>)>, Status> {
    let forbidden = |why| Err(forbidden("resourceVersionMatch", why));
    match (revision_asked(call)?, call.params().resource_version_match) {
        (None, Some(_)) => forbidden("resourceVersionMatch is forbidden unless resourceVersion is provided"),
        (Some(Revision::ZERO), Some(VersionMatch::Exact)) => {
            forbidden("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")
        }
        (asked, how) => Ok(asked.map(|asked| (asked, how))),
    }
}

fn forbidden(parameter: &str, why: &str) -> Status {
    Verb::List.invalid_options(FieldError::forbidden(parameter, why))
}

/// The `resourceVersion` of the request.
///
/// # Errors
/// 400 if it is not a revision.
pub(super) fn revision_asked(call: &Call) -> Result<Option<Revision>, Status> {
    let Some(text) = &call.params().resource_version else { return Ok(None) };
    match text.parse() {
        Ok(revision) => Ok(Some(Revision(revision))),
        Err(_) => Err(Status::bad_request(format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        ))),
    }
}

/// What `continue` holds: opaque to clients.
#[derive(Serialize, Deserialize)]
struct Token {
    v: String,
    /// The revision of the list; negative if it goes on as of the present moment.
    rv: i64,
    /// The last key of the page before, below the prefix.
    start: String,
}

const TOKEN_VERSION: &str = "meta.k8s.io/v1";

impl Token {
    /// A token that goes on after a key; without a revision, as of then.
    fn encode(revision: Option<Revision>, query: &Query, last: &Key) -> String {
        let start = last.as_str().strip_prefix(query.prefix.as_str()).unwrap_or_default().to_owned();
        let rv = revision.and_then(|revision| i64::try_from(revision.0).ok()).unwrap_or(-1);
        let token = Self { v: TOKEN_VERSION.into(), rv, start };
        URL_SAFE_NO_PAD.encode(serde_json::json!(token).to_string())
    }

    fn decode(text: &str, query: &Query) -> Result<(Option<Revision>, Key), Status> {
        let bad = || {
            let why = "continue key is not valid: it was not made by this server for this list";
            Status::bad_request(format!("invalid continue token: {why}"))
        };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
        let token: Self = serde_json::from_slice(&bytes).map_err(|_| bad())?;
        let key = Key::new(format!("{}{}", query.prefix, token.start)).map_err(|_| bad())?;
        if token.v != TOKEN_VERSION || token.start.split('/').any(|step| step == "..") {
            return Err(bad());
        }
        match token.rv {
            0 => Err(bad()),
            revision => Ok((u64::try_from(revision).ok().map(Revision), key)),
        }
    }
}
