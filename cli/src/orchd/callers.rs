//! The API as those who come to a mount reach it.

use std::sync::Arc;

use axum::body::Body;
use futures::FutureExt as _;
use orch_apiserver::Caller;
use orch_client::{ConfigError, HttpClient};

/// The API as a caller reaches it.
pub(crate) fn client(caller: Caller) -> Result<HttpClient, ConfigError> {
    HttpClient::local(Arc::new(move |request| {
        let caller = caller.clone();
        async move {
            let response = caller.send(request.map(Body::new)).await;
            response.map(|body| reqwest::Body::wrap_stream(body.into_data_stream()))
        }
        .boxed()
    }))
}
