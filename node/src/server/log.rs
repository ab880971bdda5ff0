//! `GET …/log`

use axum::{
    body::Body,
    extract::{Path, RawQuery, State},
    http::header,
    response::{IntoResponse, Response},
};
use futures::{FutureExt, future::BoxFuture};
use orch_api::Status;

use super::{
    Failure, Server,
    containers::{attempt, choose},
    pairs,
};
use crate::{
    logs::{self, LogOptions},
    plan::is_running,
};

pub(super) async fn log(
    State(server): State<Server>,
    Path((namespace, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let options = LogOptions::parse(&pairs(query.as_deref()), server.shared.clock.now())?;
    let pod = server.pod(&namespace, &name)?;
    let layout = server.shared.facts.layout.as_ref();
    let layout = layout.ok_or_else(|| Status::internal("this node keeps no logs"))?;
    let container = choose(&pod, options.container.as_deref())?;
    let uid = &pod.metadata.uid;
    let attempt = attempt(&pod, &server.seen(uid), container, options.previous)?;
    let path = layout.log(&pod.metadata, container, attempt);
    let ended = server.ended(uid.clone(), container.to_owned(), attempt);
    let body = Body::from_stream(logs::stream(path, options, ended));
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response())
}

impl Server {
    /// Completes once this run no longer runs.
    fn ended(&self, uid: String, container: String, attempt: u32) -> BoxFuture<'static, ()> {
        let mut seen = self.seen.clone();
        let has_ended = move |pods: &std::sync::Arc<
            std::collections::BTreeMap<String, crate::plan::Seen>,
        >| {
            let run =
                pods.get(&uid).and_then(|seen| seen.runs_of(&container).find(|run| run.attempt == attempt));
            !run.is_some_and(is_running)
        };
        // If the agent ends, so does following.
        async move { drop(seen.wait_for(has_ended).await) }.boxed()
    }
}
