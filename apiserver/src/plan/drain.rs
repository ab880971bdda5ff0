//! Draining a node: new pods are kept off it, and those that are there are asked to go.

use bytes::Bytes;
use orch_api::plan::PlannedDrain;
use orch_api::{Drain, LabelQuery, Status};

use super::stage::{Asker, Done, Stage};
use crate::cache::Query;

/// Drains a node. Who may not keep pods off it is told so before anybody looks for any.
///
/// # Errors
/// What the requests that it comes down to are refused with.
pub(super) async fn perform(
    stage: &Stage,
    asker: &Asker<'_>,
    drain: &PlannedDrain,
) -> Result<Vec<Done>, Status> {
    let foresight = stage.registry.foresight.clone();
    let Drain { cordon, kind, there } = foresight.drain(&drain.node)?;
    let mut done = vec![stage.run(asker, cordon).await?];
    let kinds = stage.registry.kinds.now();
    let Some(kind) = kinds.of(&kind) else { return Ok(done) };
    let query = Query { prefix: kind.prefix(None)?, labels: LabelQuery::default(), fields: there };
    let there: Vec<Bytes> = kind.window.selected(&query).iter().map(|object| object.stored.clone()).collect();
    let evictions = tokio::task::spawn_blocking(move || foresight.evictions(&there));
    for eviction in evictions.await.map_err(Status::internal)? {
        done.push(stage.run(asker, eviction).await?);
    }
    Ok(done)
}
