//! `deletecollection`: delete what a selector selects.

use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use orch_api::{Reason, Request, Status, Time, Verb};

use super::delete::Options;
use super::modify::Done;
use super::{Answer, Call, List, Listed, Registry, list};
use crate::cache::Cached;

/// Objects deleted at a time.
const CONCURRENCY: usize = 16;

/// Deletes the selected objects, as many as are asked for, and answers with them as they were left. What is gone already is passed over.
pub(super) async fn delete_collection(registry: &Registry, call: &Call) -> Result<Answer, Status> {
    let options = Options::read(call)?;
    let page = list::page(registry, call).await?;
    let now = Time::new(registry.clock.now());
    let options = &options;
    let objects = page.items.into_iter().filter_map(|item| match item {
        Listed::Cached(object) => Some(object),
        Listed::Written(_) => None,
    });
    let deleted = stream::iter(objects).map(|object| async move {
        let one = one(call, &object);
        match registry.remove(&one, options, now).await {
            Ok(Done::Put(bytes)) => Ok(Some(Listed::Written(bytes))),
            Ok(Done::Removed(_)) => Ok(Some(Listed::Cached(object.clone()))),
            Err(status) if status.is(&Reason::NotFound) => Ok(None),
            Err(status) => Err(status),
        }
    });
    let items: Vec<_> = deleted.buffered(CONCURRENCY).try_collect().await?;
    Ok(Answer::List(List {
        kind: call.kind.clone(),
        items: items.into_iter().flatten().collect(),
        revision: registry.cache.reached().max(page.revision),
        cont: page.cont,
        remaining: page.remaining,
    }))
}

fn one(call: &Call, object: &Arc<Cached>) -> Call {
    let target = call.request.target.clone().named(object.name());
    let request = Request { verb: Verb::Delete, target, params: call.request.params.clone(), body: None };
    Call {
        identity: call.identity.clone(),
        via: call.via.clone(),
        kind: call.kind.clone(),
        request,
        authorizer: call.authorizer.clone(),
        policies: call.policies.clone(),
        notices: call.notices.clone(),
    }
}
