//! The webhooks of GitSyncs at `/webhooks/gitsync`: for Git servers, which have no credentials and sign what they send.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use futures::FutureExt as _;
use http::{Request, Response, StatusCode};
use orch_api::Clock;
use orch_apiserver::{Caller, Identity, Mount, Visitors};
use orch_gitops::webhook::{PATH, USER, Webhook};
use tracing::error;

use super::callers;

/// What is served there.
pub(crate) fn mount(clock: Arc<dyn Clock>) -> Mount {
    let webhook = Arc::new(Webhook::new(clock));
    let serve = move |caller: Caller, request: Request<Body>| {
        let webhook = webhook.clone();
        async move { answer(&webhook, caller, request).await }.boxed()
    };
    let visitors = Visitors::Strangers { acting_as: Identity::new(USER, [""; 0]) };
    Mount { path: PATH, visitors, serve: Arc::new(serve) }
}

async fn answer(webhook: &Webhook, caller: Caller, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    // It is here already, and no larger than strangers may send.
    let body = to_bytes(body, usize::MAX).await;
    match (callers::client(caller), body) {
        (Ok(client), Ok(body)) => {
            let client = client.named("orch-webhook");
            webhook.answer(Arc::new(client), &Request::from_parts(parts, body)).await.map(Body::from)
        }
        (Err(error), _) => failed(&error),
        (_, Err(error)) => failed(&error),
    }
}

fn failed(error: &dyn std::fmt::Display) -> Response<Body> {
    error!(%error, "a webhook cannot be served");
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}
